"""Ending all connections little by little, so that their clients do not all come back at once."""

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

_STEP: Final = 0.05  # seconds between looks at the clock

T = TypeVar("T")


async def spread(
    connections: Iterable[T],
    end: Callable[[T], None],
    *,
    seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[bool]],
) -> None:
    """End connections one after another, evenly over a time; the first at once.

    Args:
        connections: those that are there; more do not come.
        end: begins to close one of them.
        seconds: the time, above 0.
        clock: seconds that never go back.
        sleep: waits, and says whether to go on; where it says no, the rest is left.

    """
    waiting = deque(connections)
    total = len(waiting)
    began = clock()
    while waiting:
        passed = min(1.0, (clock() - began) / seconds)
        left = total - max(1, math.ceil(total * passed))
        while len(waiting) > left:
            end(waiting.popleft())
        if waiting and not await sleep(min(_STEP, seconds / total)):
            return
