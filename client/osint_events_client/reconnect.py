"""When a client comes back (CLT-4); after which end it does says the contract."""

import random
from typing import Final

_LEAST: Final = 0.5
_MOST: Final = 20.0
_LAST_DOUBLING: Final = 16


class Backoff:
    """How long to wait before the next attempt: full jitter below a ceiling that doubles, 0.5 s to 20 s.

    Args:
        rng: where the jitter comes from.

    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._attempts = 0

    def delay(self) -> float:
        """Give the seconds before the next attempt; the ceiling doubles with each."""
        ceiling = min(_MOST, _LEAST * 2**self._attempts)
        self._attempts = min(self._attempts + 1, _LAST_DOUBLING)
        return self._rng.uniform(0, ceiling)

    def lasted(self, seconds: float) -> None:
        """Take note how long a connection lasted: one of 20 s was no failed attempt."""
        if seconds >= _MOST:
            self._attempts = 0
