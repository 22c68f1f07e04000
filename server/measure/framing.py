"""Are the server's frames what RFC 6455 and RFC 7692 ask for? Judged by the parser of `websockets`.

`python server/measure/framing.py` starts a server, has clients of all kinds read what it sends under load
(sizes around each boundary, compressed and not, control frames in between, slow readers, replays), and feeds
every byte to the strict sans-I/O parser. Exit status: 0 nothing was rejected; 1 something was; 3 not enough
came in time.
"""

# ruff: noqa: INP001, PLR2004 - scripts, run by their paths; shares of what is random are said where they count

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import click
from osint_events.close_codes import CloseCode
from served import Served, served
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

INVESTIGATIONS = ("a", "b", "c", "é🦊")
SIZES = (0, 1, 60, 300, 2000, 30_000, 65_300, 65_536, 65_600, 130_000, 250_000)
FEATURES = ("heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors")
MIB = 1 << 20


class Rejected(Exception):
    """The parser does not accept what the server sent."""


@dataclass(slots=True)
class Tally:
    """What came.

    Attributes:
        size: bytes of the server after the handshakes.
        frames: by opcode.
        kinds: messages by type.
        ends: connections by close code.

    """

    size: int = 0
    frames: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    ends: Counter[int] = field(default_factory=Counter)


class Reader:
    """One client: connects, reads for a while, and goes."""

    def __init__(self, server: Served, tally: Tally, rng: random.Random) -> None:
        self._server = server
        self._tally = tally
        self._rng = rng
        self._tokens: dict[str, str] = {}

    async def run(self) -> None:
        """Connect again and again, until cancelled."""
        while True:
            await self._connect(bool(self._rng.getrandbits(1)), slow=self._rng.random() < 0.25)

    async def _connect(self, deflate: bool, *, slow: bool) -> None:
        extensions = [ClientPerMessageDeflateFactory()] if deflate else None
        uri = parse_uri(f"ws://{self._server.host}:{self._server.port}/ws/r{self._rng.getrandbits(32)}")
        client = ClientProtocol(uri, extensions=extensions, max_size=None)
        reader, writer = await asyncio.open_connection(self._server.host, self._server.port)
        try:
            client.send_request(client.connect())
            for text in self._greeting():
                self._flush(client, writer)
                while client.state is State.CONNECTING:
                    self._take(client, await reader.read(65536))
                client.send_text(text.encode())
            await self._read(client, reader, writer, slow=slow)
        except ConnectionError:  # those who read too slowly may be dropped
            self._tally.ends[CloseCode.ABNORMAL_CLOSURE] += 1
        finally:
            writer.close()

    def _greeting(self) -> list[str]:
        texts = []
        if self._rng.random() < 0.8:
            features = [name for name in FEATURES if self._rng.random() < 0.8]
            texts.append(json.dumps({"type": "hello", "protocol": 1, "features": features}))
        for investigation_id in self._rng.sample(INVESTIGATIONS, self._rng.randint(1, len(INVESTIGATIONS))):
            message = {"type": "subscribe_investigation", "investigation_id": investigation_id}
            if investigation_id in self._tokens:
                message["replay_token"] = self._tokens[investigation_id]
            texts.append(json.dumps(message))
        return texts

    async def _read(
        self,
        client: ClientProtocol,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        slow: bool,
    ) -> None:
        until = time.monotonic() + self._rng.uniform(1, 8)
        while client.state is State.OPEN and time.monotonic() < until:
            self._flush(client, writer)
            data = await reader.read(self._rng.choice((1, 1000, 65536, 1 << 20)))
            self._take(client, data)
            if not data:
                break
            if self._rng.random() < 0.02:
                client.send_ping(self._rng.randbytes(self._rng.randint(0, 125)))
                client.send_text(json.dumps({"type": "ping", "id": "p"}).encode())
            if slow:
                await asyncio.sleep(0.02)
        if client.state is State.OPEN:
            client.send_close(CloseCode.NORMAL_CLOSURE)
        self._flush(client, writer)
        while client.state is not State.CLOSED:
            data = await reader.read(1 << 20)
            self._take(client, data)
            if not data:
                break
        if client.close_rcvd is not None:
            self._tally.ends[client.close_rcvd.code] += 1

    def _flush(self, client: ClientProtocol, writer: asyncio.StreamWriter) -> None:
        for data in client.data_to_send():
            if data:
                writer.write(data)

    def _take(self, client: ClientProtocol, data: bytes) -> None:
        if not data:
            client.receive_eof()
            return
        self._tally.size += len(data)
        client.receive_data(data)
        for event in client.events_received():
            if isinstance(event, Frame):
                self._tally.frames[event.opcode.name] += 1
                if event.opcode is Opcode.TEXT:
                    self._message(event)
        if client.handshake_exc is not None:
            raise Rejected(f"the handshake: {client.handshake_exc!r}")
        if client.parser_exc is not None and not isinstance(client.parser_exc, EOFError):
            raise Rejected(repr(client.parser_exc))

    def _message(self, frame: Frame) -> None:
        if not frame.fin:
            raise Rejected("a fragment, which the server does not make")
        message: dict[str, Any] = json.loads(bytes(frame.data).decode())
        self._tally.kinds[message["type"]] += 1
        if "token" in message:
            self._tokens[message["investigation_id"]] = message["token"]


async def publish(server: Served, rng: random.Random) -> None:
    """Post events of many sizes, until cancelled."""
    async with aiohttp.ClientSession() as http:
        while True:
            lines = []
            for _ in range(rng.choice((1, 1, 1, 5, 50))):
                size = rng.choice(SIZES[:6] if rng.random() < 0.8 else SIZES)
                pad = rng.choice(("x", "é", "🦊")) * (size // 4)
                kind = rng.choice(("task_started", "investigation_paused", "note"))
                lines.append(json.dumps({"type": kind, "task_id": "t", "pad": pad}, ensure_ascii=False))
            body = "\n".join(lines)[:900_000].rsplit("\n", 1)[0].encode()
            url = f"http://{server.host}:{server.port}/investigations/{rng.choice(INVESTIGATIONS)}/events"
            async with http.post(url, data=body, headers={"Content-Type": "application/x-ndjson"}) as answer:
                await answer.read()
            await asyncio.sleep(rng.choice((0, 0, 0.01)))


async def run(server: Served, tally: Tally, *, size: int, seconds: float, seed: int) -> None:
    """Read until enough has come, or time is up."""
    tasks = [asyncio.create_task(publish(server, random.Random(seed)))]
    tasks += [
        asyncio.create_task(Reader(server, tally, random.Random(seed + number)).run())
        for number in range(1, 13)
    ]
    until = time.monotonic() + seconds
    try:
        while tally.size < size and time.monotonic() < until:
            done, _ = await asyncio.wait(tasks, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@click.command()
@click.option("--mib", default=1024, show_default=True, help="What to read, in MiB.")
@click.option("--seconds", default=1200.0, show_default=True, help="Time for that.")
@click.option("--seed", default=1, show_default=True)
def main(mib: int, seconds: float, seed: int) -> None:
    """Feed what the server sends to a strict parser."""
    tally = Tally()
    began = time.monotonic()
    with served("--compression", "--messages-per-second", "10000", "--ping-interval", "1") as server:
        try:
            asyncio.run(run(server, tally, size=mib * MIB, seconds=seconds, seed=seed))
        except (Rejected, ValueError) as error:
            click.echo(f"REJECTED: {error} (seed {seed})")
            sys.exit(1)
    click.echo(
        f"{tally.size / MIB:.0f} MiB in {time.monotonic() - began:.0f} s, nothing rejected; "
        f"frames {dict(tally.frames)}; messages {dict(tally.kinds)}; ends {dict(tally.ends)}"
    )
    if tally.size < mib * MIB:
        click.echo("NOT ENOUGH came in time")
        sys.exit(3)


if __name__ == "__main__":
    main()
