"""The memory store, on a clock of the test's own."""

import asyncio
from collections.abc import Sequence

import pytest
from osint_events_server.scope import Scope
from osint_events_server.store import (
    Event,
    EventStore,
    Follower,
    Gap,
    IdempotencyConflict,
    Payload,
    PositionExpired,
)
from osint_events_server.store.memory import HistoryLimits, MemoryStore


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def fixture_clock() -> Clock:
    return Clock()


def payloads(*data: bytes, scope: Scope = Scope.ALL) -> list[Payload]:
    return [Payload(one, scope) for one in data]


def memory(clock: Clock, limits: HistoryLimits | None = None) -> MemoryStore:
    return MemoryStore(epoch="e1", clock=clock, limits=limits)


async def due(follower: Follower) -> Sequence[Event]:
    events = await anext(follower)
    assert not isinstance(events, Gap)
    return events


async def read(
    store: EventStore, investigation_id: str, seq: int, *, limit: int = 1000
) -> list[tuple[int, bytes]]:
    return [(event.seq, event.data) for event in await store.read_after(investigation_id, seq, limit=limit)]


async def test_numbers_increase_over_all_investigations(clock: Clock) -> None:
    store = memory(clock)
    assert list(await store.append("x", payloads(b"1", b"2"))) == [1, 2]
    assert list(await store.append("y", payloads(b"3"))) == [3]
    assert list(await store.append("x", payloads(b"4"))) == [4]


async def test_what_comes_after_a_position_is_read_in_order_up_to_the_limit(clock: Clock) -> None:
    store = memory(clock)
    await store.append("x", payloads(b"1", b"2"))
    await store.append("y", payloads(b"3"))
    await store.append("x", payloads(b"4", b"5"))
    assert await read(store, "x", 0) == [(1, b"1"), (2, b"2"), (4, b"4"), (5, b"5")]
    assert await read(store, "x", 2) == [(4, b"4"), (5, b"5")]
    assert await read(store, "x", 1, limit=2) == [(2, b"2"), (4, b"4")]
    assert await read(store, "x", 5) == []
    assert await read(store, "never seen", 0) == []


async def test_a_follower_sees_what_is_appended_from_then_on(clock: Clock) -> None:
    store = memory(clock)
    await store.append("x", payloads(b"before"))
    follower = store.follow()
    await store.append("x", payloads(b"1", b"2"))
    await store.append("y", payloads(b"3"))
    events = await due(follower)
    assert [(event.seq, event.investigation_id, event.data) for event in events] == [
        (2, "x", b"1"),
        (3, "x", b"2"),
        (4, "y", b"3"),
    ]
    waiting = asyncio.ensure_future(due(follower))
    await store.append("z", payloads(b"4"))
    assert [event.data for event in await waiting] == [b"4"]


async def test_a_follower_left_behind_delays_appending_and_loses_nothing(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(backlog=2))
    follower = store.follow()
    await store.append("x", payloads(b"1", b"2"))
    third = asyncio.ensure_future(store.append("x", payloads(b"3")))
    await asyncio.sleep(0)
    assert not third.done()
    assert [event.data for event in await due(follower)] == [b"1", b"2"]
    assert list(await third) == [3]
    assert [event.data for event in await due(follower)] == [b"3"]


async def test_a_retry_with_the_same_key_stores_nothing_and_gets_the_same_numbers(clock: Clock) -> None:
    store = memory(clock)
    first = await store.append("x", payloads(b"1", b"2"), idempotency_key="k")
    await store.append("x", payloads(b"3"))
    assert list(await store.append("x", payloads(b"1", b"2"), idempotency_key="k")) == list(first)
    assert len(await read(store, "x", 0)) == 3


async def test_a_key_used_for_other_events_is_a_conflict(clock: Clock) -> None:
    store = memory(clock)
    await store.append("x", payloads(b"1"), idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await store.append("x", payloads(b"2"), idempotency_key="k")
    assert await read(store, "x", 0) == [(1, b"1")]


async def test_a_key_belongs_to_its_investigation(clock: Clock) -> None:
    store = memory(clock)
    assert list(await store.append("x", payloads(b"1"), idempotency_key="k")) == [1]
    assert list(await store.append("y", payloads(b"2"), idempotency_key="k")) == [2]


async def test_a_key_is_forgotten_when_it_is_old(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(seconds=10))
    await store.append("x", payloads(b"1"), idempotency_key="k")
    clock.now += 10
    await store.append("other", payloads(b"2"))
    assert list(await store.append("x", payloads(b"1"), idempotency_key="k")) == [1]
    clock.now += 0.1
    await store.append("other", payloads(b"3"))
    assert list(await store.append("x", payloads(b"1"), idempotency_key="k")) == [4]


async def test_only_the_latest_keys_are_kept(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(idempotency_keys=2))
    for key in "abc":
        await store.append("x", payloads(key.encode()), idempotency_key=key)
    assert list(await store.append("x", payloads(b"b"), idempotency_key="b")) == [2]
    assert list(await store.append("x", payloads(b"a"), idempotency_key="a")) == [4]


async def test_a_position_is_read_while_nothing_after_it_was_evicted_by_count(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(events=2))
    await store.append("y", payloads(b"other"))
    await store.append("x", payloads(b"2", b"3", b"4"))
    assert await read(store, "x", 2) == [(3, b"3"), (4, b"4")]
    with pytest.raises(PositionExpired):
        await store.read_after("x", 1, limit=10)
    assert await read(store, "y", 0) == [(1, b"other")]


async def test_events_are_evicted_by_age(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(seconds=10))
    await store.append("x", payloads(b"1"))
    clock.now += 6
    await store.append("x", payloads(b"2"))
    clock.now += 4
    assert await read(store, "x", 0) == [(1, b"1"), (2, b"2")]
    clock.now += 1
    assert await read(store, "x", 1) == [(2, b"2")]
    with pytest.raises(PositionExpired):
        await store.read_after("x", 0, limit=10)


async def test_the_oldest_events_of_all_are_evicted_by_bytes(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(bytes=10))
    await store.append("x", payloads(b"12345"))
    await store.append("y", payloads(b"12345"))
    assert await read(store, "x", 0) == [(1, b"12345")]
    await store.append("y", payloads(b"1"))
    assert await read(store, "y", 0) == [(2, b"12345"), (3, b"1")]
    assert await read(store, "x", 1) == []
    with pytest.raises(PositionExpired):
        await store.read_after("x", 0, limit=10)


async def test_an_investigation_that_was_evicted_whole_does_not_forget_that(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(seconds=10))
    await store.append("x", payloads(b"1", b"2"))
    clock.now += 11
    await store.append("x", payloads(b"3"))
    assert await read(store, "x", 2) == [(3, b"3")]
    with pytest.raises(PositionExpired):
        await store.read_after("x", 1, limit=10)


async def test_what_is_evicted_holds_no_memory(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(events=3, seconds=10))
    for number in range(100):
        await store.append(str(number % 2), payloads(b"%d" % number))
    assert len(store._log) == 6
    clock.now += 11
    await store.append("x", payloads(b"last"))
    assert (len(store._log), list(store._histories), store._bytes) == (1, ["x"], 4)


async def test_a_scope_is_read_alone_and_the_limit_counts_what_is_in_it(clock: Clock) -> None:
    store = memory(clock)
    for scope in (Scope.TASKS, Scope.SUMMARY, Scope.ALL) * 2:
        await store.append("x", payloads(scope.name.encode(), scope=scope))
    seqs = {
        scope: [event.seq for event in await store.read_after("x", 1, limit=3, scope=scope)]
        for scope in Scope
    }
    assert seqs == {Scope.TASKS: [3, 4, 6], Scope.SUMMARY: [2, 3, 5], Scope.ALL: [2, 3, 4]}


async def test_a_position_is_expired_whatever_the_scope_of_what_was_evicted(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(events=1))
    await store.append("x", payloads(b"1", scope=Scope.TASKS))
    await store.append("x", payloads(b"2", scope=Scope.SUMMARY))
    with pytest.raises(PositionExpired):
        await store.read_after("x", 0, limit=10, scope=Scope.SUMMARY)


async def test_the_head_is_the_last_number_given(clock: Clock) -> None:
    store = memory(clock)
    assert await store.head() == 0
    await store.append("x", payloads(b"1", b"2"))
    assert await store.head() == 2


async def test_nobody_waits_for_a_follower_that_was_closed(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(backlog=1))
    follower = store.follow()
    await store.append("x", payloads(b"1"))
    second = asyncio.ensure_future(store.append("x", payloads(b"2")))
    await asyncio.sleep(0)
    follower.close()
    async with asyncio.timeout(10):
        assert list(await second) == [2]
        assert list(await store.append("x", payloads(b"3", b"4"))) == [3, 4]


async def test_what_is_read_stays_right_while_the_oldest_are_evicted(clock: Clock) -> None:
    store = memory(clock, HistoryLimits(events=50))
    for number in range(1, 301):
        await store.append("x", payloads(b"%d" % number))
        floor = max(0, number - 50)
        assert [seq for seq, _ in await read(store, "x", floor)] == list(range(floor + 1, number + 1))
