"""What part of an investigation an event belongs to, and a subscription asks for (SCP-1)."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import reduce
from operator import or_
from typing import Self

from osint_events.scopes import ScopeValue, scopes_of


class Scope(IntEnum):
    """A set of the two parts, as bits: an event is in a scope if both have a bit in common."""

    TASKS = 1
    SUMMARY = 2
    ALL = 3

    @classmethod
    def of_event(cls, data: Mapping[str, object]) -> Self:
        """Return the parts that an event belongs to, by its kind (LEG-1 to LEG-4, SCP-1)."""
        return cls.of_values(scopes_of(data) - {"all"})

    @classmethod
    def of_values(cls, values: Iterable[ScopeValue]) -> Self:
        """Return the union of a scope's values, one at least."""
        return cls(reduce(or_, (_VALUES[value] for value in values)))


_VALUES: dict[ScopeValue, Scope] = {"all": Scope.ALL, "tasks": Scope.TASKS, "summary": Scope.SUMMARY}
