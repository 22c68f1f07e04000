"""Faults of the order of delivery (DEL-4), and replays (DEL-5)."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from .peer import Peer
    from .server import Event


# DEL-4: order within an investigation (a SHOULD).


class _SendsBatches(Server):
    """Collects the updates of one turn of the event loop, and sends them in an order of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._batch: list[Event] = []

    def publish(self, event: Event) -> None:
        """Collect."""
        if not self._batch:
            self.later(0.002, self._send)
        self._batch.append(event)

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        for event in self.ordered(batch):
            super().publish(event)

    def ordered(self, batch: list[Event]) -> list[Event]:
        """Return the order in which to send."""
        raise NotImplementedError


@fault("DEL-4")
class ReversesBursts(_SendsBatches):
    """Delivers the updates of a burst last first."""

    def ordered(self, batch: list[Event]) -> list[Event]:
        """Take them from a stack."""
        return batch[::-1]


@fault("DEL-4", subtle=True)
class CompletionsOvertake(_SendsBatches):
    """Delivers the investigation_completed of a burst before the rest of it."""

    def ordered(self, batch: list[Event]) -> list[Event]:
        """Have priorities."""
        return sorted(batch, key=lambda event: event.data.get("type") != "investigation_completed")


@fault("DEL-4", subtle=True)
class LargeEventsComeLate(Server):
    """Delivers a payload of more than 8 KiB 10 ms later, from another thread."""

    def publish(self, event: Event) -> None:
        """Leave it to the thread."""
        if len(event.text) > 8 * 1024:
            self.later(0.01, lambda: super(LargeEventsComeLate, self).publish(event))
        else:
            super().publish(event)


@fault("DEL-4", subtle=True)
class EverySecondWorkerIsSlow(Server):
    """Delivers every second update 3 ms later than the others."""

    def publish(self, event: Event) -> None:
        """Take workers in turn."""
        if self.published % 2:
            self.later(0.003, lambda: super(EverySecondWorkerIsSlow, self).publish(event))
        else:
            super().publish(event)


# DEL-5: nothing is replayed.


class _Retains(Server):
    """Sends a new subscriber the investigation's last event."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, tuple[float, Event]] = {}

    def retains(self, event: Event) -> bool:
        """Say whether to keep an event for later subscribers."""
        raise NotImplementedError

    def replays(self, peer: Peer, age: float) -> bool:
        """Say whether to send it to this subscriber."""
        del peer, age
        return True

    def publish(self, event: Event) -> None:
        """Retain the event."""
        if self.retains(event):
            self._last[event.investigation_id] = time.monotonic(), event
        super().publish(event)

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Subscribe, confirm, then replay to who is new."""
        investigation_id: str = message["investigation_id"]
        new = investigation_id not in peer.subscriptions
        super().subscribe(peer, message)
        if new and investigation_id in self._last:
            at, event = self._last[investigation_id]
            if self.replays(peer, time.monotonic() - at):
                peer.send(self.update(event))


@fault("DEL-5")
class ReplaysLastEvent(_Retains):
    """Sends a new subscriber the investigation's last event."""

    def retains(self, event: Event) -> bool:
        """Keep all."""
        del event
        return True


@fault("DEL-5", subtle=True)
class ReplaysCompletion(_Retains):
    """Sends a new subscriber the investigation's investigation_completed, where there was one."""

    def retains(self, event: Event) -> bool:
        """Keep the result."""
        return event.data.get("type") == "investigation_completed"


@fault("DEL-5", subtle=True)
class ReplaysRecentEvent(ReplaysLastEvent):
    """Sends a new subscriber the investigation's last event where it is less than 100 ms old."""

    def replays(self, peer: Peer, age: float) -> bool:
        """Bridge a race."""
        del peer
        return age < 0.1


@fault("DEL-5", subtle=True)
class ReplaysToReturningClients(ReplaysLastEvent):
    """Sends the investigation's last event to a subscriber whose client_id was connected before."""

    def __init__(self) -> None:
        super().__init__()
        self._gone: set[str] = set()

    def closed(self, peer: Peer) -> None:
        """Remember the name."""
        super().closed(peer)
        self._gone.add(peer.client_id)

    def replays(self, peer: Peer, age: float) -> bool:
        """Let it catch up."""
        del age
        return peer.client_id in self._gone
