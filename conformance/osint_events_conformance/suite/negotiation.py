"""NEG: hello and welcome, what is granted, and what stays dark. ERR: what is told of mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from osint_events.features import FEATURES

from osint_events_conformance.script import (
    AppPing,
    Connect,
    Follow,
    Hello,
    Mistake,
    Pieces,
    Publish,
    Say,
    Settle,
    Step,
    Subscribe,
    Together,
    Unfollow,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted, subscriber


def _hello(features: object, protocol: object = 1, **fields: object) -> str:
    return json.dumps({"type": "hello", "protocol": protocol, "features": features, **fields})


@check("NEG-1")
def what_is_asked_for_and_offered_is_granted(kit: Kit) -> Iterator[Scenario]:
    """Each feature alone, all, none, all but one, twice, in another order, beside unknown ones."""
    lists: list[tuple[str, ...]] = [
        (), FEATURES, tuple(reversed(FEATURES)), *((one,) for one in FEATURES), (*FEATURES, *FEATURES), ("x-unknown",), ("x-unknown", *FEATURES, ""),
        *(tuple(other for other in FEATURES if other != one) for one in FEATURES), ("Replay", "REPLAY", " replay"), ("replay", "scopes"), ("heartbeat", "errors"),
        ("compression",), ("auth", "hello"), ("__proto__", "constructor"), tuple(f"x-{number}" for number in range(200)),
    ]  # fmt: skip
    for features in lists:
        n = kit.names()
        yield n, f"features {list(features)}"[:100], [
            *greeted("a", n.client("a"), *features), Follow("a", n.id()), *subscriber("core", n.client("core"), n.id()),
            Publish(n.id(), event("task_started", message="1")), Publish(n.id(), event(message="2")), Settle(),
            Follow("a", n.id(), scope=("tasks",), ref="r", token="last:a"), Publish(n.id(), event("task_started", message="3")), Publish(n.id(), event(message="4")), Settle(),
            Unfollow("a", n.id()) if "unsubscribe" in features else Follow("a", n.id()), AppPing("a", "p") if "heartbeat" in features else Settle(),
        ]  # fmt: skip


@check("NEG-1")
def features_of_one_connection_are_no_others(kit: Kit) -> Iterator[Scenario]:
    """Connections with different features side by side, with one client_id too."""
    for shared in (False, True):
        n = kit.names()
        steps: list[Step] = []
        for number, features in enumerate(((), ("replay",), ("scopes",), ("replay", "scopes"), FEATURES)):
            client = n.client("one") if shared else n.client(f"{number}")
            steps += [*greeted(f"c{number}", client, *features), Follow(f"c{number}", n.id())]
        steps += subscriber("core", n.client("one") if shared else n.client("core"), n.id())
        kinds = ("task_started", "investigation_started", "finding")
        yield n, f"five connections, shared client_id: {shared}", [
            *steps, *(Publish(n.id(), event(kind, message=f"{number}")) for number, kind in enumerate(kinds * 2)),
        ]  # fmt: skip


@check("NEG-1")
def without_a_hello_nothing_is_negotiated(kit: Kit) -> Iterator[Scenario]:
    """Scopes, good tokens, the end of a subscription and pings, from a connection that said no hello."""
    n = kit.names()
    fields = {"investigation_id": n.id(), "ref": "r"}
    unknown = (
        Say("core", json.dumps({"type": "unsubscribe_investigation", **fields}).encode(), "unknown"),
        Say("core", json.dumps({"type": "ping", "id": "p", "ref": "r"}).encode(), "unknown"),
        Say("core", json.dumps({"type": "pong", "id": "p"}).encode(), "unknown"),
    )
    kinds = ("task_started", "investigation_started")
    both = [[Publish(n.id(), event(kind, message=f"{turn}")) for kind in kinds] for turn in range(4)]
    yield n, "scopes, tokens, unsubscribes and pings without a hello", [
        *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), *both[0], Settle(), Connect("core", n.client("core")),
        Follow("core", n.id(), ("tasks",), ref="r", token="confirmed:a", uninvited=True), *both[1], Settle(), *unknown, *both[2], Settle(),
        Follow("core", n.id(), ("summary",), token="confirmed:a", uninvited=True), *both[3],
    ]  # fmt: skip


@check("NEG-2")
def hello_is_the_first_message(kit: Kit) -> Iterator[Scenario]:
    """Pipelined with subscribes, in one segment and in pieces; a second one and a late one change nothing."""
    n = kit.names()
    yield n, "pipelined with subscribes", [
        Connect("a", n.client()), Together((Hello("a", FEATURES), *(Follow("a", n.id(f"{i}"), ref=f"r{i}") for i in range(5)))), Settle(),
        *(Publish(n.id(f"{i}"), event()) for i in range(5)),
    ]  # fmt: skip
    n = kit.names()
    yield n, "back to back with subscribes", [
        Connect("a", n.client()), Hello("a", FEATURES, wait=False), *(Follow("a", n.id(f"{i}"), wait=False) for i in range(5)), Settle(),
        *(Publish(n.id(f"{i}"), event()) for i in range(5)),
    ]  # fmt: skip
    n = kit.names()
    again = Mistake("a", _hello([], ref="again"), ("already_initialized",), "again")
    yield n, "a second hello", [
        *greeted("a", n.client(), *FEATURES), Follow("a", n.id()), again, Publish(n.id(), event("task_started")), Settle(), Follow("a", n.id(), ref="x"),
        again, AppPing("a", "p"), Publish(n.id(), event(message="2")), Settle(), Unfollow("a", n.id()),
    ]  # fmt: skip
    unknown = Say("a", json.dumps({"type": "x-unknown"}).encode(), "unknown")
    n = kit.names()
    yield n, "a hello after an unknown message", [
        Connect("a", n.client()), unknown, Hello("a", FEATURES, wait=False), Settle(), Subscribe("a", n.id()), Publish(n.id(), event("task_started")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "a hello after a subscribe", [
        *subscriber("a", n.client(), n.id()), Hello("a", FEATURES, wait=False), Publish(n.id(), event()), Settle(), Subscribe("a", n.id("2")),
        Publish(n.id("2"), event("task_started")), *subscriber("b", n.client("b"), n.id("3")), Publish(n.id(), event(message="2")),
    ]  # fmt: skip


@check("NEG-3")
def what_is_unknown_in_a_hello_is_ignored(kit: Kit) -> Iterator[Scenario]:
    """Other protocols, fields and features, and any auth where none is asked for."""
    texts = {
        "protocol 99": _hello(list(FEATURES), 99), "protocol 2": _hello(["replay"], 2), "protocol 2^31 - 1": _hello(["replay"], 2**31 - 1),
        "unknown fields": _hello(list(FEATURES), x=1, compression=True, token="t", seq=[1], client={"name": "web", "version": "2.0", "x": {}}),
        "a client": _hello(["errors"], client={"name": "é😀", "version": ""}), "an empty client": _hello(["errors"], client={}),
        "auth": _hello(["scopes"], auth={"token": "nobody asked"}), "a ref": _hello(list(FEATURES), ref="é" * 64), "an empty ref": _hello([], ref=""),
        "many features": _hello([*FEATURES, *(f"f{number}" for number in range(1000))]), "white space": json.dumps(json.loads(_hello(list(FEATURES))), indent=4),
    }  # fmt: skip
    for about, text in texts.items():
        n = kit.names()
        features = tuple(json.loads(text)["features"])
        yield n, about, [
            Connect("a", n.client()), Hello("a", features, text), Follow("a", n.id()), Publish(n.id(), event()),
        ]  # fmt: skip
    n = kit.names()
    yield n, "in fragments", [
        Connect("a", n.client()), Pieces(Hello("a", FEATURES, wait=False), (5, 30), "interleaved"), Follow("a", n.id()), Publish(n.id(), event()),
    ]  # fmt: skip


@check("NEG-4")
def a_ref_is_echoed(kit: Kit) -> Iterator[Scenario]:
    """Empty, of 64 characters, of any characters, the same twice, and never one that was not sent."""
    refs = [
        "",
        "0",
        "007",
        " x ",
        "é",
        "e\u0301",
        "😀" * 64,
        "x" * 64,
        '"\\',
        "null",
        "\u0000",
        "1.0",
        "a\nb",
    ]
    n = kit.names()
    steps: list[Step] = greeted("a", n.client(), *FEATURES)
    for number, ref in enumerate(refs):
        steps += [
            Follow("a", n.id(f"{number}"), ref=ref),
            Unfollow("a", n.id(f"{number}"), ref=ref),
            AppPing("a", f"{number}", ref),
        ]
        bad = json.dumps({"type": "x-unknown", "ref": ref})
        steps += [Mistake("a", bad, ("unknown_type",), ref)]
    yield (
        n,
        "refs",
        [
            *steps,
            Follow("a", n.id()),
            Unfollow("a", n.id()),
            AppPing("a", "last"),
            Publish(n.id("0"), event()),
        ],
    )
    n = kit.names()
    yield n, "one ref many times, in one segment", [
        *greeted("a", n.client(), *FEATURES), Together(tuple(Follow("a", n.id(f"{i}"), ref="same") for i in range(10))),
        Together(tuple(Follow("a", n.id(), ref=f"{i}") for i in range(5))), Publish(n.id(), event()),
    ]  # fmt: skip


@check("NEG-5")
def who_said_hello_gets_no_broadcasts(kit: Kit) -> Iterator[Scenario]:
    """Before any subscribe, with another subscription, after the last unsubscribe; with and without features."""
    for features in ((), ("replay",), FEATURES):
        n = kit.names()
        last: list[Step] = [Unfollow("a", n.id()), Publish(n.id("nobody"), event(message="3"))]
        yield n, f"features {list(features)}", [
            *greeted("a", n.client("a"), *features), Publish(n.id("nobody"), event(message="1")), Follow("a", n.id()), Publish(n.id("nobody"), event("task_started", message="2")),
            Settle(), *(Publish(n.id(f"none {i}"), event(message=f"{i}"), wait=False) for i in range(5)), Publish(n.id(), event()),
            *last,
        ]  # fmt: skip


@check("UNS-1")
def unsubscribing_ends_a_subscription(kit: Kit) -> Iterator[Scenario]:
    """Once, twice, of what was never subscribed to, among others, in a burst, and back again."""
    n = kit.names()
    yield n, "once and again", [
        *greeted("a", n.client("a"), *FEATURES), *subscriber("b", n.client("b"), n.id()), Follow("a", n.id()), Follow("a", n.id("2")), Publish(n.id(), event(message="1")),
        Settle(), Unfollow("a", n.id()), Publish(n.id(), event(message="2")), Unfollow("a", n.id()), Unfollow("a", n.id("never")), Publish(n.id("2"), event()),
        Settle(), Follow("a", n.id()), Publish(n.id(), event(message="3")), Settle(), Unfollow("a", n.id(), ref="r"), Publish(n.id(), event(message="4")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "what has no other subscriber", [
        *greeted("a", n.client("a"), "unsubscribe"), Follow("a", n.id()), Publish(n.id(), event(message="1")), Settle(), Unfollow("a", n.id()),
        Publish(n.id(), event(message="2")), Publish(n.id(), event(message="3")), Settle(), Follow("a", n.id()), Publish(n.id(), event(message="4")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "subscribed twice, unsubscribed once", [
        *greeted("a", n.client("a"), *FEATURES), *subscriber("b", n.client("b"), n.id()), Follow("a", n.id()), Follow("a", n.id()), Unfollow("a", n.id()),
        Publish(n.id(), event()), Together((Follow("a", n.id()), Unfollow("a", n.id()), Follow("a", n.id("2")))), Settle(), Publish(n.id(), event(message="2")), Publish(n.id("2"), event()),
    ]  # fmt: skip
    n = kit.names()
    twins = [
        *greeted("a", n.client("one"), *FEATURES),
        Follow("a", n.id()),
        *greeted("b", n.client("one"), *FEATURES),
        Follow("b", n.id()),
    ]
    yield (
        n,
        "one of two with the same client_id",
        [
            *twins,
            Unfollow("b", n.id()),
            Publish(n.id(), event(message="1")),
            Settle(),
            Publish(n.id(), event(message="2")),
        ],
    )
    n = kit.names()
    ids = [n.id(f"{number}") for number in range(12)]
    yield n, "every other of twelve", [
        *greeted("a", n.client("a"), *FEATURES), *subscriber("b", n.client("b"), *ids), *(Follow("a", one) for one in ids), *(Unfollow("a", one, wait=False) for one in ids[::2]), Settle(),
        *(Publish(one, event(), wait=False) for one in ids),
    ]  # fmt: skip


@check("ERR-1")
def mistakes_are_told_to_who_asked(kit: Kit) -> Iterator[Scenario]:
    """Unknown types and bad messages, with `errors` and without; the connection goes on."""
    for features in (FEATURES, ("errors",), ("replay", "scopes", "unsubscribe", "heartbeat"), ()):
        n = kit.names()
        texts: list[tuple[dict[str, object], str]] = [
            ({"type": "x-unknown", "ref": "1"}, "unknown_type"), ({"type": "", "ref": "2"}, "unknown_type"), ({"type": "welcome", "ref": "3"}, "unknown_type"),
            ({"type": "investigation_update", "investigation_id": n.id(), "data": {}}, "unknown_type"), ({"type": "x" * 500, "ref": "x" * 64}, "unknown_type"),
        ]  # fmt: skip
        yield n, f"unknown types, features {list(features)}", [
            *greeted("twin", n.client("a"), "replay"), *greeted("a", n.client("a"), *features), Follow("a", n.id()), *(Mistake("a", json.dumps(text), (code,), str(text["ref"]) if "ref" in text else None) for text, code in texts),
            Settle(), Publish(n.id(), event()), Follow("a", n.id("2"), ref="ok"),
        ]  # fmt: skip


@check("ERR-1")
def bad_messages_are_told_by_their_code(kit: Kit) -> Iterator[Scenario]:
    """What is no JSON, no message, or has a field of the wrong type; each where the connection may end."""
    bad: dict[str, tuple[str, str]] = {
        "no JSON": ("{", "invalid_json"), "half a message": ('{"type": "ping", "id', "invalid_json"), "no object": ("[]", "invalid_message"),
        "no type": ('{"x": 1}', "invalid_message"), "a type that is no text": ('{"type": 5}', "invalid_message"),
        "no id": ('{"type": "subscribe_investigation", "ref": "r"}', "invalid_message"), "an empty id": ('{"type": "subscribe_investigation", "investigation_id": "", "ref": "r"}', "invalid_message"),
        "a ref that is no text": ('{"type": "subscribe_investigation", "investigation_id": "x", "ref": 5}', "invalid_message"),
    }  # fmt: skip
    for features in (FEATURES, ("errors",), ()):
        for about, (text, code) in bad.items():
            n = kit.names()
            yield n, f"{about}, features {list(features)}", [
                *greeted("a", n.client("a"), *features), Follow("a", n.id()), Mistake("a", text, (code,)), Settle(), *subscriber("b", n.client("b"), n.id()), Publish(n.id(), event()),
            ]  # fmt: skip
