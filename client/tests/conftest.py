"""The fake server on a real socket."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from osint_events.features import FEATURES
from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection, serve

from .world import Connection, FakeServer


class Impatient(random.Random):
    """Waits for nothing, and gives other ids each time."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - random's own signature
        return a


class SocketServer:
    """Serves the fake's messages; connections can be ended in every way."""

    def __init__(self, server: FakeServer) -> None:
        self.fake = server
        self.url = ""
        self.paths: list[str] = []
        self.sockets: dict[ServerConnection, Connection] = {}
        self.changed = asyncio.Event()

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append(socket.request.path)
        connection = self.sockets[socket] = self.fake.connect()
        self._note()
        try:
            async for text in socket:
                assert isinstance(text, str)
                self.fake.receive(connection, text)
                self._note()
                await self.flush()
        finally:
            del self.sockets[socket]
            self.fake.disconnect(connection)
            self._note()

    async def publish(self, investigation_id: str, data: dict[str, Any]) -> int:
        seq = self.fake.publish(investigation_id, data)
        await self.flush()
        return seq

    async def say(self, message: object) -> None:
        """Send something to every connection."""
        for socket in list(self.sockets):
            await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def flush(self) -> None:
        for socket, connection in list(self.sockets.items()):
            sent, connection.sent = connection.sent, []
            for message in sent:
                await socket.send(json.dumps(message))

    async def close(self, code: int, reason: str = "") -> None:
        for socket in list(self.sockets):
            await socket.close(code, reason)

    def drop(self) -> None:
        """Break every connection without a close frame."""
        for socket in list(self.sockets):
            socket.transport.abort()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true, which is looked at whenever a client does something."""
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def subscribed(self, *investigations: str) -> None:
        """Wait until a connection is subscribed to all of these."""
        wanted = set(investigations)
        await self.until(lambda: any(wanted <= set(c.scopes) for c in self.sockets.values()))

    def received(self, kind: str) -> list[dict[str, Any]]:
        """Give what the present connections sent of one type."""
        return [m for c in self.sockets.values() for m in c.received if m["type"] == kind]

    def _note(self) -> None:
        self.changed.set()


Serving = Callable[..., AbstractAsyncContextManager[SocketServer]]


@asynccontextmanager
async def _serving(features: tuple[str, ...] = FEATURES, **options: Any) -> AsyncIterator[SocketServer]:
    sockets = SocketServer(FakeServer(frozenset(features)))

    async def handle(socket: ServerConnection) -> None:
        try:
            await sockets.handle(socket)
        except ConnectionClosed:
            return

    async with serve(handle, "127.0.0.1", 0, close_timeout=1, **options) as listener:
        port = next(iter(listener.sockets)).getsockname()[1]
        sockets.url = f"ws://127.0.0.1:{port}/ws"
        yield sockets


@pytest.fixture
def serving() -> Serving:
    """Start servers: `async with serving() as server`."""
    return _serving


@pytest.fixture
def rng() -> random.Random:
    """Give a source of ids that never makes a client wait."""
    return Impatient(7)
