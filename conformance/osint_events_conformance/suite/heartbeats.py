"""HB-2: who is silent is pinged, and who shows no sign of life is ended, nobody else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from osint_events_conformance.script import Follow, Mistake, Pause, Ping, Publish, Quiet, Settle, Step
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted

_PER_INTERVAL = 8
"""Signs of life within an interval."""
_LIVES = 1.4
"""How many times the time to live of a client is looked on: that and some more."""


def _too_long(kit: Kit) -> str | None:
    return kit.too_long(_LIVES * (kit.interval + kit.timeout))


def _turns(kit: Kit, *signs: Step) -> list[Step]:
    """Signs of life at short intervals, for longer than a client lives without them."""
    pause = kit.interval / _PER_INTERVAL
    turns = math.ceil(_LIVES * (kit.interval + kit.timeout) / pause)
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
        *_turns(kit, Ping("framer", b"life"), pong),
    ]  # fmt: skip


@check("HB-2", mode="long", unless=_too_long)
def a_silent_listener_of_a_busy_stream_is_kept(kit: Kit) -> Iterator[Scenario]:
    """Events go to one that answers pings and to one that is dead: the one is asked and kept, the other not."""
    n = kit.names()
    yield n, "silent while events come", [
        *(step for conn in ("listener", "dead") for step in (*greeted(conn, n.client(conn), "heartbeat"), Follow(conn, n.id()))),
        Quiet("listener"), Quiet("dead", dead=True), *_turns(kit, Publish(n.id(), event("task_progress", message="busy"))),
    ]  # fmt: skip
