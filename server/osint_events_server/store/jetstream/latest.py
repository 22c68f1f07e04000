"""Asking the same once for all who ask at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from osint_events_server.store import StoreError

T = TypeVar("T")


class Latest(Generic[T]):
    """Gives each caller an answer that was asked for after its call, with as few questions as that takes.

    Args:
        ask: asks; it may raise a `StoreError`, which all get that wait for that answer.

    Attributes:
        waiting: how many callers there are.

    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._asked = 0
        self._answered = 0
        self._answer: T
        self._error: StoreError | None = None
        self.waiting = 0

    async def __call__(self) -> T:
        """Return the answer to a question that begins now or later."""
        wanted = self._asked + 1
        self.waiting += 1
        try:
            async with self._asking:
                if self._answered < wanted:
                    await self._ask_now()
        finally:
            self.waiting -= 1
        if self._error is not None:
            raise self._error.with_traceback(None)
        return self._answer

    async def _ask_now(self) -> None:
        self._asked += 1
        try:
            self._answer = await self._ask()
        except StoreError as error:
            self._error = error
        else:
            self._error = None
        self._answered = self._asked
