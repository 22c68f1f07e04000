"""DEL: who gets an event, how often, and in which order."""

from __future__ import annotations

import json
from collections.abc import Iterator

from osint_events_conformance.script import (
    Abort,
    Close,
    Connect,
    Pause,
    Ping,
    Publish,
    Say,
    Settle,
    Step,
    Subscribe,
    Together,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, ids, subscriber


@check("DEL-1")
def every_subscriber_gets_every_event_once(kit: Kit) -> Iterator[Scenario]:
    """Up to forty subscribers; the first, the eleventh and the last are all the same."""
    for count in (2, 12, 40):
        n = kit.names()
        steps: list[Step] = []
        for number in range(count):
            steps += [
                Connect(f"c{number}", n.client(f"{number}")),
                Subscribe(f"c{number}", n.id(), wait=False),
            ]
        steps += [Settle(), *(Publish(n.id(), event(message=f"{number}")) for number in range(5))]
        yield n, f"{count} subscribers", steps
    n = kit.names()
    steps = []
    for number in range(15):
        steps += [
            *subscriber(f"c{number}", n.client(f"{number}"), n.id()),
            Publish(n.id(), event(message=f"{number}")),
        ]
    for number in range(14):
        steps += [
            Close(f"c{number}") if number % 2 else Abort(f"c{number}"),
            Publish(n.id(), event(message=f"left {number}")),
        ]
    yield n, "subscribers come and go, an event after each", steps


@check("DEL-1")
def a_long_series_arrives_whole(kit: Kit) -> Iterator[Scenario]:
    """Hundreds of events of one investigation, one after the other and in bursts."""
    n = kit.names()
    yield n, "150 events, one after the other", [
        *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id()),
        *(Publish(n.id(), event("task_progress", message=f"{number}", progress=number / 150)) for number in range(150)),
    ]  # fmt: skip
    n = kit.names()
    steps = [*subscriber("a", n.client("a"), n.id(), n.id("2")), *subscriber("b", n.client("b"), n.id())]
    for burst in range(6):
        steps += [
            Publish(n.id("2") if number % 7 == 3 else n.id(), event(message=f"{burst}.{number}"), wait=False)
            for number in range(50)
        ]
        steps.append(Settle())
    yield n, "six bursts of 50", steps
    n = kit.names()
    yield n, "a burst of 200", [
        *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id()),
        *(Publish(n.id(), event(message=f"{number}"), wait=False) for number in range(200)),
    ]  # fmt: skip
    n = kit.names()
    steps = subscriber("a", n.client("a"), *(n.id(f"{number}") for number in range(20)))
    steps += [
        Publish(n.id(f"{number % 20}"), event(message=f"{number}"), wait=False) for number in range(200)
    ]
    yield n, "200 events over twenty investigations of one connection", steps


@check("DEL-1")
def timing_loses_nothing(kit: Kit) -> Iterator[Scenario]:
    """Events 0 to 60 ms apart, after silence, of the same task and kind, around a subscribe."""
    for gap in (0.0, 0.002, 0.005, 0.01, 0.02, 0.06):
        n = kit.names()
        steps = [*subscriber("a", n.client("a"), n.id(), n.id("2")), *subscriber("b", n.client("b"), n.id())]
        for number in range(6):
            same = event("task_progress", progress=number / 10, name="same task")
            steps += [
                Publish(n.id(), same, wait=False),
                Pause(gap),
                Publish(n.id("2"), same, wait=False),
                Pause(gap),
            ]
        yield n, f"progress of one task, {1000 * gap:g} ms apart", steps
    n = kit.names()
    steps = [*subscriber("a", n.client("a"), n.id())]
    for pause in (0.3, 0.8, 1.6):
        steps += [
            Publish(n.id(), event(message=f"before {pause}")),
            Pause(pause),
            Publish(n.id(), event(message=f"after {pause}")),
        ]
        steps += [Publish(n.id(), event(message=f"again {pause}"))]
    yield n, "after silence", steps
    n = kit.names()
    steps = subscriber("a", n.client("a"), n.id())
    for number in range(8):
        steps += [
            Publish(n.id(), event(message=f"{number}"), wait=False),
            Subscribe("a", n.id(f"{number}"), wait=False),
        ]
        steps += [Publish(n.id(), event(message=f"{number} again"), wait=False), Ping("a", b"x")]
        steps += [
            Say("a", b'{"type": "x-noise"}', "unknown"),
            Publish(n.id(), event(message=f"{number} more")),
        ]
    yield n, "while the subscriber itself speaks", steps
    n = kit.names()
    steps = subscriber("a", n.client("a"), n.id())
    for number in range(10):
        conn = f"other{number}"
        steps += [
            Publish(n.id(), event(message=f"{number}"), wait=False),
            *subscriber(conn, n.client(conn), n.id(f"{number}")),
        ]
        steps += [Publish(n.id(), event(message=f"{number} again"), wait=False), Close(conn, wait=False)]
    yield n, "while others come and go", steps


_KEYS = (
    "id",
    "event_id",
    "eventId",
    "uuid",
    "message_id",
    "key",
    "hash",
    "timestamp",
    "created_at",
    "nonce",
    "idempotency_key",
    "task_id",
    "seq",
    "name",
)
"""Fields by which a server might take two events for one."""


@check("DEL-1", needs_payload=True)
def equal_events_are_different_events(kit: Kit) -> Iterator[Scenario]:
    """Published twice means delivered twice: one after the other, in a burst, later, and for two investigations."""
    n = kit.names()
    same = event("task_completed", message="same")
    yield n, "the same payload again and again", [
        *subscriber("a", n.client("a"), n.id(), n.id("2")), *subscriber("b", n.client("b"), n.id()),
        *(Publish(n.id(), same) for _ in range(3)), Settle(), *(Publish(n.id(), same, wait=False) for _ in range(5)), Settle(),
        Pause(0.3), Publish(n.id(), same), Publish(n.id("2"), same), Publish(n.id(), same), Publish(n.id("2"), same),
    ]  # fmt: skip
    n = kit.names()
    alike = [
        event("finding", message=f"{name} {number}", **{name: "e-1"}) for name in _KEYS for number in range(2)
    ]
    yield (
        n,
        "events that are alike in what may be a key",
        [*subscriber("a", n.client(), n.id()), *(Publish(n.id(), one) for one in alike)],
    )
    n = kit.names()
    yield n, "the same empty payload again and again", [
        *subscriber("a", n.client(), n.id()), *(Publish(n.id(), "{}") for _ in range(3)), *(Publish(n.id(), event()) for _ in range(3)),
    ]  # fmt: skip


@check("DEL-1", needs_payload=True)
def any_sequence_of_kinds_is_delivered(kit: Kit) -> Iterator[Scenario]:
    """Also what makes no sense: progress that falls, events after the end, starts without end."""
    n = kit.names()
    sequence = [
        event("investigation_started"), event("task_started", name="a"), event("task_progress", progress=0.9), event("task_progress", progress=0.1),
        event("task_completed", progress=1), event("task_progress", progress=0.5), event("task_completed", progress=1), event("task_failed"),
        event("task_started", name="a"), event("investigation_completed", status="completed"), event("task_started", task_id="late"),
        event("investigation_completed"), event("investigation_started"), event("investigation_stopped"), event("investigation_resumed"),
        event("x"), event(None, message="typeless"), event("task_completed", task_id="t-2"), event("investigation_completed", status="failed"), event("finding"),
    ]  # fmt: skip
    yield n, "a senseless sequence", [
        *subscriber("a", n.client("a"), n.id(), n.id("2")), *(Publish(n.id(), one) for one in sequence),
        # Told apart from the first ones, which may still be under way when this one subscribes, by a field that all know.
        *subscriber("b", n.client("b"), n.id()), *(Publish(n.id(), json.dumps(json.loads(one) | {"message": "again"})) for one in sequence), Publish(n.id("2"), event()),
    ]  # fmt: skip


@check("DEL-1")
def nothing_comes_twice_later(kit: Kit) -> Iterator[Scenario]:
    """Two seconds of listening after the last event: no retry, no flush of a copy."""
    n = kit.names()
    yield n, "two seconds of listening", [
        *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id("b")),
        *(Publish(n.id(), event(message=f"{number}")) for number in range(4)), Pause(2.2),
    ]  # fmt: skip


@check("DEL-2")
def different_ids_are_different_investigations(kit: Kit) -> Iterator[Scenario]:
    """Prefixes, case, Unicode forms, numbers, patterns, separators, and ids alike but for their end."""
    count = len(ids.pairs(kit.names()))
    for start in range(0, count, 4):
        n = kit.names()
        steps: list[Step] = []
        title = []
        for number, (one, other) in enumerate(ids.pairs(n)[start : start + 4]):
            title.append(f"{one[-12:]!r}/{other[-12:]!r}")
            steps += [
                *subscriber(f"a{number}", n.client(f"a{number}"), one),
                *subscriber(f"b{number}", n.client(f"b{number}"), other),
            ]
            steps += [Publish(one, event(message="first")), Publish(other, event(message="second"))]
        yield n, f"pairs {' '.join(title)}", steps


@check("DEL-2")
def who_is_not_subscribed_gets_nothing(kit: Kit) -> Iterator[Scenario]:
    """No subscription, another one, a refused one; one subscriber or several, of which some leave."""
    n = kit.names()
    yield n, "beside one subscriber", [
        Connect("none", n.client("none")), *subscriber("other", n.client("other"), n.id("other")), *subscriber("a", n.client("a"), n.id()),
        Publish(n.id(), event(message="1")), Settle(), *subscriber("b", n.client("b"), n.id()), Publish(n.id(), event(message="2")), Settle(),
        Close("b"), Publish(n.id(), event(message="3")), Settle(), Abort("other"), Publish(n.id(), event(message="4")), Settle(),
        Connect("late", n.client("late")), Publish(n.id(), event(message="5")), *(Publish(n.id(), event(message=f"{i}")) for i in range(30)),
    ]  # fmt: skip
    n = kit.names()
    steps: list[Step] = [Connect("none", n.client("none"))]
    for number in range(12):
        steps += subscriber(f"c{number}", n.client(f"{number}"), n.id(f"{number}"))
    steps += [Publish(n.id(f"{number % 12}"), event(message=f"{number}"), wait=False) for number in range(60)]
    yield n, "twelve connections, an investigation each", steps
    n = kit.names()
    named = event("finding", investigation_id=n.id("named"), message="names another")
    yield n, "a payload that names another investigation", [
        *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id("named")), Publish(n.id(), named),
        Publish(n.id("named"), event(message="its own")), Publish(n.id(), event(message="last")),
    ]  # fmt: skip
    n = kit.names()
    several = [n.id(f"{number}") for number in range(40)]
    yield n, "two connections, forty investigations, half of them shared", [
        Connect("a", n.client("a")), Connect("b", n.client("b")), Together(tuple(Subscribe("a", one) for one in several[:30])),
        Together(tuple(Subscribe("b", one) for one in several[10:])), *(Publish(one, event(), wait=False) for one in several),
    ]  # fmt: skip


@check("DEL-3")
def without_subscribers_the_fallback_rules(kit: Kit) -> Iterator[Scenario]:
    """Broadcast to all, or to nobody, as the server was said to do; again after the last subscriber left.

    Where it was not said, a broadcast is for all connections or for none.
    """
    n = kit.names()
    yield n, "six connections, subscribed and not", [
        *(step for i in range(3) for step in (Connect(f"none{i}", n.client(f"none{i}")), *subscriber(f"other{i}", n.client(f"other{i}"), n.id(f"{i}")))),
        Publish(n.id(), event(message="1")), Publish(n.id("nobody"), event(message="2")), Settle(), Publish(n.id(), event(message="3")),
    ]  # fmt: skip
    if kit.fallback == "any":
        return
    n = kit.names()
    yield n, "an investigation that nobody ever subscribed to", [
        Connect("none", n.client("none")), *subscriber("other", n.client("other"), n.id("other")),
        Publish(n.id(), event(message="1")), Settle(), Publish(n.id(), event(message="2")), Publish(n.id("other"), event(message="3")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "after the last subscriber left", [
        Connect("none", n.client("none")), *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id()),
        Publish(n.id(), event(message="1")), Close("a"), Publish(n.id(), event(message="2")), Settle(), Abort("b"), Pause(1.3),
        Publish(n.id(), event(message="3")), Settle(), *subscriber("c", n.client("c"), n.id()), Publish(n.id(), event(message="4")),
    ]  # fmt: skip


@check("DEL-4")
def events_of_one_investigation_keep_their_order(kit: Kit) -> Iterator[Scenario]:
    """Published one after the other, small and large ones mixed (a SHOULD)."""
    n = kit.names()
    yield n, "forty events of many sizes", [
        *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id()),
        *(Publish(n.id(), event("task_progress", message="x" * (20_000 if number % 5 == 2 else number))) for number in range(40)),
    ]  # fmt: skip


@check("DEL-4", mode="alone")
def a_completion_does_not_overtake_what_it_completes(kit: Kit) -> Iterator[Scenario]:
    """Thirty small investigations' lives, each event as soon as the one before was accepted (a SHOULD)."""
    n = kit.names()
    kinds = ("investigation_started", "task_started", "task_completed", "investigation_completed")
    yield n, "thirty short lives", [
        *subscriber("a", n.client("a"), n.id()), *(Publish(n.id(), event(kind, message=f"{number}")) for number in range(30) for kind in kinds),
    ]  # fmt: skip


@check("DEL-5")
def nothing_from_before_the_subscribe_is_delivered(kit: Kit) -> Iterator[Scenario]:
    """One event or many, a finished investigation, a reconnect, a second investigation, a subscribe again."""
    for count in (1, 3, 30):
        n = kit.names()
        yield n, f"{count} earlier events", [
            *subscriber("witness", n.client("witness"), n.id()), *(Publish(n.id(), event(message=f"{i}")) for i in range(count)), Settle(),
            *subscriber("late", n.client("late"), n.id()), Settle(), Publish(n.id(), event(message="after")), Settle(),
            Subscribe("late", n.id()), Subscribe("witness", n.id()), Settle(), Publish(n.id(), event(message="end")),
        ]  # fmt: skip
    n = kit.names()
    yield n, "a finished investigation", [
        *subscriber("witness", n.client("witness"), n.id()), Publish(n.id(), event()), Publish(n.id(), event("task_completed", progress=1)),
        Publish(n.id(), event("investigation_completed", status="completed")), Settle(), *subscriber("late", n.client("late"), n.id()), Settle(),
        Pause(0.4), Publish(n.id(), event(message="after")),
    ]  # fmt: skip
    for how in ("close", "reset"):
        n = kit.names()
        yield n, f"a client that comes back after a {how}", [
            *subscriber("witness", n.client("witness"), n.id()), *subscriber("a", n.client(), n.id()), Publish(n.id(), event(message="1")), Settle(),
            Close("a") if how == "close" else Abort("a"), Pause(0.05), Publish(n.id(), event(message="missed")), Settle(),
            *subscriber("back", n.client(), n.id()), Settle(), Publish(n.id(), event(message="2")),
        ]  # fmt: skip
    n = kit.names()
    yield n, "a connection that listened to another investigation", [
        *subscriber("witness", n.client("witness"), n.id()), *subscriber("a", n.client("a"), n.id("a")),
        *(Publish(n.id(), event(message=f"{number}")) for number in range(3)), Publish(n.id("a"), event()), Settle(),
        Subscribe("a", n.id()), Settle(), Publish(n.id(), event(message="after")), Publish(n.id("a"), event(message="after")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "the only subscriber left, and came back", [
        *subscriber("a", n.client(), n.id()), Publish(n.id(), event(message="1")), Publish(n.id(), event(message="2")), Settle(), Close("a"), Pause(0.05),
        *subscriber("b", n.client(), n.id()), Settle(), Publish(n.id(), event(message="3")),
    ]  # fmt: skip
