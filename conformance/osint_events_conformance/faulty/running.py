"""Start one server of the zoo on a port."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from .capable.server import CapableServer
from .catalogue import FAULTS, ODDITIES
from .listener import HttpConnection
from .server import Server

if TYPE_CHECKING:
    from types import TracebackType


CORRECT: Mapping[str, type[Server]] = MappingProxyType({"correct": Server, "capable": CapableServer})
"""The servers without a fault: one that knows Part 1 only, and one that speaks all of Part 2."""


class RunningServer:
    """A server that listens; also an asynchronous context manager that closes it."""

    def __init__(self, server: Server, listener: asyncio.Server) -> None:
        self.server = server
        self._listener = listener
        host, port = listener.sockets[0].getsockname()[:2]
        self._at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def http_url(self) -> str:
        """Where it listens."""
        return f"http://{self._at}"

    @property
    def ws_url(self) -> str:
        """The WebSocket endpoint, to which a judge appends `/{client_id}`."""
        return f"ws://{self._at}/ws"

    @property
    def inject_url(self) -> str:
        """Where events are injected."""
        return f"http://{self._at}/inject"

    @property
    def restart_url(self) -> str:
        """Where the server is made to start anew, by a POST."""
        return f"http://{self._at}/restart"

    @property
    def trigger_url(self) -> str:
        """Where the server is made to emit an event of its own: a template with `{investigation_id}`."""
        return f"http://{self._at}/trigger/{{investigation_id}}"

    async def close(self) -> None:
        """Close every connection (1001) and the port; returns when all of them are gone."""
        self._listener.close()
        self.server.stop()
        deadline = asyncio.get_running_loop().time() + self.server.limits.closing
        while self.server.transports and asyncio.get_running_loop().time() < deadline:
            for transport in list(self.server.transports):
                if isinstance(transport.get_protocol(), HttpConnection):
                    transport.close()
            await asyncio.sleep(0.005)
        for transport in list(self.server.transports):
            transport.abort()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        """Return the server itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()


def server_class(name: str | None) -> type[Server]:
    """Return the class of a fault, an oddity or a correct server; None is the one that knows Part 1 only.

    Raises KeyError for other names.
    """
    if name is None or name in CORRECT:
        return CORRECT[name or "correct"]
    entry = FAULTS.get(name) or ODDITIES.get(name)
    if entry is None:
        raise KeyError(name)
    return entry.server


async def start(name: str | None = None, *, host: str = "127.0.0.1", port: int = 0) -> RunningServer:
    """Start the server of a fault or an oddity, or a correct one (None is the one that knows Part 1 only).

    Raises KeyError for a name that the zoo does not know, OSError when the port cannot be had.
    """
    server = server_class(name)()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: HttpConnection(server), host, port, backlog=1024)
    return RunningServer(server, listener)
