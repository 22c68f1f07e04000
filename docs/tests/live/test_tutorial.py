"""The tutorial, step by step, with the commands that it shows."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chromium import Page

from .relay import SECONDS

DOCS = Path(__file__).parents[2]
SAMPLES = DOCS / "samples"
COMMANDS = re.findall(
    r"^```sh\n(.*?)^```", (DOCS / "clients" / "index.md").read_text(), re.MULTILINE | re.DOTALL
)

PUBLISH = "osint-events-server publish http://127.0.0.1:8000 1234"

pytestmark = pytest.mark.timeout(90)


class Reader:
    """Carries out the tutorial's commands, in a folder with what it says to save there."""

    def __init__(self, folder: Path, ports: dict[str, str]) -> None:
        self.folder = folder
        self.ports = ports
        shutil.copy(SAMPLES / "python" / "subscribe.py", folder)
        shutil.copy(SAMPLES / "tutorial" / "watch.html", folder)
        shutil.copy(SAMPLES / "tutorial" / "events.ndjson", folder)

    def command(self, beginning: str) -> str:
        """Give the one command that begins so, with ports that are free."""
        lines = [line for block in COMMANDS for line in block.splitlines() if line.startswith(beginning)]
        assert len(lines) == 1, lines
        line: str = lines[0]
        for port, free in self.ports.items():
            line = line.replace(port, free)
        return line

    async def start(self, beginning: str, more: str = "") -> Process:
        """Start a command."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # A shell, as the reader has one; in a group of its own, so that it ends with what it started.
        return await asyncio.create_subprocess_shell(
            self.command(beginning) + more,
            cwd=self.folder,
            env=os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"},
            stdout=PIPE,
            start_new_session=True,
        )

    async def run(self, beginning: str) -> str:
        """Run a command to its end; give what it said."""
        process = await self.start(beginning)
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode()

    @asynccontextmanager
    async def running(self, beginning: str, more: str = "") -> AsyncIterator[Process]:
        """Keep a command running meanwhile."""
        process = await self.start(beginning, more)
        try:
            yield process
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGTERM)
            await process.communicate()


async def said(process: Process, what: str) -> str:
    """Wait for the line in which a process says something."""
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        async for line in process.stdout:
            if what in line.decode():
                return line.decode()
    raise AssertionError(f"it never said {what!r}")


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    """A reader after the first step: the server is running."""
    reader = Reader(tmp_path, {"8080": free_port(), "8000": free_port()})
    async with reader.running("osint-events-server run", f" --port {reader.ports['8000']}") as process:
        assert (await said(process, "listening on")).strip().endswith(f":{reader.ports['8000']}")
        yield reader


@pytest.mark.parametrize("listener", ["osint-events-client listen", "python subscribe.py"])
async def test_what_is_published_is_shown(reader: Reader, listener: str) -> None:
    async with reader.running(listener) as process:
        showing = asyncio.create_task(said(process, "task_started"))
        # The listener does not say when it has subscribed; until then an event is not for it.
        while not showing.done():
            await reader.run(f"{PUBLISH} --data")
            await asyncio.wait({showing}, timeout=0.2)
        assert "t-1" in await showing


@pytest.mark.browser
async def test_the_page_shows_the_tasks_as_they_run(reader: Reader, tab: Page) -> None:
    async with reader.running("python -m http.server") as files:
        await said(files, "Serving HTTP")
        address = f"http://127.0.0.1:{reader.ports['8080']}/watch.html"
        server = f"ws://127.0.0.1:{reader.ports['8000']}/ws"
        await tab.open(f"{address}?server={server}")
        await tab.shows("listening")
        await reader.run(f"{PUBLISH} --ndjson")
        assert "Investigation 1234" in await tab.shows("domain_recon: task_completed 100 %")
