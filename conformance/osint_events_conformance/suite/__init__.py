"""The checks of the coverage phase, grouped as the protocol's sections are.

A check is a function that yields scripts; its decorator names the clause that it was written for.
What it is judged by is the model's business, so every check also watches every other clause.
"""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from osint_events_conformance.model import Fallback
from osint_events_conformance.names import Names
from osint_events_conformance.script import Connect, Hello, Publish, Script, Settle, Step, Subscribe, flat

_SECTIONS = ("connection", "subscribing", "robustness", "slow", "events", "delivery")
_PART_2 = ("negotiation", "replay", "scopes")
"""The sections of Part 2, for servers that answer `hello`."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What a check may know: randomness for fresh ids, and what the user told of the server."""

    rng: random.Random
    fallback: Fallback
    round_trip: float = 0.001
    """Seconds that a subscribe takes to be confirmed."""

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
                case _:
                    yield script


_checks: list[Check] = []


def check(
    clause: str, *, needs_payload: bool = False, mode: str = "beside"
) -> Callable[[Callable[[Kit], Iterator[Scenario]]], Callable[[Kit], Iterator[Scenario]]]:
    """Register a check of `clause`.

    `needs_payload`: it means something only if the trigger emits exactly what it is given.
    """

    def register(build: Callable[[Kit], Iterator[Scenario]]) -> Callable[[Kit], Iterator[Scenario]]:
        about = (build.__doc__ or "").strip().partition("\n")[0]
        _checks.append(Check(build.__name__, clause, about, needs_payload, mode, build))
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
