"""Each limit one below, at and one above; what others test is not repeated here.

Messages, subscriptions and nesting: test_robustness.py, test_http.py, test_ingest.py; queues: test_outbox.py;
rates: test_throttle.py; history: test_memory_store.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import pytest
from osint_events_server.admission import Admission, TooManyConnections
from osint_events_server.server import running
from osint_events_server.settings import Settings
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

Dial = Callable[..., AbstractAsyncContextManager[Any]]
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[str]:
    async with running(Settings(port=0, **settings)) as url:
        yield url.removeprefix("http://")


@asynccontextmanager
async def opened(server: str) -> AsyncIterator[Opened]:
    reader, writer = await asyncio.open_connection(*server.split(":"))
    try:
        yield reader, writer
    finally:
        writer.close()


async def status_of(server: str, request: bytes) -> int:
    async with opened(server) as (reader, writer), asyncio.timeout(10):
        writer.write(request)
        return int((await reader.readline()).split()[1])


@pytest.mark.parametrize("name", ["max_connections", "max_connections_per_address"])
async def test_one_connection_too_many_is_refused_with_503_until_another_ends(name: str) -> None:
    async with served(**{name: 3}) as server, AsyncExitStack() as stack:
        url = f"ws://{server}/ws/a"
        open_ = [await stack.enter_async_context(connect(url)) for _ in range(3)]
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        assert refused.value.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        await open_[0].close()
        async with asyncio.timeout(10):
            while True:  # the server may notice the end a moment later
                try:
                    await stack.enter_async_context(connect(url))
                    break
                except InvalidStatus:
                    await asyncio.sleep(0)


def test_addresses_are_counted_apart_and_networks_of_ipv6_together() -> None:
    admission = Admission(total=4, per_address=1)
    entered = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"]
    for address in entered[:3]:
        admission.enter(address)
    for address in ("192.0.2.1", "2001:db8::2"):
        with pytest.raises(TooManyConnections) as refused:
            admission.enter(address)
        assert refused.value.reason == "address_limit"
    admission.enter(entered[3])
    with pytest.raises(TooManyConnections) as refused:
        admission.enter("192.0.2.9")
    assert refused.value.reason == "limit"
    for address in entered:
        admission.leave(address)
    assert not admission._by_address


@pytest.mark.parametrize(("length", "expected"), [(1023, 404), (1024, 404), (1025, 400)])
async def test_a_path_and_a_header_have_their_longest_size(length: int, expected: int) -> None:
    path = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * (length - 1))
    header = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (b"x" * length)
    async with served(max_header_bytes=1024) as server:
        assert await status_of(server, path) == expected
        assert await status_of(server, header) == expected


@pytest.mark.parametrize(("size", "expected"), [(-1, 202), (0, 202), (1, 413)])
async def test_a_body_has_its_largest_size(size: int, expected: int) -> None:
    body = b"{}".ljust(65536 + size)
    head = (
        b"POST /investigations/x/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    async with served(max_ingest_bytes=65536) as server:
        assert await status_of(server, head + body) == expected


@pytest.mark.parametrize(("events", "expected"), [(2, 202), (3, 202), (4, 413)])
async def test_a_request_has_its_most_events(events: int, expected: int) -> None:
    body = b"{}\n" * events
    head = (
        b"POST /investigations/x/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    async with served(max_ingest_events=3) as server:
        assert await status_of(server, head + body) == expected


@pytest.mark.parametrize(("levels", "expected"), [(31, 202), (32, 202), (33, 400)])
async def test_an_event_has_its_deepest_nesting(levels: int, expected: int) -> None:
    body = b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)
    head = (
        b"POST /investigations/x/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    async with served(max_nesting=32) as server:
        assert await status_of(server, head + body) == expected


@pytest.mark.parametrize(("count", "is_confirmed"), [(127, True), (128, True), (129, False)])
async def test_a_connection_has_its_most_subscriptions(dial: Dial, count: int, is_confirmed: bool) -> None:
    async with dial("errors") as client:
        for number in range(count - 1):
            await client.subscribe(str(number))
        answer = await client.ask("subscribe_investigation", investigation_id="last")
        assert (answer["type"] == "subscription_confirmed") is is_confirmed


@pytest.mark.parametrize(("size", "code"), [(65535, None), (65536, None), (65537, 1009)])
async def test_a_message_has_its_largest_size(dial: Dial, size: int, code: int | None) -> None:
    async with dial("heartbeat") as client:
        await client.ws.send('{"type":"x"}'.ljust(size))
        if code is None:
            assert (await client.ask("ping", id="1"))["type"] == "pong"
        else:
            assert await client.closed() == code


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /ws/a HTTP/1.1\r\n",
        b"GET /ws/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX:",
    ],
)
async def test_who_sends_no_whole_request_is_dropped(sent: bytes) -> None:
    async with served(request_timeout=0.2) as server, opened(server) as (reader, writer), asyncio.timeout(10):
        writer.write(sent)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_who_sends_one_byte_now_and_then_is_dropped_too() -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with served(request_timeout=0.3) as server, opened(server) as (_, writer), asyncio.timeout(10):
        writer.write(b"GET /ws/a HTTP/1.1\r\nX: ")
        with pytest.raises(ConnectionError):
            await trickle(writer)


async def test_a_connection_that_shook_hands_in_time_stays() -> None:
    async with served(request_timeout=0.2) as server, connect(f"ws://{server}/ws/a") as ws:
        await asyncio.sleep(0.5)
        await (await ws.ping())


async def test_a_body_that_does_not_come_is_408() -> None:
    head = (
        b"POST /investigations/x/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{"
    )
    async with served(request_timeout=0.2) as server:
        assert await status_of(server, head) == HTTPStatus.REQUEST_TIMEOUT


@pytest.mark.parametrize("key", [b"", b"x", b"\xfc" * 24, b"dGhlIHNhbXBsZQ==", b"!GhlIHNhbXBsZSBub25jZQ=="])
async def test_a_handshake_without_a_key_of_16_bytes_is_400(key: bytes) -> None:
    request = (
        b"GET /ws/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % key
    )
    async with served() as server:
        assert await status_of(server, request) == HTTPStatus.BAD_REQUEST
