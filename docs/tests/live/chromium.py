"""A page in Chromium, by the DevTools protocol: enough to wait for what it shows."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from .relay import SECONDS

# Resolves once the page's text holds what is waited for.
WAIT = """new Promise((done) => {
  const look = () => document.body?.innerText.includes(%s) && done(document.body.innerText);
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
  look();
})"""


class Page:
    """An open page."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    async def evaluate(self, script: str) -> Any:
        """Give the value of an expression, awaited where it is a promise."""
        answer = await self._call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def go(self, url: str) -> None:
        """Open an address; from then on its page is what is asked."""
        await self._call("Page.navigate", url=url)

    async def look(self, width: int, scheme: str) -> None:
        """Look at pages on a screen of so many pixels, `light` or `dark`."""
        screen = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", **screen)
        preferred = {"name": "prefers-color-scheme", "value": scheme}
        await self._call("Emulation.setEmulatedMedia", features=[preferred])

    async def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        await self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(await self._socket.recv())).get("id") != self._number:
            pass
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def shows(self, text: str) -> str:
        """Wait until a text is on the page; give everything on it."""
        async with asyncio.timeout(SECONDS):
            return str(await self.evaluate(WAIT % json.dumps(text)))


@asynccontextmanager
async def opened(browser: str, url: str, profile: Path) -> AsyncIterator[Page]:
    """Open a page in a browser of its own."""
    process = await asyncio.create_subprocess_exec(
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={profile}",
        "about:blank",
        stderr=PIPE,
    )  # fmt: skip
    try:
        async with connect(await _devtools(process), proxy=None, max_size=None) as socket:
            page = Page(socket)
            await page.go(url)
            yield page
    finally:
        process.terminate()
        await process.communicate()


async def _devtools(process: asyncio.subprocess.Process) -> str:
    """Give the address of the page's debugger."""
    assert process.stderr is not None
    async with asyncio.timeout(SECONDS):
        async for line in process.stderr:
            if b"DevTools listening on ws://" in line:
                host = line.decode().split("ws://")[1].split("/")[0]
                break
    async with aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"http://{host}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
