"""Noticing that a peer is silent, and asking whether it is still there (HB-2)."""

import asyncio
import math
from collections.abc import Callable

from osint_events_server.counts import Counts
from osint_events_server.heartbeat import Due, Heartbeat


class Liveness:
    """Wakes when a connection's heartbeat has something due.

    Args:
        ping: asks the peer for a sign of life.
        give_up: is called, once, where there was none.
        interval: seconds of silence, above 0.
        counts: what comes is counted there.

    """

    __slots__ = (
        "_asks_senders",
        "_counts",
        "_give_up",
        "_interval",
        "_loop",
        "_ping",
        "_timer",
        "heartbeat",
    )

    def __init__(
        self,
        *,
        ping: Callable[[], None],
        give_up: Callable[[], None],
        interval: float,
        counts: Counts,
    ) -> None:
        self._counts = counts
        self._ping = ping
        self._give_up = give_up
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        # Without the capability, a client that sends is not asked, however little it is sent.
        self._asks_senders = False
        self.heartbeat = Heartbeat(interval=interval, timeout=interval / 2, now=self._loop.time())
        self.heartbeat.sent_at = math.inf
        self._timer = self._loop.call_at(self.heartbeat.wake_at, self._wake)

    def negotiate(self, *, timeout: float) -> Heartbeat:
        """Keep the capability's rules from now on, with `timeout` seconds to show life, above 0."""
        self._asks_senders = True
        self.heartbeat = Heartbeat(interval=self._interval, timeout=timeout, now=self._loop.time())
        self._timer.cancel()
        self._timer = self._loop.call_at(self.heartbeat.wake_at, self._wake)
        return self.heartbeat

    def watch(self, transport: asyncio.Transport) -> None:
        """Take whatever comes over a transport for life, a part of a frame too."""
        protocol = transport.get_protocol()
        assert isinstance(protocol, asyncio.Protocol)
        transport.set_protocol(_Watched(protocol, self))

    def stop(self) -> None:
        """Ask no more."""
        self._timer.cancel()

    def received(self, size: int = 0) -> None:
        """Take a sign of life, of so many bytes."""
        self._counts.received_bytes += size
        self.heartbeat.received_at = self._loop.time()

    def _wake(self) -> None:
        due = self.heartbeat.due(self._loop.time())
        if due is Due.TIMEOUT:
            self._give_up()
            return
        if due is Due.PING:
            self._ping()
        if not self._asks_senders:
            self.heartbeat.sent_at = math.inf
        self._timer = self._loop.call_at(self.heartbeat.wake_at, self._wake)


class _Watched(asyncio.Protocol):
    """A protocol that passes everything on to another, and says when something came."""

    __slots__ = (
        "_liveness",
        "_protocol",
    )

    def __init__(self, protocol: asyncio.Protocol, liveness: Liveness) -> None:
        self._protocol = protocol
        self._liveness = liveness

    def data_received(self, data: bytes) -> None:
        self._liveness.received(len(data))
        self._protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
