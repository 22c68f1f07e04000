"""The checks of the coverage phase, grouped as the protocol's sections are.

A check is a function that yields scripts; its decorator names the clause that it was written for.
What it is judged by is the model's business, so every check also watches every other clause.
"""

from __future__ import annotations

import importlib
import json
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from osint_events_conformance.credentials import Auth
from osint_events_conformance.deliveries import Fallback
from osint_events_conformance.names import Names
from osint_events_conformance.script import Connect, Hello, Publish, Script, Settle, Step, Subscribe, flat

_SECTIONS = ("connection", "subscribing", "robustness", "slow", "events", "delivery")
_PART_2 = (
    "negotiation", "replay", "positions", "restarting", "scopes", "heartbeats", "compression", "flow", "security",
)  # fmt: skip
"""The sections of Part 2, for servers that answer `hello`."""


_LONGEST_WAIT = 12.0
_USUAL_BURST = 200
"""Seconds that a check may wait beside the others without --patient."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What a check may know: randomness for fresh ids, and what the user told of the server."""

    rng: random.Random
    fallback: Fallback
    round_trip: float = 0.001
    """Seconds that a subscribe takes to be confirmed."""
    welcome: Mapping[str, Any] = field(default_factory=dict)
    """What the server told who asked for every feature; empty where it knows only Part 1."""
    patient: bool = False
    can_restart: bool = False
    origin: str = "http://127.0.0.1:8000"
    """An origin whose pages may connect, as far as is known: the one that was given, or the server's own."""
    has_token: bool = False
    spoilings: tuple[Auth, ...] = ()
    """Ways in which the token can be spoilt."""
    forbidden_id: str | None = None
    """What the token's principal may not see."""
    trigger_may_see: bool = False
    """Whether who makes the server emit may subscribe to that."""

    @property
    def offered(self) -> frozenset[str]:
        """The features that the server has."""
        return frozenset(self.welcome.get("features", ()))

    @property
    def interval(self) -> float:
        """Seconds of silence after which a heartbeat is due (HB-2); endless where none was told."""
        return float(self.welcome.get("heartbeat", {}).get("interval_ms", math.inf)) / 1000

    @property
    def timeout(self) -> float:
        """Seconds that the server waits for a sign of life after that (HB-2)."""
        return float(self.welcome.get("heartbeat", {}).get("timeout_ms", math.inf)) / 1000

    @property
    def burst(self) -> int:
        """Messages that a client may send at once (FLW-3); ROB-6 promises no number."""
        return int(self.welcome.get("limits", {}).get("burst", _USUAL_BURST))

    def too_long(self, seconds: float) -> str | None:
        """Why a check that waits so long is left out, if it is."""
        if not math.isfinite(seconds):
            return "the server tells no heartbeat times to wait for"
        if seconds <= _LONGEST_WAIT or self.patient:
            return None
        return f"it takes {seconds:.0f} s of waiting, by the server's own times: --patient waits"

    def names(self) -> Names:
        """Fresh ids for one script."""
        return Names(self.rng)


Scenario = tuple[Names, str, Iterable[Step]]
"""What checks yield: the names used, a title and the steps."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: the clause that it tests, what it needs of the trigger, and its scripts."""

    name: str
    clause: str
    about: str
    needs_payload: bool
    mode: str
    unless: Callable[[Kit], str | None]
    """Why the check is left out with this server, if it is."""
    build: Callable[[Kit], Iterator[Scenario]]

    def scripts(self, kit: Kit) -> Iterator[Script]:
        """The scripts, made afresh with ids of their own."""
        for names, title, steps in self.build(kit):
            script = Script(title, tuple(steps), self.clause, self.name, salts=(names.word, names.digits))
            match self.mode:
                case "alone":
                    yield replace(script, mode="alone")
                case "long":
                    yield replace(script, mode="long")
                case "last":
                    yield replace(script, mode="last")
                case _:
                    yield script


_checks: list[Check] = []


def _never(_: Kit) -> None:
    """Leave it out nowhere."""


def check(
    clause: str,
    *,
    needs_payload: bool = False,
    mode: str = "beside",
    unless: Callable[[Kit], str | None] = _never,
) -> Callable[[Callable[[Kit], Iterator[Scenario]]], Callable[[Kit], Iterator[Scenario]]]:
    """Register a check of `clause`.

    `needs_payload`: it means something only if the trigger emits exactly what it is given. `unless` gives
    the reason where it cannot be carried out with a server.
    """

    def register(build: Callable[[Kit], Iterator[Scenario]]) -> Callable[[Kit], Iterator[Scenario]]:
        about = (build.__doc__ or "").strip().partition("\n")[0]
        _checks.append(Check(build.__name__, clause, about, needs_payload, mode, unless, build))
        return build

    return register


def checks() -> tuple[Check, ...]:
    """All checks, in the order of the protocol's sections."""
    for section in (*_SECTIONS, *_PART_2):
        importlib.import_module(f"{__name__}.{section}")
    return tuple(_checks)


def publishes(script: Script) -> bool:
    """Whether the script needs a server that can be made to emit."""
    return any(isinstance(step, Publish) for step in flat(script.steps))


def event(kind: str | None = "investigation_started", **fields: object) -> str:
    """A payload as JSON text; task kinds get a `task_id` (EVT-4)."""
    data: dict[str, object] = {} if kind is None else {"type": kind}
    if kind is not None and kind.startswith("task_"):
        data["task_id"] = "t-1"
    return json.dumps(data | fields, ensure_ascii=False)


def subscriber(conn: str, client_id: str, *investigation_ids: str) -> list[Step]:
    """Steps that connect and subscribe."""
    return [Connect(conn, client_id), *(Subscribe(conn, one) for one in investigation_ids)]


def greeted(conn: str, client_id: str, *features: str) -> list[Step]:
    """Steps that connect and say hello."""
    return [Connect(conn, client_id), Hello(conn, features)]


def delivered(n: Names, title: str, payloads: list[str], *, exact: bool = False) -> Scenario:
    """Each payload for an investigation of its own, so that none can be taken for another."""
    several = [n.id(f"{number}") for number in range(len(payloads))]
    steps: list[Step] = [Connect("a", n.client("a")), Connect("b", n.client("b"))]
    for one in several:
        steps += [Subscribe("a", one, wait=False), Subscribe("b", one, wait=False)]
    steps += [Settle()]
    steps += [
        Publish(one, payload, wait=False, exact=exact) for one, payload in zip(several, payloads, strict=True)
    ]
    return n, title, steps
