"""Faults of what connections share: CONN-5 and CONN-6."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .peer import Peer
from .server import Reply, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .server import Event

_TAKEN = Reply(409, b"client_id in use\n")


# CONN-5: two connections with one client_id.


def _twins(server: Server, peer: Peer) -> list[Peer]:
    """Return the open connections with this one's client_id, the oldest first."""
    return [other for other in server.peers if other.client_id == peer.client_id]


@fault("CONN-5")
class RefusesTwins(Server):
    """Refuses a client_id that is connected already."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Take the client_id for a lock."""
        if any(peer.client_id == client_id for peer in self.peers):
            return _TAKEN
        return super().handshake(client_id, headers)


class _ForgetsPeers(Server):
    """Can forget a connection: it stays open, and nothing it says is heard."""

    fallback = False

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: set[Peer] = set()

    def lose(self, peer: Peer) -> None:
        """Forget one."""
        Server.closed(self, peer)
        self.forgotten.add(peer)

    def forget(self, peer: Peer) -> None:
        """Clean up."""
        super().forget(peer)
        self.forgotten.discard(peer)

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Hear only who is known."""
        if peer not in self.forgotten:
            super().received(peer, message)


@fault("CONN-5")
class ForgetsOlderTwin(_ForgetsPeers):
    """Keeps connections by client_id: a new one replaces the older, which stays open and is forgotten."""

    def opened(self, peer: Peer) -> None:
        """Overwrite the entry."""
        super().opened(peer)
        for other in _twins(self, peer)[:-1]:
            self.lose(other)


@fault("CONN-5", subtle=True)
class ForgetsThirdTwin(_ForgetsPeers):
    """Accepts a third connection with the same client_id and never serves it."""

    def opened(self, peer: Peer) -> None:
        """Have room for two."""
        super().opened(peer)
        if len(_twins(self, peer)) > 2:
            self.lose(peer)


@fault("CONN-5", subtle=True)
class ConfirmsToNewestTwin(Server):
    """Sends a confirmation to the newest connection with that client_id, whichever asked."""

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Look the connection up by client_id."""
        super().confirm((_twins(self, peer) or [peer])[-1], investigation_id)


@fault("CONN-5", subtle=True)
class DeliversToOneTwin(Server):
    """Sends an update only once to each client_id, though two of its connections are subscribed."""

    def receivers(self, event: Event) -> tuple[Peer, ...]:
        """Collect by client_id; the newest wins."""
        return tuple({peer.client_id: peer for peer in super().receivers(event)}.values())


# CONN-6: the end of a connection. Without the fallback, which would turn a loss into strays.


@fault("CONN-6")
class LeaverClearsInvestigation(Server):
    """Ends every connection's subscription to an investigation when one of its subscribers leaves."""

    fallback = False

    def closed(self, peer: Peer) -> None:
        """Delete the whole entry."""
        for investigation_id in list(peer.subscriptions):
            for other in list(self.subscribers.get(investigation_id, ())):
                self.unsubscribe(other, investigation_id)
        super().closed(peer)


class _DropsOthers(Server):
    """Can end another connection's subscriptions."""

    fallback = False

    def drop(self, peer: Peer) -> None:
        """End them; the connection stays."""
        for investigation_id in list(peer.subscriptions):
            self.unsubscribe(peer, investigation_id)


@fault("CONN-6", subtle=True)
class OldConnectionTakesSubscriptionsAlong(_DropsOthers):
    """Keeps subscriptions by client_id, so that the end of an older connection ends the newer one's."""

    def closed(self, peer: Peer) -> None:
        """Clean up by name."""
        for other in _twins(self, peer):
            self.drop(other)
        super().closed(peer)


@fault("CONN-6", subtle=True)
class CleansUpLate(_DropsOthers):
    """Cleans up by client_id 100 ms after the end, and takes a quick reconnect's subscriptions along."""

    def closed(self, peer: Peer) -> None:
        """Leave a time for grace."""
        super().closed(peer)
        self.later(0.1, lambda: self._clean_up(peer))

    def _clean_up(self, peer: Peer) -> None:
        for other in _twins(self, peer):
            self.drop(other)


@fault("CONN-6", subtle=True)
class LeaverTakesPrefixesAlong(_DropsOthers):
    """Ends the subscriptions of every client_id that begins with the leaver's, as a scan for keys does."""

    def closed(self, peer: Peer) -> None:
        """Delete by pattern."""
        super().closed(peer)
        for other in list(self.peers):
            if other.client_id.startswith(peer.client_id) and other.client_id != peer.client_id:
                self.drop(other)


@fault("CONN-6", subtle=True)
class LeaverTakesLastSubscriberAlong(Server):
    """Removes the last subscriber of a list along with the leaver, by an index that has moved."""

    fallback = False

    def closed(self, peer: Peer) -> None:
        """Remove twice."""
        wanted = list(peer.subscriptions)
        super().closed(peer)
        for investigation_id in wanted:
            rest = list(self.subscribers.get(investigation_id, ()))
            if len(rest) > 1:
                self.unsubscribe(rest[-1], investigation_id)


@fault("CONN-6", subtle=True)
class AbortClearsInvestigation(LeaverClearsInvestigation):
    """Ends everyone's subscription to an investigation when a subscriber's TCP connection drops."""

    def closed(self, peer: Peer) -> None:
        """Handle the exception in the wrong place."""
        if peer.said_goodbye:
            Server.closed(self, peer)
        else:
            super().closed(peer)
