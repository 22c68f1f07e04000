"""Faults of the server as publisher: EVT-2 to EVT-5, in events of its own that a trigger makes it emit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _Publishes(Server):
    """Changes its own last event: `changes` are set, `without` are left out."""

    changes: ClassVar[Mapping[str, Any]] = {}
    without: ClassVar[tuple[str, ...]] = ()

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Change the last one."""
        *others, last = super().own_events(investigation_id)
        changed = {
            name: value for name, value in {**last, **self.changes}.items() if name not in self.without
        }
        return (*others, changed)


# EVT-2: data.investigation_id mirrors the outer one.


@fault("EVT-2", trigger=True)
class PublishesOtherId(_Publishes):
    """Writes another investigation's id into the payload."""

    changes: ClassVar[Mapping[str, Any]] = {"investigation_id": "template"}


@fault("EVT-2", subtle=True, trigger=True)
class PublishesFoldedId(Server):
    """Writes the investigation's id in upper case into the payload."""

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Take it for hexadecimal digits."""
        events = super().own_events(investigation_id)
        return [{**data, "investigation_id": investigation_id.upper()} for data in events]


@fault("EVT-2", subtle=True, trigger=True)
class PublishesNullId(_Publishes):
    """Writes null for the payload's investigation_id where it should leave it out."""

    changes: ClassVar[Mapping[str, Any]] = {"investigation_id": None}


# EVT-3: progress is a number from 0 to 1.


@fault("EVT-3", trigger=True)
class PublishesPercent(_Publishes):
    """Writes a progress of 42 for 42 per cent."""

    changes: ClassVar[Mapping[str, Any]] = {"progress": 42}


@fault("EVT-3", subtle=True, trigger=True)
class PublishesProgressAsText(_Publishes):
    """Writes a progress of "0.5", a string."""

    changes: ClassVar[Mapping[str, Any]] = {"progress": "0.5"}


@fault("EVT-3", subtle=True, trigger=True)
class PublishesNullProgress(_Publishes):
    """Writes null for a progress that is not known."""

    changes: ClassVar[Mapping[str, Any]] = {"progress": None}


@fault("EVT-3", subtle=True, trigger=True)
class PublishesNegativeProgress(_Publishes):
    """Writes a progress of -1 for a task that has not begun."""

    changes: ClassVar[Mapping[str, Any]] = {"progress": -1}


@fault("EVT-3", subtle=True, trigger=True)
class PublishesSlightlyMore(_Publishes):
    """Writes a progress of 1.0000000000000002, a sum of thirds."""

    changes: ClassVar[Mapping[str, Any]] = {"progress": 1.0000000000000002}


@fault("EVT-3", subtle=True, trigger=True)
class PublishesTrueProgress(_Publishes):
    """Writes true for the progress of a task that is done."""

    changes: ClassVar[Mapping[str, Any]] = {"progress": True}


@fault("EVT-3", subtle=True, trigger=True)
class ThirdTriggerPublishesPercent(_Publishes):
    """Writes a progress of 100 in every third event of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._triggers = 0

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Count."""
        self._triggers += 1
        events = super().own_events(investigation_id)
        return events if self._triggers % 3 else [{**data, "progress": 100} for data in events]


# EVT-4: a kind that begins with task_ has a task_id.


@fault("EVT-4", trigger=True)
class PublishesTaskWithoutId(_Publishes):
    """Leaves the task_id of a task_completed out."""

    without: ClassVar[tuple[str, ...]] = ("task_id",)


@fault("EVT-4", subtle=True, trigger=True)
class PublishesEmptyTaskId(_Publishes):
    """Writes an empty task_id."""

    changes: ClassVar[Mapping[str, Any]] = {"task_id": ""}


@fault("EVT-4", subtle=True, trigger=True)
class PublishesNullTaskId(_Publishes):
    """Writes null for the task_id of a task_failed."""

    changes: ClassVar[Mapping[str, Any]] = {"type": "task_failed", "task_id": None}


@fault("EVT-4", subtle=True, trigger=True)
class PublishesNewTaskKindWithoutId(_Publishes):
    """Leaves the task_id of a task_retried out, a kind that the protocol does not name."""

    changes: ClassVar[Mapping[str, Any]] = {"type": "task_retried"}
    without: ClassVar[tuple[str, ...]] = ("task_id",)


# EVT-5: type is there (a SHOULD).


@fault("EVT-5", trigger=True)
class PublishesWithoutType(_Publishes):
    """Leaves the type of an event out."""

    without: ClassVar[tuple[str, ...]] = ("type",)


@fault("EVT-5", subtle=True, trigger=True)
class PublishesEmptyType(_Publishes):
    """Writes an empty type, and the kind as `event`."""

    changes: ClassVar[Mapping[str, Any]] = {"type": "", "event": "task_completed"}
