"""What the zoo holds: faults with the clauses that they break, and oddities that break none.

A loss breaks SUB-2 in letter as well as DEL-1. So that a fault can name exactly the clauses that a judge must
report, one rule decides: the clause that is about the cause.

- What comes right after a confirmation is missing, and what comes later arrives: SUB-2. Something arrived and
  something else is lost later, or for some receivers only, or a subscription is never effective: DEL-1,
  since no later event tells it from any other loss.
- The message arrives, but changed: EVT-1 (payload), MSG-2 (envelope), MSG-1 (no JSON object in a text frame).
- A connection that was promised to stay usable and is not: the clause that made the promise (ROB-1, ROB-3,
  CONN-5 ...).

On connections that said hello the same holds, and besides:

- A feature, or a field or message of one, that was not granted is used: NEG-1; but pings HB-3, errors ERR-1.
- The number itself is wrong: RPL-1; `prev`: RPL-2; what a token is good for: RPL-3. What is lost or doubled
  as a consequence is not named again.
- Missing from a replay, or twice in it, is what had been published before it was asked for: RPL-4. What was
  published meanwhile, and the order of the whole: RPL-5.
- An event is delivered to the wrong scopes: SCP-1; what a bad scope does: SCP-2; what a switch does: SCP-3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Literal, TypeVar

from .server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

Fallback = Literal["on", "off", "any"]
_Class = TypeVar("_Class", bound=type[Server])


@dataclass(frozen=True)
class Fault:
    """One way to be wrong."""

    name: str
    summary: str
    """What the server does wrong, in a line or two."""
    clauses: frozenset[str]
    """Exactly the clauses that a right judge reports findings on, as failed or as warned."""
    subtle: bool
    """Whether it shows only for particular inputs, counts, timings or sequences."""
    server: type[Server]
    trigger: bool = False
    """Whether it shows only in the server's own events: the judge needs `RunningServer.trigger_url`."""
    fallback: Fallback = "any"
    """What the judge must be told about the fallback for the fault to be one (DEL-3)."""
    restart: bool = False
    """Whether it shows only after a restart: the judge needs `RunningServer.restart_url`."""

    @property
    def capable(self) -> bool:
        """Whether the server speaks Part 2 too."""
        return self.server.capable

    @property
    def guarded(self) -> bool:
        """Whether it demands tokens: the judge needs them."""
        return self.server.guarded


@dataclass(frozen=True)
class Oddity:
    """One way to be right that a hasty judge takes for wrong."""

    name: str
    summary: str
    warns: frozenset[str]
    """The SHOULD clauses that a right judge warns about."""
    server: type[Server]
    trigger: bool = False
    """Whether the odd part is in the server's own events: the judge needs `RunningServer.trigger_url`."""
    restart: bool = False
    """Whether the odd part is what a restart leaves: the judge needs `RunningServer.restart_url`."""

    @property
    def capable(self) -> bool:
        """Whether the server speaks Part 2 too."""
        return self.server.capable

    @property
    def guarded(self) -> bool:
        """Whether it demands tokens: the judge needs them."""
        return self.server.guarded


FAULTS: dict[str, Fault] = {}
ODDITIES: dict[str, Oddity] = {}


def fault(
    *clauses: str,
    subtle: bool = False,
    trigger: bool = False,
    fallback: Fallback = "any",
    restart: bool = False,
) -> Callable[[_Class], _Class]:
    """Enter a server class as a fault; its name and docstring become the fault's."""

    def enter(server: _Class) -> _Class:
        name, summary = _described(server)
        FAULTS[name] = Fault(name, summary, frozenset(clauses), subtle, server, trigger, fallback, restart)
        return server

    return enter


def oddity(*warns: str, trigger: bool = False, restart: bool = False) -> Callable[[_Class], _Class]:
    """Enter a server class as an oddity; its name and docstring become the oddity's."""

    def enter(server: _Class) -> _Class:
        name, summary = _described(server)
        ODDITIES[name] = Oddity(name, summary, frozenset(warns), server, trigger, restart)
        return server

    return enter


def _described(server: type[Server]) -> tuple[str, str]:
    """Return `RefusesDashes` as `refuses-dashes`, and its docstring in one line."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", server.__name__).lower()
    if name in FAULTS or name in ODDITIES:
        raise ValueError(f"two servers are called {name}")
    return name, " ".join(cleandoc(server.__doc__ or "").split())
