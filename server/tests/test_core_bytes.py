"""What a client of Part 1 receives is, byte for byte, what it received before there were capabilities.

Scripted conversations over raw TCP are held against a recording of the last server that knew only Part 1. The
recording is made by running this file where that server is what is imported, and is to change only where what
core clients receive is meant to change.
"""

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from osint_events_server.server import running
from osint_events_server.settings import Settings
from websockets.frames import Frame, Opcode

GOLDEN = Path(__file__).parent / "golden" / "core_bytes.json"

MASK = b"\x01\x02\x03\x04"
LONG = 1000  # bytes from which on the recording holds a digest only


def masked(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    """One frame with a mask that is always the same; `first` is FIN and the reserved bits."""
    wire = Frame(Opcode.BINARY, payload).serialize(mask=False)
    header = bytes((first | opcode, 0x80 | wire[1])) + wire[2 : len(wire) - len(payload)]
    return header + MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


def text(value: object) -> bytes:
    return masked(1, (value if isinstance(value, str) else json.dumps(value)).encode())


def subscribe(investigation_id: object, **fields: object) -> bytes:
    return text({"type": "subscribe_investigation", "investigation_id": investigation_id, **fields})


def close(code: int, reason: str = "") -> bytes:
    return masked(8, code.to_bytes(2, "big") + reason.encode())


def upgrade(path: str = "/ws/core", **headers: str) -> bytes:
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


@dataclass
class Wire:
    """One TCP connection, and all that came on it until some moment."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    fences: int = 0

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def until(self, marker: bytes) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.readuntil(marker)

    async def until_answered(self) -> bytes:
        """What comes up to the answer to a Ping, which answers all that was sent before."""
        self.fences += 1
        payload = b"fence%d" % self.fences
        self.send(masked(9, payload))
        return await self.until(b"\x8a" + bytes((len(payload),)) + payload)

    async def until_end(self) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.read()


@dataclass
class Stage:
    """A server, its connections and what they received, by the step of the conversation."""

    url: str
    http: aiohttp.ClientSession
    transcript: list[list[str]] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    events: int = 0

    async def connect(self, request: bytes = b"") -> Wire:
        host, port = self.url.removeprefix("http://").split(":")
        wire = Wire(*await asyncio.open_connection(host, int(port), limit=1 << 22))
        self.wires.append(wire)
        wire.send(request or upgrade())
        self.note("handshake", unvarying(await wire.until(b"\r\n\r\n")))
        return wire

    def note(self, step: str, received: bytes) -> None:
        digest = f"{len(received)} bytes, sha256 {hashlib.sha256(received).hexdigest()}"
        self.transcript.append([step, received.decode("latin-1") if len(received) < LONG else digest])

    async def answers(self, step: str, wire: Wire, *frames: bytes) -> None:
        wire.send(*frames)
        self.note(step, await wire.until_answered())

    async def ends(self, step: str, wire: Wire, *frames: bytes) -> None:
        wire.send(*frames)
        self.note(step, await wire.until_end())

    async def emit(self, investigation_id: str, data: str) -> None:
        """Publish a payload as it is spelled."""
        body = f'{{"investigation_id": {json.dumps(investigation_id)}, "data": {data}}}'
        headers = {"Content-Type": "application/json"}
        async with self.http.post(f"{self.url}/inject", data=body.encode(), headers=headers) as response:
            assert response.status == 202, await response.text()

    async def events_reach(self, step: str, investigation_id: str, *payloads: str, wires: list[Wire]) -> None:
        """Publish payloads, and then for each connection note what comes up to an event of "fence"."""
        for payload in payloads:
            await self.emit(investigation_id, payload)
        self.events += 1
        await self.emit("fence", f'{{"fence":{self.events}}}')
        for wire in wires:
            self.note(step, await wire.until(b'"data":{"fence":%d}}' % self.events))


def unvarying(head: bytes) -> bytes:
    """A response's head without what depends on the time and on versions of Python and aiohttp."""
    return re.sub(rb"\r\n(Date|Server): [^\r]*", rb"\r\n\1: ...", head)


async def subscribing(stage: Stage) -> None:
    wire = await stage.connect()
    await stage.answers("confirmed", wire, subscribe("fence"), subscribe("X"))
    await stage.answers("confirmed again", wire, subscribe("X"))
    for investigation_id in ("1234", "a b", "\N{FOX FACE}\u0301", '"\\/\b\u2028', "*?[]%", "i" * 255, "1.0"):
        await stage.answers("as it was sent", wire, subscribe(investigation_id))
    await stage.answers(
        "escapes", wire, masked(1, b'{"type":"subscribe_investigation","investigation_id":"\\u00e9"}')
    )
    await stage.answers("many at once", wire, *[subscribe(f"many-{number}") for number in range(50)])
    await stage.answers(
        "in fragments", wire, masked(1, subscribe_text[:9], first=0), masked(0, subscribe_text[9:])
    )
    await stage.answers(
        "a ping between fragments",
        wire,
        masked(1, subscribe_text[:9], first=0),
        masked(9, b"between"),
        masked(0, subscribe_text[9:]),
    )
    await stage.answers(
        "over the limit of subscriptions", wire, *[subscribe(f"{n}") for n in range(5000, 5100)]
    )
    await stage.ends("closed", wire, close(1000))


subscribe_text = b'{"type": "subscribe_investigation", "investigation_id": "parts"}'


async def events(stage: Stage) -> None:
    wire = await stage.connect()
    other = await stage.connect()
    await stage.answers("confirmed", wire, subscribe("X"), subscribe("fence"))
    await stage.answers("confirmed", other, subscribe("Y"), subscribe("fence"))
    payloads = [
        '{"type": "task_started", "task_id": "t1", "status": "running", "progress": 0.10}',
        '{"a":1.0,"b":1e2,"c":-0,"d":12345678901234567890123,"e":[],"f":{},"g":null}',
        '{"text": "\N{FOX FACE} \\u00e9 \\ud83e\\udd8a \u2028 \\/ é", "investigation_id": "X"}',
        '{"seq": 7, "prev": 6, "token": "t", "replayed": true, "scope": ["tasks"]}',
        "{}",
    ]
    for payload in payloads:
        await stage.events_reach("an event as it was published", "X", payload, wires=[wire, other])
    await stage.events_reach("events in their order", "X", *(f'{{"n":{n}}}' for n in range(20)), wires=[wire])
    for size in (1, 52, 53, 54, 65462, 65463, 65464, 200_000):
        padding = '{"pad":"' + "x" * size + '"}'
        await stage.events_reach("frame lengths of all three forms", "X", padding, wires=[wire])
    await stage.ends("closed", wire, close(1000))


async def fallback(stage: Stage) -> None:
    one = await stage.connect()
    two = await stage.connect()
    await stage.events_reach("nobody is subscribed", "X", '{"n":1}', wires=[one, two])
    await stage.answers("confirmed", one, subscribe("X"))
    await stage.events_reach("one is subscribed", "X", '{"n":2}', wires=[one, two])
    await stage.ends("closed", one, close(1000))
    await stage.events_reach("nobody any more", "X", '{"n":3}', wires=[two])


async def capabilities_without_hello(stage: Stage) -> None:
    wire = await stage.connect(
        upgrade(
            Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
            Sec_WebSocket_Protocol="osint, v1",
        )
    )
    fields: list[dict[str, Any]] = [
        {"ref": "1"},
        {"ref": 1},
        {"ref": "r" * 65},
        {"replay_token": "AQ"},
        {"replay_token": 7},
        {"replay_token": "x" * 600},
        {"scope": ["tasks"]},
        {"scope": []},
        {"scope": "tasks"},
        {"scope": ["nonsense"]},
        {"ref": None, "replay_token": None, "scope": None},
    ]
    for extra in fields:
        await stage.answers(f"confirmed as if it were not there: {extra}"[:60], wire, subscribe("X", **extra))
    await stage.answers("confirmed", wire, subscribe("fence"))
    await stage.events_reach(
        "whole, whatever its class", "X", '{"type": "investigation_started"}', wires=[wire]
    )
    for message in (
        {"type": "ping", "id": "c1"},
        {"type": "pong", "id": "c1"},
        {"type": "ping"},
        {"type": "unsubscribe_investigation", "investigation_id": "X"},
        {"type": "unsubscribe_investigation"},
        {"type": "welcome"},
        {"type": "gap", "investigation_id": "X"},
        {"type": "hello", "protocol": 1, "features": ["replay", "errors", "flow", "heartbeat"]},
    ):
        await stage.answers(f"unknown: {message['type']}", wire, text(message))
    await stage.events_reach("still subscribed", "X", '{"type": "task_started"}', wires=[wire])
    await stage.answers("still core", wire, subscribe("X", ref="1", scope=["tasks"], **fields[3]))
    await stage.ends("closed", wire, close(1000))


async def a_hello_that_is_none(stage: Stage) -> None:
    for hello in (
        {"type": "hello"},
        {"type": "hello", "protocol": "1", "features": ["errors"]},
        {"type": "hello", "protocol": 0, "features": ["errors"]},
        {"type": "hello", "protocol": True, "features": ["errors"]},
        {"type": "hello", "protocol": 1, "features": "errors"},
        {"type": "hello", "protocol": 1, "features": [1]},
        {"type": "Hello", "protocol": 1, "features": ["errors"]},
    ):
        wire = await stage.connect()
        await stage.answers(
            f"{hello}", wire, text(hello), subscribe("X", ref="1"), text({"type": "ping", "id": "1"})
        )
        await stage.ends("closed", wire, close(1000))


async def malformed_text(stage: Stage) -> None:
    wire = await stage.connect()
    for malformed in (
        "",
        "{",
        "[]",
        "null",
        '"subscribe_investigation"',
        "{}",
        '{"type": null}',
        '{"type": 1, "investigation_id": "X"}',
        '{"type": "subscribe_investigation"}',
        '{"type": "subscribe_investigation", "investigation_id": ""}',
        '{"type": "subscribe_investigation", "investigation_id": 7}',
        '{"type": "subscribe_investigation", "investigation_id": null}',
        '{"type": "subscribe_investigation", "investigation_id": ["X"]}',
        '{"type": "subscribe_investigation", "investigation_id": "' + "x" * 256 + '"}',
        '{"type": "subscribe_investigation", "investigation_id": "\\ud800"}',
        '{"type": "subscribe_investigation", "investigation_id": "X", "n": NaN}',
        '{"type": "subscribe_investigation", "investigation_id": "X", "type": "x"}',
        '{"type": "subscribe_investigation", "investigation_id": "X", "deep": ' + "[" * 100 + "]" * 100 + "}",
        "[" * 60_000,
    ):
        await stage.answers(f"ignored: {malformed[:60]}", wire, text(malformed))
    await stage.answers("served as before", wire, subscribe("X"))
    await stage.answers("64 KiB are taken", wire, text(subscribe_text.decode().ljust(65536)))
    await stage.ends("closed", wire, close(1000))


async def ends(stage: Stage) -> None:
    for step, frames in {
        "closed": [close(1000)],
        "closed with a reason": [close(1001, "leaving")],
        "closed with a code of its own": [close(4000)],
        "closed without a code": [masked(8, b"")],
        "an invalid close code": [close(1005)],
        "binary": [masked(2, b"\x00")],
        "no UTF-8": [masked(1, b"\xff")],
        "more than 64 KiB": [masked(1, b" " * 65537)],
        "more than 64 KiB in fragments": [masked(1, b" " * 40_000, first=0), masked(0, b" " * 40_000)],
        "a reserved bit": [masked(1, b"{}", first=0xC0)],
        "a reserved opcode": [masked(3, b"")],
        "a ping of 126 bytes": [masked(9, b"x" * 126)],
        "a continuation of nothing": [masked(0, b"{}")],
    }.items():
        wire = await stage.connect()
        await stage.answers("confirmed", wire, subscribe("X"))
        await stage.ends(step, wire, *frames)


async def refused(stage: Stage) -> None:
    for request in (
        upgrade(Upgrade=""),
        upgrade(Sec_WebSocket_Version="12"),
        upgrade(Sec_WebSocket_Key="short"),
        upgrade(Origin="http://evil.example"),
        upgrade("/ws/" + "x" * 129),
        upgrade("/ws/%00"),
        upgrade("/ws/"),
    ):
        wire = await stage.connect(request)
        wire.writer.write_eof()
        stage.note("body", await wire.until_end())


async def throttled(stage: Stage) -> None:
    wire = await stage.connect()
    for last in (b"39", b"79"):
        wire.send(*[subscribe(f"{number}") for number in range(int(last) - 39, int(last) + 1)])
        stage.note("all confirmed in the end", await wire.until(b'"investigation_id":"%b"}' % last))
    await stage.ends("closed", wire, close(1000))


async def pinged_by_the_server(stage: Stage) -> None:
    wire = await stage.connect()
    await stage.answers("confirmed", wire, subscribe("X"))
    stage.note("pinged", await wire.until(b"\x89\x00"))
    wire.send(masked(10, b""))
    stage.note("pinged again after an answer", await wire.until(b"\x89\x00"))
    await stage.ends("gone without one", wire)


async def the_server_stops(stage: Stage) -> None:
    wire = await stage.connect()
    await stage.answers("confirmed", wire, subscribe("X"))


Conversation = Callable[[Stage], Awaitable[None]]

CONVERSATIONS: dict[Conversation, dict[str, Any]] = {
    subscribing: {},
    events: {},
    fallback: {},
    capabilities_without_hello: {},
    a_hello_that_is_none: {},
    malformed_text: {},
    ends: {},
    refused: {},
    throttled: {"burst": 5, "messages_per_second": 500},
    pinged_by_the_server: {"ping_interval": 1},
    the_server_stops: {},
}


@contextlib.asynccontextmanager
async def stage_for(conversation: Conversation) -> AsyncIterator[Stage]:
    # Nobody here answers a close frame of the server's.
    settings = Settings(port=0, enable_inject=True, close_timeout=0.5, **CONVERSATIONS[conversation])
    async with aiohttp.ClientSession() as http:
        async with running(settings) as url:
            stage = Stage(url, http)
            yield stage
        for wire in stage.wires:
            if left := await wire.until_end():
                stage.note("left when the server stopped", left)
            wire.writer.close()


async def transcript_of(conversation: Conversation) -> list[list[str]]:
    async with stage_for(conversation) as stage:
        await conversation(stage)
    return stage.transcript


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.__name__)
async def test_a_core_client_receives_what_it_always_received(conversation: Conversation) -> None:
    recorded = json.loads(GOLDEN.read_text(encoding="utf-8"))[conversation.__name__]
    assert await transcript_of(conversation) == recorded


async def record() -> None:
    recording = {conversation.__name__: await transcript_of(conversation) for conversation in CONVERSATIONS}
    GOLDEN.write_text(json.dumps(recording, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(record())
