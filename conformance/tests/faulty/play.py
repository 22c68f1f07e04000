"""Plays a scene twice: with the correct server, which keeps the promise, and with a faulty one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .client import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .scenes import Scene

Outcome = tuple[bool, bool]
"""Whether the correct server kept it, and whether the faulty one did."""

_PATIENCE = 2.0
_SHORT_PATIENCE = 0.3
"""Seconds for what never comes."""


class Plays:
    """The scenes of the faults by name; `correct` names the right server for each, `None` the plain one."""

    def __init__(
        self, scenes: Mapping[str, Scene], correct: Callable[[str], str | None], beside: int
    ) -> None:
        self._scenes = scenes
        self._correct = correct
        self._beside = asyncio.Semaphore(beside)
        # A few at a time: most of the time is spent waiting for what never comes.
        self._outcomes = asyncio.run(self._all())

    def outcome(self, name: str) -> Outcome:
        """How the scene ended; alone, where others may have hidden a fault of a few milliseconds."""
        made = self._outcomes[name]
        return made if made == (True, False) else asyncio.run(self._both(name))

    async def _all(self) -> dict[str, Outcome]:
        made = await asyncio.gather(*(self._beside_others(name) for name in self._scenes))
        return dict(zip(self._scenes, made, strict=True))

    async def _beside_others(self, name: str) -> Outcome:
        async with self._beside:
            return await self._both(name)

    async def _both(self, name: str) -> Outcome:
        right = await self._kept(self._correct(name), name, _PATIENCE)
        return right, await self._kept(name, name, _SHORT_PATIENCE)

    async def _kept(self, server: str | None, name: str, patience: float) -> bool:
        async with await World.of(server, patience) as world:
            return await self._scenes[name](world)
