"""Deadlines that follow from what was measured, and a clock that stops while nobody runs."""

from __future__ import annotations

import asyncio

import pytest
from osint_events_conformance.pace import TICK, Bucket, Pace, Ticker


def test_a_quick_server_gets_a_second() -> None:
    assert Pace(round_trip=0.001).deadline == 1.0


def test_a_slow_server_gets_many_of_its_round_trips() -> None:
    assert Pace(round_trip=0.2).deadline >= 20 * 0.2


def test_a_silence_that_ended_well_makes_later_deadlines_longer() -> None:
    pace = Pace()
    pace.measured(0.6)
    pace.measured(0.1)
    assert pace.slowest == 0.6
    assert pace.deadline >= 3 * 0.6


def test_the_user_s_factor_scales_every_deadline_and_grace() -> None:
    plain, scaled = Pace(round_trip=0.05), Pace(3.0, round_trip=0.05)
    assert scaled.deadline == pytest.approx(3 * plain.deadline)
    assert scaled.prompt == pytest.approx(3 * plain.prompt)
    assert scaled.grace == pytest.approx(3 * plain.grace)


def test_a_grace_grows_with_the_round_trip_but_not_for_ever() -> None:
    graces = [Pace(round_trip=seconds).grace for seconds in (0.001, 0.05, 0.2, 5.0)]
    assert graces == sorted(graces)
    assert 0 < graces[0] < graces[1]
    assert graces[-1] == 1.0


async def test_the_ticker_counts_the_ticks_that_the_loop_made() -> None:
    slept: list[float] = []
    thrice = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 3:
            thrice.set()
            await asyncio.Event().wait()

    ticker = Ticker(sleep=sleep)
    assert ticker.seconds == 0
    ticker.start()
    await thrice.wait()
    assert slept == [TICK] * 4
    assert ticker.seconds == pytest.approx(3 * TICK)
    await ticker.stop()
    await ticker.stop()


async def test_a_ticker_that_never_started_can_be_stopped() -> None:
    ticker = Ticker()
    await ticker.stop()
    assert ticker.seconds == 0


async def test_a_process_that_got_no_processor_knows_it_for_a_while() -> None:
    now, slept = 0.0, asyncio.Event()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.set()
        await asyncio.sleep(0)

    ticker = Ticker(lambda: now, sleep)
    ticker.start()
    await slept.wait()
    assert not ticker.stalled
    now += 1.0  # before the loop gets to its timers, and after
    assert ticker.stalled
    for _ in range(3):
        slept.clear()
        await slept.wait()
    assert ticker.stalled
    for _ in range(120):
        slept.clear()
        await slept.wait()
    assert not ticker.stalled
    await ticker.stop()


def test_a_bucket_lets_a_burst_pass_and_then_the_rate() -> None:
    bucket = Bucket(burst=10, rate=5, at=0.0)
    assert bucket.take(10, 0.0) == 0
    assert bucket.take(1, 0.0) == pytest.approx(0.2)
    assert bucket.take(1, 0.4) == 0
    assert bucket.take(11, 100.0) == pytest.approx(0.2)
