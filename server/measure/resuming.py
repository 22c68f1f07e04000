"""A fault run's load: publishers that repeat until acknowledged, subscribers that resume elsewhere."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from history import Broken, History, Published
from nodes import Node
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

FEATURES: Final = ("heartbeat", "replay", "errors")
_ACCEPTED: Final = 202
_ANSWER_SECONDS: Final = 8.0
_OPEN_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.1
_SILENCE_SECONDS: Final = 4.0  # the servers are started with heartbeats of one second
_SCOPES: Final = frozenset({"tasks", "summary"})


@dataclass(slots=True)
class Book:
    """What is known of a run.

    Attributes:
        log: the acknowledged events of each investigation.
        acknowledged_at: when each of them was, by its number; monotonic seconds.
        delivered_at: when the last one of its subscribers had each of them.
        in_flight: publishes without an answer so far.
        flying: is set while there are any.
        tally: what is counted.

    """

    log: dict[str, list[Published]] = field(default_factory=dict)
    acknowledged_at: dict[int, float] = field(default_factory=dict)
    delivered_at: dict[int, float] = field(default_factory=dict)
    in_flight: int = 0
    flying: asyncio.Event = field(default_factory=asyncio.Event)
    tally: Counter[str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def publish(self) -> Iterator[None]:
        """Count a publish as being in flight."""
        self.in_flight += 1
        self.flying.set()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.flying.clear()


class Publisher:
    """Publishes one event of an investigation after another, each until it is acknowledged by some node.

    Args:
        investigation_id: the investigation.
        nodes: where to publish; the next one where one fails.
        http: an HTTP client.
        book: where it says what was acknowledged.
        pause: seconds between two events.

    """

    def __init__(
        self,
        investigation_id: str,
        nodes: Sequence[Node],
        http: aiohttp.ClientSession,
        book: Book,
        pause: float,
    ) -> None:
        self._investigation_id = investigation_id
        self._nodes = itertools.cycle(nodes)
        self._node = next(self._nodes)
        self._http = http
        self._book = book
        self._pause = pause

    async def publish(self, stop: asyncio.Event) -> None:
        """Publish until told to stop; the last event is acknowledged then."""
        log = self._book.log.setdefault(self._investigation_id, [])
        number = 0
        while not stop.is_set():
            # Every fifth request is a batch, which is stored as a whole or not at all.
            count = 3 if number % 5 == 0 else 1
            numbers = range(number, number + count)
            number += count
            for seq, own in zip(await self._acknowledged(numbers), numbers, strict=True):
                log.append(Published(seq, own, _SCOPES))
                self._book.acknowledged_at[seq] = time.monotonic()
            await asyncio.sleep(self._pause)

    async def _acknowledged(self, numbers: range) -> list[int]:
        body = "\n".join(json.dumps({"type": "note", "number": number}) for number in numbers)
        many = len(numbers) > 1
        headers = {
            "Content-Type": "application/x-ndjson" if many else "application/json",
            "Idempotency-Key": f"{self._investigation_id}-{numbers[0]}",
        }
        while True:
            url = f"http://{self._node.address}/investigations/{self._investigation_id}/events"
            try:
                with self._book.publish():
                    async with self._http.post(url, data=body, headers=headers) as response:
                        answer = await response.json()
                if response.status == _ACCEPTED:
                    return answer["seqs"] if many else [answer["seq"]]
                self._book.tally[f"publishes answered {response.status}"] += 1
            except (aiohttp.ClientError, TimeoutError):
                self._book.tally["publishes without an answer"] += 1
            self._node = next(self._nodes)
            await asyncio.sleep(_PAUSE_SECONDS)


class Subscriber:
    """A client of some investigations, which resumes on the next node whenever its connection ends.

    Args:
        number: tells it from others.
        nodes: where to connect.
        investigation_ids: what it is subscribed to.
        book: where it says what it received.

    Attributes:
        histories: what it has.
        broken: how a server broke the protocol towards it.

    """

    def __init__(
        self, number: int, nodes: Sequence[Node], investigation_ids: Sequence[str], book: Book
    ) -> None:
        self.histories = {name: History(name, "all") for name in investigation_ids}
        self.broken: list[str] = []
        self._number = number
        self._nodes = itertools.cycle([*nodes[number % len(nodes) :], *nodes[: number % len(nodes)]])
        self._book = book
        self._ws: ClientConnection | None = None
        self._settled = asyncio.Event()

    async def listen(self) -> None:
        """Connect, receive and resume until cancelled, or until a server breaks the protocol."""
        while not self.broken:
            try:
                await self._connected(next(self._nodes))
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                self._book.tally["connections that ended"] += 1
            except Broken as broken:
                self.broken.append(f"subscriber {self._number}: {broken}")
            finally:
                self._ws = None
                for history in self.histories.values():
                    history.disconnected()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def ready(self) -> None:
        """Wait until it is subscribed for the first time."""
        await self._settled.wait()

    def drop(self) -> None:
        """Lose the connection, as a client does whose network changes."""
        if self._ws is not None:
            self._ws.transport.abort()

    def has(self, heads: Mapping[str, int]) -> bool:
        """Say whether it has all events up to these numbers."""
        return all(history.last >= heads.get(name, 0) for name, history in self.histories.items())

    async def _connected(self, node: Node) -> None:
        url = f"ws://{node.address}/ws/subscriber-{self._number}"
        async with connect(url, ping_interval=None, open_timeout=_OPEN_SECONDS, close_timeout=0.5) as ws:
            self._ws = ws
            await ws.send(json.dumps({"type": "hello", "protocol": 1, "features": FEATURES}))
            for history in self.histories.values():
                message = {"type": "subscribe_investigation", "investigation_id": history.investigation_id}
                if history.token is not None:
                    message["replay_token"] = history.token
                    self._book.tally["resumes"] += 1
                await ws.send(json.dumps(message))
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    message = json.loads(await ws.recv())
                if not await self._take(ws, message):
                    return

    async def _take(self, ws: ClientConnection, message: Mapping[str, Any]) -> bool:
        """Take a message; say whether to go on with this connection."""
        match message["type"]:
            case "welcome" | "pong":
                return True
            case "ping":
                await ws.send(json.dumps({"type": "pong", "id": message["id"]}))
                return True
            case "error" if message["temporary"]:
                self._book.tally["subscribes put off"] += 1
                await asyncio.sleep(message.get("retry_after_ms", 1000) / 1000)
                return False
            case "gap" if message["reason"] == "unavailable":
                # The token held before recovers what can be recovered.
                self._book.tally["gaps"] += 1
                return False
        return self._follow(self.histories[message["investigation_id"]], message)

    def _follow(self, history: History, message: Mapping[str, Any]) -> bool:
        match message["type"]:
            case "subscription_confirmed":
                if message.get("replay", {}).get("reason") == "unavailable":
                    self._book.tally["replays put off"] += 1
                    return False
                self._book.tally["replayed events"] += history.confirmed(message)
                if all(other.first is not None for other in self.histories.values()):
                    self._settled.set()
            case "investigation_update":
                history.updated(message)
                self._book.tally["delivered"] += 1
                self._book.delivered_at[message["seq"]] = time.monotonic()
            case "replay_complete":
                history.replayed(message)
            case "position":
                history.moved(message)
            case other:
                raise Broken(f"{other} does not belong here: {message}")
        return True


@contextlib.asynccontextmanager
async def publishing_client() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP client that gives up in time."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS, connect=_OPEN_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        yield http
