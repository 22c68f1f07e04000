"""permessage-deflate over real sockets, with two clients that share nothing (CMP-1, CMP-2)."""

import asyncio
import json
import random
import zlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest
from osint_events_server.settings import Settings
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode

Inject = Callable[[str, object], Awaitable[int]]
Dial = Callable[..., AbstractAsyncContextManager[Any]]

LIMIT = 65536


@pytest.fixture
def settings() -> Settings:
    return Settings(port=0, enable_inject=True, compression=True)


def payloads() -> list[dict[str, Any]]:
    """Events of many sizes, some of which do not compress."""
    draw = random.Random(7)
    sizes = [0, 1, 60, 125, 126, 500, 5000, 65_535, 65_536, 100_000]
    texts = ["ab" * (size // 2) for size in sizes]
    texts += ["".join(map(chr, draw.choices(range(32, 50_000), k=size // 4))) for size in sizes]
    return [{"n": number, "text": text} for number, text in enumerate(texts)]


@pytest.mark.parametrize("parameters", [{}, {"server_max_window_bits": 12}, {"client_max_window_bits": 10}])
async def test_a_compressed_stream_carries_the_messages_of_an_uncompressed_one(
    dial: Dial, inject: Inject, parameters: dict[str, Any]
) -> None:
    factory = ClientPerMessageDeflateFactory(**parameters)
    async with (
        dial("replay", compression=None) as plain,
        dial("replay", compression=None, extensions=[factory]) as deflated,
    ):
        assert plain.ws.protocol.extensions == []
        assert [extension.name for extension in deflated.ws.protocol.extensions] == ["permessage-deflate"]
        token = (await plain.subscribe("x"))["token"]
        await deflated.subscribe("x")
        for payload in payloads():
            await inject("x", payload)
            await (await deflated.ws.ping())  # a control frame in between
            message = await plain.receive()
            assert message["data"] == payload
            assert await deflated.receive() == message
        for client in (plain, deflated):
            await client.subscribe("x", replay_token=token)
            assert [(await client.receive())["data"] for _ in payloads()] == payloads()


async def test_many_publishers_and_two_kinds_of_client_see_the_same(
    server: str, dial: Dial, inject: Inject, http: aiohttp.ClientSession
) -> None:
    async with (
        dial() as core,
        http.ws_connect(f"ws://{server}/ws/b", compress=15) as other,
    ):
        assert other.compress
        await core.subscribe("x")
        await other.send_json({"type": "subscribe_investigation", "investigation_id": "x"})
        await other.receive_json()
        await asyncio.gather(*(inject("x", {"n": number, "pad": "ab" * 300}) for number in range(200)))
        messages = [(await core.receive())["data"]["n"] for _ in range(200)]
        assert sorted(messages) == list(range(200))
        assert [(await other.receive_json())["data"]["n"] for _ in range(200)] == messages


async def test_it_is_off_where_the_client_does_not_offer_it(dial: Dial) -> None:
    async with dial(compression=None) as client:
        assert "Sec-WebSocket-Extensions" not in client.ws.response.headers
        await client.subscribe("x")


def compressed_frame(payload: bytes) -> bytes:
    wire = Frame(Opcode.TEXT, payload).serialize(mask=True)
    return bytes((wire[0] | 0x40,)) + wire[1:]  # RSV1


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return compressed_frame(compressed.removesuffix(b"\x00\x00\xff\xff"))


@pytest.mark.parametrize(
    ("size", "code"),
    [(LIMIT, None), (LIMIT + 1, CloseCode.MESSAGE_TOO_BIG), (60_000_000, CloseCode.MESSAGE_TOO_BIG)],
)
async def test_what_inflates_beyond_the_limit_is_refused(
    server: str, size: int, code: CloseCode | None
) -> None:
    around = len(json.dumps({"type": "nonsense", "pad": ""}))
    text = json.dumps({"type": "nonsense", "pad": "x" * (size - around)}).encode()
    async with connect(f"ws://{server}/ws/a") as ws, asyncio.timeout(10):
        ws.transport.write(deflated(text))
        await ws.send('{"type": "subscribe_investigation", "investigation_id": "x"}')
        if code is None:
            assert json.loads(await ws.recv())["type"] == "subscription_confirmed"
            return
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


async def test_64_kib_that_do_not_compress_are_taken(dial: Dial) -> None:
    draw = random.Random(3)
    async with dial("errors") as client:
        around = len(json.dumps({"type": "nonsense", "pad": ""}))
        pad = "".join(map(chr, draw.choices(range(35, 91), k=LIMIT - around)))
        assert (await client.ask("nonsense", pad=pad))["code"] == "unknown_type"


async def test_what_cannot_be_inflated_ends_with_1007(server: str) -> None:
    async with connect(f"ws://{server}/ws/a") as ws, asyncio.timeout(10):
        ws.transport.write(compressed_frame(b"\xff" * 50))
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.INVALID_DATA


class TestOff:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(port=0, enable_inject=True)

    async def test_it_is_off_unless_it_is_enabled(self, dial: Dial) -> None:
        async with dial() as client:
            assert "Sec-WebSocket-Extensions" not in client.ws.response.headers
            await client.subscribe("x")
