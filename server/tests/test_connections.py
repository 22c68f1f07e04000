"""Connecting, subscribing and delivery, over real sockets and with another library's client."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from osint_events_server.connection import Connection
from osint_events_server.server import running
from osint_events_server.settings import Settings
from osint_events_server.store.memory import HistoryLimits, MemoryStore
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode

Inject = Callable[[str, object], Awaitable[int]]


async def receive(ws: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await ws.recv())


async def subscribe(ws: ClientConnection, investigation_id: str) -> None:
    await ws.send(json.dumps({"type": "subscribe_investigation", "investigation_id": investigation_id}))
    assert await receive(ws) == {"type": "subscription_confirmed", "investigation_id": investigation_id}


def update(investigation_id: str, data: object) -> dict[str, Any]:
    return {"type": "investigation_update", "investigation_id": investigation_id, "data": data}


@pytest.mark.parametrize(
    "client_id", ["a", "Z_9-", "x" * 128, "é 🦊", "a;b?c#d", "%", "a%2Fb".replace("%2F", ":"), "{id}", "..."]
)
async def test_any_client_id_of_128_characters_is_served(server: str, client_id: str) -> None:
    async with connect(f"ws://{server}/ws/{quote(client_id, safe='')}") as ws:
        await subscribe(ws, "x")


@pytest.mark.parametrize(
    "segment", ["x" * 129, "a%2Fb", "%00", "%0A", "%7F", "%C2%85", "%FF", "%2E%2E", "%2e"]
)
async def test_other_client_ids_are_refused(server: str, segment: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://{server}/ws/{segment}"):
            pytest.fail("was accepted")
    assert refused.value.response.status_code == HTTPStatus.BAD_REQUEST


async def test_a_plain_get_is_told_to_upgrade(server: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"http://{server}/ws/a") as response:
        assert response.status == HTTPStatus.UPGRADE_REQUIRED
        assert response.headers["Upgrade"] == "websocket"


async def test_another_websocket_version_is_told_which(server: str, http: aiohttp.ClientSession) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "7"}
    async with http.get(f"http://{server}/ws/a", headers=headers) as response:
        assert response.status == HTTPStatus.UPGRADE_REQUIRED
        assert response.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("path", ["/ws", "/ws/", "/ws/a/", "/ws/a/b", "/", "/inject/"])
async def test_other_paths_are_404(server: str, http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(f"http://{server}{path}") as response:
        assert response.status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        ("http://{server}", True),
        ("https://allowed.example", True),
        ("https://{server}", False),
        ("http://127.0.0.1", False),
        ("http://{server}.evil.example", False),
        ("https://ALLOWED.example", False),
        ("https://allowed.example:443", False),
        ("https://allowed.example.evil", False),
        ("null", False),
        ("", False),
    ],
)
async def test_an_origin_is_matched_exactly(http: aiohttp.ClientSession, origin: str, accepted: bool) -> None:
    settings = Settings(port=0, enable_inject=True, allowed_origins=("https://allowed.example",))
    async with running(settings) as url:
        headers = {"Origin": origin.format(server=url.removeprefix("http://"))}
        posts = {"/inject": '{"investigation_id": "x", "data": {}}', "/investigations/x/events": "{}"}
        for path, body in posts.items():
            fields = {**headers, "Content-Type": "application/json"}
            async with http.post(url + path, data=body, headers=fields) as response:
                assert (response.status == HTTPStatus.ACCEPTED) == accepted
        try:
            async with connect(f"ws{url.removeprefix('http')}/ws/a", additional_headers=headers) as ws:
                await subscribe(ws, "x")
            status = None
        except InvalidStatus as refused:
            status = refused.response.status_code
        assert status == (None if accepted else HTTPStatus.FORBIDDEN)


async def test_a_ping_is_answered_with_the_same_payload(server: str) -> None:
    async with connect(f"ws://{server}/ws/a") as ws, asyncio.timeout(10):
        await (await ws.ping(b"\x00payload\xff"))


async def test_a_silent_peer_is_pinged_and_one_that_answers_nothing_is_ended() -> None:
    async with running(Settings(port=0, ping_interval=0.2)) as url:
        server = url.removeprefix("http://")
        async with connect(f"ws://{server}/ws/alive") as alive:
            reader, writer = await asyncio.open_connection(*server.split(":"))
            writer.write(
                b"GET /ws/dead HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(10):
                assert await reader.read() == b"\x89\x00"  # one ping, and the end
            writer.close()
            await subscribe(alive, "x")


async def test_the_closing_handshake_is_completed(server: str) -> None:
    async with connect(f"ws://{server}/ws/a") as ws:
        await ws.close()
        assert ws.protocol.close_code == CloseCode.NORMAL_CLOSURE


async def test_an_older_connection_of_the_same_client_stays_served(server: str, inject: Inject) -> None:
    async with connect(f"ws://{server}/ws/same") as old, connect(f"ws://{server}/ws/same") as new:
        await subscribe(old, "x")
        await subscribe(new, "y")
        await inject("x", {"n": 1})
        await inject("y", {"n": 2})
        assert await receive(old) == update("x", {"n": 1})
        assert await receive(new) == update("y", {"n": 2})


async def test_the_end_of_one_connection_leaves_its_namesake_subscribed(server: str, inject: Inject) -> None:
    async with connect(f"ws://{server}/ws/same") as old:
        await subscribe(old, "x")
        async with connect(f"ws://{server}/ws/same") as new:
            await subscribe(new, "x")
        await inject("x", {"n": 1})
        assert await receive(old) == update("x", {"n": 1})


class HaltingStore(MemoryStore):
    """Says where subscriptions begin when it is let."""

    def __init__(self) -> None:
        super().__init__(
            epoch="e", clock=lambda: 0.0, limits=HistoryLimits(events=10, seconds=10, bytes=1000)
        )
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.was_asked = asyncio.Event()

    async def head(self) -> int:
        self.was_asked.set()
        await self.may_go_on.wait()
        return await super().head()


async def test_who_is_gone_is_forgotten_at_once_whatever_is_still_to_be_done_for_it(
    http: aiohttp.ClientSession,
) -> None:
    # Else what is for it went to whoever is given its socket's number next.
    store = HaltingStore()
    async with running(Settings(port=0, enable_inject=True), store=store) as url:
        ws = f"{url.replace('http', 'ws')}/ws/a"
        async with connect(ws) as stays, connect(ws) as goes:
            for client in (stays, goes):
                await subscribe(client, "x")
            store.may_go_on.clear()
            store.was_asked.clear()
            await goes.send(json.dumps({"type": "subscribe_investigation", "investigation_id": "y"}))
            await store.was_asked.wait()
            goes.transport.abort()
            async with asyncio.timeout(10):
                while "\nosint_events_connections 1.0\n" not in await _metrics(http, url):
                    pass
            store.may_go_on.set()
            async with http.post(f"{url}/inject", json={"investigation_id": "x", "data": {}}) as response:
                assert response.status == HTTPStatus.ACCEPTED
            assert await receive(stays) == update("x", {})


async def test_a_connection_that_has_ended_is_freed_without_the_garbage_collector(server: str) -> None:
    def left() -> int:
        return sum(isinstance(one, Connection) for one in gc.get_objects())

    gc.collect()
    before = left()
    gc.disable()  # which stops all for some tenths of a second when thousands of clients go at once
    try:
        async with connect(f"ws://{server}/ws/a") as ws:
            await subscribe(ws, "x")
            assert left() == before + 1
        async with asyncio.timeout(10):
            while left() > before:  # noqa: ASYNC110 - nothing tells that an object was freed
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def _metrics(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(f"{url}/metrics") as response:
        return await response.text()


@pytest.mark.parametrize(
    "investigation_id", ["x" * 255, "🦊" * 255, " x ", "\x00", "é", "e\u0301", "\u2028\u2029"]
)
async def test_ids_come_back_code_point_for_code_point(
    server: str, inject: Inject, investigation_id: str
) -> None:
    async with connect(f"ws://{server}/ws/a") as ws:
        await subscribe(ws, investigation_id)
        await inject(investigation_id, {"n": 1})
        assert await receive(ws) == update(investigation_id, {"n": 1})


async def test_data_arrives_as_the_bytes_that_were_published(
    server: str, http: aiohttp.ClientSession
) -> None:
    data = rb'{ "n" : 1.0, "big":12345678901234567890123, "e":1E400, "s":"\ud83e\udd8a\/", "\u00e9":[ ] }'
    headers = {"Content-Type": "application/json"}
    async with connect(f"ws://{server}/ws/a") as ws:
        await subscribe(ws, "é")
        body = '{"investigation_id":"é","data":'.encode() + data + b"}"
        async with http.post(f"http://{server}/inject", data=body, headers=headers) as response:
            assert response.status == HTTPStatus.ACCEPTED
        url = f"http://{server}/investigations/%C3%A9/events"
        async with http.post(url, data=data, headers=headers) as response:
            assert response.status == HTTPStatus.ACCEPTED
        for _ in range(2):
            text = await ws.recv(decode=False)
            expected = '{"type":"investigation_update","investigation_id":"é","data":'.encode() + data + b"}"
            assert text == expected


async def test_while_someone_is_subscribed_nobody_else_receives(server: str, inject: Inject) -> None:
    async with connect(f"ws://{server}/ws/a") as subscriber, connect(f"ws://{server}/ws/b") as other:
        await subscribe(subscriber, "x")
        await subscribe(other, "fence")
        await inject("x", {"n": 1})
        await inject("fence", {"n": 2})
        assert await receive(subscriber) == update("x", {"n": 1})
        assert await receive(other) == update("fence", {"n": 2})


async def test_with_nobody_subscribed_all_receive(server: str, inject: Inject) -> None:
    async with connect(f"ws://{server}/ws/a") as first, connect(f"ws://{server}/ws/b") as second:
        await subscribe(first, "y")
        await inject("x", {"n": 1})
        assert await receive(first) == await receive(second) == update("x", {"n": 1})


async def test_without_the_fallback_nobody_receives(http: aiohttp.ClientSession) -> None:
    async with (
        running(Settings(port=0, enable_inject=True, fallback="off")) as url,
        connect(f"ws{url.removeprefix('http')}/ws/a") as ws,
    ):
        await subscribe(ws, "fence")
        for investigation_id in ("x", "fence"):
            body: dict[str, Any] = {"investigation_id": investigation_id, "data": {}}
            async with http.post(f"{url}/inject", json=body) as response:
                assert response.status == HTTPStatus.ACCEPTED
        assert await receive(ws) == update("fence", {})


async def test_events_arrive_in_the_order_of_publication(server: str, inject: Inject) -> None:
    async with connect(f"ws://{server}/ws/a") as ws:
        await subscribe(ws, "x")
        for number in range(100):
            await inject("x", {"n": number})
        assert [(await receive(ws))["data"]["n"] for _ in range(100)] == list(range(100))


async def test_128_subscriptions_are_confirmed_in_order_and_all_served(server: str, inject: Inject) -> None:
    ids = [f"inv-{number}" for number in range(128)]
    async with connect(f"ws://{server}/ws/a") as ws:
        for investigation_id in ids:
            await ws.send(
                json.dumps({"type": "subscribe_investigation", "investigation_id": investigation_id})
            )
        assert [(await receive(ws))["investigation_id"] for _ in ids] == ids
        for investigation_id in (ids[0], ids[127]):
            await inject(investigation_id, {})
            assert await receive(ws) == update(investigation_id, {})


async def test_messages_in_fragments_are_put_together(server: str) -> None:
    text = json.dumps({"type": "subscribe_investigation", "investigation_id": "é🦊"}, ensure_ascii=False)
    async with connect(f"ws://{server}/ws/a") as ws:
        await ws.send(iter(text))
        assert (await receive(ws))["investigation_id"] == "é🦊"
