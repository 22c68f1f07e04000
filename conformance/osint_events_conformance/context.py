"""What a script in execution is, and what all that acts for it shares: clocks, deadlines, the server."""

from __future__ import annotations

import asyncio
import random
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from osint_events_conformance.model import Model
from osint_events_conformance.names import Names
from osint_events_conformance.pace import Pace, Ticker
from osint_events_conformance.records import Case, Event, Peer
from osint_events_conformance.triggers import Trigger
from osint_events_conformance.wire import Endpoint, Link, Refused, Unreachable

LOOK = 0.05
"""Seconds between two looks at what is waited for."""
_LIFE_WITHIN = 10.0


@dataclass(eq=False, slots=True)
class Running:
    """A script in execution."""

    case: Case
    changed: asyncio.Event
    peers: dict[str, Peer | None]
    publishes: list[asyncio.Task[Event]]
    patience: float = 1.0
    answered: bool = False
    """Whether the rest of the script is not needed."""
    long: bool = False
    pausing: bool = False
    crowded: bool = False
    """Whether what was published once did not arrive in time: no room is waited for any more."""
    lossy: bool = False
    """Whether something that was waited for longer did not come either."""

    def peer(self, name: str) -> Peer:
        """A connection of the script, which must be open."""
        peer = self.peers[name]
        assert peer is not None
        return peer


class Context:
    """The server under test and the clocks. `rng` names things; `clock` gives seconds of the run."""

    def __init__(
        self, endpoint: Endpoint, trigger: Trigger, model: Model, pace: Pace, rng: random.Random
    ) -> None:
        self.endpoint = endpoint
        self.trigger = trigger
        self.model = model
        self.pace = pace
        self.rng = rng
        self.ticker = Ticker()
        started = time.monotonic()
        self.clock: Callable[[], float] = lambda: time.monotonic() - started
        self.left: weakref.WeakSet[Link] = weakref.WeakSet()
        """Connections that nobody uses any more and that may not have ended yet."""

    async def until(self, running: Running, done: Callable[[], bool], *, longer: float = 0.0) -> bool:
        """Wait for `done`, as long as something that was owed keeps coming; False when it is overdue."""
        case = running.case
        seen, since, asked = case.progressed_at, self.ticker.seconds, False
        while not done():
            running.changed.clear()
            try:
                async with asyncio.timeout(LOOK):
                    await running.changed.wait()
            except TimeoutError:
                pass
            if case.progressed_at != seen:
                self.pace.measured(self.ticker.seconds - since)
                seen, since = case.progressed_at, self.ticker.seconds
            limit = max(self.pace.deadline * running.patience, longer)
            if self.ticker.seconds - since <= limit:
                continue
            if asked:
                running.patience = min(running.patience, 0.3)  # what is slow to fail once fails fast again
                return done()
            asked = True
            await self._sign_of_life()
            since = self.ticker.seconds - limit * 0.7
        return True

    async def _sign_of_life(self) -> None:
        """Before something counts as missing, see whether the server is alive or stalls as a whole."""
        try:
            link = await Link.open(
                self.endpoint, Names(self.rng).client("alive"), self.clock, within=_LIFE_WITHIN
            )
        except (Refused, Unreachable):
            return
        self.leave(link)

    def leave(self, link: Link) -> None:
        """Close a connection that is not needed any more, and see to it that it ends."""
        link.close()
        link.hang_up_soon()
        self.left.add(link)
