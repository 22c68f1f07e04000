"""Faults of the connection: CONN-1 to CONN-4."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.frames import Opcode

from .catalogue import fault
from .peer import Peer
from .server import Reply, Server

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from websockets.frames import Frame


_BAD = Reply(400, b"bad client_id\n")


# CONN-1: the handshake.


@fault("CONN-1")
class RefusesUnderscores(Server):
    """Refuses a client_id with an underscore, as a host-name check would."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Check by the wrong pattern."""
        return _BAD if "_" in client_id else super().handshake(client_id, headers)


@fault("CONN-1", subtle=True)
class RefusesLongClientIds(Server):
    """Refuses a client_id of more than 64 characters."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Expect something like a UUID."""
        return _BAD if len(client_id) > 64 else super().handshake(client_id, headers)


@fault("CONN-1", subtle=True)
class RefusesLeadingDashes(Server):
    """Refuses a client_id that begins with a dash or an underscore."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Take the client_id for an identifier."""
        return _BAD if client_id.startswith(("-", "_")) else super().handshake(client_id, headers)


@fault("CONN-1", subtle=True)
class RefusesNonAsciiClientIds(Server):
    """Refuses a client_id with percent-encoded characters beyond ASCII (a SHOULD)."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Decode nothing beyond ASCII."""
        return super().handshake(client_id, headers) if client_id.isascii() else _BAD


# CONN-2: a plain GET.


@fault("CONN-2")
class AnswersPlainGetWithPage(Server):
    """Answers a plain GET on the path with 200 and a page."""

    def plain_get(self, client_id: str) -> Reply | None:
        """Serve the single-page application's index."""
        del client_id
        return Reply(200, b"<!doctype html><title>events</title>", (("Content-Type", "text/html"),))


@fault("CONN-2")
class CrashesOnPlainGet(Server):
    """Answers a plain GET on the path with 500."""

    def plain_get(self, client_id: str) -> Reply | None:
        """Miss a header."""
        del client_id
        return Reply(500, b"KeyError: 'sec-websocket-key'\n")


@fault("CONN-2")
class HangsUpOnPlainGet(Server):
    """Closes the TCP connection on a plain GET, without an answer."""

    def plain_get(self, client_id: str) -> None:
        """Say nothing."""


# CONN-3: ping and pong. A pong of up to 125 bytes has a head of two.


@fault("CONN-3")
class NeverPongs(Server):
    """Answers no ping."""

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Stay silent."""


@fault("CONN-3", subtle=True)
class PongsWithoutPayload(Server):
    """Answers a ping with an empty pong, whatever the ping carried."""

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Leave the payload out."""
        super().pong(peer, pong[:1] + b"\0")


@fault("CONN-3", subtle=True)
class CutsLongPongs(Server):
    """Cuts a pong's payload at 64 bytes."""

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Copy into a small buffer."""
        payload = pong[2:66]
        super().pong(peer, pong[:1] + bytes((len(payload),)) + payload)


@fault("CONN-3", subtle=True)
class PongsWithNextMessage(Server):
    """Holds a pong back until the client's next message, as a reader that sleeps in between does."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[Peer, list[bytes]] = {}

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Hold it."""
        self._held.setdefault(peer, []).append(pong)

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Wake up."""
        for pong in self._held.pop(peer, ()):
            super().pong(peer, pong)
        super().received_text(peer, data)

    def forget(self, peer: Peer) -> None:
        """Drop what is held."""
        super().forget(peer)
        self._held.pop(peer, None)


class _MissesPings(Peer):
    """Notes the pings that come between fragments."""

    def __init__(self, server: Server, client_id: str, transport: asyncio.Transport) -> None:
        super().__init__(server, client_id, transport)
        self.missed: list[bytes] = []

    def assemble(self, event: Frame) -> None:
        """Note it."""
        if event.opcode is Opcode.PING and self.fragmented is not None:
            self.missed.append(bytes(event.data))
        super().assemble(event)


@fault("CONN-3", subtle=True)
class MissesPingsBetweenFragments(Server):
    """Answers no ping that comes between the fragments of a message."""

    peer_class = _MissesPings

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Leave those out."""
        if isinstance(peer, _MissesPings) and pong[2:] in peer.missed:
            peer.missed.remove(pong[2:])
        else:
            super().pong(peer, pong)


# CONN-4: the closing handshake. A close frame's code is in the third and fourth byte.


@fault("CONN-4")
class NeverAnswersClose(Server):
    """Ends the stream after the client's close frame without one of its own."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Stay silent."""


@fault("CONN-4", subtle=True)
class DropsCloseWithoutCode(Server):
    """Leaves a close frame without a code unanswered."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Look for the code that is not there."""
        if len(close) > 2:
            super().answer_close(peer, close)


@fault("CONN-4", subtle=True)
class DropsApplicationCloseCodes(Server):
    """Leaves a close frame with a code from 3000 on unanswered."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Know RFC 6455's own codes only."""
        if int.from_bytes(close[2:4], "big") < 3000:
            super().answer_close(peer, close)


@fault("CONN-4", subtle=True)
class DropsCloseOfSubscribers(Server):
    """Leaves the close frame of a client that holds subscriptions unanswered: the clean-up raises first."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Clean up, and forget the answer."""
        if not peer.subscriptions:
            super().answer_close(peer, close)
