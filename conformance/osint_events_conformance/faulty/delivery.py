"""Faults of delivery in itself: what is lost or doubled (DEL-1)."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .peer import Peer
    from .server import Event

_KINDS = {"investigation_started", "investigation_completed", "task_started", "task_completed", "task_failed"}


# DEL-1: exactly once. Events that never arrive, by what they are.


class _Loses(Server):
    """Loses some events that have subscribers."""

    def loses(self, event: Event) -> bool:
        """Say whether this one is lost."""
        raise NotImplementedError

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Find nobody for it."""
        lost = self.loses(event)
        return () if lost and event.investigation_id in self.subscribers else super().receivers(event)


@fault("DEL-1", subtle=True)
class LosesLargeEvents(_Loses):
    """Loses an event whose payload is larger than 32 KiB."""

    def loses(self, event: Event) -> bool:
        """Exceed a broker's limit."""
        return len(event.text) > 32 * 1024


@fault("DEL-1", subtle=True)
class LosesEmptyEvents(_Loses):
    """Loses an event whose payload is empty."""

    def loses(self, event: Event) -> bool:
        """Take it for nothing."""
        return not event.data


@fault("DEL-1", subtle=True)
class LosesKnownEventIds(_Loses):
    """Loses an event whose `id` an earlier one of the investigation had, whatever else it says."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[tuple[str, str]] = set()

    def loses(self, event: Event) -> bool:
        """Take it for a repetition."""
        if "id" not in event.data:
            return False
        key = (event.investigation_id, str(event.data["id"]))
        known = key in self._known
        self._known.add(key)
        return known


@fault("DEL-1", subtle=True)
class LosesUnknownKinds(_Loses):
    """Loses an event whose kind is not one of the five that the protocol names."""

    def loses(self, event: Event) -> bool:
        """Have no handler for it."""
        kind = event.data.get("type")
        return isinstance(kind, str) and kind not in _KINDS


@fault("DEL-1", subtle=True)
class LosesTypelessEvents(_Loses):
    """Loses an event without a type."""

    def loses(self, event: Event) -> bool:
        """Have no handler for it."""
        return bool(event.data) and "type" not in event.data


@fault("DEL-1", subtle=True)
class EndsAfterCompletion(_Loses):
    """Delivers nothing more of an investigation after its investigation_completed."""

    def __init__(self) -> None:
        super().__init__()
        self._completed: set[str] = set()

    def loses(self, event: Event) -> bool:
        """Close the topic."""
        lost = event.investigation_id in self._completed
        if event.data.get("type") == "investigation_completed":
            self._completed.add(event.investigation_id)
        return lost


@fault("DEL-1", subtle=True)
class LosesFallingProgress(_Loses):
    """Loses an event whose progress is less than its task's last."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: dict[tuple[str, str], float] = {}

    def loses(self, event: Event) -> bool:
        """Take it for out of order."""
        progress = event.data.get("progress")
        if not isinstance(progress, (int, float)):
            return False
        key = event.investigation_id, str(event.data.get("task_id"))
        last = self._progress.get(key, progress)
        self._progress[key] = max(last, progress)
        return progress < last


# By how many there were, and when.


@fault("DEL-1", subtle=True)
class LosesFiftiethEvent(_Loses):
    """Loses each fiftieth event of an investigation."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}

    def loses(self, event: Event) -> bool:
        """Turn a page."""
        self._counts[event.investigation_id] = self._counts.get(event.investigation_id, 0) + 1
        return self._counts[event.investigation_id] % 50 == 0


@fault("DEL-1", subtle=True)
class DebouncesEvents(_Loses):
    """Loses an event within 5 ms of another of its investigation."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def loses(self, event: Event) -> bool:
        """Wait until it is quiet, and forget what came."""
        now = time.monotonic()
        last = self._last.get(event.investigation_id, 0.0)
        self._last[event.investigation_id] = now
        return now - last < 0.005


@fault("DEL-1", subtle=True)
class LosesWhileAnotherSubscribes(Server):
    """Delivers only to the newest subscriber for 3 ms after its subscribe, while the list is copied."""

    def __init__(self) -> None:
        super().__init__()
        self._copied: dict[str, float] = {}

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Copy on write."""
        super().add(peer, investigation_id)
        self._copied[investigation_id] = time.monotonic()

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Read the copy that is not complete yet."""
        found = tuple(super().receivers(event))
        age = time.monotonic() - self._copied.get(event.investigation_id, 0.0)
        return found[-1:] if age < 0.003 and event.investigation_id in self.subscribers else found


@fault("DEL-1", subtle=True)
class FirstEventMakesTopic(Server):
    """Loses the first event after an investigation's first subscribe: it creates the topic only."""

    fallback = False

    def __init__(self) -> None:
        super().__init__()
        self._topics: set[str] = set()

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Create it."""
        found = super().receivers(event)
        if found and event.investigation_id not in self._topics:
            self._topics.add(event.investigation_id)
            return ()
        return found


@fault("DEL-1", subtle=True)
class CoalescesIdenticalEvents(_Loses):
    """Loses an event that is identical to the investigation's last one."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, str] = {}

    def loses(self, event: Event) -> bool:
        """Send what is new only."""
        same = self._last.get(event.investigation_id) == event.text
        self._last[event.investigation_id] = event.text
        return same


@fault("DEL-1", subtle=True)
class RemembersEventsByContent(_Loses):
    """Loses an event that is identical to one of the last 100, which it takes for a duplicate."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], None] = {}

    def loses(self, event: Event) -> bool:
        """Look it up."""
        key = event.investigation_id, event.text
        if key in self._seen:
            return True
        self._seen[key] = None
        while len(self._seen) > 100:
            del self._seen[next(iter(self._seen))]
        return False


@fault("DEL-1", subtle=True)
class DropsBeyondBurst(_Loses):
    """Loses what comes beyond 64 events of an investigation within 200 ms, as a bounded channel does."""

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, tuple[float, int]] = {}

    def loses(self, event: Event) -> bool:
        """Find the channel full."""
        now = time.monotonic()
        since, count = self._windows.get(event.investigation_id, (now, 0))
        if now - since > 0.2:
            since, count = now, 0
        self._windows[event.investigation_id] = since, count + 1
        return count >= 64


@fault("DEL-1", subtle=True)
class SleepsWhenIdle(_Loses):
    """Loses an investigation's first event after 300 ms without one: the broker's connection had ended."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def loses(self, event: Event) -> bool:
        """Connect again, for the next one."""
        now = time.monotonic()
        last = self._last.get(event.investigation_id, now)
        self._last[event.investigation_id] = now
        return now - last > 0.3


@fault("DEL-1", subtle=True)
class ReconnectsToBroker(_Loses):
    """Loses all events for 5 ms after every 200th, while it connects to its broker again."""

    def __init__(self) -> None:
        super().__init__()
        self._away = 0.0

    def loses(self, event: Event) -> bool:
        """Be away."""
        del event
        now = time.monotonic()
        if self.published % 200 == 0:
            self._away = now
            return False
        return now - self._away < 0.005


# By who receives.


@fault("DEL-1", subtle=True)
class ServesTenSubscribers(Server):
    """Forgets every subscriber of an investigation after the tenth."""

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Take the first page of subscribers only."""
        found = super().receivers(event)
        return tuple(islice(found, 10)) if event.investigation_id in self.subscribers else found


@fault("DEL-1")
class SharesAmongSubscribers(Server):
    """Delivers each update to one of the investigation's subscribers, in turn, as a work queue does."""

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Take the next."""
        found = tuple(super().receivers(event))
        if event.investigation_id not in self.subscribers:
            return found
        return (found[self.published % len(found)],)


@fault("DEL-1", subtle=True)
class TiresOfConnections(Server):
    """Delivers 100 updates to a connection, and then no more."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[Peer, int] = {}

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Use credit up that nobody renews."""
        self._counts[peer] = self._counts.get(peer, 0) + 1
        if self._counts[peer] <= 100:
            super().deliver(peer, event, message)

    def forget(self, peer: Peer) -> None:
        """Clean up."""
        super().forget(peer)
        self._counts.pop(peer, None)


@fault("CONN-6", subtle=True)
class AbortLosesDelivery(Server):
    """Loses the next update for all of an investigation's subscribers after one of them dropped TCP."""

    def __init__(self) -> None:
        super().__init__()
        self._broken: set[str] = set()

    def closed(self, peer: Peer) -> None:
        """Leave a dead socket in the loop."""
        if not peer.said_goodbye:
            self._broken.update(peer.subscriptions)
        super().closed(peer)

    def receivers(self, event: Event) -> Iterable[Peer]:
        """End the loop by an exception."""
        if event.investigation_id in self._broken and event.investigation_id in self.subscribers:
            self._broken.discard(event.investigation_id)
            return ()
        return super().receivers(event)


# Twice.


@fault("DEL-1")
class DeliversTwice(Server):
    """Sends every update twice."""

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Send it again."""
        super().deliver(peer, event, message)
        super().deliver(peer, event, message)


@fault("DEL-1", subtle=True)
class RetriesLargeDeliveries(Server):
    """Sends an update of more than 8 KiB again 20 ms later, having missed the acknowledgement."""

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Try again."""
        super().deliver(peer, event, message)
        if len(message) > 8 * 1024:
            self.later(0.02, lambda: peer.send(message))


@fault("DEL-1", subtle=True)
class DoublesForTwins(Server):
    """Sends an update once for each of a client_id's subscribed connections, to each of them."""

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Loop over the twins within a loop over the twins."""
        for other in self.subscribers.get(event.investigation_id, ()):
            if other is not peer and other.client_id == peer.client_id:
                super().deliver(peer, event, message)
        super().deliver(peer, event, message)


@fault("DEL-1", subtle=True)
class SendsLastOfBurst(Server):
    """Sends, for each update of one turn of the event loop, the last one of its investigation."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, Event] = {}

    def publish(self, event: Event) -> None:
        """Bind the variable late."""
        self._last[event.investigation_id] = event
        self.later(0.001, lambda: super(SendsLastOfBurst, self).publish(self._last[event.investigation_id]))
