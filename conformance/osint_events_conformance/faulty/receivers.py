"""Faults of who receives: DEL-2 (only subscribers) and DEL-3 (everyone where there are none)."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .peer import Peer
    from .server import Event


# DEL-2: others get it for other reasons.


@fault("DEL-2")
class BroadcastsEverything(Server):
    """Sends every update to every connection."""

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Filter nothing."""
        del event
        return tuple(self.peers)


class _AddsReceivers(Server):
    """Delivers the updates of an investigation that has subscribers to somebody else as well."""

    def gets_too(self, peer: Peer, event: Event) -> bool:
        """Say who."""
        raise NotImplementedError

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Add them."""
        found = dict.fromkeys(super().receivers(event))
        found.update(dict.fromkeys(peer for peer in self.peers if self.gets_too(peer, event)))
        return tuple(found)


@fault("DEL-2", subtle=True)
class FallsBackByConnection(_AddsReceivers):
    """Sends every update to the connections that have no subscriptions at all."""

    def gets_too(self, peer: Peer, event: Event) -> bool:
        """Misread the fallback."""
        del event
        return not peer.subscriptions


@fault("DEL-2", subtle=True)
class DeliversToTwins(_AddsReceivers):
    """Sends an update to every connection with a subscriber's client_id."""

    def gets_too(self, peer: Peer, event: Event) -> bool:
        """Know clients, not connections."""
        subscribers = self.subscribers.get(event.investigation_id, ())
        return any(other.client_id == peer.client_id for other in subscribers)


@fault("DEL-2", subtle=True)
class BroadcastsToCrowds(_AddsReceivers):
    """Sends the updates of an investigation with eight or more subscribers to every connection."""

    def gets_too(self, peer: Peer, event: Event) -> bool:
        """Find that cheaper."""
        del peer
        return len(self.subscribers.get(event.investigation_id, ())) >= 8


@fault("DEL-2", subtle=True)
class BroadcastsCompletions(_AddsReceivers):
    """Sends every investigation_completed to every connection."""

    def gets_too(self, peer: Peer, event: Event) -> bool:
        """Think that everyone should know."""
        del peer
        return (
            event.data.get("type") == "investigation_completed" and event.investigation_id in self.subscribers
        )


@fault("DEL-2", subtle=True)
class DeliversByPayloadsId(Server):
    """Sends an update to the subscribers of the payload's investigation_id, where that differs."""

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Look inside."""
        inner = event.data.get("investigation_id")
        others = self.subscribers.get(inner, {}) if isinstance(inner, str) else {}
        return tuple({**dict.fromkeys(super().receivers(event)), **others})


@fault("DEL-2", "DEL-1", subtle=True)
class MixesReceiversInBursts(Server):
    """Sends the updates of one turn of the event loop to the receivers of the last of them."""

    def __init__(self) -> None:
        super().__init__()
        self._batch: list[Event] = []

    def publish(self, event: Event) -> None:
        """Collect."""
        if not self._batch:
            self.later(0.001, self._send)
        self._batch.append(event)

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        receivers = tuple(self.receivers(batch[-1]))
        for event in batch:
            message = self.update(event)
            for peer in receivers:
                self.deliver(peer, event, message)


# DEL-3: while there are no subscribers, everyone.


@fault("DEL-3", fallback="on")
class NeverFallsBack(Server):
    """Sends the updates of an investigation without subscribers to nobody, where the fallback is expected."""

    fallback = False


class _FallsBackToSome(Server):
    """Sends the updates of an investigation without subscribers to some connections only."""

    def falls_back_to(self, peer: Peer, event: Event) -> bool:
        """Say to whom."""
        raise NotImplementedError

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Select."""
        found = super().receivers(event)
        if event.investigation_id in self.subscribers:
            return found
        return tuple(peer for peer in found if self.falls_back_to(peer, event))


@fault("DEL-3")
class FallsBackToOne(_FallsBackToSome):
    """Sends the updates of an investigation without subscribers to the oldest connection only."""

    def falls_back_to(self, peer: Peer, event: Event) -> bool:
        """Take the first."""
        del event
        return peer is next(iter(self.peers))


@fault("DEL-3", subtle=True, fallback="on")
class FallbackSkipsSubscribers(_FallsBackToSome):
    """Sends the updates of an investigation without subscribers only to who has no subscription at all."""

    def falls_back_to(self, peer: Peer, event: Event) -> bool:
        """Think that subscribers know what they want."""
        del event
        return not peer.subscriptions


@fault("DEL-3", subtle=True, fallback="on")
class FallbackEndsWithFirstSubscriber(_FallsBackToSome):
    """Falls back no more for an investigation that ever had a subscriber: its empty entry stays."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Make the entry."""
        super().add(peer, investigation_id)
        self._known.add(investigation_id)

    def falls_back_to(self, peer: Peer, event: Event) -> bool:
        """Find the entry."""
        del peer
        return event.investigation_id not in self._known


@fault("DEL-3", subtle=True, fallback="on")
class GhostsKeepFallbackAway(_FallsBackToSome):
    """Counts a subscriber whose TCP connection dropped as one for ever, so that nobody gets the updates."""

    def __init__(self) -> None:
        super().__init__()
        self._ghosts: set[str] = set()

    def closed(self, peer: Peer) -> None:
        """Miss the exception."""
        if not peer.said_goodbye:
            self._ghosts.update(peer.subscriptions)
        super().closed(peer)

    def falls_back_to(self, peer: Peer, event: Event) -> bool:
        """Think that somebody is there."""
        del peer
        return event.investigation_id not in self._ghosts


@fault("DEL-3", subtle=True)
class FallsBackToEight(_FallsBackToSome):
    """Sends the updates of an investigation without subscribers to the eight newest connections only."""

    def falls_back_to(self, peer: Peer, event: Event) -> bool:
        """Take the last page."""
        del event
        return peer in list(self.peers)[-8:]
