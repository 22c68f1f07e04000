"""Faults of the subscription: SUB-2 to SUB-4, and SUB-8."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .server import Server
from .subscribing import IgnoresSome

if TYPE_CHECKING:
    from .peer import Peer
    from .server import Event


# SUB-2: effective from the confirmation on. Without the fallback, which would deliver the event all the same.


@fault("SUB-2", subtle=True)
class SubscribesLate(Server):
    """Confirms at once and lets the subscription become effective 30 ms later."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Write behind."""
        if investigation_id not in peer.subscriptions:
            self.later(
                0.03, lambda: super(SubscribesLate, self).add(peer, investigation_id) if peer.open else None
            )


@fault("DEL-1", subtle=True)
class LosesNonBmpSubscriptions(Server):
    """Confirms an id with a character beyond the BMP, and never finds the subscription again."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Store it in MySQL's utf8."""
        if all(ord(c) < 0x10000 for c in investigation_id):
            super().add(peer, investigation_id)


@fault("DEL-1", subtle=True)
class TrimsStoredIds(Server):
    """Confirms an id as it came, and subscribes to it without the spaces around it."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Trim."""
        super().add(peer, investigation_id.strip() or investigation_id)


@fault("DEL-1", subtle=True)
class CutsStoredIds(Server):
    """Confirms an id as it came, and subscribes to its first 254 characters."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Leave room for the NUL."""
        super().add(peer, investigation_id[:254])


@fault("CONN-7", subtle=True)
class LosesPipelinedSubscriptions(Server):
    """Confirms every subscribe, but of those of one turn of the loop only the first becomes effective."""

    fallback = False

    def __init__(self) -> None:
        super().__init__()
        self._busy: set[Peer] = set()

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Try a lock, and go on without it."""
        if peer in self._busy:
            return
        super().add(peer, investigation_id)
        self._busy.add(peer)
        self.later(0.0, lambda: self._busy.discard(peer))


# SUB-3: 128 subscriptions. Without the fallback, which would turn a loss into strays.


@fault("SUB-3")
class KeepsOneSubscription(Server):
    """Ends a connection's earlier subscription when it subscribes to something else."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Have one field for it."""
        for other in [known for known in peer.subscriptions if known != investigation_id]:
            self.unsubscribe(peer, other)
        super().add(peer, investigation_id)


@fault("SUB-3", subtle=True)
class HoldsHundredSubscriptions(Server):
    """Confirms the 101st subscription of a connection, and forgets its oldest."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Use an LRU cache."""
        super().add(peer, investigation_id)
        while len(peer.subscriptions) > 100:
            self.unsubscribe(peer, next(iter(peer.subscriptions)))


@fault("SUB-3", subtle=True)
class RefusesHundredthSubscription(IgnoresSome):
    """Leaves the hundredth subscription of a connection unconfirmed."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Limit them."""
        return len(peer.subscriptions) > 98 and message["investigation_id"] not in peer.subscriptions


@fault("SUB-3", subtle=True)
class ClosesAt127Subscriptions(Server):
    """Closes a connection that subscribes to its 128th investigation: one off."""

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Compare with >= where > is right."""
        if len(peer.subscriptions) >= 127 and message["investigation_id"] not in peer.subscriptions:
            peer.close(1008, "too many subscriptions")
        else:
            super().subscribe(peer, message)


# SUB-4: subscribing again.


@fault("SUB-4")
class ConfirmsOnce(IgnoresSome):
    """Does not confirm a subscribe to what is subscribed already."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Take a second subscribe for noise."""
        return message["investigation_id"] in peer.subscriptions


@fault("SUB-4", subtle=True)
class DebouncesSubscribes(IgnoresSome):
    """Does not confirm a subscribe within 20 ms of the same one."""

    def __init__(self) -> None:
        super().__init__()
        self._recent: set[tuple[Peer, str]] = set()

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Wait until it is quiet."""
        key = peer, message["investigation_id"]
        if key in self._recent:
            return True
        self._recent.add(key)
        self.later(0.02, lambda: self._recent.discard(key))
        return False


class _CountsSubscribes(Server):
    """Delivers an update as often as `times` says."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[tuple[Peer, str], int] = {}

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Append to a list."""
        super().add(peer, investigation_id)
        key = peer, investigation_id
        self.asked[key] = self.asked.get(key, 0) + 1

    def unsubscribe(self, peer: Peer, investigation_id: str) -> None:
        """Remove from the list."""
        super().unsubscribe(peer, investigation_id)
        self.asked.pop((peer, investigation_id), None)

    def times(self, peer: Peer, investigation_id: str) -> int:
        """Return how often to deliver."""
        return self.asked.get((peer, investigation_id), 1)

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Deliver once for each entry."""
        for _ in range(self.times(peer, event.investigation_id)):
            super().deliver(peer, event, message)


@fault("SUB-4")
class SubscribesAgainTwice(_CountsSubscribes):
    """Delivers an update once for each time that the connection subscribed."""


@fault("SUB-4", subtle=True)
class FourthSubscribeDoubles(_CountsSubscribes):
    """Delivers an update twice once the connection has subscribed for the fourth time."""

    def times(self, peer: Peer, investigation_id: str) -> int:
        """Count up to the fourth."""
        return 2 if super().times(peer, investigation_id) >= 4 else 1


@fault("SUB-4", subtle=True)
class SubscribingAgainDoublesAfterLeave(_CountsSubscribes):
    """Delivers twice to who subscribes again after another subscriber of the investigation left."""

    def __init__(self) -> None:
        super().__init__()
        self._left: set[str] = set()

    def closed(self, peer: Peer) -> None:
        """Rebuild the list, and lose the index that keeps doubles out."""
        self._left.update(peer.subscriptions)
        super().closed(peer)

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Keep doubles out while the index is good."""
        Server.add(self, peer, investigation_id)
        key = peer, investigation_id
        doubled = key in self.asked and investigation_id in self._left
        self.asked[key] = 2 if doubled else self.asked.get(key, 1)


@fault("SUB-4", subtle=True)
class SubscribingAgainToggles(Server):
    """Confirms a second subscribe to the same investigation, and ends the subscription by it."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Toggle."""
        if investigation_id in peer.subscriptions:
            self.unsubscribe(peer, investigation_id)
        else:
            super().add(peer, investigation_id)


# SUB-8: subscriptions end with their connection.


@fault("SUB-8")
class RemembersSubscriptions(Server):
    """Gives a new connection the subscriptions that its client_id had before."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, dict[str, None]] = {}

    def remembers(self, peer: Peer) -> bool:
        """Say whether a closed connection's subscriptions are kept."""
        del peer
        return True

    def closed(self, peer: Peer) -> None:
        """Keep them."""
        if self.remembers(peer):
            self._known.setdefault(peer.client_id, {}).update(peer.subscriptions)
        super().closed(peer)

    def opened(self, peer: Peer) -> None:
        """Restore them."""
        super().opened(peer)
        for investigation_id in self._known.pop(peer.client_id, {}):
            self.add(peer, investigation_id)


@fault("SUB-8", subtle=True)
class RemembersAfterAbort(RemembersSubscriptions):
    """Gives a new connection the subscriptions that its client_id had when its TCP connection dropped."""

    def remembers(self, peer: Peer) -> bool:
        """Forget only after a good-bye."""
        return not peer.said_goodbye


@fault("SUB-8", subtle=True)
class RemembersManySubscriptions(RemembersSubscriptions):
    """Gives a new connection the subscriptions that its client_id had, where they were three or more."""

    def remembers(self, peer: Peer) -> bool:
        """Spare a busy client the work."""
        return len(peer.subscriptions) >= 3
