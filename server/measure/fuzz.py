"""Does anything that is sent harm the server? Mutated frames, handshakes and HTTP requests, many of them.

`python server/measure/fuzz.py` starts a server and sends it what random changes make of valid traffic, while
a client beside it is served. Exit status: 0 the server lived, its memory stayed flat, it logged no exception,
and the other client missed nothing; 1 not.
"""

# ruff: noqa: INP001, PLR2004 - scripts, run by their paths; shares of what is random are said where they count

from __future__ import annotations

import asyncio
import json
import random
import re
import statistics
import struct
import sys
import time
from collections import Counter
from contextlib import suppress

import aiohttp
import click
from served import Served, served
from websockets.asyncio.client import connect

MAX_GROWTH_MIB = 16.0
"""Of resident memory, from the end of the first quarter of the run to its end."""
MAX_GROWTH = 0.10
"""The same, in proportion; the larger of both counts."""

HANDSHAKE = (
    b"GET /ws/fuzz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
EXTENSIONS = (b"", b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
INJECT = (
    b"POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 38\r\n\r\n"
    b'{"investigation_id":"fuzz","data":{}}\n'
)
PUBLISH = (
    b"POST /investigations/fuzz/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"a": 1}\n\r\n0\r\n\r\n'
)
METRICS = (
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\nX-Forwarded-For: 1.2.3.4\r\n"
    b"Origin: http://x\r\n\r\n"
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n\r\n"
REQUESTS = (*((HANDSHAKE % extension) for extension in EXTENSIONS), INJECT, PUBLISH, METRICS, HEALTH * 2)
MESSAGES = tuple(
    json.dumps(message).encode()
    for message in (
        {
            "type": "hello",
            "protocol": 1,
            "features": ["heartbeat", "replay", "scopes", "unsubscribe", "errors"],
        },
        {"type": "subscribe_investigation", "investigation_id": "fuzz", "scope": ["tasks"], "ref": "1"},
        {"type": "subscribe_investigation", "investigation_id": "fuzz", "replay_token": "AQ3f00"},
        {"type": "unsubscribe_investigation", "investigation_id": "fuzz"},
        {"type": "ping", "id": "x"},
        {"type": "unknown", "nested": [[[{"a": [1.5e300, -0, "\ud83e\udd8a"]}]]]},
    )
)
FRAMES_AT_ONCE = 100
WORKERS = 8


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change a few bytes, or lose, double or insert some."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0 if place < len(changed):
                changed[place] ^= 1 << rng.randrange(8)
            case 1 if place < len(changed):
                changed[place] = rng.randrange(256)
            case 2:
                del changed[place : place + rng.randint(1, 8)]
            case 3:
                changed[place:place] = rng.randbytes(rng.randint(1, 8))
            case _:
                changed[place:place] = changed[place : place + rng.randint(1, 32)]
    return bytes(changed)


def frame(rng: random.Random) -> bytes:
    """A frame: valid but for its payload as a rule, now and then broken itself."""
    payload = rng.choice(MESSAGES)
    if rng.random() < 0.9:
        payload = mutated(payload, rng)
        payload = payload if rng.random() < 0.02 else payload.decode(errors="replace").encode()
    opcode = 0x81 if rng.random() < 0.98 else rng.choice((0x89, 0x8A, 0x01, 0x80))
    if opcode in (0x89, 0x8A):
        payload = payload[:125]
    size = len(payload)
    head = struct.pack("!BB", opcode, 0x80 | size) if size < 126 else struct.pack("!BBH", opcode, 0xFE, size)
    key = rng.randbytes(4)
    whole = int.from_bytes((key * (size // 4 + 1))[:size], "big") ^ int.from_bytes(payload, "big")
    built = head + key + whole.to_bytes(size, "big")
    return mutated(built, rng) if rng.random() < 0.01 else built


class Fuzzer:
    """Sends what is mutated, and counts it."""

    def __init__(self, server: Served, *, cases: int, seed: int) -> None:
        self._server = server
        self._cases = cases
        self._seed = seed
        self.sent: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many cases were sent."""
        return self.sent.total()

    async def work(self, number: int) -> None:
        """Send until enough is."""
        rng = random.Random(self._seed * 1000 + number)
        while self.total < self._cases:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(5):
                    if rng.random() < 0.9:
                        await self._request(rng)
                    else:
                        await self._frames(rng)

    async def _request(self, rng: random.Random) -> None:
        request = rng.choice(REQUESTS)
        self.sent["handshakes" if b"/ws/" in request else "requests"] += 1
        reader, writer = await asyncio.open_connection(self._server.host, self._server.port)
        try:
            writer.write(mutated(request, rng))
            writer.write_eof()
            await reader.read(4096)
        finally:
            writer.transport.abort()

    async def _frames(self, rng: random.Random) -> None:
        reader, writer = await asyncio.open_connection(self._server.host, self._server.port)
        try:
            writer.write(HANDSHAKE % rng.choice(EXTENSIONS))
            await reader.readuntil(b"\r\n\r\n")
            frames = [frame(rng) for _ in range(FRAMES_AT_ONCE)]
            self.sent["frames"] += len(frames)
            writer.write(b"".join(frames))
            await writer.drain()
            if rng.random() < 0.5:
                writer.write(b"\x88\x80\0\0\0\0")
                while await reader.read(65536):
                    pass
        finally:
            writer.transport.abort()


class Witness:
    """A client that is served meanwhile."""

    def __init__(self, server: Served) -> None:
        self._address = f"{server.host}:{server.port}"
        self.seconds: list[float] = []

    async def work(self) -> None:
        """Receive one event after another, until cancelled; raises where one does not come."""
        subscribe = {"type": "subscribe_investigation", "investigation_id": "witness"}
        async with aiohttp.ClientSession() as http, connect(f"ws://{self._address}/ws/witness") as ws:
            await ws.send(json.dumps(subscribe))
            number = 0
            while True:
                body = {"investigation_id": "witness", "data": {"n": number}}
                began = time.monotonic()
                async with http.post(f"http://{self._address}/inject", json=body) as answer:
                    assert answer.status == 202, answer.status
                async with asyncio.timeout(30):
                    while True:
                        message = json.loads(await ws.recv())
                        if message.get("investigation_id") == "witness" and message.get("data") == {
                            "n": number
                        }:
                            break
                self.seconds.append(time.monotonic() - began)
                number += 1
                await asyncio.sleep(0.05)


async def run(server: Served, fuzzer: Fuzzer, witness: Witness, *, cases: int) -> list[float]:
    """Send everything, and return the resident memory at each fiftieth of it."""
    watching = asyncio.create_task(witness.work())
    working = [asyncio.create_task(fuzzer.work(number)) for number in range(WORKERS)]
    resident: list[float] = []
    try:
        while not all(task.done() for task in working):
            await asyncio.wait([*working, watching], timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            if not server.is_alive():
                raise RuntimeError("the server died")
            if fuzzer.total >= cases * len(resident) / 50:
                resident.append(server.resident_mib())
            await asyncio.sleep(0.05)
        await asyncio.gather(*working)
    finally:
        for task in (*working, watching):
            task.cancel()
        await asyncio.gather(*working, watching, return_exceptions=True)
    return resident


@click.command()
@click.option("--cases", default=1_000_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(cases: int, seed: int) -> None:
    """Send the server what no client should."""
    began = time.monotonic()
    limits = ("--messages-per-second", "1000000", "--burst", "1000000", "--request-timeout", "2")
    history = ("--history-events", "50", "--history-ttl", "5", "--close-timeout", "1")
    with served(*limits, *history, "--compression") as server:
        fuzzer, witness = Fuzzer(server, cases=cases, seed=seed), Witness(server)
        resident = asyncio.run(run(server, fuzzer, witness, cases=cases))
        log = server.log.read_text()
    quarter = max(resident[: max(1, len(resident) // 4)])
    latest = statistics.median(resident[-3:])
    allowed = max(MAX_GROWTH_MIB, quarter * MAX_GROWTH)
    click.echo(
        f"{fuzzer.total} cases {dict(fuzzer.sent)} in {time.monotonic() - began:.0f} s; resident memory "
        f"{quarter:.0f} MiB after a quarter, {latest:.0f} MiB at the end; {len(witness.seconds)} events for "
        f"the other client, the slowest in {max(witness.seconds):.2f} s"
    )
    problems = []
    if latest > quarter + allowed:
        problems.append(f"memory grew by more than {allowed:.0f} MiB")
    if "Traceback" in log:
        last_lines = Counter(re.findall(r"^(\S+(?:Error|Exception)\b.*)$", log, re.MULTILINE))
        problems.append(f"the server logged exceptions: {dict(last_lines)}, the last one:\n{log[-3000:]}")
    for problem in problems:
        click.echo(f"FAILED: {problem} (seed {seed})")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
