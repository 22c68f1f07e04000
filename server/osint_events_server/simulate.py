"""Investigations that nobody runs, published as real ones are: something to watch in a demonstration."""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from osint_events_server.store import StoreUnavailable

PREFIX: Final = "demo-"
"""What the ids begin with that may be asked for: no real investigation is mixed up with a simulated one."""

_MAX_RUNNING: Final = 16
_MAX_ID: Final = 64  # characters
_PAUSE: Final = 3.0  # seconds between two runs of the investigation that goes on by itself

_TASKS: Final = (
    ("domain_recon", "Resolving subdomains"),
    ("whois_lookup", "Reading registration records"),
    ("certificate_search", "Searching certificate logs"),
    ("breach_search", "Searching known breaches"),
    ("social_profiles", "Matching profiles"),
    ("image_metadata", "Reading image metadata"),
    ("news_search", "Searching the news"),
    ("company_registry", "Asking company registries"),
)
_FAILURES: Final = ("the source did not answer in time", "the source asks for a captcha", "quota used up")

_log = logging.getLogger(__name__)

Publish = Callable[[str, bytes], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]


class TooMany(Exception):
    """No more investigations are simulated at once; the message says so."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a simulated investigation.

    Attributes:
        at: seconds since its begin.
        event: the payload.

    """

    at: float
    event: Mapping[str, Any]


def plan(rng: random.Random) -> list[Step]:
    """Return what happens in one investigation, in order: tasks that make progress, and end in time."""
    steps = [
        Step(0, {"type": "investigation_started", "status": "running", "message": "Investigation started"})
    ]
    chosen = rng.sample(_TASKS, k=rng.randint(4, 6))
    # One executor is of an older kind, which says `event` (LEG-2); one of the tasks may fail.
    older, failing = rng.randrange(len(chosen)), rng.randrange(2 * len(chosen))
    begin = 0.5
    for number, (name, message) in enumerate(chosen):
        task = {"task_id": f"{rng.getrandbits(32):08x}", "name": name}
        word = "event" if number == older else "type"
        steps += _task(rng, begin, {word: "", **task}, word, message, fails=number == failing)
        begin += rng.uniform(0.5, 2.5)
    end = max(step.at for step in steps) + 0.8
    said = {"status": "completed", "message": f"{rng.randint(3, 60)} findings"}
    steps.append(Step(end, {"type": "investigation_completed", **said, "progress": 1}))
    return sorted(steps, key=attrgetter("at"))


def _task(
    rng: random.Random, begin: float, fields: Mapping[str, Any], word: str, message: str, *, fails: bool
) -> Iterator[Step]:
    def step(at: float, kind: str, status: str, said: str, progress: float) -> Step:
        more = {"status": status, "message": said, "progress": round(progress, 3)}
        return Step(at, {**fields, word: kind, **more})

    seconds, count = rng.uniform(3, 9), rng.randint(6, 16)
    yield step(begin, "task_started", "running", message, 0)
    last = rng.randrange(1, count) if fails else count
    for number in range(1, last):
        # No known kind: the set is open, and receivers go by the fields.
        yield step(begin + seconds * number / count, "task_progress", "running", message, number / count)
    end = begin + seconds * last / count
    if fails:
        yield step(end, "task_failed", "failed", rng.choice(_FAILURES), (last - 1) / count)
    else:
        yield step(end, "task_completed", "completed", f"{rng.randint(0, 25)} findings", 1)


class Simulator:
    """Publishes simulated investigations: one again and again, and others when they are asked for.

    Args:
        publish: takes the investigation's id and the event, as a publisher would send it.
        rng: what happens in them.
        sleep: waits for seconds.

    """

    investigation_id: Final = "demo"
    """The one that runs again and again."""

    def __init__(self, publish: Publish, *, rng: random.Random, sleep: Sleep = asyncio.sleep) -> None:
        self._publish = publish
        self._rng = rng
        self._sleep = sleep
        self._running: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Simulate, until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                while True:
                    await self._simulate(self.investigation_id)
                    await self._sleep(_PAUSE)
        finally:
            self._tasks = None

    def start(self, investigation_id: object) -> None:
        """Begin an investigation of this id, which has the prefix and 64 characters at most.

        Raises:
            ValueError: the id is another, or that investigation runs already.
            TooMany: so many run already.

        """
        if not isinstance(investigation_id, str) or not investigation_id.startswith(PREFIX):
            raise ValueError(f"the id of a simulated investigation begins with {PREFIX}")
        if len(investigation_id) > _MAX_ID or not investigation_id.isascii():
            raise ValueError(f"the id of a simulated investigation has {_MAX_ID} characters of ASCII at most")
        if investigation_id in self._running:
            raise ValueError("that investigation is running")
        if self._tasks is None or len(self._running) == _MAX_RUNNING:
            raise TooMany(f"{len(self._running)} simulated investigations are running; wait for one to end")
        self._running.add(investigation_id)
        self._tasks.create_task(self._asked_for(investigation_id))

    async def _asked_for(self, investigation_id: str) -> None:
        try:
            await self._simulate(investigation_id)
        finally:
            self._running.discard(investigation_id)

    async def _simulate(self, investigation_id: str) -> None:
        now = 0.0
        try:
            for step in plan(self._rng):
                await self._sleep(step.at - now)
                now = step.at
                event = {**step.event, "investigation_id": investigation_id}
                await self._publish(investigation_id, json.dumps(event).encode())
        except StoreUnavailable as error:
            _log.warning("a simulated investigation ends early: %s", error)
