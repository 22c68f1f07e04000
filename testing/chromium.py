"""A page in headless Chromium, driven over the DevTools protocol: no package is needed for so little."""

import asyncio
import base64
import contextlib
import itertools
import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

_SECONDS = 60  # for whatever is waited for: the machine may be busy


class Page:
    """One tab."""

    def __init__(self, ws: ClientConnection, session: str | None) -> None:
        self._ws = ws
        self._session = session
        self._ids = itertools.count(1)
        self.problems: list[str] = []
        """What the page wrote to its console as an error or a warning, and exceptions that nothing caught."""

    async def send(self, method: str, **params: object) -> Any:
        """Run a command of the protocol, and give its result."""
        number = next(self._ids)
        command = {"id": number, "method": method, "params": params}
        if self._session is not None:
            command["sessionId"] = self._session
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

    async def shows(self, text: str) -> str:
        """Wait until a text is on the page; give everything on it."""
        everything = "document.body.innerText"
        return str(await self.until(f"{everything}.includes({json.dumps(text)}) && {everything}"))

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
        await asyncio.to_thread(path.write_bytes, base64.b64decode(taken["data"]))

    def _note(self, event: Any) -> None:
        match event:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.problems.append(json.dumps(details))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning"} as entry}}:
                self.problems.append(f"{entry['text']} {entry.get('url', '')}")


@contextlib.contextmanager
def started(browser: str, profile: Path) -> Iterator[str]:
    """Run Chromium with an empty profile, and give the URL of its DevTools."""
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
    )
    with subprocess.Popen(  # noqa: S603 -- the browser that was found
        [browser, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield _devtools(profile / "DevToolsActivePort", process)
        finally:
            process.terminate()


@contextlib.asynccontextmanager
async def tab(devtools: str) -> AsyncIterator[Page]:
    """Give a tab that shares nothing with others."""
    async with connect(devtools, proxy=None, max_size=None, ping_interval=None) as ws:
        browser = Page(ws, None)
        context = await browser.send("Target.createBrowserContext")
        target = await browser.send("Target.createTarget", url="about:blank", **context)
        attached = await browser.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        yield Page(ws, attached["sessionId"])
        await browser.send("Target.disposeBrowserContext", **context)


def _devtools(file: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait for the file in which Chromium says where it listens."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            port, path = file.read_text("ascii").split("\n")
            return f"ws://127.0.0.1:{port}{path}"
        time.sleep(0.02)  # nothing tells when a file appears
    raise RuntimeError(f"Chromium did not start; its exit status is {process.poll()}")
