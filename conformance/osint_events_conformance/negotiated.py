"""Drawn cases of Part 2, made into scripts: negotiated messages, valid and not, and scenarios of them.

Only what the server offers is drawn, so nothing here costs a server that knows only Part 1 anything.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from osint_events import contract

from osint_events_conformance.generate import Extras, draw, drawn_extras, drawn_scripts, salted
from osint_events_conformance.names import Names
from osint_events_conformance.script import (
    Abort,
    AppPing,
    Close,
    Connect,
    Follow,
    Hello,
    Mistake,
    Pause,
    Publish,
    Say,
    Script,
    Settle,
    Step,
    Subscribe,
    Together,
    Unfollow,
    subscribe_text,
)
from osint_events_conformance.suite import Kit, Scenario, event, greeted, subscriber
from osint_events_conformance.suite.scopes import SCOPES

_PER_SCRIPT = 12
_HELLOS = 5
_BATCHES = 6
_MOST_FIELDS = 3


def _closed(schema: Any) -> Any:
    """A schema whose objects have no unknown fields, which are drawn apart."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(value) for name, value in schema.items()}
    return {**made, "additionalProperties": False} if schema.get("type") == "object" else made


def _messages(name: str, count: int, rng: random.Random) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = draw(from_schema(_closed(contract.bundled(name))), count, rng)
    return made


# Messages


def fuzz(kit: Kit, examples: int, offered: Collection[str]) -> Iterator[Script]:
    """Drawn messages for a server that answers `hello` and offers some features."""
    if examples == 0:
        return
    extras = drawn_extras(kit, examples // 2)
    features = tuple(sorted(offered))
    count = max(examples // 4, 1)
    hellos = _messages("hello", count, kit.rng)
    follows = _messages("negotiated_subscribe_investigation", count, kit.rng)
    yield from drawn_scripts("drawn hellos", "NEG-3", _hellos(kit, hellos, features, extras))
    yield from drawn_scripts("broken hellos", "ROB-2", _broken_hellos(kit, hellos, extras))
    yield from drawn_scripts("drawn negotiated subscribes", "NEG-4", _follows(kit, follows, features))
    yield from drawn_scripts("fields of what is not granted", "NEG-1", _ignored(kit, follows, extras))
    if "unsubscribe" in offered:
        several = _messages("unsubscribe_investigation", count, kit.rng)
        yield from drawn_scripts("drawn unsubscribes", "UNS-1", _unfollows(kit, several, features))
    if "heartbeat" in offered:
        pings = _messages("ping", count, kit.rng)
        yield from drawn_scripts("drawn pings", "HB-1", _pings(kit, pings, features))
    yield from drawn_scripts("broken negotiated messages", "ROB-2", _broken(kit, count, features, extras))


def _portions(drawn: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    return (drawn[start : start + size] for start in range(0, len(drawn), size))


def _hellos(
    kit: Kit, drawn: list[dict[str, Any]], features: tuple[str, ...], extras: Extras
) -> Iterator[Scenario]:
    for some in _portions(drawn, _HELLOS):
        n = kit.names()
        steps: list[Step] = []
        for number, message in enumerate(some):
            conn = f"c{number}"
            asked = [*message["features"], *kit.rng.sample(features, kit.rng.randint(0, len(features)))]
            kit.rng.shuffle(asked)
            # No version is ever that high, and many languages read one into 32 bits.
            version = min(message["protocol"], 2**31 - 1)
            unknown = extras.fields(_MOST_FIELDS, _FIELDS_OF_HELLO)
            whole = message | {"protocol": version, "features": asked} | unknown
            hello = Hello(conn, tuple(asked), json.dumps(whole, ensure_ascii=False))
            follow = Follow(conn, n.id(), ref=message.get("ref"))
            said: list[Step] = [hello, follow]
            if number % 2:
                said = [Together((hello, follow)), Settle()]
            steps += [Connect(conn, n.client(conn)), *said]
        yield n, "drawn hellos", [*steps, Publish(n.id(), event("task_started")), Publish(n.id(), event())]


_FIELDS_OF_HELLO = {"type", "protocol", "features", "ref", "client", "auth"}


def _broken_hellos(kit: Kit, drawn: list[dict[str, Any]], extras: Extras) -> Iterator[Scenario]:
    for number, message in enumerate(drawn[: len(drawn) // 2]):
        wrong = extras.value()
        name = ("protocol", "features")[number % 2]
        known = name == "protocol" and isinstance(wrong, int | float) and not isinstance(wrong, bool)
        if known or (isinstance(wrong, list) and all(isinstance(one, str) for one in wrong)):
            wrong = -1 if name == "protocol" else [1]
        broken = message | {name: wrong}
        if number % 4 > 1:
            del broken[name]
        yield _beside(kit.names(), "a broken hello", (), Say("bad", json.dumps(broken).encode(), "malformed"))


def _beside(n: Names, title: str, features: tuple[str, ...], broken: Step) -> Scenario:
    """Something broken on one connection, and another that must not suffer from it."""
    steps: list[Step] = [*subscriber("good", n.client("good"), n.id()), Connect("bad", n.client("bad"))]
    if features:
        steps += [Hello("bad", features), Follow("bad", n.id())]
    after: Step = Follow("bad", n.id("after"), ref="after") if features else Subscribe("bad", n.id("after"))
    return n, title, [*steps, broken, Publish(n.id(), event()), Settle(), after]


def _follows(kit: Kit, drawn: list[dict[str, Any]], features: tuple[str, ...]) -> Iterator[Scenario]:
    for some in _portions(drawn, _PER_SCRIPT):
        n = kit.names()
        steps = greeted("a", n.client("a"), *features)
        ids = []
        for number, message in enumerate(some):
            ids.append(salted(n, message["investigation_id"], number))
            scope = tuple(message["scope"]) if "scope" in message and "scopes" in features else None
            token = f"={message['replay_token']}" if "replay_token" in message else None
            steps.append(Follow("a", ids[-1], scope, message.get("ref"), token, wait=False))
        kinds = ("task_started", "investigation_started", "finding")
        publishes = [Publish(one, event(kind, message=kind), wait=False) for one in ids for kind in kinds]
        yield n, "drawn negotiated subscribes", [*steps, Settle(), *publishes]


def _ignored(kit: Kit, drawn: list[dict[str, Any]], extras: Extras) -> Iterator[Scenario]:
    """Fields of features that were not granted hold anything (NEG-1)."""
    for some in _portions(drawn, _PER_SCRIPT):
        n = kit.names()
        steps = greeted("a", n.client("a"))
        ids = [salted(n, message["investigation_id"], number) for number, message in enumerate(some)]
        for one in ids:
            text = subscribe_text(one, scope=extras.value(), replay_token=extras.value())
            steps.append(Subscribe("a", one, text, wait=False))
        yield n, "fields of what is not granted", [
            *steps, Settle(), *(Publish(one, event("task_started"), wait=False) for one in ids),
        ]  # fmt: skip


def _unfollows(kit: Kit, drawn: list[dict[str, Any]], features: tuple[str, ...]) -> Iterator[Scenario]:
    for some in _portions(drawn, _PER_SCRIPT):
        n = kit.names()
        ids = [salted(n, message["investigation_id"], number) for number, message in enumerate(some)]
        ends = (
            Unfollow("a", one, message.get("ref"), wait=False) for one, message in zip(ids, some, strict=True)
        )
        yield n, "drawn unsubscribes", [
            *greeted("a", n.client("a"), *features), *subscriber("b", n.client("b"), *ids),
            *(Follow("a", one, wait=False) for one in ids[::2]), Settle(), *ends, Settle(),
            *(Publish(one, event(), wait=False) for one in ids),
        ]  # fmt: skip


def _pings(kit: Kit, drawn: list[dict[str, Any]], features: tuple[str, ...]) -> Iterator[Scenario]:
    for some in _portions(drawn, _PER_SCRIPT):
        n = kit.names()
        pings = [AppPing("a", one["id"], one.get("ref"), wait=False) for one in some]
        yield (
            n,
            "drawn pings",
            [*greeted("a", n.client("a"), *features), *pings, Settle(), Together(tuple(pings))],
        )


_BREAKABLE = (
    ("", "subscribe_investigation", "investigation_id", "invalid_message"),
    ("", "subscribe_investigation", "ref", "invalid_message"),
    ("scopes", "subscribe_investigation", "scope", "invalid_scope"),
    ("replay", "subscribe_investigation", "replay_token", "invalid_message"),
    ("unsubscribe", "unsubscribe_investigation", "investigation_id", "invalid_message"),
    ("heartbeat", "ping", "id", "invalid_message"),
)
"""Fields whose type the protocol says: of which feature, in which message, and the error."""
_OPTIONAL = frozenset({"ref", "scope", "replay_token"})


def _broken(kit: Kit, count: int, features: tuple[str, ...], extras: Extras) -> Iterator[Scenario]:
    """Valid messages with one field broken, on connections that use it."""
    fields = [field for feature, *field in _BREAKABLE if feature in {"", *features}]
    for number in range(count):
        type_, name, code = fields[number % len(fields)]
        wrong = extras.value()
        n = kit.names()
        if isinstance(wrong, str):
            wrong = [wrong]  # in all of these fields a list of one text is wrong, unless it is a scope
        good = (
            {"type": type_, "id": "p"}
            if type_ == "ping"
            else {"type": type_, "investigation_id": n.id("broken")}
        )
        if name == "scope" and wrong in (["all"], ["tasks"], ["summary"]):
            continue
        if name in _OPTIONAL and wrong is None:
            continue  # which many take for a field that is not there
        good |= {"ref": f"{number}"} | {name: wrong}
        codes = (code,) if code == "invalid_message" else (code, "invalid_message")
        step = Mistake("bad", json.dumps(good, ensure_ascii=False), codes, f"{number}")
        yield _beside(n, f"{type_} with {name} broken", features, step)


# Scenarios


class _Move(NamedTuple):
    """One drawn move: which, and numbers from which it takes its connection, investigation and so on."""

    make: str
    a: int
    b: int
    c: int
    flag: bool


class _World:
    """Makes the steps of one scenario from moves."""

    def __init__(self, kit: Kit, offered: Collection[str]) -> None:
        n = self.n = kit.names()
        self.features = tuple(sorted(offered))
        self.steps: list[Step] = []
        self.open: dict[str, tuple[str, ...]] = {}
        """Connections that are open, and what they asked for."""
        self.numbered: list[str] = []
        """Connections that get tokens, ended ones too."""
        self.ids = [n.id(), n.id("1"), n.id("10")]
        self.published = self.connected = 0
        self.makers: dict[str, Callable[[_Move], object]] = {
            "connect": self.connect,
            "core": self.core,
            "follow": self.follow,
            "resume": self.resume,
            "resume_while_publishing": self.resume_while_publishing,
            "same_token_twice": self.same_token_twice,
            "gone_in_replay": self.gone_in_replay,
            "foreign_token": self.foreign_token,
            "switch_in_burst": self.switch_in_burst,
            "unfollow": self.unfollow,
            "publish": self.publish,
            "burst": self.burst,
            "ping": self.ping,
            "end": self.end,
            "settle": lambda _: self.steps.append(Settle()),
            "pause": lambda move: self.steps.append(Pause((1 + move.a) / 1000)),
        }

    def payload(self) -> str:
        self.published += 1
        kind = ("task_progress", "investigation_note", "finding")[self.published % 3]
        return event(kind, message=f"{self.published}")

    def some(self, move: _Move, feature: str | None = None) -> str | None:
        """One of the connections that said hello, with a feature."""
        able = [one for one, asked in self.open.items() if feature is None or feature in asked]
        return able[move.a % len(able)] if able else None

    def id(self, move: _Move) -> str:
        return self.ids[move.b % len(self.ids)]

    def scope(self, conn: str, move: _Move) -> tuple[str, ...] | None:
        return SCOPES[move.c % len(SCOPES)] if "scopes" in self.open[conn] else None

    def connect(self, move: _Move, *needed: str) -> str:
        conn = f"c{self.connected}"
        self.connected += 1
        chosen = tuple(one for index, one in enumerate(self.features) if move.flag or (move.b + index) % 3)
        asked = tuple(dict.fromkeys((*needed, *chosen)))
        self.steps += greeted(conn, self.n.client("one" if move.c % 4 == 0 else conn), *asked)
        self.open[conn] = asked
        if "replay" in asked:
            self.numbered.append(conn)
        return conn

    def core(self, move: _Move) -> None:
        conn = f"core{self.connected}"
        self.connected += 1
        self.steps += subscriber(conn, self.n.client(conn), self.id(move))

    def follow(self, move: _Move) -> None:
        conn = self.some(move)
        if conn is not None:
            self.steps.append(
                Follow(conn, self.id(move), self.scope(conn, move), f"r{len(self.steps)}", wait=move.flag)
            )

    def token(self, move: _Move) -> str | None:
        if not self.numbered:
            return None
        which = ("last", "confirmed", "first")[move.c % 3]
        return f"{which}:{self.numbered[(move.a + move.c) % len(self.numbered)]}"

    def back(self, move: _Move, token: str | None, *, wait: bool = True) -> tuple[str, Follow] | None:
        """A connection that resumes: a new one, or one that is open."""
        if token is None:
            return None
        conn = self.some(move, "replay") if move.flag else None
        conn = conn or self.connect(move, "replay")
        ref = f"r{len(self.steps)}"
        return conn, Follow(conn, self.id(move), self.scope(conn, move), ref, token, wait=wait)

    def resume(self, move: _Move) -> None:
        made = self.back(move, self.token(move))
        if made:
            self.steps.append(made[1])

    def resume_while_publishing(self, move: _Move) -> None:
        made = self.back(move, self.token(move), wait=False)
        if made:
            self.burst(move)
            self.steps.append(made[1])
            self.burst(move)

    def same_token_twice(self, move: _Move) -> None:
        made = self.back(move, self.token(move), wait=False)
        if made:
            self.steps.append(Together((made[1], made[1])))

    def gone_in_replay(self, move: _Move) -> None:
        made = self.back(move, self.token(move), wait=False)
        if made:
            self.steps += [made[1], Abort(made[0])]
            del self.open[made[0]]

    def foreign_token(self, move: _Move) -> None:
        token = self.token(move)
        other = self.ids[(move.b + 1) % len(self.ids)]
        made = self.back(move, f"{token}/{other}" if token else None)
        if made:
            self.steps.append(made[1])

    def switch_in_burst(self, move: _Move) -> None:
        conn = self.some(move, "scopes")
        if conn is not None:
            for turn in range(3):
                self.burst(move)
                scope = SCOPES[(move.c + turn) % len(SCOPES)]
                self.steps.append(Follow(conn, self.id(move), scope, wait=move.flag and turn == 1))
            self.burst(move)

    def unfollow(self, move: _Move) -> None:
        conn = self.some(move, "unsubscribe")
        if conn is not None:
            self.steps.append(Unfollow(conn, self.id(move), f"r{len(self.steps)}", wait=move.flag))

    def publish(self, move: _Move) -> None:
        self.steps.append(Publish(self.id(move), self.payload(), wait=move.flag))

    def burst(self, move: _Move) -> None:
        self.steps += [Publish(self.id(move), self.payload(), wait=False) for _ in range(1 + move.c % 12)]

    def ping(self, move: _Move) -> None:
        conn = self.some(move, "heartbeat")
        if conn is not None:
            self.steps.append(AppPing(conn, f"p{len(self.steps)}", wait=move.flag))

    def end(self, move: _Move) -> None:
        conn = self.some(move)
        if conn is not None:
            self.steps.append(Abort(conn) if move.flag else Close(conn))
            del self.open[conn]


_MOVES = (
    "connect", "core", "follow", "follow", "follow", "resume", "resume", "resume_while_publishing",
    "resume_while_publishing", "same_token_twice", "gone_in_replay", "foreign_token", "switch_in_burst",
    "unfollow", "publish", "publish", "burst", "burst", "ping", "end", "settle", "pause",
)  # fmt: skip
_number = st.integers(0, 23)
_scenario = st.lists(
    st.builds(_Move, st.sampled_from(_MOVES), _number, _number, _number, st.booleans()),
    min_size=10,
    max_size=20,
)


def scenarios(kit: Kit, examples: int, offered: Collection[str]) -> Iterator[Script]:
    """Drawn scenarios: who resumes, switches, leaves and comes back while others publish."""
    if examples == 0:
        return
    # A run of Hypothesis varies its first examples; several runs see more that is new.
    drawn = (one for _ in range(_BATCHES) for one in draw(_scenario, max(examples // _BATCHES, 1), kit.rng))
    for moves in drawn:
        world = _World(kit, offered)
        for number in range(2):
            conn = world.connect(_Move("connect", 0, 0, 1 + number, flag=True))
            world.steps.append(Follow(conn, world.ids[0]))
        for move in moves:
            world.makers[move.make](move)
        world.steps += [Settle(), *(Publish(one, world.payload()) for one in world.ids)]
        n = world.n
        yield Script(
            "a drawn scenario of Part 2", tuple(world.steps), "RPL-5" if "replay" in offered else "NEG-1",
            "negotiated scenarios", salts=(n.word, n.digits),
        )  # fmt: skip
