"""When a connection is to be pinged, and when it is dead (HB-2). No I/O, no timer and no clock of its own.

The owner keeps one timer a connection. It is never moved when something is sent or received: it wakes too
early at worst, finds nothing due, and is armed again for `wake_at`.
"""

import math
from enum import Enum
from typing import Final

_PUNCTUAL: Final = 0.1  # seconds by which a loop that keeps up may be late


class Due(Enum):
    """What a connection needs now."""

    PING = "ping"
    """A ping is to be sent; it counts as sent."""

    TIMEOUT = "timeout"
    """The peer is dead: close with 4001."""


class Heartbeat:
    """The liveness of one connection.

    Args:
        interval: seconds of silence, in either direction, after which a ping is due; above 0.
        timeout: seconds that a peer which was silent for `interval` has to show life; above 0.
        now: the time, in seconds of the clock that everything here is told in.

    Attributes:
        sent_at: when something was last sent. The owner stores the time at each write, with no call, since a
            busy server makes many; or, of writes that it keeps elsewhere, before it asks what is due.
        received_at: when a frame, of any kind, last came. The owner stores it.

    """

    __slots__ = ("_asked_at", "_interval", "_late", "_timeout", "received_at", "sent_at")

    def __init__(self, *, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self.sent_at = now
        self.received_at = now
        # When the peer was pinged because it was silent. A life sign is one that came later.
        self._asked_at = -math.inf
        self._late = False

    @property
    def wake_at(self) -> float:
        """The time before which nothing is due, whatever happens until then."""
        return min(self.sent_at + self._interval, self._deadline())

    def due(self, now: float) -> Due | None:
        """Return what is due, which the owner then does; None where it woke too early.

        An owner that is late itself does not blame the peer: the time to show life counts from the ping, and
        where its end is noticed late, what came meanwhile is first given the chance to be read.
        """
        if now >= self._deadline():
            if not self._is_asked():
                self._asked_at = self.sent_at = now
                self._late = False
                return Due.PING
            if now < self._deadline() + _PUNCTUAL or self._late:
                return Due.TIMEOUT
            self._late = True
            self._asked_at = now + _PUNCTUAL / 2 - self._timeout
        if now >= self.sent_at + self._interval:
            self.sent_at = now
            return Due.PING
        return None

    def _deadline(self) -> float:
        """Return when the peer's silence is next to be acted on."""
        if self._is_asked():
            return self._asked_at + self._timeout
        return self.received_at + self._interval

    def _is_asked(self) -> bool:
        return self._asked_at > self.received_at
