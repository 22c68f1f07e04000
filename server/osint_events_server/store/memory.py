"""The embedded store: one process, events in memory, history bounded by count, age and bytes."""

import asyncio
import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Self

from osint_events_server.scope import Scope
from osint_events_server.store import Event, IdempotencyConflict, Payload, PositionExpired

_seq = attrgetter("seq")


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """What is kept, each inclusive.

    Attributes:
        events: of one investigation.
        seconds: the age of an event.
        bytes: of all payloads together.
        idempotency_keys: of all investigations together; a key is also forgotten after `seconds`.
        backlog: events that may wait for a follower.

    """

    events: int = 1000
    seconds: float = 300.0
    bytes: int = 256 * 1024 * 1024
    idempotency_keys: int = 10_000
    backlog: int = 10_000


class _History:
    """The events of one investigation that are kept, in a list that a number can be looked up in.

    Attributes:
        floor: the last number that may be evicted.

    """

    __slots__ = ("_events", "_evicted", "floor")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._events: list[Event] = []
        self._evicted = 0  # at the list's beginning, still to be removed from it

    def __len__(self) -> int:
        return len(self._events) - self._evicted

    def add(self, event: Event) -> None:
        self._events.append(event)

    def evict(self) -> Event:
        event = self._events[self._evicted]
        self._evicted += 1
        self.floor = event.seq
        # Removed in portions, so that an event's share of the cost does not grow with the history.
        if 16 * self._evicted >= len(self._events):
            del self._events[: self._evicted]
            self._evicted = 0
        return event

    def after(self, seq: int) -> Iterator[Event]:
        first = bisect_right(self._events, seq, lo=self._evicted, key=_seq)
        return map(self._events.__getitem__, range(first, len(self._events)))


@dataclass(frozen=True, slots=True)
class _Answered:
    digest: bytes
    seqs: Sequence[int]
    at: float


class MemoryStore:
    """An `EventStore` in memory. One counter numbers the events of all investigations.

    Args:
        epoch: a name that no earlier run had.
        clock: seconds that never go back.
        limits: what is kept.

    """

    def __init__(
        self, *, epoch: str, clock: Callable[[], float], limits: HistoryLimits | None = None
    ) -> None:
        self._epoch = epoch
        self._clock = clock
        self._limits = limits or HistoryLimits()
        self._seq = 0
        self._bytes = 0
        # All events that are kept, by number, with the time of each; the oldest first.
        self._log: OrderedDict[int, tuple[float, Event]] = OrderedDict()
        self._histories: dict[str, _History] = {}
        # Investigations without a history had their last event evicted at or before this number.
        self._forgotten = 0
        self._answered: OrderedDict[tuple[str, str], _Answered] = OrderedDict()
        self._followers: set[_Follower] = set()

    @property
    def epoch(self) -> str:
        """Names the sequence of this process's life (RPL-8)."""
        return self._epoch

    async def append(
        self, investigation_id: str, payloads: Sequence[Payload], *, idempotency_key: str | None = None
    ) -> Sequence[int]:
        """Store and number events, all or none; see `EventStore.append`."""
        for follower in tuple(self._followers):
            await follower.room()
        if idempotency_key is None:
            return self._store(investigation_id, payloads)
        key = (investigation_id, idempotency_key)
        digest = hashlib.sha256(b"\n".join(payload.data for payload in payloads)).digest()
        if (answered := self._answered.get(key)) is not None:
            if answered.digest != digest:
                raise IdempotencyConflict(f"the key {idempotency_key!r} was used for other events")
            return answered.seqs
        seqs = self._store(investigation_id, payloads)
        self._answered[key] = _Answered(digest, seqs, self._clock())
        if len(self._answered) > self._limits.idempotency_keys:
            self._answered.popitem(last=False)
        return seqs

    def _store(self, investigation_id: str, payloads: Sequence[Payload]) -> Sequence[int]:
        first = self._seq + 1
        events = [
            Event(seq, investigation_id, payload.data, payload.scope)
            for seq, payload in enumerate(payloads, first)
        ]
        self._seq += len(events)
        now = self._clock()
        history = self._histories.get(investigation_id)
        if history is None:
            history = self._histories[investigation_id] = _History(floor=self._forgotten)
        for event in events:
            self._log[event.seq] = (now, event)
            history.add(event)
            self._bytes += len(event.data)
        while len(history) > self._limits.events:
            self._evict(history)
        self._expire(now)
        for follower in self._followers:
            follower.feed(events)
        return range(first, first + len(events))

    def _evict(self, history: _History) -> None:
        event = history.evict()
        del self._log[event.seq]
        self._bytes -= len(event.data)

    def _expire(self, now: float) -> None:
        """Evict, oldest first, what is too old or beyond the bytes."""
        oldest = now - self._limits.seconds
        while self._log:
            at, event = next(iter(self._log.values()))
            if at >= oldest and self._bytes <= self._limits.bytes:
                break
            history = self._histories[event.investigation_id]
            self._evict(history)
            if not history:
                self._forgotten = event.seq
                del self._histories[event.investigation_id]
        while self._answered and next(iter(self._answered.values())).at < oldest:
            self._answered.popitem(last=False)

    async def head(self) -> int:
        """Return the last number given; see `EventStore.head`."""
        return self._seq

    async def read_after(
        self, investigation_id: str, seq: int, *, limit: int, scope: Scope = Scope.ALL
    ) -> Sequence[Event]:
        """Read an investigation's events after a number; see `EventStore.read_after`."""
        self._expire(self._clock())
        history = self._histories.get(investigation_id)
        if seq < (self._forgotten if history is None else history.floor):
            raise PositionExpired(f"an event after {seq} was evicted")
        if history is None:
            return ()
        wanted = (event for event in history.after(seq) if event.scope & scope)
        return list(islice(wanted, limit))

    def follow(self) -> "_Follower":
        """Follow what is appended from now on; see `EventStore.follow`."""
        follower = _Follower(self._limits.backlog, position=self._seq, forget=self._followers.discard)
        self._followers.add(follower)
        return follower


class _Follower:
    """What is due for one follower."""

    def __init__(self, backlog: int, *, position: int, forget: Callable[["_Follower"], None]) -> None:
        self._backlog = backlog
        self._position = position
        self._forget = forget
        self._due: list[Event] = []
        self._fed = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def position(self) -> int:
        return self._position

    async def room(self) -> None:
        """Wait until fewer than `backlog` events are due."""
        while len(self._due) >= self._backlog:
            self._taken.clear()
            await self._taken.wait()

    def feed(self, events: Sequence[Event]) -> None:
        self._due.extend(events)
        self._fed.set()

    def close(self) -> None:
        self._forget(self)
        self._due = []
        self._taken.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Event]:
        while not self._due:
            self._fed.clear()
            await self._fed.wait()
        due, self._due = self._due, []
        self._taken.set()
        return due
