"""Samples as processes: each language's way to run one, and the lines that it shows."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from chromium import Page

from .relay import SECONDS

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "docs" / "samples"
DRIVER = Path(__file__).with_name("drive.mjs")

PAGE = """<!doctype html>
<script type="importmap">{{"imports": {{"osint-events": "/osint-events/index.js"}}}}</script>
<script type="module">
import {{ follow }} from "/samples/{sample}";
let before = Promise.resolve();
const show = (line) => (before = before.then(() => fetch("/line", {{ method: "POST", body: line }})));
addEventListener("error", ({{ message }}) => show(`error: ${{message}}`));
follow("{url}", "{investigation_id}", show);
</script>"""


class Lines:
    """What a sample shows, a line at a time."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    def put(self, line: str) -> None:
        """Note a line."""
        self._lines.put_nowait(line.strip())

    async def next(self) -> str:
        """Wait for the next line."""
        async with asyncio.timeout(SECONDS):
            return await self._lines.get()

    async def take(self, count: int) -> list[str]:
        """Wait for so many lines."""
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def program(*command: str | Path) -> AsyncIterator[Lines]:
    """Run a program that shows lines on its standard output; end it at the end."""
    lines = Lines()
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=ROOT)
    reading = asyncio.create_task(_read(process, lines))
    try:
        yield lines
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@asynccontextmanager
async def page(tab: Page, sample: str, url: str, investigation_id: str) -> AsyncIterator[Lines]:
    """Open a page that runs a sample; what it shows is posted back."""
    lines = Lines()
    html = PAGE.format(sample=sample, url=url, investigation_id=investigation_id)

    async def index(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    async def line(request: web.Request) -> web.Response:
        lines.put(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_post("/line", line)
    app.router.add_static("/samples", SAMPLES / "browser")
    app.router.add_static("/osint-events", ROOT / "generated" / "typescript")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        await tab.open(f"http://127.0.0.1:{port}/")
        yield lines
    finally:
        await runner.cleanup()


def python(sample: str, url: str, investigation_id: str) -> tuple[str | Path, ...]:
    """Give the command that runs a sample in Python."""
    return sys.executable, SAMPLES / "python" / f"{sample}.py", url, investigation_id


def node(module: Path, url: str, investigation_id: str) -> tuple[str | Path, ...]:
    """Give the command that runs a module in Node: its `follow`."""
    return "node", "--experimental-websocket", DRIVER, module, url, investigation_id


async def _read(process: Process, lines: Lines) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        lines.put(line.decode())
