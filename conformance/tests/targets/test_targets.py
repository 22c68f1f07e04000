"""The foreign targets keep Part 1, each in its own way, and the runner says so."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = 20
"""How long anything may take; nothing waits that long but a failing test."""


class Endpoint:
    """One target as a client and a publisher see it."""

    def __init__(self, base: str, http: aiohttp.ClientSession) -> None:
        self.base = base
        self.http = http

    def url(self, client_id: str = "c1") -> str:
        return f"ws{self.base.removeprefix('http')}/ws/{client_id}"

    def websocket(self, client_id: str = "c1") -> connect:
        return connect(self.url(client_id), proxy=None)

    async def inject(self, investigation_id: str, data: dict[str, Any]) -> int:
        body = {"investigation_id": investigation_id, "data": data}
        async with self.http.post(f"{self.base}/inject", json=body) as response:
            return response.status


@pytest.fixture
async def endpoint(target: str) -> AsyncIterator[Endpoint]:
    async with asyncio.timeout(3 * SECONDS), aiohttp.ClientSession() as http:
        yield Endpoint(target, http)


async def receive(ws: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(SECONDS):
        message = json.loads(await ws.recv(decode=True))
    assert isinstance(message, dict)
    return message


async def subscribe(ws: ClientConnection, investigation_id: str, **unknown: object) -> None:
    await ws.send(
        json.dumps({"type": "subscribe_investigation", "investigation_id": investigation_id, **unknown})
    )
    confirmation = {"type": "subscription_confirmed", "investigation_id": investigation_id}
    assert await receive(ws) == confirmation


async def test_an_event_reaches_each_subscriber_once_and_nobody_else(endpoint: Endpoint) -> None:
    async with endpoint.websocket() as one, endpoint.websocket() as two, endpoint.websocket("c2") as other:
        await subscribe(one, "inv-1")
        await subscribe(one, "inv-1")
        await subscribe(two, "inv-1", extra={"unknown": None})
        await subscribe(other, "inv-10")
        data = {"type": "task_started", "task_id": "t", "ünknown": [{}, [], "\U0001f600", 0.1, -1]}
        assert await endpoint.inject("inv-1", data) == 202
        assert await endpoint.inject("inv-10", {"type": "last"}) == 202
        update = {"type": "investigation_update", "investigation_id": "inv-1", "data": data}
        assert await receive(one) == update
        assert await receive(two) == update
        assert (await receive(other))["data"] == {"type": "last"}
        await subscribe(one, "inv-10")  # a confirmation comes next: no second copy was waiting


@pytest.mark.parametrize("client_id", ["a", "Z_-9" * 32, quote("ü ?%😀", safe="")])
async def test_any_client_id_is_accepted(endpoint: Endpoint, client_id: str) -> None:
    async with endpoint.websocket(client_id) as ws:
        await subscribe(ws, "inv")


async def test_a_plain_get_is_told_to_upgrade(endpoint: Endpoint) -> None:
    async with endpoint.http.get(f"{endpoint.base}/ws/c1") as response:
        assert response.status == 426


async def test_one_connection_holds_more_than_128_subscriptions_with_ids_of_any_kind(
    endpoint: Endpoint,
) -> None:
    ids = [
        "😀" * 255,
        " a",
        "*",
        "é",
        "e\u0301",
        "1",
        "01",
        "\x00",
        "__proto__",
        *(f"many-{n}" for n in range(200)),
    ]
    async with endpoint.websocket() as ws:
        for investigation_id in ids:
            await subscribe(ws, investigation_id)
        for investigation_id in ids:
            assert await endpoint.inject(investigation_id, {}) == 202
            assert (await receive(ws))["investigation_id"] == investigation_id


async def test_a_message_of_64_kib_is_accepted_whole_or_in_fragments(endpoint: Endpoint) -> None:
    message = {"type": "subscribe_investigation", "investigation_id": "big", "padding": ""}
    message["padding"] = "x" * (64 * 1024 - len(json.dumps(message)))
    text = json.dumps(message)
    async with endpoint.websocket() as ws:
        await ws.send(text)
        assert (await receive(ws))["type"] == "subscription_confirmed"
        await ws.send([text[:5], text[5:60_000], text[60_000:]])
        assert (await receive(ws))["type"] == "subscription_confirmed"


@pytest.mark.parametrize(
    "malformed",
    [
        "{",
        "[]",
        '{"type": 1}',
        '{"type": "subscribe_investigation"}',
        '{"type": "subscribe_investigation", "investigation_id": ""}',
        '{"type": "subscribe_investigation", "investigation_id": 1}',
        '{"type": "subscribe_investigation", "investigation_id": "x", "n": NaN}',
        json.dumps({"type": "subscribe_investigation", "investigation_id": "x" * 256}),
        "[" * 60_000,
        b"\xff",
        "x" * 1_000_000,
    ],
    ids=lambda text: repr(text[:70]),
)
async def test_malformed_input_is_not_confirmed_and_hurts_nobody_else(
    endpoint: Endpoint, malformed: str | bytes
) -> None:
    async with endpoint.websocket() as offender, endpoint.websocket() as other:
        await subscribe(other, "inv")
        try:
            await offender.send(malformed)
            assert (await receive(offender))["type"] == "error"
            await subscribe(offender, "works still")
        except ConnectionClosed as closed:
            assert closed.rcvd is not None  # noqa: PT017 - one of two right reactions
            assert closed.rcvd.code in {1003, 1007, 1008, 1009}  # noqa: PT017 - as above
        assert await endpoint.inject("inv", {"n": 1}) == 202
        assert (await receive(other))["data"] == {"n": 1}


async def test_text_that_is_not_utf_8_is_closed_with_1007(endpoint: Endpoint) -> None:
    async with endpoint.websocket() as ws:
        await ws.send(b'{"type": "\xff"}', text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await receive(ws)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007


async def test_an_unknown_message_is_tolerated(endpoint: Endpoint) -> None:
    async with endpoint.websocket() as ws:
        await ws.send('{"type": "hello", "protocol": 1}')
        await subscribe(ws, "inv")


async def receive_until_closed(ws: ClientConnection) -> int:
    received = 0
    try:
        while True:
            await receive(ws)
            received += 1
    except ConnectionClosed:
        return received


async def test_a_client_that_stops_reading_delays_nobody_and_is_dropped_in_the_end(
    endpoint: Endpoint,
) -> None:
    stalling = connect(
        endpoint.url("stalled"), proxy=None, ping_interval=None, max_queue=1, close_timeout=0.1
    )
    async with endpoint.websocket() as reader, stalling as stalled:
        await subscribe(stalled, "flood")
        await subscribe(reader, "flood")
        stalled.transport.pause_reading()
        data = {"padding": "x" * 60_000}
        for number in range(400):
            assert await endpoint.inject("flood", {**data, "n": number}) == 202
            assert (await receive(reader))["data"]["n"] == number
        stalled.transport.resume_reading()
        assert await receive_until_closed(stalled) < 400


def test_the_runner_finds_that_the_target_conforms(target: str, tmp_path: Path) -> None:
    runner = Path(sys.executable).with_name("osint-events-conformance")
    report = tmp_path / "report.json"
    url = f"ws{target.removeprefix('http')}/ws"
    command: list[str | Path] = [runner, "run", url, "--inject", f"{target}/inject", "--report-json", report]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)  # noqa: S603 - our own command
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(report.read_text())["verdict"] == "conforms"
