"""Servers that are odd and right: a judge that fails one of them is wrong."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from websockets.frames import Opcode

from .catalogue import oddity
from .jsontext import Number, dump, dump_exact, exact, rewrite
from .peer import Peer, frame
from .server import Server

if TYPE_CHECKING:
    from .server import Event


# Messages of its own.


@oddity()
class Greets(Server):
    """Sends a text of its own right after the handshake."""

    def opened(self, peer: Peer) -> None:
        """Greet."""
        super().opened(peer)
        peer.send(dump({"type": "connection_established", "client_id": peer.client_id, "message": "hello"}))


@oddity()
class SpeaksDialect(Server):
    """Sends pings of its own every 100 ms, errors of its own, and lists of what is subscribed."""

    def opened(self, peer: Peer) -> None:
        """Begin to ping."""
        super().opened(peer)
        self.later(0.1, lambda: self._ping(peer))

    def _ping(self, peer: Peer) -> None:
        if peer.open:
            peer.send(dump({"type": "ping", "timestamp": "2026-11-22T12:00:00Z"}))
            self.later(0.1, lambda: self._ping(peer))

    def malformed(self, peer: Peer) -> None:
        """Say what is wrong."""
        peer.send(dump({"type": "error", "detail": [{"loc": ["body"], "msg": "invalid message"}]}))

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Say what is wrong."""
        peer.send(dump({"type": "error", "error": "unknown type", "received": message}))

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """List the subscriptions."""
        super().confirm(peer, investigation_id)
        peer.send(dump({"type": "subscriptions", "investigation_ids": list(peer.subscriptions)}))


@oddity()
class BorrowsNames(Server):
    """Uses names of Part 2 for things of its own, to clients that never said hello."""

    def opened(self, peer: Peer) -> None:
        """Welcome, in its own way."""
        super().opened(peer)
        peer.send(dump({"type": "welcome", "user": peer.client_id, "features": "all", "protocol": "ws"}))

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Add names of Part 2 that mean something else."""
        text = {"type": "subscription_confirmed", "investigation_id": investigation_id}
        peer.send(dump({**text, "seq": "a", "token": 5, "epoch": None, "scope": "all", "replay": False}))
        peer.send(dump({"type": "position", "investigation_id": investigation_id, "lat": 48.1, "lon": 11.6}))

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Number the messages in its own way."""
        super().deliver(peer, event, message[:-1] + b',"seq":"last","prev":-1,"replayed":"no"}')


# The form of its messages.


@oddity()
class AddsFields(Server):
    """Adds fields to the confirmation and to the envelope, `data` being left alone."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Add some."""
        return super().confirmation(investigation_id)[:-1] + b',"status":"ok","count":1,"data":null}'

    def update(self, event: Event) -> bytes:
        """Add some."""
        return super().update(event)[:-1] + b',"timestamp":"2026-11-22T12:00:00Z","meta":{"v":[1,null]}}'


@oddity()
class ShufflesMembers(Server):
    """Writes the members of its messages, and those of the payload, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._random = Random(1)

    def frames(self, message: bytes) -> bytes:
        """Shuffle."""
        return super().frames(rewrite(message.decode(), self._shuffled))

    def _shuffled(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return dict(self._random.sample(list(value.items()), len(value)))


@oddity()
class PrettyPrints(Server):
    """Writes its messages on many lines, with white space at both ends."""

    def frames(self, message: bytes) -> bytes:
        """Indent."""
        return super().frames(b"\r\n\t " + _pretty(exact(message.decode()), "\n").encode() + b" \n")


def _pretty(value: Any, line: str) -> str:
    inner = line + "  "
    if isinstance(value, dict) and value:
        parts = (f"{_text(name)} : {_pretty(member, inner)}" for name, member in value.items())
        return "{" + inner + f",{inner}".join(parts) + line + "}"
    if isinstance(value, list) and value:
        return "[" + inner + f",{inner}".join(_pretty(member, inner) for member in value) + line + "]"
    return dump_exact(value).decode()


def _text(value: str) -> str:
    return dump(value).decode()


@oddity()
class EscapesEverything(Server):
    r"""Writes every string with \u escapes, and a slash as \/, as PHP does."""

    def frames(self, message: bytes) -> bytes:
        """Escape; beyond ASCII there is nothing outside strings."""
        return super().frames(_escaped(exact(message.decode())).encode())


def _escaped(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        parts = (f"{_escaped(name)}:{_escaped(member)}" for name, member in value.items())
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_escaped, value)) + "]"
    return json.dumps(value).replace("/", "\\/")


@oddity("EVT-6")
class PassesNumbersThroughDoubles(Server):
    """Writes numbers as JavaScript does: 1.0 as 1, and integers beyond 2^53 rounded (EVT-6 warns)."""

    def payload(self, event: Event) -> bytes:
        """Go through doubles."""
        return rewrite(event.text, _through_double)


def _through_double(value: Any) -> Any:
    if not isinstance(value, Number):
        return value
    try:
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    except OverflowError:
        return value


@oddity()
class SendsFragments(Server):
    """Sends a message of more than 16 bytes in fragments, with pings in between."""

    def frames(self, message: bytes) -> bytes:
        """Cut, in the middle of characters too."""
        cuts = range(0, max(len(message), 1), max(16, len(message) // 4))
        parts = [message[at : at + cuts.step] for at in cuts]
        made = b""
        for index, part in enumerate(parts):
            opcode = Opcode.CONT if index else Opcode.TEXT
            made += frame(part, opcode, fin=index == len(parts) - 1)
            if index < len(parts) - 1:
                made += frame(b"still there?", Opcode.PING)
        return made


@oddity()
class SendsControlFrames(Server):
    """Sends a ping and an unsolicited pong frame with every message."""

    def frames(self, message: bytes) -> bytes:
        """Surround it."""
        return frame(b"x", Opcode.PING) + super().frames(message) + frame(b"y", Opcode.PONG)


@oddity()
class AddsInvestigationId(Server):
    """Adds an absent investigation_id to the payload."""

    def payload(self, event: Event) -> bytes:
        """Add it for convenience."""
        if "investigation_id" in event.data:
            return super().payload(event)
        member = b'"investigation_id":' + dump(event.investigation_id)
        rest = event.text[1:].lstrip().encode()
        return b"{" + member + (b"," if event.data else b"") + rest


# What it does about malformed input.


@oddity()
class ClosesOnMalformed(Server):
    """Closes a connection with 1007 after malformed input."""

    def malformed(self, peer: Peer) -> None:
        """Close."""
        peer.close(1007, "malformed")


@oddity()
class ClosesOnMalformedWithCodeOfItsOwn(Server):
    """Reports an error, then closes with 4400 after malformed input."""

    def malformed(self, peer: Peer) -> None:
        """Report and close."""
        peer.send(dump({"type": "error", "code": 4400}))
        peer.close(4400, "bad request")


@oddity()
class ClosesBinaryOnly(Server):
    """Closes with 1003 after a binary message, and ignores other malformed input."""

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Close."""
        del data
        peer.close(1003, "text only")
