"""SCP: which part of an investigation's events a subscription gets."""

from __future__ import annotations

import json
from collections.abc import Iterator

from osint_events_conformance.script import Follow, Mistake, Publish, Settle, Step, Together
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted, subscriber

SCOPES: tuple[tuple[str, ...] | None, ...] = (
    None, ("all",), ("tasks",), ("summary",), ("tasks", "summary"), ("summary", "tasks"), ("all", "tasks"), ("tasks", "tasks"), ("summary", "all"),
)  # fmt: skip

PAYLOADS: list[dict[str, object]] = [
    {"type": "task_started", "task_id": "t"}, {"type": "task_x", "task_id": "t"}, {"type": "task_", "task_id": "t"}, {"type": "investigation_started"}, {"type": "investigation_"},
    {"type": "investigation_paused", "task_id": "t"}, {"type": "investigation"}, {"type": "investigation", "task_id": "t"}, {"type": "task"}, {"type": "finding"},
    {"type": "finding", "task_id": "t"}, {"type": "finding", "task_id": ""}, {"type": "finding", "task_id": None}, {"type": "Task_started", "task_id": "t"},
    {"type": "TASK_started"}, {"type": "x.task_started"}, {"type": "subtask_started"}, {"type": " task_started"}, {"event": "task_completed", "task_id": "t"},
    {"event": "investigation_completed"}, {"event": "other"}, {"event": "other", "task_id": "t"}, {"type": "", "event": "task_failed", "task_id": "t"},
    {"type": "", "event": "task_failed"}, {"type": "", "event": "investigation_x", "task_id": "t"}, {"type": 5, "event": "task_failed"}, {"type": None, "event": "investigation_x", "task_id": "t"},
    {"type": "investigation_x", "event": "task_started", "task_id": "t"}, {"status": "running", "message": "Investigation started"}, {"status": "running", "message": "startup"},
    {"status": "running", "message": "started", "task_id": "t"}, {"status": "running", "message": "restarted"}, {"status": "completed"}, {}, {"task_id": "t"}, {"data": {"type": "task_x"}},
    {"kind": "task_started"}, {"type": "task_x"}, {"type": "task_retried"}, {"type": "investigation_archived"}, {"event": "task_x"}, {"type": 5}, {"type": None, "task_id": "t"}, {"type": ["task_started"]}, {"type": "😀"},
]  # fmt: skip
"""Of every class. A `task_id` of another type than text is left out: SCP-1 does not say which are empty."""

STARTUPS: tuple[str, ...] = (
    "start", "START", "Started", "StArTiNg", "STARTUP", "Now the start, at last", "Investigation started\n", "(started)", "re-start", "start.up", "start's", "@start",
    "restart", "Restarted", "starts", "upstart", "kickstarting", "start2", "_start", "investigation_started", "sta rt", "", "staRt",
)  # fmt: skip
"""Messages of which some say that an investigation starts, and some do not (LEG-3)."""


@check("SCP-1", needs_payload=True)
def each_scope_gets_its_events(kit: Kit) -> Iterator[Scenario]:
    """Every scope beside every other, with payloads of every class, legacy shapes too."""
    for features in (("scopes",), ("scopes", "replay")):
        for start in range(0, len(PAYLOADS), 13):
            n = kit.names()
            steps: list[Step] = []
            for number, scope in enumerate(SCOPES):
                steps += [
                    *greeted(f"s{number}", n.client(f"{number}"), *features),
                    Follow(f"s{number}", n.id(), scope),
                ]
            payloads = [
                json.dumps(one | {"n": number}) for number, one in enumerate(PAYLOADS[start : start + 13])
            ]
            yield n, f"classes from {start}, features {list(features)}", [
                *steps, *subscriber("core", n.client("core"), n.id()), *(Publish(n.id(), one) for one in payloads),
            ]  # fmt: skip
    n = kit.names()
    startups: list[dict[str, object]] = [{"status": "running", "message": text} for text in STARTUPS]
    startups += [{"status": "Running", "message": "started"}, {"status": "running", "message": ["started"]}]  # fmt: skip
    yield n, "legacy startup events", [
        *greeted("t", n.client("t"), "scopes"), Follow("t", n.id(), ("tasks",)), *greeted("s", n.client("s"), "scopes"), Follow("s", n.id(), ("summary",)),
        *(Publish(n.id(), json.dumps(one | {"n": number}), wait=False) for number, one in enumerate(startups)),
    ]  # fmt: skip
    n = kit.names()
    burst = [
        event("task_progress" if number % 2 else "investigation_note", message=f"{number}")
        for number in range(60)
    ]
    yield n, "a burst", [
        *greeted("t", n.client("t"), "scopes", "replay"), Follow("t", n.id(), ("tasks",)), *greeted("s", n.client("s"), "scopes"), Follow("s", n.id(), ("summary",)),
        *(Publish(n.id(), one, wait=False) for one in burst),
    ]  # fmt: skip
    n = kit.names()
    yield n, "several investigations with several scopes", [
        *greeted("a", n.client("a"), "scopes"), Follow("a", n.id("t"), ("tasks",)), Follow("a", n.id("s"), ("summary",)), Follow("a", n.id("all")),
        *(Publish(n.id(one), event(kind, message=one)) for one in ("t", "s", "all") for kind in ("task_started", "investigation_started", "finding")),
    ]  # fmt: skip


@check("SCP-2", needs_payload=True)
def a_wrong_scope_changes_nothing(kit: Kit) -> Iterator[Scenario]:
    """Empty, unknown, of a wrong type: not confirmed, and the subscription stays as it was, or is not made."""
    wrong: list[object] = [
        [],
        ["x"],
        ["tasks", "x"],
        ["Tasks"],
        ["all", ""],
        [None],
        [["tasks"]],
        "tasks",
        5,
        {},
        {"0": "tasks"},
        True,
        ["all", 1],
        ["summary", "x"],
        ["x", "summary"],
        ["summary", 1],
    ]
    for features in (("scopes", "errors"), ("scopes", "replay", "errors"), ("scopes",)):
        n = kit.names()
        steps: list[Step] = [*greeted("a", n.client("a"), *features), Follow("a", n.id(), ("tasks",))]
        for number, scope in enumerate(wrong):
            text = {
                "type": "subscribe_investigation",
                "investigation_id": n.id(),
                "scope": scope,
                "ref": f"{number}",
            }
            fresh = text | {"investigation_id": n.id("fresh"), "ref": f"fresh {number}"}
            named = isinstance(scope, list) and all(isinstance(one, str) for one in scope)
            codes = ("invalid_scope",) if named else ("invalid_scope", "invalid_message")
            steps += [Mistake("a", json.dumps(one), codes, str(one["ref"])) for one in (text, fresh)]
            if number % 3 == 0:
                steps += [
                    Publish(n.id(), event("task_started", message=f"{number}")),
                    Publish(n.id(), event(message=f"{number}")),
                    Publish(n.id("fresh"), event(message=f"{number}")),
                ]
        yield (
            n,
            f"wrong scopes, features {list(features)}",
            [
                *steps,
                Settle(),
                Publish(n.id(), event("task_started", message="end")),
                Follow("a", n.id("fresh")),
            ],
        )


@check("SCP-3", needs_payload=True)
def a_scope_switches_at_its_confirmation(kit: Kit) -> Iterator[Scenario]:
    """One after the other, to and fro, in a burst, several in one segment: nothing lost, nothing twice."""
    for features in (("scopes",), ("scopes", "replay")):
        n = kit.names()
        steps: list[Step] = [
            *greeted("a", n.client("a"), *features),
            *subscriber("core", n.client("core"), n.id()),
        ]
        for number, scope in enumerate(SCOPES * 2):
            steps += [
                Follow("a", n.id(), scope, ref=f"{number}"),
                *(
                    Publish(n.id(), event(kind, message=f"{number}"))
                    for kind in ("task_started", "investigation_note", "finding")
                ),
            ]
            if number % 4 == 3:
                steps.append(Settle())
        yield n, f"switches one after the other, features {list(features)}", steps
        n = kit.names()
        steps = [
            *greeted("a", n.client("a"), *features),
            Follow("a", n.id()),
            *subscriber("core", n.client("core"), n.id()),
        ]
        for number in range(60):
            steps.append(
                Publish(
                    n.id(),
                    event(("task_started", "investigation_note", "finding")[number % 3], message=f"{number}"),
                    wait=False,
                )
            )
            if number % 10 == 5:
                steps.append(Follow("a", n.id(), SCOPES[2 + number // 10 % 3], wait=number % 20 == 5))
        yield n, f"switches in a burst, features {list(features)}", steps
        n = kit.names()
        yield n, f"switches in one segment, features {list(features)}", [
            *greeted("a", n.client("a"), *features), Together(tuple(Follow("a", n.id(), scope, ref=f"{i}") for i, scope in enumerate(SCOPES))), Settle(),
            Publish(n.id(), event("task_started", message="1")), Publish(n.id(), event(message="2")), Follow("a", n.id(), ("tasks",)),
            Publish(n.id(), event("task_started", message="3")), Publish(n.id(), event(message="4")),
        ]  # fmt: skip
