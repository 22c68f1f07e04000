"""Servers that are odd and right: a judge that fails one of them is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .catalogue import oddity
from .jsontext import dump
from .server import Server

if TYPE_CHECKING:
    from .peer import Peer


@oddity()
class Greets(Server):
    """Sends a welcome text of its own right after the handshake."""

    def opened(self, peer: Peer) -> None:
        """Greet."""
        super().opened(peer)
        peer.send(dump({"type": "connection_established", "client_id": peer.client_id, "message": "hello"}))


@oddity()
class NoFallback(Server):
    """Sends the updates of an investigation without subscribers to nobody."""

    fallback = False


@oddity()
class ThrottlesReading(Server):
    """Reads 100 messages a second after a burst of 20, and the rest later."""

    limits = replace(Server.limits, rate=100)
