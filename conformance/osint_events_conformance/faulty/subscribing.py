"""Faults of subscribing: SUB-1 to SUB-8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from .peer import Peer


@fault("SUB-1", subtle=True)
class TrimsConfirmedIds(Server):
    """Confirms an id without the spaces around it."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Trim."""
        return super().confirmation(investigation_id.strip())


@fault("SUB-4")
class ConfirmsOnce(Server):
    """Does not confirm a subscribe to what is subscribed already."""

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take a second subscribe for noise."""
        if message["investigation_id"] not in peer.subscriptions:
            super().subscribe(peer, message)


@fault("SUB-5")
class RefusesUnknownFields(Server):
    """Ignores a subscribe that has a field it does not know."""

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Be strict where the protocol is lenient."""
        if len(message) == 2:  # noqa: PLR2004 - the two fields of Part 1
            super().subscribe(peer, message)
