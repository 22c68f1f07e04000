"""What clients send compressed, as raw frames: control frames among them, and bombs (CMP-1, CMP-2)."""

import asyncio
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from osint_events_server.settings import Settings
from websockets.frames import Frame, Opcode

HANDSHAKE = (
    b"GET /ws/raw HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
LIMIT = 65536
CLOSE = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
PING = Frame(Opcode.PING, b"hi").serialize(mask=True)
PONG = Frame(Opcode.PONG, b"").serialize(mask=True)


@pytest.fixture
def settings() -> Settings:
    return Settings(port=0, compression=True, max_message_bytes=LIMIT)


class Deflater:
    """A client's compressor, which keeps its context."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(9, zlib.DEFLATED, -15)

    def message(self, payload: bytes, *, cuts: Iterable[int] = ()) -> list[bytes]:
        """The frames of a message, fragmented at some places."""
        deflated = self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        deflated = deflated.removesuffix(b"\x00\x00\xff\xff")
        bounds = [0, *cuts, len(deflated)]
        parts = [deflated[start:end] for start, end in pairwise(bounds)]
        opcodes = [Opcode.TEXT] + [Opcode.CONT] * (len(parts) - 1)
        frames = [
            Frame(opcode, part, fin=part is parts[-1]).serialize(mask=True)
            for opcode, part in zip(opcodes, parts, strict=True)
        ]
        return [bytes((frames[0][0] | 0x40,)) + frames[0][1:], *frames[1:]]  # RSV1 on the first alone


def subscribe(investigation_id: str) -> bytes:
    return json.dumps({"type": "subscribe_investigation", "investigation_id": investigation_id}).encode()


@asynccontextmanager
async def raw(server: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = server.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HANDSHAKE)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n" in head
        yield reader, writer
    writer.close()


async def test_control_frames_before_between_and_within_compressed_messages_do_no_harm(server: str) -> None:
    deflater = Deflater()
    async with raw(server) as (reader, writer):
        writer.write(PONG + b"".join(deflater.message(subscribe("x"))) + PING)
        first, second, last = deflater.message(subscribe("in fragments"), cuts=(10, 20))
        writer.write(first + PING + second + PONG + last)
        writer.write(b"".join(deflater.message(subscribe("y"))) + CLOSE)
        received = await reader.read()
    assert received.count(b"\x8a\x02hi") == 2
    assert received.endswith(b"\x88\x02\x03\xe8")
    assert received.count(b"subscription_confirmed") == 3


async def test_a_bomb_is_refused_with_1009_without_being_inflated(server: str) -> None:
    (bomb,) = Deflater().message(b" " * 60_000_000)
    assert len(bomb) < LIMIT
    async with raw(server) as (reader, writer):
        tracemalloc.start()
        try:
            writer.write(bomb)
            received = await reader.read()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert received == b"\x88\x02\x03\xf1"
    assert peak < 16 * LIMIT
