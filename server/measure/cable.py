"""A TCP connection that can be cut: what stands between a server node and its broker in a fault run."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK = 65536


class Cable:
    """Forwards connections to a port of this machine, until it is cut.

    Attributes:
        port: where it listens, on 127.0.0.1.

    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._flows: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._whole = asyncio.Event()
        self._whole.set()
        self.port = 0

    async def lay(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop all connections, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        flows, self._flows = self._flows, set()
        for flow in flows:
            flow.cancel()
        await asyncio.gather(*flows, return_exceptions=True)

    def freeze(self) -> None:
        """Let nothing through any more, and say so to nobody."""
        self._whole.clear()

    def thaw(self) -> None:
        """Let through what was held back."""
        self._whole.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flow = asyncio.current_task()
        assert flow is not None
        self._flows.add(flow)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._flow(reader, far_writer))
                    both.create_task(self._flow(far_reader, writer))
            finally:
                far_writer.transport.abort()
        except* (OSError, asyncio.CancelledError):  # an end of it is gone, or it was cut
            pass
        finally:
            self._flows.discard(flow)
            writer.transport.abort()

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._whole.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def cable(target: int) -> AsyncIterator[Cable]:
    """Lay a cable; cut it at the end."""
    laid = Cable(target)
    await laid.lay()
    try:
        yield laid
    finally:
        laid.thaw()
        await laid.cut()
