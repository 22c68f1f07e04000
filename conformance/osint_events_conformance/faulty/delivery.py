"""Faults of delivery: DEL-1 to DEL-5."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .peer import Peer
    from .server import Event


@fault("DEL-1", subtle=True)
class ServesTenSubscribers(Server):
    """Forgets every subscriber of an investigation after the tenth."""

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Take the first page of subscribers only."""
        found = super().receivers(event)
        return tuple(islice(found, 10)) if event.investigation_id in self.subscribers else found


@fault("DEL-2")
class BroadcastsEverything(Server):
    """Sends every update to every connection."""

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Filter nothing."""
        del event
        return tuple(self.peers)


@fault("DEL-1")
class DeliversTwice(Server):
    """Sends every update twice."""

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Send it again."""
        super().deliver(peer, event, message)
        super().deliver(peer, event, message)


@fault("DEL-5")
class ReplaysLastEvent(Server):
    """Sends a new subscriber the investigation's last event."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, bytes] = {}

    def publish(self, event: Event) -> None:
        """Retain the event."""
        self._last[event.investigation_id] = self.update(event)
        super().publish(event)

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Confirm, then replay."""
        super().confirm(peer, investigation_id)
        if investigation_id in self._last:
            peer.send(self._last[investigation_id])
