"""The command, as its users run it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from osint_events_client.items import Event, Gap, Refused
from osint_events_client.terminal import json_line, line, printable

if TYPE_CHECKING:
    from .conftest import Serving

COMMAND = str(Path(sys.executable).parent / "osint-events-client")
STARTED = {"type": "task_started", "task_id": "t", "name": "domain_recon", "progress": 0.25}
pytestmark = pytest.mark.timeout(60)


async def start(*arguments: str, stdout: int = PIPE, **environment: str) -> Process:
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "TERM": "xterm", **environment}
    return await asyncio.create_subprocess_exec(COMMAND, *arguments, stdout=stdout, stderr=PIPE, env=env)


async def ended(process: Process) -> tuple[int, str, str]:
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (out or b"").decode(), err.decode()


async def test_events_are_printed_a_line_each_until_the_count_is_reached(serving: Serving) -> None:
    async with serving() as server:
        listening = await start("listen", server.url, "--investigation", "X", "--count", "2")
        await server.subscribed("X")
        await server.publish("X", STARTED)
        await server.publish("X", {"type": "evidence_found", "message": "a\x1b[2Jb"})
        status, out, err = await ended(listening)
    assert out.splitlines() == ["X  task_started  t  domain_recon  25%", "X  evidence_found  a<U+001B>[2Jb"]
    assert (status, err) == (0, "")


async def test_lines_of_json_carry_what_resumes_after_them(serving: Serving) -> None:
    async with serving() as server:
        arguments = ("listen", server.url, "--investigation", "X", "--json", "--count", "1")
        listening = await start(*arguments)
        await server.subscribed("X")
        await server.publish("X", STARTED)
        _, out, _ = await ended(listening)
        first = json.loads(out)
        assert (first["item"], first["kind"], first["data"]) == ("event", "task_started", STARTED)
        await server.publish("X", {"n": 2})
        status, out, _ = await ended(await start(*arguments, "--resume", f"X={first['token']}"))
        assert (status, json.loads(out)["data"], json.loads(out)["replayed"]) == (0, {"n": 2}, True)


async def test_only_the_scope_is_printed_of_each_investigation(serving: Serving) -> None:
    async with serving() as server:
        listening = await start(
            *("listen", server.url, "--investigation", "X", "--investigation", "Y"),
            *("--scope", "tasks", "--count", "2"),
        )
        await server.subscribed("X", "Y")
        for investigation in ("X", "Y"):
            await server.publish(investigation, {"type": "investigation_started"})
            await server.publish(investigation, {"type": "task_failed", "task_id": "t"})
        assert await ended(listening) == (0, "X  task_failed  t\nY  task_failed  t\n", "")


async def test_the_token_comes_from_the_environment_and_is_not_printed(serving: Serving) -> None:
    async with serving() as server:
        arguments = ("listen", server.url, "--investigation", "X", "--count", "1", "--verbose")
        listening = await start(*arguments, OSINT_EVENTS_TOKEN="hush")  # noqa: S106 -- no secret
        await server.subscribed("X")
        [hello] = server.received("hello")
        assert hello["auth"] == {"token": "hush"}
        await server.publish("X", {})
        status, out, err = await ended(listening)
        assert (status, "hush" in out + err) == (0, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_closes_the_connection_and_says_nothing(
    serving: Serving, number: signal.Signals
) -> None:
    async with serving() as server:
        listening = await start("listen", server.url, "--investigation", "X")
        await server.subscribed("X")
        [socket] = server.sockets
        listening.send_signal(number)
        assert await ended(listening) == (128 + number, "", "")
        await socket.wait_closed()
        assert socket.close_code == 1000


@pytest.mark.parametrize("flags", [("--json",), ()])
async def test_a_reader_that_leaves_ends_it_without_a_word(serving: Serving, flags: tuple[str, ...]) -> None:
    async with serving() as server:
        reading, writing = os.pipe()
        listening = await start("listen", server.url, "--investigation", "X", *flags, stdout=writing)
        os.close(writing)
        await server.subscribed("X")
        os.close(reading)
        await server.publish("X", STARTED)
        assert await ended(listening) == (128 + signal.SIGPIPE, "", "")


async def test_an_end_that_does_not_pass_is_one_line(serving: Serving) -> None:
    async with serving() as server:
        listening = await start("listen", server.url, "--investigation", "X")
        await server.subscribed("X")
        await server.close(4501, "who are you")
        status, out, err = await ended(listening)
    assert (status, out, err) == (
        1,
        "",
        "Error: the connection ended with 4501, who are you; --token says who you are\n",
    )


async def test_a_normal_end_is_a_success(serving: Serving) -> None:
    async with serving() as server:
        listening = await start("listen", server.url, "--investigation", "X")
        await server.subscribed("X")
        await server.close(1000)
        assert (await ended(listening))[0] == 0


async def test_a_connection_that_breaks_is_said_and_made_again(serving: Serving) -> None:
    async with serving() as server:
        listening = await start("listen", server.url, "--investigation", "X", "--count", "1")
        await server.subscribed("X")
        server.drop()
        await server.until(lambda: len(server.paths) > 1)
        await server.subscribed("X")
        await server.publish("X", {"type": "investigation_started"})
        status, out, err = await ended(listening)
    assert (status, out) == (0, "X  investigation_started\n")
    assert err == "osint-events-client: the connection ended with 1006\n"


async def test_a_server_that_is_not_there_is_one_line() -> None:
    status, out, err = await ended(await start("listen", "ws://127.0.0.1:1/ws", "--investigation", "X"))
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert err == "Error: cannot connect to ws://127.0.0.1:1/ws: Connection refused\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://127.0.0.1/ws", "--investigation", "X"], "not an address like ws://"),
        (["ws://127.0.0.1/ws", "--investigation", ""], "investigation_id: "),
        (["ws://127.0.0.1/ws"], "--investigation"),
        (["ws://127.0.0.1/ws", "--investigation", "X", "--scope", "all of it"], "--scope"),
        (["ws://127.0.0.1/ws", "--investigation", "X", "--resume", "X"], "give INVESTIGATION=TOKEN"),
    ],
)
async def test_wrong_usage_is_said_before_anything_is_connected(arguments: list[str], words: str) -> None:
    status, out, err = await ended(await start("listen", *arguments))
    assert (status, out) == (2, "")
    assert words in err


async def test_on_a_terminal_a_task_has_a_bar_while_it_runs(serving: Serving) -> None:
    ours, theirs = pty.openpty()
    shown = bytearray()
    seen = asyncio.Event()

    def read() -> None:
        shown.extend(os.read(ours, 10_000))
        seen.set()

    async def until(words: bytes) -> None:
        async with asyncio.timeout(8):
            while words not in shown:
                seen.clear()
                await seen.wait()

    asyncio.get_running_loop().add_reader(ours, read)
    try:
        async with serving() as server:
            listening = await start(
                "listen", server.url, "--investigation", "X", "--count", "3", stdout=theirs
            )
            await server.subscribed("X")
            await server.publish("X", STARTED)
            await until("━".encode())
            await server.publish("X", {"type": "task_progress", "task_id": "t", "progress": 0.5})
            await until("━".encode() * 20)
            await server.publish("X", {"type": "task_completed", "task_id": "t"})
            status, _, err = await ended(listening)
            assert (status, err) == (0, "")
            await until(b"task_completed")
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)


def test_what_is_not_an_event_is_said_in_words() -> None:
    assert line(Gap("X", "of tomorrow")) == "X  events may be missing here: of tomorrow"
    gone = "epoch_changed (the server began anew, and its history is gone)"
    assert line(Gap("X", "epoch_changed")) == f"X  events may be missing here: {gone}"
    assert line(Refused("X", "forbidden", "no\n")) == "X  refused: forbidden, no<U+000A>"
    assert line(Event("X", None, {"progress": True, "message": ["no text"]})) == "X  event of unknown kind"
    assert json.loads(json_line(Gap("X", "lost", 1, 3))) == {
        "item": "gap",
        "investigation_id": "X",
        "reason": "lost",
        "after": 1,
        "until": 3,
    }


def test_nothing_that_steers_a_terminal_is_printed() -> None:
    assert printable("a\u202eb\x07é 🔎") == "a<U+202E>b<U+0007>é 🔎"
