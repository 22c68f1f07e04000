"""SUB: subscribe messages, their confirmations, and what they are worth."""

from __future__ import annotations

import json
from collections.abc import Iterator

from osint_events.features import FEATURES

from osint_events_conformance.script import (
    Abort,
    Close,
    Connect,
    Follow,
    Pause,
    Publish,
    Say,
    Settle,
    Step,
    Subscribe,
    Together,
    subscribe_text,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted, ids, subscriber

_MANY = 128
"""SUB-3: what one connection must be able to hold."""
_MOST = 1000
"""Subscriptions of the highest limit that is tried."""


@check("SUB-1")
def every_id_is_confirmed_as_it_was_sent(kit: Kit) -> Iterator[Scenario]:
    """Ids of 1 to 255 characters, code point for code point; each also gets its event."""
    for title in ids.nasty(kit.names()):
        n = kit.names()
        several = ids.nasty(n)[title]
        yield n, f"ids: {title}", [
            Connect("a", n.client()),
            *(Subscribe("a", one) for one in several), *(Publish(one, event(), wait=False) for one in several),
        ]  # fmt: skip


@check("SUB-1")
def every_spelling_of_a_message_is_understood(kit: Kit) -> Iterator[Scenario]:
    """White space, member order, and JSON escapes mean the same (RFC 8259)."""
    n = kit.names()
    one = [n.id(f"{number}") for number in range(8)]
    escaped = "".join(f"\\u{ord(character):04x}" for character in one[4])
    emoji = n.id("😀")
    texts = [
        (one[0], json.dumps({"investigation_id": one[0], "type": "subscribe_investigation"})),
        (one[1], json.dumps({"type": "subscribe_investigation", "investigation_id": one[1]}, indent=4)),
        (one[2], f' \r\n\t{{"type" :\t"subscribe_investigation" , "investigation_id"\n: "{one[2]}" }}\n '),
        (one[3], f'{{"type":"subscribe_investigation","investigation_id":"{one[3]}"}}'),
        (one[4], f'{{"type":"subscribe_investigation","investigation_id":"{escaped}"}}'),
        (one[5], f'{{"ty\\u0070e":"subscribe\\u005finvestigation","investigation_i\\u0064":"{one[5]}"}}'),
        (
            emoji,
            f'{{"type":"subscribe_investigation","investigation_id":"{n.id(chr(92) + "ud83d" + chr(92) + "ude00")}"}}',
        ),
        (f"{one[6]}/", f'{{"type":"subscribe_investigation","investigation_id":"{one[6]}\\/"}}'),
    ]
    yield n, "spellings", [
        Connect("a", n.client()), *(Subscribe("a", name, text) for name, text in texts),
        *(Publish(name, event(), wait=False) for name, _ in texts),
    ]  # fmt: skip


@check("SUB-2")
def a_confirmed_subscription_is_effective(kit: Kit) -> Iterator[Scenario]:
    """An event published the moment that the confirmation is here, on fresh and on busy connections."""
    for title, before in (("a fresh connection", 0), ("a connection with 30 subscriptions", 30)):
        n = kit.names()
        steps: list[Step] = []
        for number in range(8):
            conn = f"c{number}"
            steps += [Connect(conn, n.client(conn))]
            if before and number == 0:
                steps += [Together(tuple(Subscribe(conn, n.id(f"before {i}")) for i in range(before)))]
            steps += [Subscribe(conn, n.id(f"{number}")), Publish(n.id(f"{number}"), event())]
        yield n, f"published at once: {title}", steps
    n = kit.names()
    steps = subscriber("first", n.client("first"), n.id())
    for number in range(8):
        steps += subscriber(f"c{number}", n.client(f"{number}"), n.id())
        steps += [Publish(n.id(), event(message=f"{number}"))]
    yield n, "each further subscriber gets the event published at its confirmation", steps
    n = kit.names()
    yield n, "after the last subscriber left", [
        *subscriber("a", n.client("a"), n.id()), Publish(n.id(), event(message="1")), Close("a"),
        *subscriber("b", n.client("b"), n.id()), Publish(n.id(), event(message="2")), Abort("b"), Pause(0.05),
        *subscriber("c", n.client("c"), n.id()), Publish(n.id(), event(message="3")),
    ]  # fmt: skip
    n = kit.names()
    yield (
        n,
        "long after the confirmation",
        [*subscriber("a", n.client(), n.id()), Pause(2.5), Publish(n.id(), event())],
    )
    n = kit.names()
    yield (
        n,
        "long after the handshake",
        [Connect("a", n.client()), Pause(2.5), Subscribe("a", n.id()), Publish(n.id(), event())],
    )
    n = kit.names()
    yield n, "long after the last one left and another came", [
        *subscriber("a", n.client("a"), n.id(), n.id("2")), Publish(n.id(), event(message="1")), Settle(), Close("a"),
        *subscriber("b", n.client("b"), n.id()), *subscriber("c", n.client("c"), n.id("2")), Pause(2.5), Publish(n.id(), event(message="2")), Publish(n.id("2"), event(message="3")),
    ]  # fmt: skip
    if kit.offered:
        n = kit.names()
        scope = ("tasks",) if "scopes" in kit.offered else None
        yield n, "long after the confirmation, with hello", [
            *greeted("a", n.client("a"), *FEATURES), Follow("a", n.id()), *greeted("b", n.client("b"), *FEATURES), Follow("b", n.id(), scope), Pause(2.5),
            Publish(n.id(), event("task_started", message="1")), Publish(n.id(), event("task_started", message="2")),
        ]  # fmt: skip


@check("SUB-3")
def one_connection_holds_128_subscriptions(kit: Kit) -> Iterator[Scenario]:
    """All are confirmed and all get their events; subscribing again to each does not count twice."""
    for title in ("one by one", "at once", "twice each"):
        n = kit.names()
        several = [n.id(f"{number}") for number in range(_MANY)]
        asked: list[Step]
        match title:
            case "one by one":
                asked = [Subscribe("a", one) for one in several]
            case "at once":
                asked = [Together(tuple(Subscribe("a", one) for one in several))]
            case _:
                asked = [Subscribe("a", one, wait=False) for one in (*several, *several)]
        yield n, f"128 subscriptions, {title}", [
            Connect("a", n.client()), *asked, Settle(), *(Publish(one, event(), wait=False) for one in several),
            Settle(), Publish(several[0], event(message="again")), Publish(several[-1], event(message="again")),
        ]  # fmt: skip
    limit = int(kit.welcome.get("limits", {}).get("max_subscriptions", 0))
    if "errors" in kit.offered and 0 < limit <= _MOST:
        n = kit.names()
        several = [n.id(f"{number}") for number in range(limit + 2)]
        yield n, "more than a connection may hold", [
            *greeted("a", n.client(), "errors"), *(Follow("a", one, ref=one, wait=False) for one in several), Settle(),
            *(Publish(several[number], event(), wait=False) for number in (0, 1, limit // 2, limit - 1)), Settle(),
            Follow("a", several[0], ref="again"), Publish(several[0], event(message="again")),
        ]  # fmt: skip


@check("SUB-4")
def subscribing_again_is_confirmed_and_does_not_duplicate(kit: Kit) -> Iterator[Scenario]:
    """Twice to ten times, before and after events, in one segment, beside others who come and go."""
    for times in (2, 3, 10):
        n = kit.names()
        yield n, f"{times} subscribes", [
            Connect("a", n.client()), *(Subscribe("a", n.id()) for _ in range(times)),
            *(Publish(n.id(), event(message=f"{number}")) for number in range(3)),
        ]  # fmt: skip
    n = kit.names()
    yield n, "again after events", [
        *subscriber("a", n.client(), n.id(), n.id("other")), Publish(n.id(), event(message="1")), Settle(),
        Subscribe("a", n.id()), Publish(n.id(), event(message="2")), Settle(),
        Subscribe("a", n.id("other")), Subscribe("a", n.id()), Publish(n.id(), event(message="3")),
        Publish(n.id("other"), event(message="4")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "in one segment", [
        Connect("a", n.client()), Together((Subscribe("a", n.id()), Subscribe("a", n.id()), Subscribe("a", n.id()))),
        Publish(n.id(), event(message="1")), Publish(n.id(), event(message="2")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "again after another subscriber left", [
        *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id()), Publish(n.id(), event(message="1")),
        Close("b"), Pause(0.05), Subscribe("a", n.id()), Publish(n.id(), event(message="2")),
        *subscriber("c", n.client("c"), n.id()), Subscribe("a", n.id()), Subscribe("c", n.id()),
        Publish(n.id(), event(message="3")), Abort("c"), Pause(0.05), Subscribe("a", n.id()), Publish(n.id(), event(message="4")),
    ]  # fmt: skip
    n = kit.names()
    spelt = json.dumps({"investigation_id": n.id("é"), "type": "subscribe_investigation"}, indent=1)
    yield n, "again in another spelling", [
        *subscriber("a", n.client(), n.id("é")), Subscribe("a", n.id("é"), spelt),
        Subscribe("a", n.id("é"), subscribe_text(n.id("é"), extra=1)), Publish(n.id("é"), event()),
    ]  # fmt: skip


@check("SUB-5")
def unknown_fields_in_a_subscribe_are_ignored(kit: Kit) -> Iterator[Scenario]:
    """Of every JSON type, before and after the known ones, with names that other dialects use."""
    fields: dict[str, object] = {
        "x": None, "y": True, "z": 1.5, "w": "text", "list": [1, [2]], "object": {"a": {"b": []}}, "": "", "é😀": "ü",
        "id": 7, "investigationId": "other", "investigation": {"id": "other"}, "data": {"type": "task_started"},
        "client_id": "someone-else", "user": "x", "token": "t", "version": 2, "action": "unsubscribe", "event": "x",
        "__proto__": {"a": 1}, "constructor": 1, "toString": "x", "hasOwnProperty": 1, "valueOf": None, "length": 0, "then": "x", "prototype": {}, "__class__": "x", "__dict__": {}, "keys": [], "get": 1, "items": {}, "message": "m", "status": "s", "channel": "c",
        "investigation_ids": ["a", "b"], "filter": {}, "last_event_id": 3, "since": 0, "replay": True, "request_id": 1,
        "ref": "1", "scope": ["tasks"], "replay_token": "x", "protocol": 2, "features": ["replay"], "Type": "ping",
        "long": "x" * 5000, "type_": "x", "self": 1, "args": [], "message_type": "x", "raw": None, "cls": "x",
    }  # fmt: skip
    items = list(fields.items())
    for start in range(0, len(items), 8):
        n = kit.names()
        steps: list[Step] = [Connect("a", n.client())]
        for number, (name, value) in enumerate(items[start : start + 8]):
            one = n.id(f"{number}")
            before = json.dumps({name: value, "investigation_id": one, "type": "subscribe_investigation"})
            steps += [Subscribe("a", one, subscribe_text(one, **{name: value})), Subscribe("a", one, before)]
            steps += [Publish(one, event())]
        yield n, f"unknown fields {', '.join(repr(name) for name, _ in items[start : start + 8])}", steps
    n = kit.names()
    everything = subscribe_text(n.id(), **fields)
    yield (
        n,
        "all of them at once",
        [Connect("a", n.client()), Subscribe("a", n.id(), everything), Publish(n.id(), event())],
    )


@check("SUB-6")
def a_subscribe_without_an_id_is_not_confirmed(kit: Kit) -> Iterator[Scenario]:
    """Missing, empty, or no string."""
    no_ids: list[object] = [
        "",
        None,
        0,
        1234,
        1.5,
        True,
        False,
        [],
        {},
        ["1234"],
        {"id": "1234"},
        [[]],
        -1,
        10**20,
    ]
    bad = [(f"id {json.dumps(value)}", subscribe_text(value)) for value in no_ids]
    bad += [
        ("no id", '{"type": "subscribe_investigation"}'),
        ("a misspelt name", '{"type": "subscribe_investigation", "investigationId": "1234"}'),
        ("the name in capitals", '{"type": "subscribe_investigation", "INVESTIGATION_ID": "1234"}'),
        ("an id in data", '{"type": "subscribe_investigation", "data": {"investigation_id": "1234"}}'),
        ("an id called id", '{"type": "subscribe_investigation", "id": "1234"}'),
    ]
    for about, text in bad:
        n = kit.names()
        yield n, about, [
            *subscriber("good", n.client("good"), n.id()), Connect("bad", n.client("bad")),
            Say("bad", text.encode(), "malformed", clause="SUB-6", about=about), Settle(),
            Subscribe("bad", n.id("after")), Publish(n.id("after"), event()), Publish(n.id(), event()),
        ]  # fmt: skip


# --8<-- [start:check]
@check("SUB-7")
def subscribes_back_to_back_are_confirmed_in_order(kit: Kit) -> Iterator[Scenario]:
    """Thirty in a row, in one segment and in many (a SHOULD)."""
    n = kit.names()
    several = [n.id(f"{number}") for number in range(30)]
    yield (
        n,
        "in many segments",
        [Connect("a", n.client()), *(Subscribe("a", one, wait=False) for one in several)],
    )
    n = kit.names()
    mixed = [n.id("x" * (200 - 6 * number)) for number in range(30)]
    yield (
        n,
        "in one segment",
        [Connect("a", n.client()), Together(tuple(Subscribe("a", one) for one in mixed))],
    )
    n = kit.names()
    several = [n.id(f"{number}") for number in range(10)]
    yield n, "with some asked for again", [
        Connect("a", n.client()), Subscribe("a", several[5]), *(Subscribe("a", one, wait=False) for one in several),
    ]  # fmt: skip


# --8<-- [end:check]
@check("SUB-8")
def a_new_connection_starts_without_subscriptions(kit: Kit) -> Iterator[Scenario]:
    """With the same client id or another, after a close or a reset, at once or later, or beside the old one."""
    for how in ("close", "reset"):
        for pause in (0.0, 0.1):
            for same in (True, False):
                n = kit.names()
                yield n, f"back {pause} s after a {how}, {'same' if same else 'another'} client id", [
                    *subscriber("witness", n.client("witness"), n.id()), *subscriber("old", n.client(), n.id(), n.id("old")),
                    Publish(n.id(), event(message="1")), Settle(), Close("old") if how == "close" else Abort("old"), Pause(pause),
                    Connect("new", n.client() if same else n.client("new")), Publish(n.id(), event(message="2")), Settle(),
                    Publish(n.id(), event(message="3")), Subscribe("new", n.id("new")), Publish(n.id(), event(message="4")),
                    Publish(n.id("new"), event(message="5")),
                ]  # fmt: skip
    n = kit.names()
    several = [n.id(f"{number}") for number in range(12)]
    yield n, "back after twelve subscriptions", [
        *subscriber("witness", n.client("witness"), *several), *subscriber("old", n.client(), *several), Close("old"),
        Connect("new", n.client()), *(Publish(one, event()) for one in several),
    ]  # fmt: skip
    n = kit.names()
    yield n, "beside the old connection with the same client id", [
        *subscriber("old", n.client(), n.id()), Connect("new", n.client()), Publish(n.id(), event(message="1")), Settle(),
        Subscribe("new", n.id("new")), Publish(n.id(), event(message="2")), Publish(n.id("new"), event(message="3")),
    ]  # fmt: skip
