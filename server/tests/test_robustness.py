"""What breaks the rules, from one connection: it hurts nobody else (ROB-1 to ROB-6)."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from osint_events_server.server import running
from osint_events_server.settings import Settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode, Frame, Opcode

Inject = Callable[[str, object], Awaitable[int]]

LIMIT = 65536
PAD = "x" * 50_000

HANDSHAKE = (
    b"GET /ws/raw HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%b"
)


async def receive(ws: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await ws.recv())


def subscription(investigation_id: str, **fields: object) -> str:
    return json.dumps({"type": "subscribe_investigation", "investigation_id": investigation_id, **fields})


async def subscribe(ws: ClientConnection, investigation_id: str) -> None:
    await ws.send(subscription(investigation_id))
    assert (await receive(ws))["type"] == "subscription_confirmed"


async def emit(http: aiohttp.ClientSession, url: str, data: object) -> None:
    """Publish an event of investigation x."""
    async with http.post(f"{url}/inject", json={"investigation_id": "x", "data": data}) as response:
        assert response.status == 202


async def close_code(ws: ClientConnection) -> int:
    """The code of the close frame that the server sends next."""
    with pytest.raises(ConnectionClosed) as closed:
        await receive(ws)
    assert closed.value.rcvd is not None, "TCP was dropped without a close frame"
    return closed.value.rcvd.code


def masked(opcode: Opcode, payload: bytes) -> bytes:
    return Frame(opcode, payload).serialize(mask=True)


@asynccontextmanager
async def raw(
    server: str, *, first: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket connection as bare TCP; `first` is sent in the handshake's own segment."""
    host, port = server.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(HANDSHAKE % (server.encode(), first))
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.close()


async def text_message(reader: asyncio.StreamReader) -> Any:
    async with asyncio.timeout(10):
        first, length = await reader.readexactly(2)
        assert first == 0x81
        assert length < 126
        return json.loads(await reader.readexactly(length))


async def test_messages_in_the_segment_of_the_handshake_are_all_taken(server: str) -> None:
    ids = ["a", "b", "c"]
    frames = b"".join(
        masked(Opcode.TEXT, subscription(investigation_id).encode()) for investigation_id in ids
    )
    async with raw(server, first=frames) as (reader, _):
        assert [(await text_message(reader))["investigation_id"] for _ in ids] == ids


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "[" * LIMIT, '{"type": 1}', '{"type": "subscribe_investigation"}', "\ud7ff"],
)
async def test_malformed_text_is_ignored_and_the_connection_works_on(server: str, text: str) -> None:
    async with connect(f"ws://{server}/ws/a") as ws:
        await ws.send(text)
        await ws.send('{"type": "unknown"}')
        await subscribe(ws, "x")


async def test_a_binary_message_closes_with_1003(server: str) -> None:
    async with connect(f"ws://{server}/ws/a") as ws:
        await ws.send(subscription("x").encode())
        assert await close_code(ws) == CloseCode.UNSUPPORTED_DATA


async def test_a_message_of_64_kib_is_taken(server: str) -> None:
    around = len(subscription("x", pad=""))
    async with connect(f"ws://{server}/ws/a") as ws:
        await ws.send(subscription("x", pad="x" * (LIMIT - around)))
        assert (await receive(ws))["type"] == "subscription_confirmed"


@pytest.mark.parametrize("size", [LIMIT + 1, 3_000_000])
@pytest.mark.parametrize("fragments", [1, 10])
async def test_a_longer_message_closes_with_1009(server: str, size: int, fragments: int) -> None:
    parts = ["x" * (size // fragments + 1)] * fragments
    async with connect(f"ws://{server}/ws/a", compression=None) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.gather(ws.send(iter(parts)), receive(ws))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (masked(Opcode.TEXT, b"\xc3\x28"), CloseCode.INVALID_DATA),
        (b"\x83\x80\0\0\0\0", CloseCode.PROTOCOL_ERROR),  # a reserved opcode (RFC 6455, section 5.2)
        (b"\xc1\x80\0\0\0\0", CloseCode.PROTOCOL_ERROR),  # RSV1 without an extension (section 5.2)
        (b"\x80\x80\0\0\0\0", CloseCode.PROTOCOL_ERROR),  # a continuation of nothing (section 5.4)
        (b"\x09\x80\0\0\0\0", CloseCode.PROTOCOL_ERROR),  # a fragmented ping (section 5.5)
    ],
    ids=["no UTF-8", "reserved opcode", "RSV1", "continuation of nothing", "fragmented ping"],
)
@pytest.mark.parametrize("behind", [0, 2_000_000])
async def test_a_broken_frame_is_answered_by_a_close_frame_that_arrives(
    server: str, frame: bytes, code: CloseCode, behind: int
) -> None:
    async with raw(server) as (reader, writer), asyncio.timeout(10):
        writer.write(frame + b"x" * behind)  # more is under way when the server closes
        head = await reader.readexactly(4)
        assert head[0] == 0x88
        assert int.from_bytes(head[2:]) == code
        await writer.drain()


async def test_malformed_input_leaves_others_alone(server: str, inject: Inject) -> None:
    async with connect(f"ws://{server}/ws/good") as good:
        await subscribe(good, "x")
        async with connect(f"ws://{server}/ws/bad") as bad:
            await bad.send(b"\x00")
            assert await close_code(bad) == CloseCode.UNSUPPORTED_DATA
        async with raw(server) as (_, writer):
            writer.write(b"\xff" * 1000)
        async with raw(server) as (_, writer):
            writer.transport.abort()
        await inject("x", {"n": 1})
        assert (await receive(good))["data"] == {"n": 1}


async def test_what_comes_too_fast_is_delayed_and_not_lost_and_pings_overtake_it() -> None:
    settings = Settings(port=0, messages_per_second=200, burst=10)
    async with running(settings) as url, connect(f"ws{url.removeprefix('http')}/ws/a") as ws:
        ids = [str(number) for number in range(100)]
        loop = asyncio.get_running_loop()
        start = loop.time()
        for investigation_id in ids:
            await ws.send(subscription(investigation_id))
        async with asyncio.timeout(10):
            await (await ws.ping())
            pong_after = loop.time() - start
            assert [(await receive(ws))["investigation_id"] for _ in ids] == ids
        took = loop.time() - start
        assert took >= (100 - 10) / 200 * 0.99
        assert pong_after < took / 2


@asynccontextmanager
async def unreading(server: str, investigation_id: str) -> AsyncIterator[socket.socket]:
    """A subscriber that reads no further than its confirmation, with small buffers."""
    host, port = server.split(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(sock, (host, int(port)))
        await loop.sock_sendall(
            sock, HANDSHAKE % (server.encode(), masked(Opcode.TEXT, subscription(investigation_id).encode()))
        )
        received = b""
        async with asyncio.timeout(10):
            while b"subscription_confirmed" not in received:
                received += await loop.sock_recv(sock, 4096)
        yield sock


async def ended(sock: socket.socket) -> bytes:
    """What is left to be read until the server closed or aborted the connection."""
    loop = asyncio.get_running_loop()
    left = b""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            while chunk := await loop.sock_recv(sock, 1 << 20):
                left += chunk
    return left


async def test_a_reader_that_stalls_delays_nobody_and_is_ended_at_the_limit(
    http: aiohttp.ClientSession,
) -> None:
    async with running(Settings(port=0, enable_inject=True, close_timeout=0.2)) as url:
        server = url.removeprefix("http://")
        async with unreading(server, "x") as stalled, connect(f"ws://{server}/ws/good") as good:
            await subscribe(good, "x")
            for number in range(160):  # 8 MB: more than the queue's 1 MiB and the kernel's buffers
                await emit(http, url, {"pad": PAD, "n": number})
                assert (await receive(good))["data"]["n"] == number
            assert len(await ended(stalled)) < 160 * len(PAD)
            await emit(http, url, {"n": "last"})
            assert (await receive(good))["data"]["n"] == "last"


async def test_a_reader_that_stalls_is_ended_when_nothing_more_comes(http: aiohttp.ClientSession) -> None:
    settings = Settings(
        port=0, enable_inject=True, write_timeout=0.3, close_timeout=0.2, max_queue_bytes=100_000_000
    )
    async with running(settings) as url, unreading(url.removeprefix("http://"), "x") as stalled:
        for _ in range(160):
            await emit(http, url, {"pad": PAD})
        await asyncio.sleep(1)  # beyond both timeouts; then it reads, too late
        assert len(await ended(stalled)) < 160 * len(PAD)


async def test_a_reader_at_the_limit_that_reads_again_is_told_why(http: aiohttp.ClientSession) -> None:
    async with (
        running(Settings(port=0, enable_inject=True)) as url,
        unreading(url.removeprefix("http://"), "x") as stalled,
    ):
        for _ in range(160):
            await emit(http, url, {"pad": PAD})
        close_frame = Frame(Opcode.CLOSE, (1013).to_bytes(2) + b"slow consumer").serialize(mask=False)
        left = b""
        async with asyncio.timeout(10):
            while not left.endswith(close_frame):
                chunk = await asyncio.get_running_loop().sock_recv(stalled, 1 << 20)
                assert chunk, "ended without a close frame"
                left += chunk


async def test_a_slow_reader_that_reads_on_gets_everything_in_order(http: aiohttp.ClientSession) -> None:
    settings = Settings(port=0, enable_inject=True, max_queue_bytes=100_000_000)
    async with (
        running(settings) as url,
        connect(f"ws{url.removeprefix('http')}/ws/slow", max_queue=1) as slow,
    ):
        await subscribe(slow, "x")
        for number in range(200):
            await emit(http, url, {"pad": PAD, "n": number})
        assert [(await receive(slow))["data"]["n"] for _ in range(200)] == list(range(200))
