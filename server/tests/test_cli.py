"""The commands as a shell sees them: processes, signals, exit statuses, one line about what is wrong."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner
from osint_events_server.cli import main
from osint_events_server.settings import Settings, env, flag
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

COMMAND = (sys.executable, "-c", "from osint_events_server.cli import main; main()")


async def execute(*arguments: str, stdin: bytes = b"") -> tuple[int | None, str, str]:
    """Run a command to its end; give exit status, output and errors."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(60):
        output, errors = await process.communicate(stdin)
    return process.returncode, output.decode(), errors.decode()


@contextlib.asynccontextmanager
async def started(*arguments: str, command: str = "run") -> AsyncIterator[tuple[Process, str]]:
    """Run a server; give the process, and the URL that it announces."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, command, "--port", "0", *arguments, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("listening on http://127.0.0.1:")
        yield process, line.removeprefix("listening on ").strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def stopped(process: Process, number: signal.Signals) -> tuple[int, bytes]:
    """Send a signal; give the exit status and what was written to standard error."""
    process.send_signal(number)
    assert process.stderr is not None
    async with asyncio.timeout(20):
        errors = await process.stderr.read()
        return await process.wait(), errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_closes_connections_with_1001_and_ends_with_status_0(number: signal.Signals) -> None:
    async with started() as (process, url):
        async with (
            connect(f"ws{url.removeprefix('http')}/ws/a") as one,
            connect(f"ws{url.removeprefix('http')}/ws/b") as two,
        ):
            ending = asyncio.ensure_future(stopped(process, number))
            for ws in (one, two):
                with pytest.raises(ConnectionClosed) as closed:
                    await ws.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == CloseCode.GOING_AWAY
        assert await ending == (0, b"")
        port = int(url.rsplit(":", 1)[1])
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))


async def test_the_demo_shows_its_console_with_something_to_watch_until_ctrl_c() -> None:
    async with started(command="demo") as (process, url):
        assert process.stdout is not None
        assert (await process.stdout.readline()).decode() == f"the live console is at {url}/\n"
        async with aiohttp.ClientSession() as http, http.get(f"{url}/") as response:
            assert "live console" in await response.text()
        async with connect(f"ws{url.removeprefix('http')}/ws/a") as ws, asyncio.timeout(20):
            assert json.loads(await ws.recv())["investigation_id"] == "demo"
        assert await stopped(process, signal.SIGINT) == (0, b"")


async def test_it_ends_in_time_whatever_clients_do() -> None:
    async with started("--enable-inject", "--shutdown-timeout", "1", "--close-timeout", "1") as (
        process,
        url,
    ):
        host, port = url.removeprefix("http://").split(":")
        upgrade = (
            b"GET /ws/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        post = (
            b"POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        )
        streams = []
        for request in (upgrade, upgrade[:20], post, b""):  # it does not read, and others never finish
            reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            writer.write(request)
            streams.append((reader, writer))
        await streams[0][0].readuntil(b"\r\n\r\n")
        async with aiohttp.ClientSession() as http:
            for _ in range(20):
                body = {"investigation_id": "x", "data": {"pad": "x" * 100_000}}
                async with http.post(f"{url}/inject", json=body) as response:
                    assert response.status == 202
        start = time.monotonic()
        status, _ = await stopped(process, signal.SIGTERM)
        assert status == 0
        assert time.monotonic() - start < 6
        for _, writer in streams:
            writer.close()


async def test_a_client_that_speaks_no_http_leaves_no_traceback() -> None:
    async with started() as (process, url):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in await reader.read()
        writer.close()
        assert await stopped(process, signal.SIGTERM) == (0, b"")


async def test_a_port_in_use_is_said_with_status_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, output, errors = await execute("run", "--port", str(port))
    assert (status, output) == (1, "")
    assert errors == (
        f"Error: cannot listen on 127.0.0.1 port {port}: Address already in use; see --host and --port\n"
    )


async def test_an_unknown_host_is_said_with_status_1() -> None:
    status, _, errors = await execute("run", "--host", "host.invalid")
    assert status == 1
    assert errors.startswith("Error: cannot listen on host.invalid port 8000: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "problem"),
    [
        (["--port", "65536"], {}, "Error: --port: Input should be less than or equal to 65535\n"),
        ([], {env("burst"): "many"}, "Error: OSINT_EVENTS_BURST: Input should be a valid integer"),
        (["--config", "bad.toml"], {}, "Error: bad.toml: no TOML: "),
        (["--config", "absent.toml"], {}, "Error: absent.toml: No such file or directory\n"),
        (["--no-such-flag"], {}, "No such option"),
        (["--port", "x"], {}, "'x' is not a valid integer"),
        (["--fallback", "maybe"], {}, "'maybe' is not one of 'auto', 'on', 'off'"),
    ],
)
def test_a_wrong_setting_is_said_with_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text("port = [")
    result = CliRunner().invoke(main, ["run", *arguments], env=environment)
    assert result.exit_code == 2
    assert problem in result.output
    assert isinstance(result.exception, SystemExit)  # and not whatever would print a traceback


def test_every_setting_has_its_flag_in_the_help() -> None:
    result = CliRunner().invoke(main, ["run", "--help"])
    assert result.exit_code == 0
    words = result.output.replace("/", " ").split()
    for name in Settings.model_fields:
        assert flag(name) in words
        assert env(name) in "".join(words)
    assert "Exit status:" in result.output


async def test_publish_sends_events_from_the_shell() -> None:
    async with started() as (_, url), connect(f"ws{url.removeprefix('http')}/ws/a") as ws:
        event = '{"type": "task_started", "task_id": "t-1"}'
        assert await execute("publish", url, "a/é", "--data", event) == (0, '{"seq":1}\n', "")
        lines = b'{"n": 1.0}\n{"n": 2}\n'
        assert await execute("publish", url, "x", "--ndjson", stdin=lines) == (0, '{"seqs":[2,3]}\n', "")
        for _ in range(2):
            done = await execute("publish", url, "x", "--data", "{}", "--idempotency-key", "k")
            assert done == (0, '{"seq":4}\n', "")
        updates = [json.loads(await ws.recv()) for _ in range(4)]
        assert [update["investigation_id"] for update in updates] == ["a/é", "x", "x", "x"]
        assert updates[0]["data"] == json.loads(event)


async def test_publish_says_why_events_were_not_taken() -> None:
    async with started() as (_, url):
        status, output, errors = await execute("publish", url, "x", "--data", '{"progress": 2}')
        assert (status, output) == (1, "")
        assert errors == f"Error: {url}: refused with 422: /progress: 2 is greater than the maximum of 1\n"


async def test_publish_says_that_nobody_listens() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        status, _, errors = await execute("publish", url, "x", "--data", "{}")
    assert (status, errors) == (1, f"Error: {url}: cannot be reached: Connection refused\n")


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://[", "http://127.0.0.1:99999"])
def test_publish_refuses_what_is_no_url_with_status_2(url: str) -> None:
    result = CliRunner().invoke(main, ["publish", url, "x", "--data", "{}"])
    assert result.exit_code == 2
    assert "Invalid value for 'URL'" in result.output
    assert isinstance(result.exception, SystemExit)
