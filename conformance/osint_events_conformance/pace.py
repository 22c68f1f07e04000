"""Time as the checks see it: deadlines from what was measured, and a clock that stops while we stall."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

TICK = 0.02
"""Seconds between two ticks of the `Ticker`."""
_STALL = 0.4
"""Seconds without a tick after which a server may rightly take the runner for dead."""
_AFTERMATH = 2.0
"""Seconds in which what a server decided meanwhile becomes known."""
_SHORTEST_DEADLINE = 1.0
_ROUND_TRIPS_TO_A_DEADLINE = 25
_SLOWEST_TO_A_DEADLINE = 5
_LONGEST_FROM_SLOWEST = 6.0
"""Seconds: a server that hung once for long is not given several times that from then on."""
_HANDSHAKE = 10.0
_HANDSHAKE_OF_THE_MUTE = 2.0
_SHORTEST_GRACE = 0.03
_LONGEST_GRACE = 1.0


@dataclass(slots=True)
class Pace:
    """How quick the server under test is, in seconds. Deadlines and graces follow from it.

    `scale` is the user's `--timeout-scale`.
    """

    scale: float = 1.0
    round_trip: float = 0.01
    """A quiet round trip, measured at the start."""
    slowest: float = 0.0
    """The longest silence before something owed did come, under load too."""
    handshake: float = _HANDSHAKE
    """How long to wait for the answer to a handshake, at least."""

    def unanswered(self) -> None:
        """Take note that a quiet first handshake was not answered: no other is given that long."""
        self.handshake = _HANDSHAKE_OF_THE_MUTE

    def measured(self, seconds: float) -> None:
        """Take note of a silence that ended well."""
        self.slowest = max(self.slowest, seconds)

    @property
    def deadline(self) -> float:
        """How long to wait for what must come, counted from the last thing that did."""
        wait = max(
            _SHORTEST_DEADLINE,
            _ROUND_TRIPS_TO_A_DEADLINE * self.round_trip,
            min(_SLOWEST_TO_A_DEADLINE * self.slowest, _LONGEST_FROM_SLOWEST),
        )
        return wait * self.scale

    @property
    def prompt(self) -> float:
        """How long a delivery may take that nothing may delay (ROB-5)."""
        return max(_SHORTEST_DEADLINE, 20 * self.round_trip) * self.scale

    @property
    def grace(self) -> float:
        """How long to go on listening behind a fence."""
        return min(max(_SHORTEST_GRACE, 3 * self.round_trip), _LONGEST_GRACE) * self.scale


class Ticker:
    """A clock of ticks that the event loop really made.

    While this process gets no processor, no tick is counted, so a deadline in ticks is never
    missed on account of the runner's own machine.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self.seconds = 0.0
        self._ticked_at = clock()
        self._stalled_at = -math.inf
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tick, in the running loop."""
        self._ticked_at = self._clock()
        self._task = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await self._sleep(TICK)
            self.seconds += TICK
            if self._clock() - self._ticked_at > _STALL:
                self._stalled_at = self._clock()
            self._ticked_at = self._clock()

    @property
    def stalled(self) -> bool:
        """Whether this process got no processor for so long, just now, that it answered no ping."""
        now = self._clock()
        return now - self._ticked_at > _STALL or now - self._stalled_at < _AFTERMATH


class Bucket:
    """How many messages a server takes: `burst` at once, and `rate` a second (FLW-3).

    `at` is when it is full, in seconds of the clock whose times `take` gets.
    """

    def __init__(self, burst: float, rate: float, at: float) -> None:
        self._burst = self._level = burst
        self._rate = rate
        self._at = at

    def take(self, count: int, at: float) -> float:
        """Take `count` messages, and say how many seconds to wait before they are sent."""
        self._level = min(self._burst, self._level + (at - self._at) * self._rate) - count
        self._at = at
        return max(0.0, -self._level / self._rate)
