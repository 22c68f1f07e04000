"""Servers that are odd and right: a judge that fails one of them is wrong."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from websockets.frames import Opcode

from .catalogue import oddity
from .jsontext import Number, dump, dump_exact, exact, rewrite
from .peer import Peer, frame
from .server import ACCEPTED, Reply, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .server import Answer, Event


class _Line:
    """Things to do later, in the order in which they came."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._actions: deque[Callable[[], object]] = deque()

    def add(self, delay: float, action: Callable[[], object]) -> None:
        """Do something after a delay in seconds, and after everything that is in the line."""
        self._actions.append(action)
        self._server.later(delay, self._do_next)

    def _do_next(self) -> None:
        self._actions.popleft()()


# Time.


class _FarAway(Peer):
    """Hears and is heard 30 ms late."""

    def __init__(self, server: Server, client_id: str, transport: asyncio.Transport) -> None:
        super().__init__(server, client_id, transport)
        self._in = _Line(server)
        self._out = _Line(server)

    def data_received(self, data: bytes) -> None:
        """Let it travel."""
        self._in.add(0.03, lambda: super(_FarAway, self).data_received(data))

    def eof_received(self) -> bool:
        """Let it travel."""
        self._in.add(0.03, self._eof)
        return True

    def _eof(self) -> None:
        super().eof_received()
        self.transport.close()

    def put(self, data: bytes) -> None:
        """Let it travel."""
        self._out.add(0.03, lambda: super(_FarAway, self).put(data))

    def put_eof(self) -> None:
        """Let it travel."""
        self._out.add(0.03, super().put_eof)


@oddity()
class IsFarAway(Server):
    """Takes 30 ms each way."""

    peer_class = _FarAway


@oddity()
class ThrottlesReading(Server):
    """Reads 100 messages a second after a burst of 20, and the rest later."""

    limits = replace(Server.limits, rate=100, burst=20)


@oddity()
class DeliversAfterAccepting(Server):
    """Answers an inject at once, and delivers 5 to 15 ms later, in order for each investigation."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[str, _Line] = {}
        self._random = Random(1)

    def publish(self, event: Event) -> None:
        """Go through a broker; there is no order across investigations."""
        line = self._lines.setdefault(event.investigation_id, _Line(self))
        line.add(
            self._random.uniform(0.005, 0.015), lambda: super(DeliversAfterAccepting, self).publish(event)
        )


@oddity()
class AcceptsAfterDelivering(Server):
    """Answers an inject 20 ms after the delivery."""

    def accept(self, event: Event) -> Answer:
        """Take time for the answer."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.publish(event)
        self.later(0.02, lambda: None if answer.done() else answer.set_result(ACCEPTED))
        return answer


@oddity()
class ConfirmsAfterDelivering(Server):
    """Makes a subscription effective at once, and confirms it 10 ms later: updates may come first."""

    def __init__(self) -> None:
        super().__init__()
        self._line = _Line(self)

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Take time for the confirmation."""
        self._line.add(0.01, lambda: super(ConfirmsAfterDelivering, self).confirm(peer, investigation_id))


@oddity("SUB-7")
class ConfirmsOutOfOrder(Server):
    """Confirms every second subscribe 3 ms late (SUB-7 warns)."""

    def __init__(self) -> None:
        super().__init__()
        self._confirmed = 0

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Take turns."""
        self._confirmed += 1
        if self._confirmed % 2:
            self.later(0.003, lambda: super(ConfirmsOutOfOrder, self).confirm(peer, investigation_id))
        else:
            super().confirm(peer, investigation_id)


class _Corked(Peer):
    """Writes every 10 ms."""

    def __init__(self, server: Server, client_id: str, transport: asyncio.Transport) -> None:
        super().__init__(server, client_id, transport)
        self._due: list[bytes] = []

    def put(self, data: bytes) -> None:
        """Wait for company."""
        if not self._due:
            self.server.later(0.01, self._uncork)
        self._due.append(data)

    def _uncork(self) -> None:
        data, self._due = b"".join(self._due), []
        super().put(data)

    def put_eof(self) -> None:
        """Write what is due first; the timer finds nothing then."""
        self._uncork()
        super().put_eof()


@oddity()
class JoinsWrites(Server):
    """Writes whatever is due in a single TCP segment every 10 ms."""

    peer_class = _Corked


@oddity()
class IsPatientWithStalledReaders(Server):
    """Queues 4 MiB for a client that does not read, and ends its connection after 2 s."""

    limits = replace(Server.limits, queue_bytes=4 * 1024 * 1024, queue_messages=10_000, stalled_write=2.0)


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


# Connections.


@oddity()
class NoFallback(Server):
    """Sends the updates of an investigation without subscribers to nobody."""

    fallback = False


@oddity("CONN-5")
class ClosesOlderTwin(Server):
    """Closes an older connection with the same client_id, properly (CONN-5 warns)."""

    def opened(self, peer: Peer) -> None:
        """Keep one connection for each client_id."""
        for other in list(self.peers):
            if other.client_id == peer.client_id:
                other.close(4409, "replaced")
        super().opened(peer)


@oddity()
class AnswersPlainGetWith404(Server):
    """Answers a plain GET on the path with 404."""

    def plain_get(self, client_id: str) -> Reply | None:
        """Know no page."""
        del client_id
        return Reply(404, b"not found\n")


@oddity()
class AnswersPlainGetWith403(Server):
    """Answers a plain GET on the path with 403."""

    def plain_get(self, client_id: str) -> Reply | None:
        """Allow no page."""
        del client_id
        return Reply(403)


@oddity("CONN-1")
class KnowsSafeClientIdsOnly(Server):
    """Refuses a client_id beyond the characters and the length that are guaranteed (CONN-1 warns)."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Check it."""
        if len(client_id) > 128 or not all(c.isascii() and (c.isalnum() or c in "-_") for c in client_id):
            return Reply(400, b"bad client_id\n")
        return super().handshake(client_id, headers)


# Injecting.


@oddity()
class ClosesInjectConnections(Server):
    """Closes the HTTP connection after each inject."""

    def accept(self, event: Event) -> Answer:
        """Say so in the answer, as HTTP/1.0 would have it."""
        super().accept(event)
        return Reply(200, b"ok", (("Connection", "close"),))


@oddity()
class AcceptsWithoutBody(Server):
    """Answers an inject with 204."""

    def accept(self, event: Event) -> Answer:
        """Have nothing to say."""
        super().accept(event)
        return Reply(204)


@oddity()
class RefusesInvalidPayloads(Server):
    """Refuses to inject what EVT-2 to EVT-4 do not allow a publisher, with 422."""

    def accept(self, event: Event) -> Answer:
        """Hold the payload against the rules."""
        data = event.data
        progress = data.get("progress", 0)
        wrong_id = data.get("investigation_id", event.investigation_id) != event.investigation_id
        is_number = isinstance(progress, (int, float)) and not isinstance(progress, bool)
        wrong_progress = not is_number or not 0 <= progress <= 1
        is_task = isinstance(data.get("type"), str) and data["type"].startswith("task_")
        wrong_task = is_task and (not isinstance(data.get("task_id"), str) or not data["task_id"])
        if wrong_id or wrong_progress or wrong_task:
            return Reply(422, b"invalid payload\n")
        return super().accept(event)


# Its own events.


@oddity("DEL-4")
class DeliversUnorderly(Server):
    """Delivers every third update 2 ms late (DEL-4 warns)."""

    def publish(self, event: Event) -> None:
        """Dawdle."""
        if self.published % 3 == 0:
            self.later(0.002, lambda: super(DeliversUnorderly, self).publish(event))
        else:
            super().publish(event)


@oddity()
class DeliversInAnyOrderOfReceivers(Server):
    """Delivers an update to its receivers in an order that changes."""

    def __init__(self) -> None:
        super().__init__()
        self._random = Random(1)

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Shuffle."""
        found = list(super().receivers(event))
        self._random.shuffle(found)
        return found


@oddity("EVT-5", trigger=True)
class PublishesTypelessStart(Server):
    """Publishes a start without a type, which LEG-3 recognises (EVT-5 warns)."""

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Start as older servers do."""
        return (
            {"status": "running", "message": "Investigation started"},
            *super().own_events(investigation_id),
        )


@oddity("EVT-5", trigger=True)
class PublishesLegacyEvents(Server):
    """Publishes the kind as `event` in place of `type`, which LEG-2 recognises (EVT-5 warns)."""

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Publish as older task executors do."""
        events = super().own_events(investigation_id)
        return [
            {"event" if name == "type" else name: value for name, value in data.items()} for data in events
        ]


@oddity(trigger=True)
class PublishesOtherKinds(Server):
    """Publishes kinds that the protocol does not name, and payloads with few fields."""

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Publish some."""
        return (
            {"type": "investigation_paused"},
            {"type": "note", "progress": 0.5, "extra": {"by": investigation_id}},
        )
