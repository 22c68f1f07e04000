"""A console in a browser, and what stands between it and its server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from osint_events_server.settings import Settings

if TYPE_CHECKING:
    from chromium import Page

Publish = Callable[..., Awaitable[None]]


class Wire:
    """A TCP relay: it can be cut, refuse whoever calls, and lead to another server afterwards."""

    def __init__(self, target: str) -> None:
        self.target: str | None = target
        """Host and port of where it leads; None: it refuses."""
        self._open: set[asyncio.StreamWriter] = set()
        self.address = ""

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return server

    def cut(self) -> None:
        """Reset all connections, and refuse others until there is a target again."""
        self.target = None
        for writer in self._open:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.target is None:
            writer.transport.abort()
            return
        host, port = self.target.split(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        both = {writer, there_writer}
        self._open |= both
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, there_writer))
                tasks.create_task(_copy(there_reader, writer))
        finally:
            self._open -= both
            for one in both:
                one.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@pytest.fixture
def settings() -> Settings:
    return Settings(port=0, console=True, enable_inject=True)


@pytest.fixture
async def wire(server: str) -> AsyncIterator[Wire]:
    """Lead to the test's server."""
    made = Wire(server)
    listening = await made.listen()
    yield made
    listening.close()
    made.cut()


@pytest.fixture
async def page(tab: Page) -> AsyncIterator[Page]:
    """Give a tab. No test may leave an error in its console: the page's own policy would write one, too."""
    await tab.show(1280)
    yield tab
    await tab.evaluate("1")  # reads what it said until now
    assert [problem for problem in tab.problems if "WebSocket connection to" not in problem] == []


@pytest.fixture
def publish(server: str, http: aiohttp.ClientSession) -> Publish:
    """Publish events of an investigation."""

    async def post(investigation_id: str, *events: dict[str, Any]) -> None:
        for event in events:
            url = f"http://{server}/investigations/{investigation_id}/events"
            async with http.post(url, json=event) as response:
                assert response.status == 202, await response.text()

    return post


@pytest.fixture
def assembled(tmp_path: Path) -> Path:
    """Give a directory in which the page's modules stand as they are served, the contract's beside them."""
    root = Path(__file__).parents[3]
    directory = tmp_path / "page"
    (directory / "contract").mkdir(parents=True)
    for source, target in (
        (root / "server/osint_events_server/console/page", directory),
        (root / "generated/typescript", directory / "contract"),
    ):
        for file in source.iterdir():
            if file.suffix in {".js", ".ts"}:
                (target / file.name).write_bytes(file.read_bytes())
    return directory
