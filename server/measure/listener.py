"""A client that connects, resumes, stalls and vanishes at random, and keeps what it received."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from history import Broken, History
from osint_events.close_codes import CloseCode
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

FEATURES = ("heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors")

RECEIVE_BUFFER = 8192  # bytes: small, so that the server notices a client that stalls
STAY_SECONDS = 8.0  # on average
AWAY_SECONDS = (0.0, 6.0)
LISTEN_SECONDS = (0.2, 3.0)
STALL_SECONDS = (0.5, 8.0)
ANSWER_SECONDS = 30.0
CATCH_UP_SECONDS = 60.0


class Listener:
    """One client, over all its connections.

    Args:
        number: tells it from others.
        address: the server's host and port.
        histories: what it subscribes to.
        tally: where what happens is counted, for all clients together.
        seed: decides what it does.

    Attributes:
        broken: how the server broke the protocol towards it.

    """

    def __init__(
        self,
        number: int,
        *,
        address: tuple[str, int],
        histories: Sequence[History],
        tally: Counter[str],
        seed: int,
    ) -> None:
        self.histories = {history.investigation_id: history for history in histories}
        self.broken: list[str] = []
        self._number = number
        self._address = address
        self._tally = tally
        self._random = random.Random(f"{seed}-{number}")
        self._opened = 0
        self._pressure = "normal"
        self._is_welcome = False

    async def live(self, stop: asyncio.Event) -> None:
        """Come and go until told to stop, or until the server breaks the protocol."""
        while not stop.is_set() and not self.broken:
            async with self._judged(), self._connection() as ws:
                await self._wander(ws, stop)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._random.uniform(*AWAY_SECONDS)):
                    await stop.wait()

    async def catch_up(self, heads: Mapping[tuple[str, str], int]) -> None:
        """Listen once more until all up to `heads`, by investigation and scope, is there."""
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while not self.broken and self._behind(heads):
                    async with self._judged(), self._connection() as ws:
                        while self._behind(heads):
                            await self._take(ws, await ws.recv())
        except TimeoutError:
            self.broken.append(
                f"client {self._number} did not get to the end of {', '.join(self._behind(heads))}"
            )

    def _behind(self, heads: Mapping[tuple[str, str], int]) -> list[str]:
        return [
            history.investigation_id
            for history in self.histories.values()
            if history.replaying is not None
            or history.last < heads.get((history.investigation_id, history.scope), 0)
        ]

    @contextlib.asynccontextmanager
    async def _judged(self) -> AsyncIterator[None]:
        """Count how a connection ends, and keep what the server did wrong."""
        self._tally["connections"] += 1
        try:
            yield
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else CloseCode.ABNORMAL_CLOSURE
            self._tally[f"ended with {code}"] += 1
            self._tally["slow consumer ends"] += code == CloseCode.SLOW_CONSUMER
        except (OSError, InvalidHandshake) as error:
            self._tally[f"no connection: {type(error).__name__}"] += 1
        except Broken as broken:
            self.broken.append(f"client {self._number}, connection {self._opened}: {broken}")
        finally:
            for history in self.histories.values():
                history.disconnected()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[ClientConnection]:
        self._opened += 1
        self._pressure = "normal"
        self._is_welcome = False
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, self._address)
        async with connect(
            f"ws://{self._address[0]}:{self._address[1]}/ws/soak-{self._number}-{self._opened}",
            sock=sock,
            compression="deflate" if self._number % 2 else None,
            ping_interval=None,
            open_timeout=ANSWER_SECONDS,
            close_timeout=2,
        ) as ws:
            await ws.send(json.dumps({"type": "hello", "protocol": 1, "features": FEATURES}))
            for history in self.histories.values():
                await self._subscribe(ws, history)
            yield ws

    async def _subscribe(self, ws: ClientConnection, history: History) -> None:
        message: dict[str, Any] = {
            "type": "subscribe_investigation",
            "investigation_id": history.investigation_id,
            "scope": [history.scope],
        }
        if history.token is not None:
            message["replay_token"] = history.token
            self._tally["resumes"] += 1
        await ws.send(json.dumps(message))

    async def _wander(self, ws: ClientConnection, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        leave_at = clock() + self._random.expovariate(1 / STAY_SECONDS)
        while clock() < leave_at and not stop.is_set():
            await self._listen(ws, self._random.uniform(*LISTEN_SECONDS))
            match self._random.choices(("go on", "stall", "subscribe again"), (70, 20, 10))[0]:
                case "stall":
                    self._tally["stalls"] += 1
                    await asyncio.sleep(self._random.uniform(*STALL_SECONDS))
                case "subscribe again":
                    await self._subscribe_again(ws, self._random.choice(list(self.histories.values())))
        match self._random.choices(("close", "vanish", "play dead"), (50, 40, 10))[0]:
            case "close":
                self._tally["closed"] += 1
                await ws.close()
            case "vanish":
                self._tally["vanished"] += 1
                ws.transport.abort()
            case "play dead":
                self._tally["played dead"] += 1
                await asyncio.sleep(STALL_SECONDS[1])
                ws.transport.abort()

    async def _listen(self, ws: ClientConnection, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while (left := end - clock()) > 0:
            try:
                async with asyncio.timeout(left):
                    text = await ws.recv()
            except TimeoutError:
                return
            await self._take(ws, text)

    async def _subscribe_again(self, ws: ClientConnection, history: History) -> None:
        """Leave an investigation, and come back with the token (RPL-3, UNS-1)."""
        self._tally["unsubscribed"] += 1
        leave = {"type": "unsubscribe_investigation", "investigation_id": history.investigation_id}
        # The confirmation of the present subscription may not have come yet, and would undo the end of it.
        while not history.is_subscribed:
            await self._take(ws, await self._answer(ws))
        await ws.send(json.dumps(leave))
        while history.is_subscribed:
            await self._take(ws, await self._answer(ws))
        await self._listen(ws, self._random.uniform(*LISTEN_SECONDS))
        await self._subscribe(ws, history)

    async def _answer(self, ws: ClientConnection) -> str | bytes:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await ws.recv()
        except TimeoutError:
            raise Broken(f"nothing came for {ANSWER_SECONDS:g} s") from None

    async def _take(self, ws: ClientConnection, text: str | bytes) -> None:
        message = json.loads(text)
        if not self._is_welcome:
            if message["type"] == "investigation_update":
                return  # the fallback's: until the server has read the hello, this is a core connection
            if message["type"] != "welcome" or set(message["features"]) != set(FEATURES):
                raise Broken(f"the welcome is {message}")
            self._is_welcome = True
            return
        if message["type"] == "ping":
            await ws.send(json.dumps({"type": "pong", "id": message["id"]}))
        elif message["type"] == "backpressure":
            self._press(message["state"])
        elif message["type"] == "error":
            raise Broken(f"an error for no reason: {message}")
        else:
            self._follow(self.histories[message["investigation_id"]], message)

    def _press(self, state: str) -> None:
        if state == self._pressure:
            raise Broken(f"backpressure {state} twice in a row")
        self._pressure = state
        self._tally[f"backpressure {state}"] += 1

    def _follow(self, history: History, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "subscription_confirmed":
                owed = history.confirmed(message)
                self._tally["replays"] += bool(owed)
            case "investigation_update":
                self._tally["events"] += 1
                self._tally["replayed events"] += history.replaying is not None
                history.updated(message)
            case "replay_complete":
                history.replayed(message)
            case "position":
                self._tally["positions"] += 1
                history.moved(message)
            case "unsubscribed":
                history.unsubscribed()
            case other:
                raise Broken(f"a message that does not belong here: {other}: {message}")
