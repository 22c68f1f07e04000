"""A connection's transport, watched: what comes, whether it holds something, and that it is gone."""

import asyncio
from typing import Protocol


class Watching(Protocol):
    """Whoever watches."""

    def received(self, size: int) -> None:
        """Take note of so many bytes, a part of a frame too."""

    def pause(self) -> None:
        """Take note that the transport holds more than its high-water mark."""

    def resume(self) -> None:
        """Take note that the transport holds no more than its low-water mark."""

    def lose(self) -> None:
        """Take note that the connection is gone. Its socket is closed as soon as this returns."""


def watch(transport: asyncio.Transport, watching: Watching) -> None:
    """Tell what happens to a transport from now on; its protocol is told as before."""
    protocol = transport.get_protocol()
    assert isinstance(protocol, asyncio.Protocol)
    transport.set_protocol(_Watched(protocol, watching))


class _Watched(asyncio.Protocol):
    """A protocol that passes everything on to another."""

    __slots__ = ("_protocol", "_watching")

    def __init__(self, protocol: asyncio.Protocol, watching: Watching) -> None:
        self._protocol = protocol
        self._watching = watching

    def data_received(self, data: bytes) -> None:
        self._watching.received(len(data))
        self._protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watching.lose()
        self._protocol.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._watching.pause()
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._watching.resume()
        self._protocol.resume_writing()
