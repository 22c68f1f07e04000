"""Faults of robustness: ROB-1 to ROB-6, and LEG-5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from .peer import Peer


@fault("ROB-2")
class DropsTcpOnMalformed(Server):
    """Drops the TCP connection without a close frame after malformed input."""

    def malformed(self, peer: Peer) -> None:
        """Hang up."""
        peer.abort()


@fault("ROB-3")
class ClosesOnUnknownType(Server):
    """Closes the connection after a message of unknown type."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Be strict where the protocol is lenient."""
        del message
        peer.close(1008, "unknown type")
