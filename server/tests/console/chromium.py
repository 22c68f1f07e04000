"""A page in headless Chromium, driven over the DevTools protocol: no package is needed for the little used here."""

import asyncio
import base64
import contextlib
import itertools
import json
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

_SECONDS = 60  # for whatever is waited for: the machine may be busy


class Page:
    """One tab."""

    def __init__(self, ws: ClientConnection, session: str) -> None:
        self._ws = ws
        self._session = session
        self._ids = itertools.count(1)
        self.problems: list[str] = []
        """What the page wrote to its console as an error or a warning, and exceptions that nothing caught."""

    async def send(self, method: str, **params: object) -> Any:
        """Run a command of the protocol, and give its result."""
        number = next(self._ids)
        command = {"id": number, "method": method, "params": params, "sessionId": self._session}
        await self._ws.send(json.dumps(command))
        async with asyncio.timeout(_SECONDS):
            while (answer := json.loads(await self._ws.recv())).get("id") != number:
                self._note(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def open(self, url: str) -> None:
        """Load a page, and wait for its script to have begun."""
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        """Give the value of an expression in the page; a promise is awaited."""
        done = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait until an expression is truthy, and give its value; the page looks once a frame."""
        looking = f"""new Promise((resolve) => {{
            const look = () => {{
                const value = {condition};
                if (value) resolve(value); else requestAnimationFrame(look);
            }};
            look();
        }})"""
        try:
            return await self.evaluate(looking)
        except TimeoutError:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {condition}\n{text}") from None

    async def type(self, text: str) -> None:
        """Type a text where the focus is."""
        await self.send("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press a key: Tab, Enter or Space."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " ")}[key]
        name = " " if key == "Space" else key
        pressed = {"key": name, "code": key, "windowsVirtualKeyCode": code}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def show(self, width: int, *, dark: bool = False, height: int = 900) -> None:
        """Take a width, in CSS pixels, and a colour scheme."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, path: Path) -> None:
        """Write what is shown, all of the page, to a PNG file."""
        taken = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))

    def _note(self, event: Any) -> None:
        match event:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.problems.append(json.dumps(details))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning"} as entry}}:
                self.problems.append(f"{entry['text']} {entry.get('url', '')}")


@contextlib.asynccontextmanager
async def opened(browser: str, profile: Path) -> AsyncIterator[Page]:
    """Start Chromium with an empty profile, and give a tab of it."""
    process = await asyncio.create_subprocess_exec(
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        stdout=DEVNULL, stderr=DEVNULL,
    )  # fmt: skip
    try:
        async with connect(await _devtools(profile), max_size=None) as ws:
            browser_page = Page(ws, "")
            target = await _browser_command(ws, "Target.createTarget", url="about:blank")
            attached = await _browser_command(
                ws, "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )
            browser_page = Page(ws, attached["sessionId"])
            yield browser_page
    finally:
        process.terminate()
        await process.wait()


async def _devtools(profile: Path) -> str:
    """Wait for the file in which Chromium says where it listens."""
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(_SECONDS):
        while True:
            with contextlib.suppress(OSError, ValueError):
                port, path = file.read_text().split("\n")
                return f"ws://127.0.0.1:{port}{path}"
            await asyncio.sleep(0.02)  # nothing tells when a file appears


async def _browser_command(ws: ClientConnection, method: str, **params: object) -> Any:
    await ws.send(json.dumps({"id": 0, "method": method, "params": params}))
    async with asyncio.timeout(_SECONDS):
        while (answer := json.loads(await ws.recv())).get("id") != 0:
            pass
    return answer["result"]
