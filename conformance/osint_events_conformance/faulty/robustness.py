"""Faults of robustness: ROB-1 to ROB-6, and LEG-5."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .jsontext import NotJson, dump, parse
from .peer import Peer
from .server import ACCEPTED, Server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .server import Answer, Event, Reply

# ROB-1: malformed input is nobody else's business.


@fault("ROB-1")
class MalformedClosesEveryone(Server):
    """Closes every other connection after malformed input."""

    def malformed(self, peer: Peer) -> None:
        """Let one exception end the loop of all."""
        for other in list(self.peers):
            if other is not peer:
                other.close(1011, "internal error")


@fault("ROB-1", subtle=True)
class MalformedStopsDeliveries(Server):
    """Delivers nothing for 50 ms after malformed input, until the dispatcher is started again."""

    def __init__(self) -> None:
        super().__init__()
        self._down = False

    def malformed(self, peer: Peer) -> None:
        """Kill the dispatcher."""
        del peer
        self._down = True
        self.later(0.05, self._restart)

    def _restart(self) -> None:
        self._down = False

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Find nobody while it is down."""
        lost = self._down and event.investigation_id in self.subscribers
        return () if lost else super().receivers(event)


@fault("ROB-1", subtle=True)
class NonObjectsClearSubscriptions(Server):
    """Forgets every subscription of every connection after a JSON value that is no object."""

    fallback = False

    def malformed(self, peer: Peer) -> None:
        """Forget only when the text was JSON."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Start the registry anew after an exception."""
        super().received_text(peer, data)
        try:
            value = parse(data.decode(errors="replace"))
        except NotJson:
            return
        if not isinstance(value, dict):
            for other in list(self.peers):
                for investigation_id in list(other.subscriptions):
                    self.unsubscribe(other, investigation_id)


@fault("ROB-1", subtle=True)
class CrashesOnDeepNesting(Server):
    """Drops every connection after a message nested more than 500 deep: the process is started again."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Exhaust the stack."""
        if data.count(b"[") + data.count(b"{") > 500:
            for other in list(self.peers):
                other.abort()
        else:
            super().received_text(peer, data)


@fault("ROB-1", subtle=True)
class BinaryLosesNextEvent(Server):
    """Loses the next event for all after a binary message."""

    def __init__(self) -> None:
        super().__init__()
        self._broken = False

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Leave an exception for the next one to find."""
        super().received_binary(peer, data)
        self._broken = True

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Find it."""
        if self._broken and event.investigation_id in self.subscribers:
            self._broken = False
            return ()
        return super().receivers(event)


@fault("ROB-1", subtle=True)
class OversizeClosesNeighbour(Server):
    """Closes the oldest other connection when a message is too large, as if they shared a buffer."""

    def closed(self, peer: Peer) -> None:
        """Take the neighbour along."""
        neighbour = next((other for other in self.peers if other is not peer), None)
        super().closed(peer)
        if peer.too_big and neighbour is not None:
            neighbour.close(1009, "message too big")


@fault("ROB-1", subtle=True)
class UnfinishedMessageBlocksOthers(Server):
    """Reads nobody else's messages while a client has sent a part of a fragmented one (for up to 2 s)."""

    def __init__(self) -> None:
        super().__init__()
        self._since: float | None = None

    def throttle(self, peer: Peer) -> float:
        """Wait for the one that holds the lock."""
        if not any(other is not peer and other.fragmented is not None for other in self.peers):
            self._since = None
            return super().throttle(peer)
        now = time.monotonic()
        self._since = self._since or now
        return 0.01 if now - self._since < 2 else super().throttle(peer)


# ROB-2: what may be done about malformed input.


@fault("ROB-2")
class DropsTcpOnMalformed(Server):
    """Drops the TCP connection without a close frame after malformed input (a SHOULD)."""

    def malformed(self, peer: Peer) -> None:
        """Hang up."""
        peer.abort()


@fault("ROB-2")
class ClosesWith1011OnMalformed(Server):
    """Closes with 1011, an internal error, after malformed input."""

    def malformed(self, peer: Peer) -> None:
        """Let the framework handle the exception."""
        peer.close(1011, "internal error")


@fault("ROB-2", subtle=True)
class ClosesWith1000OnBinary(Server):
    """Closes with 1000 after a binary message."""

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Take it for a good-bye."""
        del data
        peer.close(1000)


@fault("ROB-2", subtle=True)
class DropsTcpOnBinary(Server):
    """Drops the TCP connection after a binary message: the framework looks for a text in it (a SHOULD)."""

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Fail with a KeyError."""
        del data
        peer.abort()


@fault("ROB-2", subtle=True)
class DropsTcpOnInvalidUtf8(Server):
    """Drops the TCP connection without a close frame after invalid UTF-8 (a SHOULD)."""

    def not_text(self, peer: Peer) -> None:
        """Hang up."""
        peer.abort()


class _GoesDeaf(Server):
    """Can stop to read a connection that stays open."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf: set[Peer] = set()

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Read, unless the reader has ended."""
        if peer not in self.deaf:
            super().received_text(peer, data)

    def forget(self, peer: Peer) -> None:
        """Clean up."""
        super().forget(peer)
        self.deaf.discard(peer)


@fault("ROB-2", subtle=True)
class GoesDeafOnBadJson(_GoesDeaf):
    """Neither closes nor reads on after malformed input: its reader has ended silently."""

    def malformed(self, peer: Peer) -> None:
        """End the reader."""
        self.deaf.add(peer)


@fault("ROB-2", subtle=True)
class GoesDeafOnNonObjects(_GoesDeaf):
    """Neither closes nor reads on after a JSON value that is no object."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Call a method that a list does not have."""
        super().received_text(peer, data)
        try:
            value = parse(data.decode(errors="replace"))
        except NotJson:
            return
        if not isinstance(value, dict):
            self.deaf.add(peer)


@fault("ROB-2", subtle=True)
class ConfirmsBinary(Server):
    """Confirms a subscribe that comes in a binary message."""

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Read bytes as text."""
        self.received_text(peer, data)


class _Repairs(Server):
    """Reads more than JSON."""

    def repaired(self, text: bytes) -> bytes:
        """Return what to read."""
        raise NotImplementedError

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Repair it, and read."""
        super().received_text(peer, self.repaired(data))


@fault("ROB-2", subtle=True)
class ConfirmsNan(_Repairs):
    """Confirms a subscribe with a NaN or an Infinity in an unknown field, which is no JSON."""

    def repaired(self, text: bytes) -> bytes:
        """Read as Python does by default."""
        return re.sub(rb"(?<=[:,\[])(\s*)(?:NaN|-?Infinity)(?=\s*[,\]}])", rb"\1null", text)


@fault("ROB-2", subtle=True)
class ConfirmsTrailingText(_Repairs):
    """Confirms a subscribe that has something behind it in the same message."""

    def repaired(self, text: bytes) -> bytes:
        """Stop at the end of the first value."""
        try:
            decoded = text.decode()
            return decoded[: json.JSONDecoder().raw_decode(decoded)[1]].encode()
        except (ValueError, RecursionError):
            return text


@fault("ROB-2", subtle=True)
class ConfirmsTrailingCommas(_Repairs):
    """Confirms a subscribe with a comma behind its last member."""

    def repaired(self, text: bytes) -> bytes:
        """Read JSON5."""
        return re.sub(rb",\s*\}\s*$", b"}", text)


@fault("ROB-2", subtle=True)
class ConfirmsInvalidUtf8(_Repairs):
    """Confirms a subscribe that is no valid UTF-8, with U+FFFD in the place of what is wrong."""

    def repaired(self, text: bytes) -> bytes:
        """Replace."""
        return text.decode(errors="replace").encode()


@fault("ROB-2", subtle=True)
class ConfirmsBatches(_Repairs):
    """Confirms the subscribes in a JSON array, as a batch."""

    def repaired(self, text: bytes) -> bytes:
        """Take the only one out."""
        stripped = text.strip()
        return stripped[1:-1] if stripped[:1] == b"[" and stripped[-1:] == b"]" else text


@fault("ROB-2", subtle=True)
class ComparesTypesLoosely(Server):
    """Confirms a subscribe whose type is a list with the right string in it, as JavaScript's == would."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Compare as strings."""
        super().received_text(peer, re.sub(rb'"type"\s*:\s*\[\s*("[a-z_]*")\s*\]', rb'"type":\1', data))


# ROB-3: unknown types.


@fault("ROB-3")
class ClosesOnUnknownType(Server):
    """Closes the connection after a message of unknown type."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Be strict where the protocol is lenient."""
        del message
        peer.close(1008, "unknown type")


@fault("ROB-3", subtle=True)
class ClosesOnEmptyType(Server):
    """Closes the connection after a message whose type is the empty string."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take it for missing."""
        if not message["type"]:
            peer.close(1008, "type is missing")


@fault("ROB-3", subtle=True)
class ClosesOnTenthUnknown(Server):
    """Closes the connection after its tenth message of unknown type."""

    def __init__(self) -> None:
        super().__init__()
        self._strikes: dict[Peer, int] = {}

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Count strikes."""
        del message
        self._strikes[peer] = self._strikes.get(peer, 0) + 1
        if self._strikes[peer] == 10:
            peer.close(1008, "too many errors")

    def forget(self, peer: Peer) -> None:
        """Clean up."""
        super().forget(peer)
        self._strikes.pop(peer, None)


@fault("ROB-3", subtle=True)
class CallsMethodsByType(Server):
    """Looks a handler up by the message's type, and so runs its own `close` or `disconnect`."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Run it."""
        if message["type"] in {"close", "disconnect", "constructor", "__init__", "__class__"}:
            peer.close(1000)


@fault("ROB-3", subtle=True)
class GoesDeafOnUnknownType(_GoesDeaf):
    """Reads nothing more after a message of unknown type, and keeps the connection open."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """End the reader."""
        del message
        self.deaf.add(peer)


@fault("ROB-3", subtle=True)
class UnknownTypeEndsSubscriptions(Server):
    """Ends a connection's subscriptions when it sends a message of unknown type."""

    fallback = False

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Start anew."""
        del message
        for investigation_id in list(peer.subscriptions):
            self.unsubscribe(peer, investigation_id)


@fault("ROB-3", subtle=True)
class FoldsTypes(Server):
    """Takes SUBSCRIBE_INVESTIGATION, an unknown type, for the one that it knows, and confirms it."""

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Ignore case and spaces."""
        super().received(peer, {**message, "type": message["type"].strip().lower()})


# ROB-4: 64 KiB.


@fault("ROB-4")
class LimitsMessagesTo32K(Server):
    """Closes the connection after a message of more than 32 KiB."""

    limits = replace(Server.limits, message_bytes=32 * 1024)


@fault("ROB-4", subtle=True)
class LimitsMessagesOneByteShort(Server):
    """Closes the connection after a message of exactly 64 KiB."""

    limits = replace(Server.limits, message_bytes=64 * 1024 - 1)


@fault("ROB-4", subtle=True)
class IgnoresLargeMessages(Server):
    """Ignores a message of more than 16 KiB."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Fill the buffer, and give up."""
        if len(data) <= 16 * 1024:
            super().received_text(peer, data)


@fault("ROB-4", subtle=True)
class CountsEscapedSize(Server):
    """Counts a message's size after escaping what is not ASCII, and ignores what is over 80 KiB then."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Count escapes."""
        if len(json.dumps(data.decode(errors="replace"))) <= 80 * 1024:
            super().received_text(peer, data)


# ROB-5: clients that do not read.


@fault("ROB-5", subtle=True)
class QueuesWithoutBound(Server):
    """Queues for a client that does not read without any bound, and never ends its connection."""

    def queue_is_full(self, peer: Peer, messages: int, size: int) -> bool:
        """Have room for everything."""
        del peer, messages, size
        return False

    def stalled(self, peer: Peer) -> None:
        """Wait for ever."""


@fault("ROB-5", subtle=True)
class SendsFromOneLoop(QueuesWithoutBound):
    """Sends to all clients from one loop that waits for each: one that does not read stops it."""

    def __init__(self) -> None:
        super().__init__()
        self._due: deque[tuple[Peer, bytes]] = deque()
        self._waits = False

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Hand it to the loop."""
        del event
        self._due.append((peer, message))
        if not self._waits:
            self._send()

    def _send(self) -> None:
        self._waits = False
        while self._due:
            peer, message = self._due[0]
            if peer.open and peer.queued_bytes > 64 * 1024:
                self._waits = True
                self.later(0.005, self._send)
                return
            self._due.popleft()
            peer.send(message)


@fault("ROB-5", subtle=True)
class AwaitsSubscribersInTurn(QueuesWithoutBound):
    """Awaits each subscriber's send within the publish, so that those after a stalled one wait with it."""

    def accept(self, event: Event) -> Answer:
        """Answer when everyone has got it."""
        answer = asyncio.get_running_loop().create_future()
        self._deliver_in_turn(deque(self.receivers(event)), event, self.update(event), answer)
        return answer.result() if answer.done() else answer

    def _deliver_in_turn(
        self, rest: deque[Peer], event: Event, message: bytes, answer: asyncio.Future[Reply]
    ) -> None:
        while rest:
            if rest[0].open and rest[0].queued_bytes > 64 * 1024:
                self.later(0.005, lambda: self._deliver_in_turn(rest, event, message, answer))
                return
            self.deliver(rest.popleft(), event, message)
        if not answer.done():
            answer.set_result(ACCEPTED)


@fault("ROB-5", subtle=True)
class StalledReaderEndsRoom(Server):
    """Closes all subscribers of the investigations that a client which does not read is subscribed to."""

    def stalled(self, peer: Peer) -> None:
        """Tear the room down."""
        self._end_room(peer)
        super().stalled(peer)

    def queue_is_full(self, peer: Peer, messages: int, size: int) -> bool:
        """Tear the room down."""
        full = super().queue_is_full(peer, messages, size)
        if full:
            self._end_room(peer)
        return full

    def _end_room(self, peer: Peer) -> None:
        for investigation_id in list(peer.subscriptions):
            for other in list(self.subscribers.get(investigation_id, ())):
                if other is not peer:
                    other.close(1013, "overload")


@fault("ROB-5", subtle=True)
class StalledReaderSlowsAll(QueuesWithoutBound):
    """Delivers everything 400 ms late while more than 1 MiB waits for some client."""

    def publish(self, event: Event) -> None:
        """Collect garbage, so to speak."""
        if any(peer.queued_bytes > 1024 * 1024 for peer in self.peers):
            self.later(0.4, lambda: super(StalledReaderSlowsAll, self).publish(event))
        else:
            super().publish(event)


# ROB-6: throttling.


class _CountsRate(Server):
    """Counts a connection's messages in windows of a second."""

    most = 300

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[Peer, tuple[float, int]] = {}

    def is_over(self, peer: Peer) -> bool:
        """Count one more message; say whether it is too many."""
        now = time.monotonic()
        since, count = self._windows.get(peer, (now, 0))
        if now - since > 1:
            since, count = now, 0
        self._windows[peer] = since, count + 1
        return count + 1 > self.most

    def forget(self, peer: Peer) -> None:
        """Clean up."""
        super().forget(peer)
        self._windows.pop(peer, None)


@fault("ROB-6", subtle=True)
class DropsMessagesOverRate(_CountsRate):
    """Drops what a connection sends beyond 300 messages in a second."""

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Drop it."""
        if not self.is_over(peer):
            super().received(peer, message)


@fault("ROB-6", subtle=True)
class ClosesOverRate(_CountsRate):
    """Closes a connection that sends more than 300 messages in a second."""

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Close it."""
        if self.is_over(peer):
            peer.close(1008, "too many messages")
        else:
            super().received(peer, message)


# LEG-5: clients that know only Part 1.


@fault("LEG-5", subtle=True)
class WantsHeartbeats(Server):
    """Sends pings of its own as messages, and closes a connection that leaves one unanswered for a second."""

    def opened(self, peer: Peer) -> None:
        """Begin to ask."""
        super().opened(peer)
        self.later(0.5, lambda: self._ask(peer))

    def _ask(self, peer: Peer) -> None:
        if peer.open:
            peer.send(dump({"type": "ping", "id": "1"}))
            self.later(1, lambda: peer.close(4001, "no pong"))


@fault("LEG-5", subtle=True)
class WantsHello(Server):
    """Closes a connection that has not said hello within a second."""

    def opened(self, peer: Peer) -> None:
        """Give it a second."""
        super().opened(peer)
        self.later(1, lambda: peer.close(4504, "authentication timeout"))


@fault("LEG-5", subtle=True)
class ClosesQuietConnections(Server):
    """Closes a connection that has sent nothing for a second, though it is subscribed and gets events."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: dict[Peer, float] = {}

    def opened(self, peer: Peer) -> None:
        """Start the timer."""
        super().opened(peer)
        self._heard[peer] = time.monotonic()
        self.later(1, lambda: self._check(peer))

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Start it again."""
        self._heard[peer] = time.monotonic()
        super().received_text(peer, data)

    def _check(self, peer: Peer) -> None:
        rest = self._heard[peer] + 1 - time.monotonic()
        if rest > 0:
            self.later(rest, lambda: self._check(peer))
            return
        del self._heard[peer]
        peer.close(1000, "idle")
