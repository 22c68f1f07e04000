"""What part of an investigation an event belongs to, and a subscription asks for (SCP-1)."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import reduce
from operator import or_

from osint_events import classify


class Scope(IntEnum):
    """A set of the two parts, as bits: an event is in a scope if both have a bit in common."""

    TASKS = 1
    SUMMARY = 2
    ALL = 3

    @classmethod
    def of_event(cls, data: Mapping[str, object]) -> "Scope":
        """Return the parts that an event belongs to, by its kind (LEG-1 to LEG-4, SCP-1)."""
        kind = classify(data).kind or ""
        if kind.startswith("task_"):
            return cls.TASKS
        if kind.startswith("investigation_"):
            return cls.SUMMARY
        task_id = data.get("task_id")
        return cls.TASKS if isinstance(task_id, str) and task_id else cls.ALL

    @classmethod
    def of_values(cls, values: Iterable[str] | None) -> "Scope":
        """Return the union of a subscribe message's valid values; all without any."""
        return cls(reduce(or_, (_VALUES[value] for value in values or ("all",))))


_VALUES = {"all": Scope.ALL, "tasks": Scope.TASKS, "summary": Scope.SUMMARY}
