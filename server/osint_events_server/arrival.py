"""Time for a connection to say what it wants, which aiohttp does not limit."""

import asyncio


def arriving(protocol: asyncio.Protocol, *, seconds: float) -> asyncio.Protocol:
    """Return a protocol that drops a connection which sends no whole request.

    Args:
        protocol: everything is passed on to it.
        seconds: until the first request has to be there, without its body.

    """
    return _Arriving(protocol, seconds)


def arrived(transport: asyncio.BaseTransport | None) -> None:
    """Take note that the first request of a connection is there; from then on aiohttp has it to itself."""
    if transport is None:
        return
    protocol = transport.get_protocol()
    if isinstance(protocol, _Arriving):
        transport.set_protocol(protocol.stop())


class _Arriving(asyncio.Protocol):
    def __init__(self, protocol: asyncio.Protocol, seconds: float) -> None:
        self._protocol = protocol
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def stop(self) -> asyncio.Protocol:
        if self._timer is not None:
            self._timer.cancel()
        return self._protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, transport.abort)
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop()
        self._protocol.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
