"""Each recipe in each language, against the reference server: all show the same."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from osint_events_server.server import running
from osint_events_server.settings import Settings

from .playing import SAMPLES, Lines, node, page, program, python
from .relay import Relay, relay

ID = "case-0042"
SETTINGS = {"port": 0, "enable_inject": True}

pytestmark = pytest.mark.timeout(90)

JAVASCRIPT = (
    pytest.param("node", marks=pytest.mark.node("docs/samples")),
    pytest.param("typescript", marks=pytest.mark.node("docs/samples")),
    pytest.param("browser", marks=pytest.mark.browser),
)

Play = Callable[[str, Relay], AbstractAsyncContextManager[Lines]]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The TypeScript samples as JavaScript, checked as strictly as the compiler can."""
    # Below the samples, so that their packages are found; each run has its own folder.
    folder = SAMPLES / "build" / tmp_path_factory.getbasetemp().name
    tsc = SAMPLES / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(  # noqa: S603 - the compiler that npm ci brought
        ["node", tsc, "--project", SAMPLES, "--outDir", folder],  # noqa: S607 - whichever Node there is
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["python", *JAVASCRIPT])
def language(request: pytest.FixtureRequest) -> str:
    """Each language in turn."""
    name: str = request.param
    return name


@pytest.fixture
def play(request: pytest.FixtureRequest, language: str) -> Play:
    """Run a sample in a language, by way of a relay."""
    # Here, where no loop runs yet.
    tab: Any = request.getfixturevalue("tab") if language == "browser" else None

    def started(sample: str, way: Relay) -> AbstractAsyncContextManager[Lines]:
        match language:
            case "python":
                return program(*python(sample, way.url, ID))
            case "node":
                return program(*node(SAMPLES / "node" / f"{sample}.mjs", way.url, ID))
            case "typescript":
                return program(*node(request.getfixturevalue("compiled") / f"{sample}.js", way.url, ID))
            case _:
                return page(tab, f"{sample}.js", way.url, ID)

    return started


@asynccontextmanager
async def serving(**settings: object) -> AsyncIterator[tuple[str, Relay]]:
    """Run a reference server and a relay to it; give the server's `host:port` and the relay."""
    async with running(Settings.model_validate(SETTINGS | settings)) as url:
        server = url.removeprefix("http://")
        async with relay(server) as way:
            yield server, way


async def inject(server: str, *payloads: dict[str, object]) -> None:
    """Make the server emit payloads, whatever is in them."""
    async with aiohttp.ClientSession() as http:
        for data in payloads:
            body = {"investigation_id": ID, "data": data}
            async with http.post(f"http://{server}/inject", json=body) as answer:
                assert answer.status == 202, await answer.text()


async def test_subscribe_shows_each_event_and_ignores_what_it_does_not_know(play: Play) -> None:
    async with serving() as (server, way), play("subscribe", way) as lines:
        await way.confirmed()
        await way.say(type="x_greeting", text="hello")
        await way.say(type="investigation_update", investigation_id="another", data={"type": "stray"})
        await inject(
            server,
            {"type": "investigation_started"},
            {"type": "task_started", "task_id": "t-1"},
            {"type": "x_unheard_of", "unknown": [1]},
        )
        assert await lines.take(3) == ["investigation_started", "task_started t-1", "x_unheard_of"]


async def test_classify_knows_every_generation_of_senders(play: Play) -> None:
    async with serving() as (server, way), play("classify", way) as lines:
        await way.confirmed()
        await inject(
            server,
            {"type": "task_completed", "task_id": "t-1"},
            {"event": "task_completed", "task_id": "t-2"},
            {"status": "running", "message": "Investigation started"},
            {"type": "finding"},
            {"message": "hm"},
        )
        assert await lines.take(5) == [
            "task t-1 is done (LEG-1)",
            "task t-2 is done (LEG-2)",
            "the investigation runs (LEG-3)",
            "finding (LEG-1)",
            "an event of no known kind (LEG-4)",
        ]


async def test_resume_shows_what_was_missed_once_and_in_order(play: Play) -> None:
    async with serving() as (server, way), play("resume", way) as lines:
        await way.confirmed()
        await inject(server, {"type": "one"})
        assert await lines.next() == "one"
        way.gate.clear()
        way.cut()
        await inject(server, {"type": "two"}, {"type": "three"})
        way.gate.set()
        await way.received("replay_complete")
        await inject(server, {"type": "four"})
        assert await lines.take(3) == ["two", "three", "four"]


async def test_resume_says_where_events_may_be_missing(play: Play) -> None:
    async with serving() as (server, way), serving() as (restarted, _), play("resume", way) as lines:
        await way.confirmed()
        await inject(server, {"type": "one"})
        assert await lines.next() == "one"
        way.upstream = f"ws://{restarted}"
        way.cut()
        assert (await lines.next()).startswith("events may be missing here (")
        await inject(restarted, {"type": "two"})
        assert await lines.next() == "two"


async def test_resume_recovers_from_a_loss_that_positions_prove(play: Play) -> None:
    async with serving() as (server, way), play("resume", way) as lines:
        start = (await way.confirmed())["seq"]
        await way.say(
            type="investigation_update",
            investigation_id=ID,
            seq=start + 9,
            prev=start + 5,
            token="t",  # noqa: S106 - a position, no credential
            data={},
        )
        await way.confirmed(2)
        await inject(server, {"type": "one"})
        assert await lines.next() == "one"


async def test_resume_stops_after_a_code_that_would_only_repeat_itself(play: Play) -> None:
    async with serving() as (_, way), play("resume", way) as lines:
        await way.confirmed()
        await way.close(4501)
        assert await lines.next() == "ended with 4501"


async def test_heartbeat_answers_the_server_and_leaves_a_silent_one(play: Play) -> None:
    async with (
        serving(ping_interval=0.5, pong_timeout=1) as (server, way),
        play("heartbeat", way) as lines,
    ):
        asked = await way.received("ping")
        assert (await way.sent("pong"))["id"] == asked["id"]
        way.silence()
        assert "silent" in await lines.next()
        await way.sent("subscribe_investigation", 2)
        await way.confirmed(2)
        await inject(server, {"type": "one"})
        assert await lines.next() == "one"


async def test_scopes_leave_the_summary_on_the_server(play: Play) -> None:
    async with serving() as (server, way), play("scopes", way) as lines:
        assert (await way.confirmed())["scope"] == ["tasks"]
        await inject(
            server,
            {"type": "investigation_started"},
            {"type": "task_started", "task_id": "t-1"},
            {"event": "task_completed", "task_id": "t-1"},
            {"type": "finding"},
        )
        assert await lines.take(3) == ["task_started", "task_completed", "finding"]


@pytest.mark.parametrize("language", JAVASCRIPT, indirect=True)
async def test_backpressure_shows_only_the_newest_while_it_is_behind(play: Play) -> None:
    async with serving() as (server, way), play("backpressure", way) as lines:
        await way.confirmed()
        await way.say(type="backpressure", state="high", queued_messages=600, queued_bytes=530000)
        steps = [
            {"type": "task_progress", "task_id": "t-1", "progress": progress}
            for progress in (0.25, 0.5, 0.75)
        ]
        await inject(server, *steps)
        await way.received("investigation_update", data=steps[-1])
        await way.say(type="backpressure", state="normal", queued_messages=0, queued_bytes=0)
        await inject(server, {"type": "task_completed", "task_id": "t-1", "progress": 1})
        assert await lines.take(2) == ["t-1 75 %", "t-1 100 %"]


async def test_backpressure_asks_again_after_it_was_too_fast(play: Play) -> None:
    async with (
        serving(messages_per_second=2, burst=1) as (server, way),
        play("backpressure", way) as lines,
    ):
        await way.received("error", code="rate_limited")
        await way.confirmed()
        await inject(server, {"type": "task_progress", "task_id": "t-1", "progress": 0.5})
        assert (await lines.next()).replace(" ", "") == "t-150%"


async def test_a_slow_python_program_loses_nothing() -> None:
    steps = [{"type": "task_progress", "task_id": f"t-{n}", "progress": 0.5} for n in range(200)]
    async with serving() as (server, way), program(*python("backpressure", way.url, ID)) as lines:
        await way.confirmed()
        await inject(server, *steps)
        assert await lines.take(200) == [f"t-{n} 50%" for n in range(200)]
