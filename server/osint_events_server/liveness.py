"""Noticing that a peer is silent, and asking whether it is still there (HB-2)."""

import asyncio
import math
from typing import Protocol

from osint_events_server.counts import Counts
from osint_events_server.heartbeat import Due, Heartbeat


class Asking(Protocol):
    """Whoever asks the peer: an object rather than three functions, since there are many connections."""

    def ping(self) -> None:
        """Ask the peer for a sign of life."""

    def give_up_answering(self) -> None:
        """Act on that there was none; called once."""

    def sent_at(self) -> float:
        """Return when something was last sent that the heartbeat was not told of; -inf for never."""


class Liveness:
    """Wakes when a connection's heartbeat has something due.

    Args:
        asking: asks.
        interval: seconds of silence, above 0.
        counts: what comes is counted there.

    """

    __slots__ = (
        "_asking",
        "_asks_senders",
        "_counts",
        "_interval",
        "_loop",
        "_timer",
        "heartbeat",
    )

    def __init__(
        self,
        asking: Asking,
        *,
        interval: float,
        counts: Counts,
    ) -> None:
        self._asking = asking
        self._counts = counts
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

    def stop(self) -> None:
        """Ask no more, and let go of whoever asks."""
        self._timer.cancel()
        del self._asking

    def received(self, size: int = 0) -> None:
        """Take a sign of life, of so many bytes."""
        self._counts.received_bytes += size
        self.heartbeat.received_at = self._loop.time()

    def _wake(self) -> None:
        if self._asks_senders:
            self.heartbeat.sent_at = max(self.heartbeat.sent_at, self._asking.sent_at())
        due = self.heartbeat.due(self._loop.time())
        if due is Due.TIMEOUT:
            self._asking.give_up_answering()
            return
        if due is Due.PING:
            self._asking.ping()
        if not self._asks_senders:
            self.heartbeat.sent_at = math.inf
        self._timer = self._loop.call_at(self.heartbeat.wake_at, self._wake)
