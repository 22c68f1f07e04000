"""Faults under load: ROB-5 and ROB-6."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .peer import Peer
from .server import ACCEPTED, Server

if TYPE_CHECKING:
    from .server import Answer, Event, Reply


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
    """Delivers everything 1.5 s late while more than 1 MiB waits for some client."""

    def publish(self, event: Event) -> None:
        """Collect garbage, so to speak."""
        if any(peer.queued_bytes > 1024 * 1024 for peer in self.peers):
            self.later(1.5, lambda: super(StalledReaderSlowsAll, self).publish(event))
        else:
            super().publish(event)


@fault("ROB-5", subtle=True)
class SkipsSlowReaders(Server):
    """Loses what would have to wait for a client that is behind, and goes on with what comes later."""

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Skip it."""
        if peer.queued_bytes < 128 * 1024:
            super().deliver(peer, event, message)

    def stalled(self, peer: Peer) -> None:
        """Be patient for three seconds."""
        self.later(2, lambda: super(SkipsSlowReaders, self).stalled(peer) if peer.queued_bytes else None)


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
