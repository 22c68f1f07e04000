"""Faults of the payload: EVT-1 and EVT-6 (any event), EVT-2 to EVT-5 (the server's own events)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalogue import fault
from .jsontext import dump
from .server import Server

if TYPE_CHECKING:
    from .server import Event


@fault("EVT-1", subtle=True)
class DropsNulls(Server):
    """Leaves members out whose value is null, as an encoder with exclude_none does."""

    def payload(self, event: Event) -> bytes:
        """Encode without nulls."""
        return dump({name: value for name, value in event.data.items() if value is not None})
