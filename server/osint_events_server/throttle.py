"""How fast one connection's messages are taken: a token bucket, and no I/O (ROB-6, FLW-3).

A core connection is read more slowly: `TokenBucket.take` says how long a message has to wait, and none is
lost. One that negotiated to be told is refused instead: `RateLimit.admit` says when to try again.
"""

from typing import Final

_ROUNDING: Final = 1e-6  # seconds: what a clock that has run for months, and sums of floats, may lack


class RateAbuse(Exception):
    """The refused messages alone are more than the rate allows: close with 4003 (FLW-3)."""


class TokenBucket:
    """Grants `burst` messages at once and `rate` a second in the long run.

    Args:
        rate: messages per second, above 0.
        burst: messages, at least 1.
        now: the time, in seconds of the clock that all methods are given too.

    """

    __slots__ = ("_burst", "_rate", "_tokens", "_updated")

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._updated = now

    def take(self, now: float) -> float:
        """Take a token for one message, and return the seconds to wait before it is carried out."""
        self._fill(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def try_take(self, now: float) -> float:
        """Take a token and return 0 where there is one; else take none, and return the seconds until then."""
        self._fill(now)
        wait = (1 - self._tokens) / self._rate
        if wait > _ROUNDING:
            return wait
        self._tokens -= 1
        return 0.0

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._rate)
        self._updated = now


class RateLimit:
    """Carries out or refuses; ends who goes on regardless (FLW-3).

    Sustained abuse is measured with a bucket of its own, from which each refusal takes: a burst of
    refusals in a row, and refusals at the full rate for any time, are borne, since each costs no more
    than an answer. With the default rate and burst, who sends twice as fast as allowed is never ended,
    and ten times as fast within two seconds.

    Args:
        messages: what grants messages; one that delayed the connection's first ones may be handed on.
        refusals: what grants refusals.

    """

    __slots__ = ("_messages", "_refusals")

    def __init__(self, messages: TokenBucket, refusals: TokenBucket) -> None:
        self._messages = messages
        self._refusals = refusals

    def admit(self, now: float) -> float:
        """Return 0 where a message is to be carried out, else the seconds after which another one would be.

        Raises:
            RateAbuse: it is not to be carried out, and the connection is to end.

        """
        wait = self._messages.try_take(now)
        if wait and self._refusals.try_take(now):
            raise RateAbuse
        return wait
