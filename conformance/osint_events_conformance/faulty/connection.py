"""Faults of the connection: CONN-1 to CONN-7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalogue import fault
from .server import Reply, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .peer import Peer


@fault("CONN-1")
class RefusesUnderscores(Server):
    """Refuses a client_id with an underscore, as a host-name check would."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Check by the wrong pattern."""
        if "_" in client_id:
            return Reply(400, b"bad client_id\n")
        return super().handshake(client_id, headers)


@fault("CONN-3")
class NeverPongs(Server):
    """Answers no ping."""

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Stay silent."""


@fault("CONN-4")
class NeverAnswersClose(Server):
    """Leaves the client's close frame unanswered and keeps the TCP connection until the client gives up."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Stay silent."""


@fault("CONN-6", subtle=True)
class OldConnectionTakesSubscriptionsAlong(Server):
    """Keeps subscriptions by client_id, so that the end of an older connection ends the newer one's."""

    def closed(self, peer: Peer) -> None:
        """Clean up by name."""
        for other in list(self.peers):
            if other.client_id == peer.client_id:
                for investigation_id in list(other.subscriptions):
                    self.unsubscribe(other, investigation_id)
        super().closed(peer)
