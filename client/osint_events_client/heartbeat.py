"""When a silent connection is probed, and when it is given up (CLT-4, HB-2). It owns no clock."""

from enum import Enum


class Pulse(Enum):
    """What is to be done about a connection."""

    ALIVE = "alive"
    PROBE = "probe"
    DEAD = "dead"


class Heartbeat:
    """The last sign of life of a peer. All times are seconds of one monotonic clock.

    Args:
        interval: the silence after which the peer is probed.
        timeout: how much longer it has to answer.

    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._heard = 0.0
        self._probed = False

    def heard(self, now: float) -> None:
        """Take note that something came from the peer: any frame is life."""
        self._heard = now
        self._probed = False

    def set_times(self, interval: float, timeout: float) -> None:
        """Go by the server's times from now on."""
        self._interval = interval
        self._timeout = timeout

    def deadline(self) -> float:
        """Give the time at which `check` has something to say, if nothing is heard until then."""
        return self._heard + self._interval + (self._timeout if self._probed else 0)

    def check(self, now: float) -> Pulse:
        """Say what is to be done; PROBE once for each silence."""
        if now < self.deadline():
            return Pulse.ALIVE
        if self._probed:
            return Pulse.DEAD
        self._probed = True
        return Pulse.PROBE
