"""Faults of the relayed payload's members: EVT-1.

Each rewrites the payload's text and keeps the spelling of its numbers where it does not mean to change them,
so that EVT-6 stays out of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .catalogue import fault
from .jsontext import Number, dump_exact, exact, rewrite
from .server import Reply, Server

if TYPE_CHECKING:
    from .server import Answer, Event

_FIELDS = ("type", "status", "message", "investigation_id", "task_id", "name", "progress")
_KINDS = {"investigation_started", "investigation_completed", "task_started", "task_completed", "task_failed"}


class Rewrites(Server):
    """Changes values of a payload on their way."""

    def change(self, value: Any) -> Any:
        """Return what becomes of one value; its members have been changed already."""
        return value

    def change_text(self, text: str) -> str:
        """Return what becomes of one string."""
        return text

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Return what becomes of the payload as a whole."""
        del event
        return data

    def payload(self, event: Event) -> bytes:
        """Rewrite the text."""
        data = exact(rewrite(event.text, self._change).decode())
        return dump_exact(self.change_payload(data, event))

    def _change(self, value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, Number):
            value = self.change_text(value)
        return self.change(value)


# Members that go.


@fault("EVT-1", subtle=True)
class DropsNulls(Rewrites):
    """Leaves out the members whose value is null, as an encoder with exclude_none does."""

    def change(self, value: Any) -> Any:
        """Exclude None."""
        if isinstance(value, dict):
            return {name: member for name, member in value.items() if member is not None}
        return value


@fault("EVT-1", subtle=True)
class DropsEmptyContainers(Rewrites):
    """Leaves out the members whose value is an empty list, object or string, as Go's omitempty does."""

    def change(self, value: Any) -> Any:
        """Omit what is empty."""
        if isinstance(value, dict):
            return {name: member for name, member in value.items() if member not in ([], {}, "")}
        return value


@fault("EVT-1", subtle=True)
class DropsZeros(Rewrites):
    """Leaves out the members whose value is 0 or false: a progress of 0 is lost."""

    def change(self, value: Any) -> Any:
        """Omit what is falsy."""
        if isinstance(value, dict):
            return {
                name: member for name, member in value.items() if member is not False and not _is_zero(member)
            }
        return value


def _is_zero(value: Any) -> bool:
    return isinstance(value, Number) and value.value == 0


@fault("EVT-1")
class KeepsKnownFieldsOnly(Rewrites):
    """Leaves out the payload's unknown fields."""

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Go through a closed model."""
        del event
        return {name: value for name, value in data.items() if name in _FIELDS}


@fault("EVT-1", subtle=True)
class DropsProtoMembers(Rewrites):
    """Leaves out members named __proto__, which JavaScript takes for the prototype."""

    def change(self, value: Any) -> Any:
        """Set the prototype instead."""
        return {k: v for k, v in value.items() if k != "__proto__"} if isinstance(value, dict) else value


@fault("EVT-1", subtle=True)
class DropsEmptyNames(Rewrites):
    """Leaves out members whose name is the empty string."""

    def change(self, value: Any) -> Any:
        """Have no name for it."""
        return {k: v for k, v in value.items() if k} if isinstance(value, dict) else value


@fault("EVT-1", subtle=True)
class DropsRepeatedItems(Rewrites):
    """Leaves out the items of a list that are in it already."""

    def change(self, value: Any) -> Any:
        """Make a set of it."""
        if isinstance(value, list):
            return list({dump_exact(item): item for item in value}.values())
        return value


@fault("EVT-1", subtle=True)
class FlattensDeepNesting(Rewrites):
    """Replaces what is nested more than ten deep by null."""

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Stop at the tenth level."""
        del event
        return {name: _cut(value, 10) for name, value in data.items()}


def _cut(value: Any, levels: int) -> Any:
    if isinstance(value, dict):
        return {name: _cut(member, levels - 1) for name, member in value.items()} if levels > 1 else None
    if isinstance(value, list):
        return [_cut(member, levels - 1) for member in value] if levels > 1 else None
    return value


# Members that come.


@fault("EVT-1")
class AddsTimestamp(Rewrites):
    """Adds a timestamp to the payload."""

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Stamp it."""
        del event
        return {**data, "timestamp": "2026-11-22T12:00:00Z"}


@fault("EVT-1")
class FillsInNulls(Rewrites):
    """Adds the known fields that are absent, with null."""

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Dump a model with its defaults."""
        del event
        return {**dict.fromkeys(_FIELDS), **data}


@fault("EVT-1", subtle=True)
class CorrectsInvestigationId(Rewrites):
    """Overwrites a payload's investigation_id that is null or another; only an absent one may be added."""

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Know better."""
        return {**data, "investigation_id": event.investigation_id} if "investigation_id" in data else data


@fault("EVT-1", subtle=True)
class MergesWithLastEvent(Rewrites):
    """Fills absent fields of a task's event in from the task's last one."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[tuple[str, str], dict[str, Any]] = {}

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Keep a state of each task."""
        task = data.get("task_id")
        if not isinstance(task, str) or isinstance(task, Number):
            return data
        merged = {**self._tasks.get((event.investigation_id, task), {}), **data}
        self._tasks[event.investigation_id, task] = merged
        return merged


# Values that change.


@fault("EVT-1", subtle=True)
class TurnsEmptyObjectsIntoLists(Rewrites):
    """Sends [] in place of {} within a payload, as PHP's json_encode does."""

    def change(self, value: Any) -> Any:
        """Have one kind of array."""
        return [] if value == {} else value

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Keep the payload itself an object."""
        del event
        return data or {}


@fault("EVT-1", "MSG-2", subtle=True)
class TurnsNumberedObjectsIntoLists(Rewrites):
    """Sends a list in place of an object whose names are 0, 1, 2 and so on."""

    def change(self, value: Any) -> Any:
        """Take it for an array."""
        if isinstance(value, dict) and value and list(value) == [str(index) for index in range(len(value))]:
            return list(value.values())
        return value


@fault("EVT-1", subtle=True)
class SplitsDottedNames(Rewrites):
    """Sends {"a": {"b": 1}} in place of {"a.b": 1}, as a document store does."""

    def change(self, value: Any) -> Any:
        """Take a dot for a path."""
        if not isinstance(value, dict):
            return value
        made: dict[str, Any] = {}
        for name, member in value.items():
            first, dot, rest = name.partition(".")
            if dot and first and rest:
                made[first] = {rest: member}
            else:
                made[name] = member
        return made


@fault("EVT-1")
class CamelCasesNames(Rewrites):
    """Sends taskId in place of task_id, and so on."""

    def change(self, value: Any) -> Any:
        """Follow a naming strategy."""
        if isinstance(value, dict):
            return {re.sub(r"(?<=[a-z0-9])_([a-z])", lambda m: m[1].upper(), k): v for k, v in value.items()}
        return value


@fault("EVT-1", subtle=True)
class WritesBooleansAsNumbers(Rewrites):
    """Sends 1 and 0 in place of true and false."""

    def change(self, value: Any) -> Any:
        """Store it in a column of integers."""
        return int(value) if isinstance(value, bool) else value


@fault("EVT-1", subtle=True)
class SortsLists(Rewrites):
    """Sends a list of strings in alphabetical order."""

    def change(self, value: Any) -> Any:
        """Make it look tidy."""
        if isinstance(value, list) and all(type(item) is str for item in value):
            return sorted(value)
        return value


# Events that are refused.


@fault("EVT-1", subtle=True)
class RefusesUnknownKinds(Server):
    """Refuses an event whose kind is not one of the five that the protocol names."""

    def accept(self, event: Event) -> Answer:
        """Have a closed set."""
        kind = event.data.get("type")
        if isinstance(kind, str) and kind not in _KINDS:
            return Reply(422, b"unknown kind\n")
        return super().accept(event)


@fault("EVT-1", subtle=True)
class RefusesUnknownStatus(Server):
    """Refuses an event whose status is not one of four."""

    def accept(self, event: Event) -> Answer:
        """Have a closed set."""
        if event.data.get("status", "running") not in ("running", "completed", "failed", "paused"):
            return Reply(422, b"unknown status\n")
        return super().accept(event)
