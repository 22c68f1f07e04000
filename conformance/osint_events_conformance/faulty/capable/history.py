"""What a capable server remembers: the numbered events of each investigation, and how far they reach back."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from osint_events_conformance.faulty.server import Event


@dataclass(frozen=True)
class Kept:
    """An event with its number, and for each scope that it is in the number of the one before (RPL-2)."""

    event: Event
    seq: int
    prev: Mapping[str, int]
    at: float


class History:
    """The latest events of each investigation; the investigations themselves are never forgotten.

    `events` are kept for each, none of them longer than `age` seconds.
    """

    def __init__(self, events: int, age: float) -> None:
        self.epoch = secrets.token_hex(4)
        self._most = events
        self._age = age
        self._kept: dict[str, deque[Kept]] = {}
        self._heads: dict[str, dict[str, int]] = {}
        self._evicted: dict[str, int] = {}

    def head(self, investigation_id: str, scope: str = "all") -> int:
        """Return the number of the latest event in a scope; 0 before the first."""
        return self._heads.get(investigation_id, {}).get(scope, 0)

    def append(self, event: Event, seq: int, scopes: Collection[str]) -> Kept:
        """Keep an event that is in some scopes, `all` among them."""
        heads = self._heads.setdefault(event.investigation_id, {})
        kept = Kept(event, seq, {scope: heads.get(scope, 0) for scope in scopes}, time.monotonic())
        heads.update(dict.fromkeys(scopes, seq))
        self._kept.setdefault(event.investigation_id, deque()).append(kept)
        self._evict(event.investigation_id)
        return kept

    def after(self, investigation_id: str, seq: int) -> list[Kept] | None:
        """Return the events after a number; None where one of them is gone (RPL-4)."""
        self._evict(investigation_id)
        if seq < self._evicted.get(investigation_id, 0):
            return None
        return [kept for kept in self._kept.get(investigation_id, ()) if kept.seq > seq]

    def _evict(self, investigation_id: str) -> None:
        kept = self._kept.get(investigation_id, deque())
        oldest = time.monotonic() - self._age
        while kept and (len(kept) > self._most or kept[0].at < oldest):
            self._evicted[investigation_id] = kept.popleft().seq
