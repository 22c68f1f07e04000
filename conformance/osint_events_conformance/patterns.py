"""Clause ids and globs of them: `--only`, `--skip` and known-failing lists."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


class Patterns:
    """A set of clause ids and globs (`RPL-*`)."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(patterns)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def match(self, clause: str) -> bool:
        """Whether a clause id is one of them."""
        return any(fnmatchcase(clause, pattern) for pattern in self._patterns)

    def unmatched(self, clauses: Iterable[str]) -> list[str]:
        """The patterns that match none of the clauses."""
        known = list(clauses)
        return [one for one in self._patterns if not any(fnmatchcase(clause, one) for clause in known)]
