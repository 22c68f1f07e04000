"""Drawn cases: the same for the same seed, valid where they claim to be, malformed where they claim to be."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import strategies as st
from osint_events import contract
from osint_events.features import FEATURES
from osint_events_conformance import generate, negotiated
from osint_events_conformance import script as s
from osint_events_conformance.suite import Kit, publishes

EXAMPLES = 16


@cache
def fuzz(seed: int = 1, *, payloads: bool = True) -> tuple[s.Script, ...]:
    return tuple(generate.fuzz(Kit(random.Random(seed), "any"), EXAMPLES, payloads=payloads))


@cache
def scenarios(seed: int = 1) -> tuple[s.Script, ...]:
    return tuple(generate.scenarios(Kit(random.Random(seed), "any"), 12))


def _of(check: str) -> list[s.Script]:
    return [script for script in fuzz() if script.check == check]


def _validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(contract.bundled(name))


def test_the_same_seed_draws_the_same_cases() -> None:
    again = tuple(generate.fuzz(Kit(random.Random(1), "any"), EXAMPLES, payloads=True))
    assert again == fuzz()
    assert tuple(generate.scenarios(Kit(random.Random(1), "any"), 12)) == scenarios()


def test_another_seed_draws_other_cases() -> None:
    assert fuzz(2) != fuzz()
    assert scenarios(2) != scenarios()


def test_no_examples_are_no_cases() -> None:
    kit = Kit(random.Random(1), "any")
    assert list(generate.fuzz(kit, 0, payloads=True)) == []
    assert list(generate.scenarios(kit, 0)) == []


def test_draw_gives_as_many_as_were_asked_for_or_all_that_there_are() -> None:
    assert len(generate.draw(st.integers(), 7, random.Random(1))) == 7
    assert set(generate.draw(st.booleans(), 50, random.Random(1))) == {True, False}


@pytest.mark.parametrize(
    "check", ["drawn events", "drawn subscribes", "drawn messages of unknown type", "broken subscribes"]
)
def test_every_kind_of_message_is_drawn(check: str) -> None:
    assert _of(check)


def test_drawn_events_are_valid_and_bring_unknown_fields() -> None:
    validator = _validator("event")
    known = set(contract.bundled("event")["properties"])
    drawn = [
        json.loads(step.data)
        for script in _of("drawn events")
        for step in script.steps
        if isinstance(step, s.Publish)
    ]
    assert len(drawn) >= EXAMPLES
    assert all(validator.is_valid(one) for one in drawn)
    assert any(set(one) - known for one in drawn)
    assert len({json.dumps(one) for one in drawn}) > len(drawn) / 4


def test_without_a_choice_of_the_payload_no_event_is_drawn() -> None:
    assert "drawn events" not in {script.check for script in fuzz(payloads=False)}


def test_drawn_subscribes_are_valid_and_have_fresh_ids() -> None:
    validator = _validator("subscribe_investigation")
    steps = [step for script in fuzz() for step in s.flat(script.steps) if isinstance(step, s.Subscribe)]
    for step in steps:
        message = json.loads(step.payload())
        assert validator.is_valid(message)
        assert message["investigation_id"] == step.investigation_id
    for script in _of("drawn subscribes"):
        asked = [step.investigation_id for step in script.steps if isinstance(step, s.Subscribe)]
        assert len(set(asked)) == len(asked)
        assert all(script.salts[0] in one for one in asked)


def test_what_is_drawn_as_unknown_is_well_formed() -> None:
    for script in _of("drawn messages of unknown type"):
        for step in script.steps:
            if isinstance(step, s.Say):
                message = json.loads(step.data)
                assert isinstance(message["type"], str)
                assert message["type"] not in {"subscribe_investigation", "hello"}


def test_what_is_drawn_as_malformed_is_malformed() -> None:
    said = [
        step
        for script in fuzz()
        for step in script.steps
        if isinstance(step, s.Say) and step.role == "malformed"
    ]
    assert said
    for step in said:
        assert not _understood(step.data), step.data


def _understood(data: bytes) -> bool:
    """Whether a server may rightly take this for a message: JSON, an object, a type, and an id if it must."""
    try:
        value = json.loads(data.decode())
    except ValueError:
        return False
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    return value["type"] != "subscribe_investigation" or bool(
        isinstance(value.get("investigation_id"), str) and value["investigation_id"]
    )


def test_scenarios_use_connections_only_between_their_beginning_and_their_end() -> None:
    for script in scenarios():
        here: set[str] = set()
        ended: set[str] = set()
        for step in script.steps:
            if isinstance(step, s.Connect):
                assert step.conn not in here | ended
                here.add(step.conn)
            assert here.issuperset(s.connections(step))
            if isinstance(step, s.Close | s.Abort):
                here.remove(step.conn)
                ended.add(step.conn)


def _goes(step: s.Step) -> bool:
    """Whether a scenario is done with a stall: it is resumed, or the connection is used no more."""
    return not isinstance(step, s.Say) or step.role == "malformed"


def test_scenarios_resume_every_reader_that_they_stall_and_that_stays() -> None:
    for script in scenarios():
        stalled: set[str] = set()
        for step in script.steps:
            if isinstance(step, s.Stall):
                stalled.add(step.conn)
            elif isinstance(step, s.Resume | s.Close | s.Abort) or (
                isinstance(step, s.Say) and step.role == "malformed"
            ):
                stalled.difference_update(s.connections(step))
        assert not stalled


def test_scenarios_publish_and_use_many_kinds_of_steps() -> None:
    assert all(publishes(script) for script in scenarios())
    kinds = {step.kind for script in scenarios() for step in s.flat(script.steps)}
    assert kinds >= {"connect", "subscribe", "publish", "pieces", "close", "abort", "stall", "settle"}


def test_every_drawn_script_can_be_written_to_a_trace_and_read_again() -> None:
    for script in (*fuzz(), *scenarios()):
        made = json.loads(json.dumps([s.to_json(step) for step in script.steps]))
        assert tuple(s.from_json(one) for one in made) == script.steps


def test_every_drawn_script_has_salts_of_its_own() -> None:
    salts = [script.salts for script in (*fuzz(), *scenarios())]
    assert len(set(salts)) == len(salts)
    assert all(word and digits for word, digits in salts)


def test_a_message_can_be_changed_down_to_nothing() -> None:
    changed = [generate._mutated(b"{}", random.Random(seed)) for seed in range(2000)]
    assert b"" in changed
    assert len(set(changed)) > 500


@cache
def negotiated_fuzz(*offered: str) -> tuple[s.Script, ...]:
    return tuple(negotiated.fuzz(Kit(random.Random(1), "any"), EXAMPLES * 2, offered))


@cache
def negotiated_scenarios(*offered: str) -> tuple[s.Script, ...]:
    return tuple(negotiated.scenarios(Kit(random.Random(1), "any"), 24, offered))


def _steps(scripts: tuple[s.Script, ...]) -> list[s.Step]:
    return [step for script in scripts for step in s.flat(script.steps)]


def test_negotiated_messages_and_scenarios_are_the_same_for_the_same_seed() -> None:
    again = tuple(negotiated.fuzz(Kit(random.Random(1), "any"), EXAMPLES * 2, FEATURES))
    assert again == negotiated_fuzz(*FEATURES)
    assert tuple(negotiated.scenarios(Kit(random.Random(1), "any"), 24, FEATURES)) == negotiated_scenarios(
        *FEATURES
    )
    assert list(negotiated.fuzz(Kit(random.Random(1), "any"), 0, FEATURES)) == []
    assert list(negotiated.scenarios(Kit(random.Random(1), "any"), 0, FEATURES)) == []


def test_drawn_hellos_are_valid_and_say_what_they_ask_for() -> None:
    validator = _validator("hello")
    hellos = [step for step in _steps(negotiated_fuzz(*FEATURES)) if isinstance(step, s.Hello)]
    assert any(step.text for step in hellos)
    for step in hellos:
        message = json.loads(step.payload())
        assert validator.is_valid(message)
        assert tuple(message["features"]) == step.features


def test_what_is_drawn_as_a_mistake_breaks_its_schema() -> None:
    names = {"subscribe_investigation": "negotiated_subscribe_investigation"}
    mistakes = [step for step in _steps(negotiated_fuzz(*FEATURES)) if isinstance(step, s.Mistake)]
    assert mistakes
    for step in mistakes:
        message = json.loads(step.text)
        assert not _validator(names.get(message["type"], message["type"])).is_valid(message), step.text


def test_broken_hellos_break_their_schema() -> None:
    said = [step for step in _steps(negotiated_fuzz(*FEATURES)) if isinstance(step, s.Say)]
    assert said
    assert not any(_validator("hello").is_valid(json.loads(step.data)) for step in said)


def test_only_what_is_offered_is_drawn() -> None:
    steps = [*_steps(negotiated_fuzz("scopes")), *_steps(negotiated_scenarios("scopes"))]
    assert not any(isinstance(step, s.Unfollow | s.AppPing) for step in steps)
    drawn = negotiated_scenarios("scopes")
    assert not any(step.token for step in _steps(drawn) if isinstance(step, s.Follow))


def test_drawn_scenarios_resume_switch_and_leave() -> None:
    steps = _steps(negotiated_scenarios(*FEATURES))
    follows = [step for step in steps if isinstance(step, s.Follow)]
    assert any(step.token for step in follows)
    assert any(step.token and "/" in step.token for step in follows)
    assert any(step.scope for step in follows)
    assert {type(step) for step in steps} >= {s.Abort, s.Close, s.Unfollow, s.Publish, s.Settle}


def test_negotiated_scripts_can_be_written_to_a_trace_and_read_again() -> None:
    for script in (*negotiated_fuzz(*FEATURES), *negotiated_scenarios(*FEATURES)):
        made = json.loads(json.dumps([s.to_json(step) for step in script.steps]))
        assert tuple(s.from_json(one) for one in made) == script.steps
