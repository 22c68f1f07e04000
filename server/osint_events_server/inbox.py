"""Messages of one connection that wait their turn: delayed by the throttle, never lost (ROB-6)."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from osint_events_server.throttle import TokenBucket

_OVERHEAD = 128  # what a waiting message counts besides its characters


class NotYet(Exception):
    """A message cannot be carried out now, and is to be tried again.

    Attributes:
        seconds: after which.

    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"try again in {seconds:g} s")
        self.seconds = seconds


class Inbox:
    """Passes messages on in order, as fast as the bucket grants.

    Reading goes on while messages wait, up to a bound, so that a ping behind them is answered (CONN-3).

    Args:
        bucket: the throttle.
        clock: the seconds that the bucket was given.
        carry_out: what is done with a message when its turn has come; it may raise `NotYet`.
        max_size: characters that may wait, and some for each message; then reading waits.

    """

    __slots__ = (
        "_bucket",
        "_carry_out",
        "_clock",
        "_max_size",
        "_room",
        "_size",
        "_waiting",
        "_worker",
    )

    def __init__(
        self,
        bucket: TokenBucket,
        *,
        clock: Callable[[], float],
        carry_out: Callable[[str], Awaitable[None]],
        max_size: int,
    ) -> None:
        self._bucket = bucket
        self._clock = clock
        self._carry_out = carry_out
        self._max_size = max_size
        self._size = 0
        self._worker: asyncio.Task[None] | None = None
        # Made when first needed: most connections never do, and there are many.
        self._waiting: deque[tuple[float, str]]
        self._room: asyncio.Event

    async def take(self, text: str) -> None:
        """Carry the message out now or in its turn. Returns when another one may be read.

        It is not called again before it has returned.
        """
        now = self._clock()
        due = now + self._bucket.take(now)
        if due <= now and self._worker is None:
            try:
                await self._carry_out(text)
            except NotYet as later:
                due = now + later.seconds
            else:
                return
        if self._worker is None:
            self._waiting, self._room = deque(), asyncio.Event()
            self._worker = asyncio.create_task(self._work_off())
        self._waiting.append((due, text))
        self._size += len(text) + _OVERHEAD
        while self._size > self._max_size:
            self._room.clear()
            await self._room.wait()

    def close(self) -> None:
        """Drop what waits: the connection has ended, and is let go of. Nothing is taken any more."""
        if self._worker is not None:
            self._worker.cancel()
        del self._carry_out

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                due, text = self._waiting[0]
                if (delay := due - self._clock()) > 0:
                    await asyncio.sleep(delay)
                try:
                    await self._carry_out(text)
                except NotYet as later:
                    self._waiting[0] = (self._clock() + later.seconds, text)
                    continue
                self._waiting.popleft()
                self._size -= len(text) + _OVERHEAD
                self._room.set()
        finally:
            self._worker = None
