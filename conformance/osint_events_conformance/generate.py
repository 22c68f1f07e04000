"""Drawn cases, made into scripts: the only module that knows Hypothesis and hypothesis-jsonschema.

Open objects are slow to draw (tens a second), closed ones and plain JSON values are not. So the
schemas are drawn closed, values and names are drawn apart, and both are combined into many cases.
Every combined case is validated again before it counts as valid: the generator is no oracle.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis_jsonschema import from_schema
from osint_events import contract

from osint_events_conformance.names import Names
from osint_events_conformance.script import (
    Abort,
    Close,
    Connect,
    Pause,
    Pieces,
    Ping,
    Publish,
    Resume,
    Say,
    Script,
    Settle,
    Stall,
    Step,
    Subscribe,
    Together,
    subscribe_text,
)
from osint_events_conformance.suite import Kit, Scenario, delivered, event
from osint_events_conformance.suite.ids import LONGEST
from osint_events_conformance.suite.robustness import malformed

_PER_SCRIPT = 20
_COMBINATIONS = 3
"""Cases that each drawn payload appears in, with other fields each time."""
_KNOWN_TYPES = frozenset({"subscribe_investigation", "hello", "unsubscribe_investigation", "ping", "pong"})
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def draw(strategy: st.SearchStrategy[Any], count: int, rng: random.Random) -> list[Any]:
    """`count` examples of a strategy, the same ones for the same state of `rng`."""
    found: list[Any] = []

    @seed(rng.getrandbits(64))
    @settings(
        max_examples=max(count, 1),
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found[:count]


def closed(name: str) -> dict[str, Any]:
    """A schema of the contract without unknown fields, which are drawn apart."""
    return {**contract.bundled(name), "additionalProperties": False}


def fuzz(kit: Kit, examples: int, *, payloads: bool) -> Iterator[Script]:
    """Drawn messages, valid and invalid; with `payloads` drawn events too, if the trigger can choose."""
    if examples == 0:
        return
    extras = drawn_extras(kit, examples)
    if payloads:
        yield from drawn_scripts("drawn events", "EVT-1", _events(kit, examples, extras))
    subscribes: list[dict[str, Any]] = draw(
        from_schema(closed("subscribe_investigation")), examples // 2, kit.rng
    )
    ids = [one["investigation_id"] for one in subscribes]
    yield from drawn_scripts("drawn subscribes", "SUB-1", _subscribes(kit, ids, extras))
    yield from drawn_scripts("drawn messages of unknown type", "ROB-3", _unknown(kit, extras.names, extras))
    yield from drawn_scripts("broken subscribes", "ROB-2", _broken(kit, ids, extras.values))


def drawn_extras(kit: Kit, examples: int) -> Extras:
    """What unknown fields are made of."""
    values = [
        one
        for group in draw(st.lists(_JSON, min_size=8, max_size=16), 1 + examples // 10, kit.rng)
        for one in group
    ]
    texts = [
        one
        for group in draw(st.lists(st.text(max_size=12), min_size=8), 1 + examples // 20, kit.rng)
        for one in group
    ]
    return Extras(kit.rng, texts, values)


def drawn_scripts(check: str, clause: str, scenarios: Iterator[Scenario]) -> Iterator[Script]:
    """Drawn scenarios as scripts of a check of `clause`."""
    for n, title, steps in scenarios:
        yield Script(title, tuple(steps), clause, check, salts=(n.word, n.digits))


class Extras:
    """Unknown fields, put together from drawn names and values."""

    def __init__(self, rng: random.Random, names: list[str], values: list[Any]) -> None:
        self._rng = rng
        self.names = names
        self.values = values

    def value(self) -> Any:
        """Any JSON value."""
        return self._rng.choice(self.values)

    def fields(self, most: int, taken: set[str]) -> dict[str, Any]:
        """At most so many fields with names that are not `taken`."""
        count = self._rng.randint(0, most)
        names = [name for name in self._rng.choices(self.names, k=count) if name not in taken]
        return {name: self._rng.choice(self.values) for name in names}


def _events(kit: Kit, examples: int, extras: Extras) -> Iterator[Scenario]:
    schema = contract.bundled("event")
    validator = jsonschema.Draft202012Validator(schema)
    known = set(schema["properties"])
    made: list[str] = []
    drawn: list[dict[str, Any]] = draw(from_schema(closed("event")), examples, kit.rng)
    for payload in drawn:
        payload.pop("investigation_id", None)  # it would have to equal the investigation's (EVT-2)
        for turn in range(_COMBINATIONS):
            whole = payload | extras.fields(4, known) if turn else payload
            if validator.is_valid(whole):
                made.append(json.dumps(whole, ensure_ascii=bool(turn % 2)))
    for start in range(0, len(made), _PER_SCRIPT):
        yield delivered(kit.names(), "drawn events", made[start : start + _PER_SCRIPT])


def salted(n: Names, drawn: str, number: int) -> str:
    """A drawn id made fresh, which keeps its beginning or its end as it was drawn."""
    salt = f"{n.word}{number}"
    room = LONGEST - len(salt)
    return f"{drawn[:room]}{salt}" if number % 2 else f"{salt}{drawn[:room]}"


def _subscribes(kit: Kit, ids: list[str], extras: Extras) -> Iterator[Scenario]:
    for start in range(0, len(ids), _PER_SCRIPT):
        n = kit.names()
        steps: list[Step] = [Connect("a", n.client())]
        fresh = [salted(n, one, number) for number, one in enumerate(ids[start : start + _PER_SCRIPT])]
        for one in fresh:
            text = subscribe_text(one, **extras.fields(3, {"type", "investigation_id"}))
            steps.append(Subscribe("a", one, text, wait=False))
        yield n, "drawn subscribes", [*steps, Settle(), *(Publish(one, event(), wait=False) for one in fresh)]


def _unknown(kit: Kit, types: list[str], extras: Extras) -> Iterator[Scenario]:
    for start in range(0, len(types), _PER_SCRIPT):
        n = kit.names()
        steps: list[Step] = [Connect("a", n.client()), Subscribe("a", n.id())]
        for type_ in types[start : start + _PER_SCRIPT]:
            if type_ not in _KNOWN_TYPES:
                message = {"type": type_, **extras.fields(4, {"type"})}
                steps.append(Say("a", json.dumps(message, ensure_ascii=False).encode(), "unknown"))
        yield (
            n,
            "drawn messages of unknown type",
            [*steps, Publish(n.id(), event()), Subscribe("a", n.id("after"))],
        )


def _broken(kit: Kit, ids: list[str], values: list[Any]) -> Iterator[Scenario]:
    """Valid subscribes with one thing broken: a type, a missing member, or a few bytes."""
    rng = kit.rng
    for number, one in enumerate(ids[: len(ids) // 2]):
        n = kit.names()
        good = {"type": "subscribe_investigation", "investigation_id": salted(n, one, number)}
        wrong = rng.choice([value for value in values if not isinstance(value, str)] or [None])
        match number % 4:
            case 0:
                data, clause = json.dumps({**good, "investigation_id": wrong}).encode(), "SUB-6"
            case 1:
                data, clause = json.dumps({**good, "type": wrong}).encode(), "ROB-2"
            case 2:
                data, clause = json.dumps({"type": good["type"], "x": one}).encode(), "SUB-6"
            case _:
                data, clause = _mutated(json.dumps(good, ensure_ascii=False).encode(), rng), "ROB-2"
        if not _is_malformed(data):
            continue
        yield (
            n,
            "a broken subscribe",
            [
                Connect("good", n.client("good")),
                Subscribe("good", n.id()),
                Connect("bad", n.client("bad")),
                Say("bad", data, "malformed", clause=clause),
                Publish(n.id(), event()),
                Settle(),
                Subscribe("bad", n.id("after")),
            ],
        )


def _mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if not changed:
            break  # of nothing nothing can be changed
        where = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[where] ^= 1 << rng.randrange(8)
            case 1:
                del changed[where]
            case 2:
                changed.insert(where, rng.randrange(256))
            case _:
                del changed[where + 1 :]
    return bytes(changed)


def _is_malformed(data: bytes) -> bool:
    """Whether a message surely is malformed in the protocol's sense, whoever reads it."""
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        return True
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return True
    investigation_id = value.get("investigation_id")
    return value["type"] == "subscribe_investigation" and (
        not isinstance(investigation_id, str) or not investigation_id
    )


def scenarios(kit: Kit, examples: int, *, steps: int = 24) -> Iterator[Script]:
    """Scripts from a state machine: connections that come, subscribe, speak, stall, break rules and go."""
    if examples == 0:
        return
    found: list[Script] = []
    # A run of Hypothesis varies its first examples; several runs see more that is new.
    for _ in range(_BATCHES):
        machine = _machine(kit, found.append)
        seed(kit.rng.getrandbits(64))(machine)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=max(examples // _BATCHES, 1),
                stateful_step_count=steps,
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    yield from found


_BATCHES = 6
_SMALL_MALFORMED = tuple(data for _, data in malformed() if len(data) < 1000)  # noqa: PLR2004 - the large ones have checks
_CONNECTIONS = 6
_which = st.integers(0, 5)


def _machine(  # noqa: C901 - a rule is a method, and the machine has many
    kit: Kit, keep: Callable[[Script], None]
) -> type[RuleBasedStateMachine]:
    """The state machine's class; each run of it hands one script to `keep`."""

    class Scenarios(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            n = self.n = kit.names()
            self.steps: list[Step] = []
            self.open: list[str] = []
            self.stalled: set[str] = set()
            self.clients = [n.client(), n.client("2"), n.client("20"), n.client("A"), n.client("a"), n.digits]
            self.ids = [n.id(), n.id("1"), n.id("10"), n.id("É"), n.id("é"), n.digits]
            self.connected = self.published = 0
            self.wanted: list[str] = []

        def conn(self, which: int) -> str:
            return self.open[which % len(self.open)]

        def payload(self) -> str:
            self.published += 1
            return event(
                "task_progress" if self.published % 3 else "investigation_started",
                message=f"{self.published}",
            )

        @initialize(which=_which)
        def begin(self, which: int) -> None:
            self.connect(which)
            self.subscribe(0, which, wait=True)

        @precondition(lambda self: len(self.open) < _CONNECTIONS)
        @rule(which=_which)
        def connect(self, which: int) -> None:
            conn = f"c{self.connected}"
            self.connected += 1
            self.steps.append(Connect(conn, self.clients[which]))
            self.open.append(conn)

        @precondition(lambda self: self.open)
        @rule(which=_which, one=_which, wait=st.booleans())
        def subscribe(self, which: int, one: int, wait: bool) -> None:
            self.wanted.append(self.ids[one])
            self.steps.append(Subscribe(self.conn(which), self.ids[one], wait=wait))

        @precondition(lambda self: self.open)
        @rule(which=_which, several=st.lists(_which, min_size=2, max_size=4))
        def subscribe_together(self, which: int, several: list[int]) -> None:
            conn = self.conn(which)
            self.wanted += [self.ids[one] for one in several]
            self.steps.append(Together(tuple(Subscribe(conn, self.ids[one]) for one in several)))

        @precondition(lambda self: self.open)
        @rule(
            which=_which,
            one=_which,
            cuts=st.lists(st.integers(0, 60), min_size=1, max_size=3),
            segments=st.booleans(),
        )
        def subscribe_in_pieces(self, which: int, one: int, cuts: list[int], segments: bool) -> None:
            step = Subscribe(self.conn(which), self.ids[one])
            self.steps.append(Pieces(step, tuple(cuts), "segments" if segments else "fragments"))

        @rule(one=_which, wait=st.booleans())
        def publish(self, one: int, wait: bool) -> None:
            self.steps.append(Publish(self.ids[one], self.payload(), wait=wait))

        @precondition(lambda self: self.wanted)
        @rule(one=st.integers(0, 100), count=st.integers(1, 25))
        def burst(self, one: int, count: int) -> None:
            investigation_id = self.wanted[one % len(self.wanted)]
            self.steps += [Publish(investigation_id, self.payload(), wait=False) for _ in range(count)]

        @precondition(lambda self: self.open)
        @rule(which=_which)
        def ping(self, which: int) -> None:
            self.steps.append(Ping(self.conn(which), b"p" * which))

        @precondition(lambda self: self.open)
        @rule(which=_which)
        def say_something_unknown(self, which: int) -> None:
            self.steps.append(
                Say(self.conn(which), b'{"type": "x-unknown", "investigation_id": "x"}', "unknown")
            )

        @precondition(lambda self: len(self.open) > 1)
        @rule(which=_which, data=st.sampled_from(_SMALL_MALFORMED))
        def say_something_malformed(self, which: int, data: bytes) -> None:
            conn = self.conn(which)
            self.steps.append(Say(conn, data, "malformed"))
            self.open.remove(conn)

        @precondition(lambda self: self.open)
        @rule(which=_which, wait=st.booleans())
        def close(self, which: int, wait: bool) -> None:
            conn = self.conn(which)
            self.steps.append(Close(conn, wait=wait))
            self.open.remove(conn)

        @precondition(lambda self: self.open)
        @rule(which=_which)
        def abort(self, which: int) -> None:
            conn = self.conn(which)
            self.steps.append(Abort(conn))
            self.open.remove(conn)

        @precondition(lambda self: self.open)
        @rule(which=_which)
        def stall_or_resume(self, which: int) -> None:
            conn = self.conn(which)
            self.steps.append(Resume(conn) if conn in self.stalled else Stall(conn))
            self.stalled ^= {conn}

        @rule(milliseconds=st.sampled_from([1, 5, 20]))
        def pause(self, milliseconds: int) -> None:
            self.steps.append(Pause(milliseconds / 1000))

        @rule()
        def settle(self) -> None:
            self.steps.append(Settle())

        def teardown(self) -> None:
            self.steps += [Resume(conn) for conn in self.open if conn in self.stalled]
            self.steps += [Publish(one, self.payload()) for one in dict.fromkeys(self.wanted)]
            salts = (self.n.word, self.n.digits)
            keep(Script("a drawn scenario", tuple(self.steps), "DEL-1", "scenarios", salts=salts))

    return Scenarios
