"""The token bucket on a clock of the test's own, and the inbox behind it on a real loop."""

import asyncio

import pytest
from osint_events_server.inbox import Inbox
from osint_events_server.throttle import TokenBucket


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


class Done:
    """What was carried out, in order."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = asyncio.Event()

    def add(self, text: str) -> None:
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
