"""How fast one connection's messages are taken: a token bucket, and no I/O (ROB-6)."""


class TokenBucket:
    """Grants `burst` messages at once and `rate` a second in the long run.

    Args:
        rate: messages per second, above 0.
        burst: messages, at least 1.
        now: the time, in seconds of the clock that `take` is given too.

    """

    __slots__ = ("_burst", "_rate", "_tokens", "_updated")

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._updated = now

    def take(self, now: float) -> float:
        """Take a token for one message, and return the seconds to wait before it is carried out."""
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._rate) - 1
        self._updated = now
        return max(0.0, -self._tokens / self._rate)
