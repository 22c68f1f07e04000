"""A relay between a sample and the reference server: sees every message, and can break or silence the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets import ConnectionClosed
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

Message = dict[str, Any]
SECONDS = 30
"""How long anything may take; only a failing test waits that long."""


class Relay:
    """Hands messages on, both ways.

    Attributes:
        upstream: the server's address, ws://host:port, of connections that are made from now on.
        url: what the sample is given.
        gate: while it is clear, new connections reach no server.

    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.url = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self._sent: list[Message] = []
        self._received: list[Message] = []
        self._changed = asyncio.Condition()
        self._sockets: list[ServerConnection] = []
        self._silent: set[object] = set()

    async def sent(self, type_: str, count: int = 1) -> Message:
        """Wait until the sample has sent so many messages of a type; give the last."""
        return await self._passed(self._sent, lambda message: message["type"] == type_, count)

    async def confirmed(self, count: int = 1) -> Message:
        """Wait until the server has confirmed so many subscribes; give the last confirmation."""
        return await self._passed(
            self._received, lambda message: message["type"] == "subscription_confirmed", count
        )

    async def received(self, type_: str, **fields: object) -> Message:
        """Wait until the sample was sent a message of a type that has these fields."""
        return await self._passed(
            self._received, lambda message: message["type"] == type_ and fields.items() <= message.items(), 1
        )

    async def say(self, **message: object) -> None:
        """Say something in the server's name."""
        await self._sockets[-1].send(json.dumps(message))

    def cut(self) -> None:
        """Break the connection without a close frame (1006)."""
        self._sockets[-1].transport.abort()

    def silence(self) -> None:
        """Neither read nor answer on the present connection any more, as a dead network would."""
        self._silent.add(self._sockets[-1])
        self._sockets[-1].transport.pause_reading()

    async def close(self, code: int) -> None:
        """Close the connection with a code in the server's name."""
        await self._sockets[-1].close(code)

    async def _passed(self, log: list[Message], wanted: Callable[[Message], bool], count: int) -> Message:
        def found() -> list[Message]:
            return [message for message in log if wanted(message)]

        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(found()) >= count)
            return found()[count - 1]

    async def serve(self, socket: ServerConnection) -> None:
        """Serve one connection of the sample."""
        self._sockets.append(socket)
        await self.gate.wait()
        assert socket.request is not None
        async with connect(
            f"{self.upstream}{socket.request.path}", proxy=None, ping_interval=None, close_timeout=1
        ) as server:
            ways = {
                asyncio.create_task(self._hand_on(socket, server, self._sent)),
                asyncio.create_task(self._hand_on(server, socket, self._received)),
            }
            _, other = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in other:
                way.cancel()
            await asyncio.wait(ways)
        if socket in self._silent:
            await socket.wait_closed()

    async def _hand_on(
        self,
        source: ClientConnection | ServerConnection,
        sink: ClientConnection | ServerConnection,
        log: list[Message],
    ) -> None:
        with suppress(ConnectionClosed):
            async for text in source:
                if sink in self._silent:
                    continue
                await sink.send(text)
                async with self._changed:
                    log.append(json.loads(text))
                    self._changed.notify_all()


@asynccontextmanager
async def relay(server: str) -> AsyncIterator[Relay]:
    """Run a relay to the server at `host:port`."""
    one = Relay(f"ws://{server}")
    async with serve(one.serve, "127.0.0.1", 0, ping_interval=None, close_timeout=1) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        one.url = f"ws://127.0.0.1:{port}/ws"
        yield one
