"""What the console is served with: its files, its policy, and the simulation at a click."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import aiohttp
import pytest
from osint_events_server.server import running
from osint_events_server.settings import Settings
from websockets.asyncio.client import connect


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    async with running(Settings(port=0, console=True), simulate=True) as url:
        yield url


async def test_every_file_of_the_page_is_served_under_a_strict_policy(
    server: str, http: aiohttp.ClientSession
) -> None:
    page = [file.name for file in (files("osint_events_server.console") / "page").iterdir()]
    contract = [file.name for file in (files("osint_events") / "javascript").iterdir()]
    assert "page.js" in page
    assert "validate.js" in contract
    paths = {f"/console/{name}" for name in page} - {"/console/index.html"}
    for path in ("/", *paths, *(f"/console/contract/{name}" for name in contract)):
        async with http.get(f"http://{server}{path}") as response:
            assert response.status == 200, path
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            if path.endswith(".js"):
                assert response.content_type == "text/javascript"


async def test_the_page_names_nothing_outside(server: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"http://{server}/") as response:
        text = await response.text()
    assert response.content_type == "text/html"
    assert "//" not in text
    assert "<style" not in text
    assert " style=" not in text


@pytest.mark.parametrize(
    "path", ["/console/", "/console/__init__.py", "/console/..%2f__init__.py", "/console/x"]
)
async def test_nothing_else_is_served(server: str, http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(f"http://{server}{path}") as response:
        assert response.status == 404


async def test_there_is_no_console_unless_it_is_asked_for(http: aiohttp.ClientSession) -> None:
    async with running(Settings(port=0)) as url:
        for path in ("/", "/console/page.js", "/console/settings.json"):
            async with http.get(f"{url}{path}") as response:
                assert response.status == 404


async def test_a_console_without_a_simulator_says_so(server: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"http://{server}/console/settings.json") as response:
        assert await response.json() == {"simulate": False, "watch": []}


async def test_an_investigation_is_simulated_when_it_is_asked_for(http: aiohttp.ClientSession) -> None:
    async with demo() as url, connect(f"ws{url.removeprefix('http')}/ws/a") as ws:
        await ws.send('{"type": "subscribe_investigation", "investigation_id": "demo-1"}')
        while "subscription_confirmed" not in str(await ws.recv()):
            pass
        asked = {"investigation_id": "demo-1"}
        async with http.post(f"{url}/console/simulations", json=asked) as response:
            assert (response.status, await response.json()) == (202, asked)
        while '"investigation_id":"demo-1"' not in (message := str(await ws.recv())):
            pass  # the one that goes on by itself, which nobody is subscribed to
        assert "investigation_started" in message


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"investigation_id": "1234"}', 422, "begins with demo-"),
        (b'{"investigation_id": 5}', 422, "begins with demo-"),
        (b"{}", 422, "investigation_id"),
        (b"[]", 422, "investigation_id"),
        (b"nonsense", 422, "investigation_id"),
        (b"\xff", 422, "investigation_id"),
    ],
)
async def test_what_cannot_be_simulated_is_refused(
    http: aiohttp.ClientSession, body: bytes, status: int, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    async with (
        demo() as url,
        http.post(f"{url}/console/simulations", data=body, headers=headers) as response,
    ):
        assert response.status == status
        assert words in (await response.json())["message"]


async def test_another_origin_or_a_form_simulates_nothing(http: aiohttp.ClientSession) -> None:
    async with demo() as url:
        path = f"{url}/console/simulations"
        async with http.post(path, json={}, headers={"Origin": "http://elsewhere"}) as response:
            assert response.status == 403
        async with http.post(path, data={"investigation_id": "demo-1"}) as response:
            assert response.status == 415
