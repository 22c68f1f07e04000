"""Faults of the subscribe message's fields: SUB-5 and SUB-6."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .server import Server, valid_id
from .subscribing import IgnoresSome

if TYPE_CHECKING:
    from .peer import Peer
    from .server import Event


# SUB-5: unknown fields.


@fault("SUB-5")
class RefusesUnknownFields(IgnoresSome):
    """Ignores a subscribe that has a field it does not know."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Be strict where the protocol is lenient."""
        del peer
        return len(message) > 2


@fault("SUB-5", subtle=True)
class RefusesUnknownObjects(IgnoresSome):
    """Ignores a subscribe with an unknown field that holds an object or a list."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Expect flat messages."""
        del peer
        return any(isinstance(value, (dict, list)) for value in message.values())


@fault("SUB-5", subtle=True)
class RefusesUnknownNulls(IgnoresSome):
    """Ignores a subscribe with an unknown field that is null."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Call a method on it."""
        del peer
        return None in message.values()


@fault("SUB-5", subtle=True)
class ReadsOtherIdFields(Server):
    """Prefers the fields id and investigationId, where they are strings, to investigation_id."""

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Serve an older dialect."""
        for name in ("id", "investigationId"):
            if valid_id(message.get(name)):
                message = {**message, "investigation_id": message[name]}
        super().subscribe(peer, message)


@fault("SUB-5", subtle=True)
class ReadsOneKilobyteOfFields(IgnoresSome):
    """Ignores a subscribe whose unknown fields hold a string of more than 1000 characters."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Limit strings."""
        del peer
        return any(isinstance(value, str) and len(value) > 1000 for value in message.values())


@fault("SUB-5", subtle=True)
class ObeysScopeOfCoreClients(Server):
    """Obeys the field `scope`, unknown without a hello, and delivers only events of tasks then."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks_only: set[tuple[Peer, str]] = set()

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Note the scope."""
        if message.get("scope") == ["tasks"]:
            self._tasks_only.add((peer, message["investigation_id"]))
        super().subscribe(peer, message)

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Obey it."""
        is_task = str(event.data.get("type")).startswith("task_")
        if is_task or (peer, event.investigation_id) not in self._tasks_only:
            super().deliver(peer, event, message)


# SUB-6: no valid id.


class _Coerces(Server):
    """Makes an id of what is none."""

    def coerced(self, value: object) -> str | None:
        """Return an id, or None."""
        raise NotImplementedError

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Coerce and carry on."""
        value = message.get("investigation_id")
        if message["type"] == "subscribe_investigation" and not isinstance(value, str):
            made = self.coerced(value)
            if made is not None:
                message = {**message, "investigation_id": made}
        super().received(peer, message)


@fault("SUB-6")
class ConfirmsMissingIds(_Coerces):
    """Confirms a subscribe without an id, as one to `None`."""

    def coerced(self, value: object) -> str | None:
        """Format nothing."""
        return "None" if value is None else None


@fault("SUB-6", subtle=True)
class ConfirmsNumbers(_Coerces):
    """Confirms a number for an id, as a string."""

    def coerced(self, value: object) -> str | None:
        """Format it."""
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


@fault("SUB-6", subtle=True)
class ConfirmsListedIds(_Coerces):
    """Confirms a list that holds one id, as JavaScript's comparison and its String() would have it."""

    def coerced(self, value: object) -> str | None:
        """Take it out of the list."""
        return value[0] if isinstance(value, list) and len(value) == 1 and valid_id(value[0]) else None


@fault("SUB-6", "MSG-2", subtle=True)
class ConfirmsEmptyIds(Server):
    """Confirms the empty id, by a confirmation that breaks its own schema."""

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Check the type only."""
        if message["type"] == "subscribe_investigation" and message.get("investigation_id") == "":
            self.confirm(peer, "")
        else:
            super().received(peer, message)
