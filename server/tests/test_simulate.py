"""Simulated investigations: plausible, valid, bounded, and ended with who runs them."""

import asyncio
import json
import random
from collections import Counter
from typing import Any

import pytest
from osint_events import classify
from osint_events_server.ingest import JSON, Ingest, Limits
from osint_events_server.simulate import Simulator, TooMany, plan
from osint_events_server.store import StoreUnavailable

SEEDS = range(200)


@pytest.mark.parametrize("seed", range(20))
def test_an_investigation_begins_and_ends_and_so_do_its_tasks(seed: int) -> None:
    steps = plan(random.Random(seed))
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    kinds = [classify(step.event).kind for step in steps]
    assert (kinds[0], kinds[-1]) == ("investigation_started", "investigation_completed")
    assert steps[-1].at < 40
    tasks: dict[str, list[tuple[str | None, Any]]] = {}
    for step, kind in zip(steps[1:-1], kinds[1:-1], strict=True):
        tasks.setdefault(step.event["task_id"], []).append((kind, step.event["progress"]))
    assert 4 <= len(tasks) <= 6
    for history in tasks.values():
        assert history[0] == ("task_started", 0)
        assert history[-1][0] in {"task_completed", "task_failed"}
        assert [progress for _, progress in history] == sorted(progress for _, progress in history)
        assert (history[-1][1] == 1) == (history[-1][0] == "task_completed")


def test_every_event_is_one_that_a_publisher_may_send() -> None:
    ingest = Ingest(Limits(event_bytes=65536, events=1, nesting=32))
    rules = Counter[str]()
    for seed in SEEDS:
        for step in plan(random.Random(seed)):
            ingest.events("demo", json.dumps(step.event).encode(), content_type=JSON)
            rules[classify(step.event).rule] += 1
    # Older executors are among them.
    assert rules.keys() == {"LEG-1", "LEG-2"}


class Stage:
    """A simulator whose time stands still until it is told to go on; what it published."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Any]] = []
        self.go = asyncio.Event()
        self.enough = asyncio.Event()
        self.refused = asyncio.Event()
        self.wanted = 0
        self.unavailable = False
        self.simulator = Simulator(self._publish, rng=random.Random(1), sleep=self._sleep)

    async def _publish(self, investigation_id: str, event: bytes) -> None:
        if self.unavailable:
            self.refused.set()
            raise StoreUnavailable("gone", retry_after=1)
        self.published.append((investigation_id, json.loads(event)))
        if len(self.published) == self.wanted:
            self.enough.set()

    async def _sleep(self, seconds: float) -> None:
        assert seconds >= 0
        await self.go.wait()
        await asyncio.sleep(0)

    async def until(self, count: int) -> None:
        self.wanted = count
        async with asyncio.timeout(30):
            await self.enough.wait()


async def test_one_investigation_goes_on_again_and_again() -> None:
    stage = Stage()
    stage.go.set()
    running = asyncio.create_task(stage.simulator.run())
    await stage.until(300)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    started = [event for _, event in stage.published if event.get("type") == "investigation_started"]
    assert len(started) > 2
    assert {investigation_id for investigation_id, _ in stage.published} == {"demo"}
    assert all(event["investigation_id"] == "demo" for _, event in stage.published)


async def test_no_more_run_at_once_than_the_limit_and_none_twice() -> None:
    stage = Stage()
    with pytest.raises(TooMany):
        stage.simulator.start("demo-early")  # nobody runs it yet
    running = asyncio.create_task(stage.simulator.run())
    await asyncio.sleep(0)
    stage.simulator.start("demo-0")
    with pytest.raises(ValueError, match="is running"):
        stage.simulator.start("demo-0")
    for number in range(1, 16):
        stage.simulator.start(f"demo-{number}")
    with pytest.raises(TooMany, match="16 simulated investigations are running"):
        stage.simulator.start("demo-16")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("investigation_id", ["1234", "", None, 5, "Demo-1", "demo-" + "x" * 60, "demo-é"])
async def test_other_ids_are_refused(investigation_id: object) -> None:
    with pytest.raises(ValueError, match="the id of a simulated investigation"):
        Stage().simulator.start(investigation_id)


async def test_a_store_that_is_gone_ends_an_investigation_and_not_the_simulator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.unavailable = True
    stage.go.set()
    running = asyncio.create_task(stage.simulator.run())
    async with asyncio.timeout(30):
        await stage.refused.wait()
    stage.unavailable = False
    await stage.until(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert caplog.messages[0] == "a simulated investigation ends early: gone"
