"""After which end a client comes back, and when (CLT-4)."""

import random
from typing import Final

_LEAST: Final = 0.5
_MOST: Final = 20.0
_TRANSIENT: Final = frozenset({1001, 1006, 1011, 1012, 1013})
_LAST_DOUBLING: Final = 16


def comes_back_after(code: int) -> bool:
    """Tell whether a client connects again after a connection that ended with this close code."""
    return code in _TRANSIENT or 4000 <= code <= 4499  # noqa: PLR2004 - the protocol's range


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
