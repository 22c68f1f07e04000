"""SEC: tokens, what a principal may not see, and origins. Most of it needs to be told: `--token` and so on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

from osint_events.features import FEATURES

from osint_events_conformance.credentials import Auth
from osint_events_conformance.names import Names
from osint_events_conformance.script import (
    Close,
    Connect,
    Follow,
    Forbidden,
    Hello,
    Knock,
    Publish,
    Settle,
    Step,
    Subscribe,
    Together,
    TurnedAway,
    Unfollow,
    subscribe_text,
)
from osint_events_conformance.security import TIMED_OUT, TURNED_AWAY
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted, subscriber

_SILENCE = 11.0
"""Seconds after which a stranger that says nothing has surely been ended (SEC-1)."""
_PORT = 9
"""A port that no list of allowed origins has: discard (RFC 863)."""


def _no_token(kit: Kit) -> str | None:
    return None if kit.has_token else "whether the server demands a token is not known: --token says one"


def _no_hello(kit: Kit) -> str | None:
    return _no_token(kit) or (None if kit.offered or kit.welcome else "the server does not answer hello")


def _no_forbidden_id(kit: Kit) -> str | None:
    return (
        None if kit.forbidden_id else "it is not known what may not be seen: --token with --forbidden-id says"
    )


def _hello(**fields: object) -> str:
    return json.dumps({"type": "hello", "protocol": 1, "features": list(FEATURES), **fields})


# SEC-1


@check("SEC-1", unless=_no_token)
def bad_headers_are_refused(kit: Kit) -> Iterator[Scenario]:
    """The token changed, cut, longer, in another case, unsigned, with other claims; none, and another scheme."""
    ways: tuple[Auth, ...] = (*kit.spoilings, "basic")
    for auth in ways:
        n = kit.names()
        yield (
            n,
            f"a handshake with a bad token: {auth}",
            [Knock("a", n.client(), HTTPStatus.UNAUTHORIZED, auth)],
        )


@check("SEC-1", unless=_no_token)
def a_stranger_is_sent_nothing(kit: Kit) -> Iterator[Scenario]:
    """What has subscribers and what has none, while others get it; with the client_id of another one, too."""
    for shared in (False, True):
        n = kit.names()
        stranger = n.client("a") if shared else n.client("stranger")
        yield n, f"events before authentication, shared client_id: {shared}", [
            *subscriber("a", n.client("a"), n.id()), Connect("core", n.client("core")), Connect("stranger", stranger, auth="none"),
            Publish(n.id(), event(message="1")), Publish(n.id("nobody"), event(message="2")), Settle(), Subscribe("core", n.id("2")),
            Publish(n.id("2"), event("task_started", message="3")), Publish(n.id("none"), event(message="4")), Settle(),
        ]  # fmt: skip


@check("SEC-1", unless=_no_hello)
def a_hello_authenticates(kit: Kit) -> Iterator[Scenario]:
    """With a good token it is welcomed, and what follows is carried out, pipelined too."""
    for features in ((), FEATURES):
        n = kit.names()
        yield n, f"features {list(features)}", [
            Connect("a", n.client("a"), auth="none"), *subscriber("b", n.client("b"), n.id()), Publish(n.id(), event(message="1")), Settle(),
            Hello("a", features, auth="own"), Follow("a", n.id()), Publish(n.id(), event(message="2")), Settle(), Follow("a", n.id("2")), Publish(n.id("2"), event()),
        ]  # fmt: skip
    n = kit.names()
    yield n, "pipelined with subscribes", [
        Connect("a", n.client("a"), auth="none"),
        Together((Hello("a", FEATURES, auth="own"), *(Follow("a", n.id(f"{i}"), ref=f"r{i}") for i in range(5)))), Settle(),
        *(Publish(n.id(f"{i}"), event()) for i in range(5)),
    ]  # fmt: skip


@check("SEC-1", unless=_no_hello)
def what_else_a_stranger_says_ends_it(kit: Kit) -> Iterator[Scenario]:
    """Hellos without a token, with spoilt ones or none of text; subscribes, pings and unknown messages."""
    id_ = kit.names().id()
    texts: list[tuple[str, str, Auth]] = [
        ("a hello without a token", _hello(), "none"), ("a hello with an empty auth", _hello(auth={}), "none"),
        ("a token that is a number", _hello(auth={"token": 1}), "none"), ("a token elsewhere", _hello(token="{token}"), "own"),
        ("no features", _hello(features=[]), "none"), ("a subscribe", subscribe_text(id_), "none"),
        ("a ping", json.dumps({"type": "ping", "id": "p"}), "none"), ("an unknown message", json.dumps({"type": "x-unknown"}), "none"),
        *((f"a bad token: {auth}", _hello(auth={"token": "{token}"}), auth) for auth in kit.spoilings),
    ]  # fmt: skip
    for about, text, auth in texts:
        n = kit.names()
        yield n, about, [Connect("a", n.client(), auth="none"), TurnedAway("a", text, TURNED_AWAY, auth)]
    n = kit.names()
    yield n, "with the client_id of who has authenticated", [
        *subscriber("a", n.client("same"), n.id()), Connect("b", n.client("same"), auth="none"), TurnedAway("b", _hello(), TURNED_AWAY),
        *subscriber("c", n.client("c"), n.id()), Publish(n.id(), event(message="1")), Settle(), Close("c"), Connect("d", n.client("c"), auth="none"),
        TurnedAway("d", subscribe_text(n.id()), TURNED_AWAY),
    ]  # fmt: skip


@check("SEC-1", mode="long", unless=_no_hello)
def a_stranger_that_says_nothing_is_ended(kit: Kit) -> Iterator[Scenario]:
    """Ten seconds of silence."""
    n = kit.names()
    yield (
        n,
        "silence",
        [Connect("a", n.client(), auth="none"), TurnedAway("a", None, TIMED_OUT, seconds=_SILENCE)],
    )


# SEC-2


def _id(kit: Kit) -> str:
    assert kit.forbidden_id is not None
    return kit.forbidden_id


@check("SEC-2", mode="alone", unless=_no_forbidden_id)
def the_forbidden_is_not_broadcast(kit: Kit) -> Iterator[Scenario]:
    """Nobody is subscribed to it: to connections without a subscription, with another, with hello."""
    n, id_ = kit.names(), _id(kit)
    yield n, "a forbidden investigation without subscribers", [
        Connect("core", n.client("core")), *subscriber("a", n.client("a"), n.id()), *(greeted("b", n.client("b")) if kit.welcome else []),
        *(step for i in range(3) for step in (Publish(id_, event(message=f"forbidden {i}")), Publish(n.id(), event(message=f"{i}")), Publish(n.id("nobody"), event(message=f"{i}")))), Settle(),
        Close("a"), Publish(id_, event("task_started", message="4")), *subscriber("c", n.client("a"), n.id()), Publish(n.id(), event(message="end")),
    ]  # fmt: skip


@check("SEC-2", mode="alone", unless=_no_forbidden_id)
def the_forbidden_is_not_subscribed_to(kit: Kit) -> Iterator[Scenario]:
    """At once, after allowed ones, again and again, with scopes and tokens; nothing of it comes, and all else does."""
    n, id_ = kit.names(), _id(kit)
    yield n, "on connections of part 1", [
        Connect("a", n.client("a")), Forbidden("a", id_), Publish(id_, event(message="1")), *subscriber("b", n.client("b"), n.id()), Forbidden("b", id_), Forbidden("b", id_),
        Publish(id_, event(message="2")), Publish(n.id(), event(message="3")), Settle(), Subscribe("b", n.id("2")), Publish(id_, event(message="4")), Publish(n.id("2"), event(message="5")),
    ]  # fmt: skip
    if not kit.welcome:
        return
    for about in _ways(n, id_):
        for features in (FEATURES, ()) if about in {"at once", "again and again"} else (FEATURES,):
            n = kit.names()
            yield n, f"{about}, features {list(features)}", [
                *greeted("a", n.client("a"), *features), Follow("a", n.id()), Publish(n.id(), event(message="1")), Settle(), *_ways(n, id_)[about],
                Publish(id_, event("task_started", message="2")), Publish(id_, event("investigation_x", message="3")), Publish(id_, event("finding", message="4")), Publish(n.id(), event(message="5")), Settle(),
                *([Unfollow("a", n.id())] if features else []), Publish(id_, event("task_started", message="6")), Follow("a", n.id("4"), ref="4"), Publish(n.id("4"), event()),
            ]  # fmt: skip


def _ways(n: Names, id_: str) -> dict[str, tuple[Step, ...]]:
    """Ways to ask for the forbidden on a connection that follows another investigation."""
    pipelined = (
        Follow("a", n.id("2"), ref="2"),
        Forbidden("a", id_, ref="1"),
        Follow("a", n.id("3"), ref="3"),
    )
    return {
        "at once": (Forbidden("a", id_, ref="1"),),
        "again and again": tuple(Forbidden("a", id_, ref=f"{i}") for i in range(12)),
        "with a scope": tuple(
            Forbidden("a", id_, (scope,), ref=scope) for scope in ("tasks", "summary", "all")
        ),
        "with both scopes": (Forbidden("a", id_, ("tasks", "summary"), ref="1"),),
        "with another's token": (Forbidden("a", id_, ref="1", token=f"last:a/{n.id()}"),),
        "with a token that is none": (Forbidden("a", id_, ref="1", token="=x"),),
        "with a token and a scope": (Forbidden("a", id_, ("all",), ref="1", token=f"confirmed:a/{n.id()}"),),
        "without a ref": (Forbidden("a", id_),),
        "pipelined": (Together(pipelined), Settle(fence=False)),
    }


def _no_witness(kit: Kit) -> str | None:
    if reason := _no_forbidden_id(kit):
        return reason
    if "replay" not in kit.offered:
        return "the server does not offer replay"
    return None if kit.trigger_may_see else "nobody is known who may see it: --trigger-token says one"


@check("SEC-2", needs_payload=True, mode="alone", unless=_no_witness)
def a_replay_token_is_no_credential(kit: Kit) -> Iterator[Scenario]:
    """One of the forbidden investigation, from who may see it; for it, and for another one."""
    for scope in (None, ("tasks",)):
        n, id_ = kit.names(), _id(kit)
        yield n, f"a good token in the wrong hands, scope {scope}", [
            Connect("w", n.client("w"), auth="trigger"), Hello("w", FEATURES), Follow("w", id_),
            *(Publish(id_, event("task_started", message=f"{i}")) for i in range(3)), Settle(),
            *greeted("a", n.client("a"), *FEATURES), Follow("a", n.id()), Forbidden("a", id_, scope, ref="1", token="confirmed:w"),
            Forbidden("a", id_, scope, ref="2", token="last:w"), Publish(id_, event("task_started", message="live")), Publish(n.id(), event(message="1")), Settle(),
            Follow("a", n.id("2"), ref="3", token=f"last:w/{id_}"), Publish(n.id("2"), event(message="2")),
        ]  # fmt: skip


# SEC-3


def _foreign(origin: str) -> dict[str, str]:
    """Origins that a careless comparison takes for this one."""
    parts = urlsplit(origin)
    host, netloc, scheme = parts.hostname or "", parts.netloc, parts.scheme
    port = f":{parts.port}" if parts.port else ""
    bracketed = f"[{host}]" if ":" in host else host
    found = {
        "another host": "https://foreign.example",
        "another host on the same port": f"{scheme}://foreign.example{port}",
        "null": "null",
        "nothing": "",
        "another scheme": f"ftp://{netloc}",
        "no scheme": netloc,
        "another port": f"{scheme}://{bracketed}:{_PORT}",
        "the scheme in upper case": f"{scheme.upper()}://{netloc}",
        "a host that begins like it": f"{scheme}://{bracketed}.foreign.example{port}",
        "it as the user of another": f"{scheme}://{netloc}@foreign.example",
        "it as the path of another": f"{scheme}://foreign.example/{netloc}",
        "it in the query of another": f"{scheme}://foreign.example?{origin}",
        "it and another": f"{origin} https://foreign.example",
    }
    if scheme == "https":
        found["the scheme without TLS"] = f"http://{netloc}"
    if ":" not in host:
        found["a host that ends like it"] = f"{scheme}://foreign-{host}{port}"
    if host != host.upper():
        found["the host in upper case"] = f"{scheme}://{netloc.upper()}"
    if port:
        found["no port"] = f"{scheme}://{bracketed}"
        found["a port that begins like it"] = f"{origin}0"
    return {about: one for about, one in found.items() if one != origin}


@check("SEC-3")
def foreign_origins_are_refused(kit: Kit) -> Iterator[Scenario]:
    """Another host, scheme and port, null, and whatever begins, ends or contains an allowed one."""
    for about, origin in _foreign(kit.origin).items():
        n = kit.names()
        yield n, f"origin: {about}", [Knock("a", n.client(), HTTPStatus.FORBIDDEN, origin=origin)]
