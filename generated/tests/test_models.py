"""The models: what the schemas accept they give back as it came, and what the schemas refuse they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import osint_events
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from osint_events import (
    InvestigationUpdate,
    NegotiatedInvestigationUpdate,
    Ping,
    SubscribeInvestigation,
    SubscriptionConfirmed,
    TaskCompleted,
    TaskStarted,
    UnknownEvent,
    UnknownMessage,
    Welcome,
    contract,
    parse_client_message,
    parse_event,
    parse_negotiated_client_message,
    parse_negotiated_server_message,
    parse_server_message,
)
from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

EXAMPLES = Path(__file__).parents[2] / "schemas/v1/examples"
READ: dict[str, Callable[[Any], BaseModel]] = {
    name: getattr(osint_events, name.title().replace("_", "")).model_validate
    for name in contract.schema_names()
    if name != "event"
} | {"event": parse_event}
STRATEGIES = {name: from_schema(contract.schema(name)) for name in contract.schema_names()}

# What a class cannot say, and leaves to a validator of the schema.
BEYOND_A_CLASS = {
    "event.unknown_task_kind_without_task_id.json",
    "legacy_event.type_says_it.json",
    "legacy_startup.event_says_it.json",
    "legacy_startup.has_a_task_id.json",
    "legacy_startup.type_says_it.json",
    "negotiated_subscription_confirmed.complete_replay_without_count.json",
    "negotiated_subscription_confirmed.failed_replay_without_reason.json",
}


def examples(directory: str) -> list[Path]:
    return sorted((EXAMPLES / directory).iterdir())


@pytest.mark.parametrize("name", READ)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_round_trip_gives_the_same_text(name: str, data: st.DataObject) -> None:
    instance = data.draw(STRATEGIES[name])
    model = READ[name](instance)
    # Compared as text: the order of fields counts, and so does how a number is spelled.
    assert json.dumps(model.model_dump()) == json.dumps(instance)
    assert json.loads(model.model_dump_json()) == instance
    assert type(model).model_validate_json(json.dumps(instance)) == model


@pytest.mark.parametrize("path", examples("valid"), ids=lambda path: path.stem)
def test_a_valid_example_makes_a_round_trip(path: Path) -> None:
    instance = json.loads(path.read_text("utf-8"))
    model = READ[path.name.split(".", 1)[0]](instance)
    assert json.dumps(model.model_dump()) == json.dumps(instance)


@pytest.mark.parametrize("path", examples("invalid"), ids=lambda path: path.stem)
def test_an_invalid_example_is_refused(path: Path) -> None:
    instance = json.loads(path.read_text("utf-8"))["instance"]
    read = READ[path.name.split(".", 1)[0]]
    if path.name in BEYOND_A_CLASS:
        assert read(instance).model_dump() == instance
    else:
        with pytest.raises(ValidationError):
            read(instance)


@pytest.mark.parametrize(
    "name",
    ["", "a.b", "self", "copy", "json", "model_fields", "model_config", "_order", "__class__", "schema", "é"],
)
def test_an_unknown_field_of_any_name_is_kept(name: str) -> None:
    instance = {name: [1, {"x": None}], "type": "task_started", "task_id": "t"}
    assert json.dumps(parse_event(instance).model_dump()) == json.dumps(instance)


def test_a_known_kind_becomes_its_class() -> None:
    event = parse_event({"type": "task_completed", "task_id": "t", "progress": 1})
    assert isinstance(event, TaskCompleted)
    assert (event.task_id, event.progress, event.name) == ("t", 1, None)


@pytest.mark.parametrize(
    "data",
    [{"type": "evidence_found"}, {"type": ""}, {}, {"event": "task_started"}, {"type": "Task_Started"}],
)
def test_an_unknown_kind_or_none_becomes_the_open_class(data: dict[str, Any]) -> None:
    event = parse_event(data)
    assert isinstance(event, UnknownEvent)
    assert event.model_dump() == data


def test_a_message_becomes_its_class_by_who_sends_it() -> None:
    subscribe = {"type": "subscribe_investigation", "investigation_id": "1"}
    confirmed = {"type": "subscription_confirmed", "investigation_id": "1"}
    update = {"type": "investigation_update", "investigation_id": "1", "data": {}}
    assert isinstance(parse_client_message(subscribe), SubscribeInvestigation)
    assert isinstance(parse_client_message(confirmed), UnknownMessage)
    assert isinstance(parse_server_message(confirmed), SubscriptionConfirmed)
    assert isinstance(parse_server_message(update), InvestigationUpdate)
    assert isinstance(parse_server_message(subscribe), UnknownMessage)
    assert isinstance(parse_server_message({"type": "greeting"}), UnknownMessage)


def test_a_message_after_a_hello_becomes_the_class_with_further_fields() -> None:
    update = {"type": "investigation_update", "investigation_id": "1", "data": {}, "seq": 5, "prev": 3}
    parsed = parse_negotiated_server_message(update)
    assert isinstance(parsed, NegotiatedInvestigationUpdate)
    assert (parsed.seq, parsed.prev, parsed.token) == (5, 3, None)
    assert type(parse_server_message(update)) is InvestigationUpdate
    welcome = {"type": "welcome", "protocol": 1, "connection_id": "1", "features": ["replay"]}
    assert isinstance(parse_negotiated_server_message(welcome), Welcome)
    assert isinstance(parse_negotiated_client_message(welcome), UnknownMessage)
    ping = {"type": "ping", "id": "1"}
    assert isinstance(parse_negotiated_server_message(ping), Ping)
    assert isinstance(parse_negotiated_client_message(ping), Ping)


@pytest.mark.parametrize("message", [{"type": "welcome"}, {"type": "ping"}, {"type": "gap", "seq": "1"}])
def test_what_only_a_hello_brings_is_an_unknown_message_without_one(message: dict[str, Any]) -> None:
    assert isinstance(parse_server_message(message), UnknownMessage)
    assert isinstance(parse_client_message(message), UnknownMessage)


@pytest.mark.parametrize("message", [{}, {"type": 1}, {"type": None}, {"type": ["subscribe_investigation"]}])
def test_a_message_without_a_string_type_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parse_client_message(message)


def test_a_null_that_the_schema_does_not_allow_is_refused_by_name() -> None:
    with pytest.raises(ValidationError) as caught:
        parse_event({"type": "evidence_found", "status": None})
    [error] = caught.value.errors()
    assert error["loc"][-1] == "status"
    assert error["type"] == "null"


def test_a_number_field_says_that_it_wants_a_number() -> None:
    with pytest.raises(ValidationError) as caught:
        TaskStarted.model_validate({"type": "task_started", "task_id": "t", "progress": "1"})
    [error] = caught.value.errors()
    assert (error["loc"], error["msg"]) == (("progress",), "Input should be a valid number")


def test_an_error_names_the_union_the_kind_and_the_field() -> None:
    with pytest.raises(ValidationError) as caught:
        parse_event({"type": "task_started"})
    assert caught.value.title == "Event"
    assert [error["loc"] for error in caught.value.errors()] == [("task_started", "task_id")]


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_no_number(value: bool) -> None:
    with pytest.raises(ValidationError):
        parse_event({"progress": value})


def test_a_built_model_dumps_what_it_was_given() -> None:
    event = TaskStarted(type="task_started", task_id="t", name="Primary domain_recon")
    assert event.model_dump_json() == ('{"type":"task_started","task_id":"t","name":"Primary domain_recon"}')


def test_a_field_that_is_set_later_comes_last_and_one_that_is_replaced_keeps_its_place() -> None:
    event = TaskStarted(type="task_started", progress=0.5, task_id="t")
    event.status = "running"
    event.progress = 1
    dumped = '{"type":"task_started","progress":1,"task_id":"t","status":"running"}'
    assert event.model_dump_json() == dumped


def test_models_are_equal_by_class_and_json_whatever_the_order() -> None:
    one = parse_event({"type": "evidence_found", "message": "m", "x": 1})
    assert one == parse_event({"x": 1, "message": "m", "type": "evidence_found"})
    assert one != parse_event({"type": "evidence_found", "message": "m", "x": 2})
    assert one != parse_event({"type": "evidence_found", "message": "m"})
    assert one != UnknownMessage(type="evidence_found")
    assert one != {"type": "evidence_found", "message": "m", "x": 1}


def test_a_class_carries_the_schemas_words() -> None:
    schema = contract.schema("subscribe_investigation")
    said = " ".join((SubscribeInvestigation.__doc__ or "").split())
    assert said == schema["description"]


def test_everything_that_is_exported_is_there() -> None:
    assert all(hasattr(osint_events, name) for name in osint_events.__all__)
