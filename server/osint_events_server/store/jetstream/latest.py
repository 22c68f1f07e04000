"""Asking the same once for all who ask at a time."""

import asyncio
from collections.abc import Awaitable, Callable

from osint_events_server.store import StoreUnavailable


class Latest:
    """Gives each caller an answer that was asked for after its call, with as few questions as that takes.

    Args:
        ask: asks; it may raise `StoreUnavailable`, which all that wait for that answer get.

    """

    def __init__(self, ask: Callable[[], Awaitable[int]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._asked = 0
        self._answered = 0
        self._answer: int | StoreUnavailable = 0

    async def __call__(self) -> int:
        """Return the answer to a question that begins now or later."""
        wanted = self._asked + 1
        async with self._asking:
            if self._answered < wanted:
                self._asked += 1
                try:
                    self._answer = await self._ask()
                except StoreUnavailable as error:
                    self._answer = error
                self._answered = self._asked
        if isinstance(self._answer, StoreUnavailable):
            raise StoreUnavailable(str(self._answer), retry_after=self._answer.retry_after)
        return self._answer
