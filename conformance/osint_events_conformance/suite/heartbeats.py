"""HB-2: who is silent is pinged, and who shows no sign of life is ended, nobody else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from osint_events.features import FEATURES

from osint_events_conformance.script import (
    AppPing,
    Follow,
    Mistake,
    Pause,
    Ping,
    Publish,
    Quiet,
    Settle,
    Step,
    Together,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted

_PER_INTERVAL = 8
"""Signs of life within an interval."""
_LIVES = 1.4
"""How many times the time to live of a client is looked on: that and some more."""
_MOST_LIVES, _SLACK = 2.1, 1.5
"""The same, and so many seconds, where only an end that comes too late shows that something else put it off."""
_MOST_PINGS = 120


def _too_long(kit: Kit) -> str | None:
    return kit.too_long(_LIVES * (kit.interval + kit.timeout))


def _too_busy(kit: Kit) -> str | None:
    return kit.too_long(_MOST_LIVES * (kit.interval + kit.timeout) + _SLACK)


def _turns(kit: Kit, seconds: float, *signs: Step) -> list[Step]:
    """Signs of life at short intervals, for so long."""
    pause = kit.interval / _PER_INTERVAL
    turns = math.ceil(seconds / pause)
    return [step for _ in range(turns) for step in (*signs, Pause(pause))]


@check("HB-3")
def pongs_that_nobody_asked_for_are_ignored(kit: Kit) -> Iterator[Scenario]:
    """Of unknown ids, one and many, with the feature and without; what comes after is carried out."""
    texts = [json.dumps({"type": "pong", "id": one}) for one in ("", "s1", "nobody asked", "é" * 64)]
    for features in (("heartbeat",), ("heartbeat", "errors"), ()):
        n = kit.names()
        codes = () if features else ("unknown_type",)
        pongs = [Mistake("a", text, codes) for text in texts]
        yield n, f"pongs, features {list(features)}", [
            *greeted("a", n.client(), *features), *pongs, Follow("a", n.id()), *pongs, *pongs, Settle(), Publish(n.id(), event()),
        ]  # fmt: skip


@check("HB-2", mode="long", unless=_too_long)
def the_silent_are_pinged_and_the_dead_ended(kit: Kit) -> Iterator[Scenario]:
    """One that is dead, one that only answers, one that sends Ping frames alone, one that is never sent anything."""
    n = kit.names()
    pong = Mistake("sender", json.dumps({"type": "pong", "id": "nobody asked"}), ())
    conns = ("dead", "listener", "framer", "sender")
    yield n, "silent in four ways", [
        *(step for conn in conns for step in greeted(conn, n.client(conn), "heartbeat")),
        *greeted("without", n.client("w")), Quiet("dead", dead=True), Quiet("listener"), Quiet("sender"), Quiet("framer", deaf=True),
        *_turns(kit, _LIVES * (kit.interval + kit.timeout), Ping("framer", b"life"), pong),
    ]  # fmt: skip


@check("HB-1")
def many_pings_are_all_answered(kit: Kit) -> Iterator[Scenario]:
    """As many at once as a client may send, one by one and in one segment, among subscribes."""
    count = min(kit.burst // 2, _MOST_PINGS)
    pings = [AppPing("a", f"{number}", wait=False) for number in range(count)]
    n = kit.names()
    yield n, "one by one", [*greeted("a", n.client(), "heartbeat"), *pings, Follow("a", n.id()), Settle(), Publish(n.id(), event())]  # fmt: skip
    n = kit.names()
    yield n, "in one segment", [*greeted("a", n.client(), *FEATURES), Together(tuple(pings)), Follow("a", n.id()), Settle(), Publish(n.id(), event())]  # fmt: skip


@check("HB-2", mode="long", unless=_too_busy)
def a_silent_listener_of_a_busy_stream_is_kept(kit: Kit) -> Iterator[Scenario]:
    """Events go to one that answers pings and to one that is dead: the one is asked and kept, the other not."""
    n = kit.names()
    yield n, "silent while events come", [
        *(step for conn in ("listener", "dead") for step in (*greeted(conn, n.client(conn), "heartbeat"), Follow(conn, n.id()))),
        Quiet("listener"), Quiet("dead", dead=True),
        *_turns(kit, _MOST_LIVES * (kit.interval + kit.timeout) + _SLACK, Publish(n.id(), event("task_progress", message="busy"))),
    ]  # fmt: skip
