"""Faults of the messages' form: MSG-1 and MSG-2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.frames import Opcode

from .catalogue import fault
from .peer import frame
from .server import Server

if TYPE_CHECKING:
    from .server import Event


@fault("MSG-1")
class SendsBinaryFrames(Server):
    """Sends its JSON in binary frames."""

    def frames(self, message: bytes) -> bytes:
        """Use the wrong opcode."""
        return frame(message, Opcode.BINARY)


@fault("MSG-2")
class NamesIdInCamelCase(Server):
    """Sends investigationId in place of investigation_id in updates."""

    def update(self, event: Event) -> bytes:
        """Rename the field."""
        return super().update(event).replace(b'"investigation_id"', b'"investigationId"', 1)
