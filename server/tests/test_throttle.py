"""The token bucket on a clock of the test's own, and the inbox behind it on a real loop."""

import asyncio
import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events_server.inbox import Inbox
from osint_events_server.throttle import RateAbuse, RateLimit, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=3, now=0)
    assert [bucket.take(0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


def test_what_is_waited_for_is_there_when_the_wait_is_over() -> None:
    bucket = TokenBucket(rate=10, burst=1, now=0)
    assert bucket.take(0) == 0
    assert bucket.take(0) == pytest.approx(0.1)
    assert bucket.take(0.2) == pytest.approx(0)


def test_silence_earns_no_more_than_a_burst() -> None:
    bucket = TokenBucket(rate=10, burst=2, now=0)
    assert [bucket.take(1000) for _ in range(3)] == pytest.approx([0, 0, 0.1])


def test_what_is_refused_takes_nothing() -> None:
    bucket = TokenBucket(rate=10, burst=2, now=0)
    assert [bucket.try_take(0) for _ in range(5)] == pytest.approx([0, 0, 0.1, 0.1, 0.1])
    assert bucket.try_take(0.04) == pytest.approx(0.06)
    assert bucket.try_take(0.1) == 0


@given(st.floats(0.1, 1e5), st.integers(1, 1000), st.floats(0, 1e7))
def test_who_waits_as_long_as_he_was_told_is_granted(rate: float, burst: int, start: float) -> None:
    bucket = TokenBucket(rate=rate, burst=burst, now=start)
    now = start
    granted = 0
    for _ in range(burst + 20):
        wait = bucket.try_take(now)
        if wait:
            now += math.ceil(wait * 1000) / 1000  # as it is told: in whole milliseconds
            assert bucket.try_take(now) == 0
        granted += 1
    assert granted <= burst + (now - start) * rate + 1e-3


def rate_limit(*, rate: float = 10, burst: int = 3) -> RateLimit:
    return RateLimit(
        TokenBucket(rate=rate, burst=burst, now=0), refusals=TokenBucket(rate=rate, burst=burst, now=0)
    )


def drain(limit: RateLimit, times: Iterable[float]) -> None:
    for now in times:
        limit.admit(now)


def test_a_message_over_the_rate_is_refused_and_one_after_the_wait_is_not() -> None:
    limit = rate_limit()
    assert [limit.admit(0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.1])
    assert limit.admit(0.1) == 0
    assert limit.admit(0.1) > 0


def test_more_refusals_in_a_row_than_a_burst_are_abuse() -> None:
    limit = rate_limit()
    assert [limit.admit(0) > 0 for _ in range(6)] == [False] * 3 + [True] * 3
    with pytest.raises(RateAbuse):
        limit.admit(0)


def test_twice_the_rate_is_borne_for_ever() -> None:
    limit = rate_limit(rate=100, burst=10)
    refused = sum(limit.admit(number / 200) > 0 for number in range(200 * 600))
    assert refused == pytest.approx(60_000, rel=0.01)


def test_ten_times_the_rate_is_ended_soon() -> None:
    limit = rate_limit(rate=100, burst=512)
    drain(limit, (number / 1000 for number in range(1200)))
    with pytest.raises(RateAbuse):
        drain(limit, (number / 1000 for number in range(1200, 2000)))


def test_a_bucket_that_delayed_messages_refuses_until_these_are_paid_for() -> None:
    bucket = TokenBucket(rate=10, burst=1, now=0)
    assert [bucket.take(0) for _ in range(3)] == pytest.approx([0, 0.1, 0.2])
    limit = RateLimit(bucket, TokenBucket(rate=10, burst=10, now=0))
    assert limit.admit(0) == pytest.approx(0.3)
    assert limit.admit(0.3) == 0


class Done:
    """What was carried out, in order."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = asyncio.Event()

    async def add(self, text: str) -> None:
        self.texts.append(text)
        self._changed.set()

    async def reach(self, count: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.texts) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.texts


def inbox(*, rate: float, burst: int, max_size: int = 100_000) -> tuple[Inbox, Done]:
    done = Done()
    clock = asyncio.get_running_loop().time
    bucket = TokenBucket(rate=rate, burst=burst, now=clock())
    return Inbox(bucket, clock=clock, carry_out=done.add, max_size=max_size), done


async def test_a_burst_is_carried_out_before_take_returns() -> None:
    box, done = inbox(rate=0.001, burst=3)
    for text in "abc":
        await box.take(text)
    assert done.texts == ["a", "b", "c"]


async def test_what_is_delayed_is_carried_out_later_in_order() -> None:
    box, done = inbox(rate=5000, burst=2)
    texts = [str(number) for number in range(50)]
    for text in texts:
        await box.take(text)
    assert len(done.texts) < len(texts)
    assert await done.reach(len(texts)) == texts


async def test_what_comes_while_others_wait_does_not_overtake_them() -> None:
    clock, done = Clock(), Done()
    box = Inbox(TokenBucket(rate=1000, burst=1, now=0), clock=clock, carry_out=done.add, max_size=1000)
    for text in "abc":
        await box.take(text)
    clock.now = 60.0  # the bucket is full again, but nobody has run the loop
    await box.take("d")
    assert await done.reach(4) == ["a", "b", "c", "d"]


async def test_reading_goes_on_while_messages_wait() -> None:
    box, done = inbox(rate=0.001, burst=1)
    async with asyncio.timeout(5):
        for text in "abcd":
            await box.take(text)
    assert done.texts == ["a"]
    box.close()


async def test_reading_waits_when_the_bound_is_reached_and_loses_nothing() -> None:
    box, done = inbox(rate=2000, burst=1, max_size=1000)
    texts = [f"{number}:" + "x" * 100 for number in range(40)]
    for number, text in enumerate(texts):
        await box.take(text)
        assert number + 1 - len(done.texts) < 10  # each counts more than 100 towards the 1000
    assert await done.reach(len(texts)) == texts


async def test_nothing_is_carried_out_after_the_end() -> None:
    ended, done = inbox(rate=1000, burst=1)
    other, witness = inbox(rate=1000, burst=1)
    for text in "abc":
        await ended.take(text)
        await other.take(text)
    ended.close()
    assert await witness.reach(3) == ["a", "b", "c"]
    assert done.texts == ["a"]
