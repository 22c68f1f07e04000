"""RPL-6 and RPL-7: what keeps tokens young, and what says that something may be missing."""

from __future__ import annotations

from collections.abc import Iterator

from osint_events_conformance.script import Await, Follow, Publish, Settle, Step
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted

_ROUNDS = 2
_EVENTS = 420
"""Enough that a server which keeps no more of an investigation begins anew."""


def _wait(kit: Kit) -> float:
    """Seconds within which a `position` is there: it is due after an interval, and told at the next turn."""
    return kit.interval * 2 + 0.5


def _needs_scopes(kit: Kit) -> str | None:
    if "scopes" not in kit.offered:
        return "without scopes nothing is known of a store that moves on while a subscriber gets nothing"
    return kit.too_long(_ROUNDS * _wait(kit))


@check("RPL-6", needs_payload=True, mode="long", unless=_needs_scopes)
def a_position_keeps_tokens_young(kit: Kit) -> Iterator[Scenario]:
    """The store moves on out of a subscription's scope: two of them, twice, and the token resumes there."""
    n = kit.names()
    several = (n.id("1"), n.id("2"))
    steps: list[Step] = [
        *greeted("a", n.client("a"), "replay", "scopes", "heartbeat"),
        *(Follow("a", one, ("summary",)) for one in several),
    ]
    for turn in range(_ROUNDS):
        steps += [Publish(one, event("task_x", message=f"out of scope {turn}")) for one in several]
        steps.append(Await("a", several, _wait(kit)))
    steps += [
        *greeted("b", n.client("b"), "replay", "scopes"),
        *(Follow("b", one, ("tasks",), token="last:a") for one in several),
        *(Publish(one, event("task_x", message="live")) for one in several),
        *(Publish(one, event(message="in scope")) for one in several),
    ]
    yield n, "a subscription whose scope nothing is in", steps
    n = kit.names()
    yield n, "a subscription to tasks, where there are none", [
        *greeted("a", n.client("a"), "replay", "scopes", "heartbeat"), Follow("a", n.id(), ("tasks",)), Publish(n.id(), event("investigation_x", message="out of scope")), Await("a", (n.id(),), _wait(kit)),
    ]  # fmt: skip


@check("RPL-7", needs_payload=True)
def a_sequence_does_not_begin_anew_unannounced(kit: Kit) -> Iterator[Scenario]:
    """Many events, on a connection that stays; others are told the same epoch in between."""
    n = kit.names()
    steps: list[Step] = [*greeted("a", n.client("a"), "replay"), Follow("a", n.id())]
    for number in range(_EVENTS):
        steps.append(Publish(n.id(), event("task_progress", message=f"{number}"), wait=number % 20 == 19))
        if number % 70 == 69:
            conn = f"b{number}"
            steps += [Settle(fence=False), *greeted(conn, n.client(conn), "replay"), Follow(conn, n.id())]
    yield n, f"{_EVENTS} events", steps
