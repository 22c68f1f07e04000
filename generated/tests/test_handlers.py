"""From a client's text to the handler's method, and what is malformed on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mypy import api
from osint_events import (
    Hello,
    NegotiatedSubscribeInvestigation,
    Ping,
    Pong,
    UnsubscribeInvestigation,
)
from osint_events.handlers import MalformedMessage, dispatch, ref_of


class Recorder:
    """Gives back what it was called with."""

    def on_hello(self, message: Hello) -> tuple[str, Any]:
        return "on_hello", message

    def on_subscribe_investigation(self, message: NegotiatedSubscribeInvestigation) -> tuple[str, Any]:
        return "on_subscribe_investigation", message

    def on_unsubscribe_investigation(self, message: UnsubscribeInvestigation) -> tuple[str, Any]:
        return "on_unsubscribe_investigation", message

    def on_ping(self, message: Ping) -> tuple[str, Any]:
        return "on_ping", message

    def on_pong(self, message: Pong) -> tuple[str, Any]:
        return "on_pong", message

    def on_unknown(self, type_: str, message: dict[str, Any]) -> tuple[str, Any]:
        return type_, message


SUBSCRIBE = '{"type": "subscribe_investigation", "investigation_id": "1234"}'


@pytest.mark.parametrize("raw", [SUBSCRIBE, SUBSCRIBE.encode(), f" {SUBSCRIBE}\n"])
def test_a_subscribe_reaches_its_method_as_a_model(raw: str | bytes) -> None:
    name, message = dispatch(raw, Recorder())
    assert name == "on_subscribe_investigation"
    expected = NegotiatedSubscribeInvestigation(type="subscribe_investigation", investigation_id="1234")
    assert message == expected


@pytest.mark.parametrize(
    "type_", ["greeting", "", "Subscribe_Investigation", "subscription_confirmed", "welcome"]
)
def test_an_unknown_type_is_tolerated(type_: str) -> None:
    message = {"type": type_, "investigation_id": 5}
    assert dispatch(json.dumps(message), Recorder()) == (type_, message)


@pytest.mark.parametrize(
    "extra",
    [
        '"x": null',
        '"x": {"type": "y"}',
        '"x": ' + "9" * 9000,
        '"x": -1e999',
        '"x": "\\ud800"',
        '"x": 1, "x": 2',
    ],
    ids=["null", "object", "long integer", "overflow", "lone surrogate", "same name twice"],
)
def test_unknown_fields_do_no_harm(extra: str) -> None:
    name, message = dispatch(SUBSCRIBE[:-1] + f", {extra}}}", Recorder())
    assert (name, message.investigation_id) == ("on_subscribe_investigation", "1234")


def test_nesting_of_32_levels_is_taken() -> None:
    nested = "[" * 32 + "]" * 32
    assert dispatch(SUBSCRIBE[:-1] + f', "x": {nested}}}', Recorder())[0] == "on_subscribe_investigation"


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        ("", "invalid_json", "line 1 column 1"),
        ("{", "invalid_json", "line 1 column 2"),
        (SUBSCRIBE + "x", "invalid_json", "Extra data"),
        ("\ufeff" + SUBSCRIBE, "invalid_json", "line 1 column 1"),
        (SUBSCRIBE.encode("utf-16"), "invalid_json", "not UTF-8 at byte 0"),
        (b'{"type": "\xff"}', "invalid_json", "not UTF-8 at byte 10"),
        ('{"type": "x", "n": NaN}', "invalid_json", "NaN is no JSON number"),
        ('{"type": "x", "n": -Infinity}', "invalid_json", "-Infinity is no JSON number"),
        ("{'type': 'x'}", "invalid_json", "line 1 column 2"),
        ("[" * 60000, "invalid_json", "nested too deeply"),
        ("null", "invalid_message", "not a JSON object"),
        (f"[{SUBSCRIBE}]", "invalid_message", "not a JSON object"),
        ('"subscribe_investigation"', "invalid_message", "not a JSON object"),
        ("{}", "invalid_message", "type: a string is required"),
        ('{"type": 1}', "invalid_message", "type: a string is required"),
        ('{"type": ["hello"]}', "invalid_message", "type: a string is required"),
        ('{"type": "subscribe_investigation"}', "invalid_message", "investigation_id: "),
        (SUBSCRIBE.replace('"1234"', "1234"), "invalid_message", "investigation_id: "),
        (SUBSCRIBE.replace('"1234"', "null"), "invalid_message", "investigation_id: "),
        (SUBSCRIBE.replace("1234", ""), "invalid_message", "investigation_id: "),
        (SUBSCRIBE.replace("1234", "i" * 256), "invalid_message", "investigation_id: "),
        (SUBSCRIBE.replace("1234", "\\ud800"), "invalid_message", "investigation_id: "),
    ],
)
def test_a_malformed_message_is_refused_with_its_code_and_place(
    raw: str | bytes, code: str, words: str
) -> None:
    with pytest.raises(MalformedMessage) as caught:
        dispatch(raw, Recorder())
    assert caught.value.code == code
    assert words in caught.value.detail


def test_what_is_said_about_a_message_does_not_repeat_it() -> None:
    with pytest.raises(MalformedMessage) as caught:
        dispatch(
            '{"type": "subscribe_investigation", "investigation_id": 4711, "token": "secret"}', Recorder()
        )
    assert "4711" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_the_handler_raises_comes_through() -> None:
    class Broken(Recorder):
        def on_unknown(self, type_: str, message: dict[str, Any]) -> tuple[str, Any]:
            raise ValueError(type_, message)

    with pytest.raises(ValueError, match="greeting"):
        dispatch('{"type": "greeting"}', Broken())


HELLO = {"type": "hello", "protocol": 1, "features": ["replay"]}
EVERYTHING = frozenset({"hello", "heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors"})


@pytest.mark.parametrize("type_", ["ping", "pong", "unsubscribe_investigation"])
@pytest.mark.parametrize("fields", [{}, {"id": 5, "investigation_id": None}])
def test_a_message_of_a_feature_that_is_not_used_is_of_an_unknown_type(
    type_: str, fields: dict[str, Any]
) -> None:
    message = {"type": type_, **fields}
    for features in (frozenset[str](), frozenset({"hello", "replay", "scopes", "flow", "errors"})):
        assert dispatch(json.dumps(message), Recorder(), features) == (type_, message)


@pytest.mark.parametrize(
    ("message", "feature", "method"),
    [
        ({"type": "ping", "id": "1"}, "heartbeat", "on_ping"),
        ({"type": "pong", "id": "1"}, "heartbeat", "on_pong"),
        ({"type": "unsubscribe_investigation", "investigation_id": "X"}, "unsubscribe", None),
    ],
)
def test_a_message_of_a_feature_that_is_used_reaches_its_method(
    message: dict[str, Any], feature: str, method: str | None
) -> None:
    name, received = dispatch(json.dumps(message), Recorder(), {"hello", feature})
    assert (name, received.model_dump()) == (method or f"on_{message['type']}", message)


def test_a_subscribe_shows_the_fields_of_what_is_used_and_no_others() -> None:
    fields = {"ref": "r", "replay_token": "t", "scope": ["tasks"]}
    raw = json.dumps({"type": "subscribe_investigation", "investigation_id": "X", **fields})

    def shown(features: set[str]) -> dict[str, Any]:
        _, message = dispatch(raw, Recorder(), features)
        return {name: getattr(message, name) for name in fields if getattr(message, name) is not None}

    assert shown(set()) == {}
    assert shown({"hello"}) == {"ref": "r"}
    assert shown({"hello", "replay"}) == {"ref": "r", "replay_token": "t"}
    assert shown({"hello", "scopes"}) == {"ref": "r", "scope": ["tasks"]}


@pytest.mark.parametrize("value", [5, None, "", [], {}, ["tasks", "nothing"], "x" * 100])
@pytest.mark.parametrize("field", ["ref", "replay_token", "scope"])
def test_a_field_of_what_is_not_used_may_hold_anything(field: str, value: Any) -> None:
    raw = json.dumps({"type": "subscribe_investigation", "investigation_id": "X", field: value})
    name, message = dispatch(raw, Recorder())
    assert (name, message.investigation_id) == ("on_subscribe_investigation", "X")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("ref", 5, "invalid_message"),
        ("ref", "r" * 65, "invalid_message"),
        ("replay_token", 5, "invalid_message"),
        ("replay_token", None, "invalid_message"),
        ("scope", [], "invalid_scope"),
        ("scope", "tasks", "invalid_scope"),
        ("scope", None, "invalid_scope"),
        ("scope", ["tasks", "nothing"], "invalid_scope"),
        ("scope", [["tasks"]], "invalid_scope"),
    ],
)
def test_a_field_of_what_is_used_is_held_to_its_schema(field: str, value: Any, code: str) -> None:
    message = {"type": "subscribe_investigation", "investigation_id": "X", "ref": "r7", field: value}
    with pytest.raises(MalformedMessage) as caught:
        dispatch(json.dumps(message), Recorder(), EVERYTHING)
    assert caught.value.code == code
    assert caught.value.detail.startswith(field)
    assert caught.value.ref == ("r7" if field != "ref" else None)


def test_an_investigation_that_is_missing_is_worse_than_a_bad_scope() -> None:
    with pytest.raises(MalformedMessage) as caught:
        dispatch('{"type": "subscribe_investigation", "scope": 5}', Recorder(), EVERYTHING)
    assert caught.value.code == "invalid_message"


@pytest.mark.parametrize("features", [frozenset[str](), EVERYTHING])
@pytest.mark.parametrize("extra", [{}, {"protocol": 99}, {"features": ["time_travel"]}, {"x": None}])
def test_a_hello_reaches_its_method_at_any_time(features: frozenset[str], extra: dict[str, Any]) -> None:
    name, message = dispatch(json.dumps(HELLO | extra), Recorder(), features)
    assert (name, message.model_dump()) == ("on_hello", HELLO | extra)


@pytest.mark.parametrize(
    "extra",
    [
        {"protocol": 0},
        {"protocol": "1"},
        {"protocol": True},
        {"protocol": 1.5},
        {"features": "replay"},
        {"features": [5]},
        {"features": None},
        {"ref": 5},
        {"client": "web"},
    ],
)
def test_a_malformed_hello_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage) as caught:
        dispatch(json.dumps(HELLO | extra), Recorder())
    assert caught.value.code == "invalid_message"


def test_authentication_is_read_only_where_it_is_on() -> None:
    _, message = dispatch(json.dumps(HELLO | {"auth": 5}), Recorder())
    assert message.auth is None
    _, message = dispatch(json.dumps(HELLO | {"auth": {"token": "t"}}), Recorder(), {"auth"})
    assert message.auth.token == "t"  # noqa: S105 -- no secret
    with pytest.raises(MalformedMessage):
        dispatch(json.dumps(HELLO | {"auth": 5}), Recorder(), {"auth"})


def test_a_ping_of_a_huge_id_is_malformed_and_a_pong_is_not() -> None:
    with pytest.raises(MalformedMessage):
        dispatch(json.dumps({"type": "ping", "id": "i" * 65}), Recorder(), EVERYTHING)
    pong = json.dumps({"type": "pong", "id": "i" * 60_000})
    assert dispatch(pong, Recorder(), EVERYTHING)[0] == "on_pong"


@pytest.mark.parametrize(
    ("ref", "expected"), [("", ""), ("r" * 64, "r" * 64), ("r" * 65, None), (5, None), (None, None)]
)
def test_a_reference_is_a_string_of_up_to_64_characters(ref: Any, expected: str | None) -> None:
    assert ref_of({"type": "greeting", "ref": ref}) == expected
    assert ref_of({"type": "greeting"}) is None


INCOMPLETE = """
from typing import Any
from osint_events import NegotiatedSubscribeInvestigation, Ping, Pong, UnsubscribeInvestigation
from osint_events.handlers import ClientMessageHandler

class Server:
    def on_subscribe_investigation(self, message: NegotiatedSubscribeInvestigation) -> None: ...
    def on_unsubscribe_investigation(self, message: UnsubscribeInvestigation) -> None: ...
    def on_ping(self, message: Ping) -> None: ...
    def on_pong(self, message: Pong) -> None: ...
    def on_unknown(self, type_: str, message: dict[str, Any]) -> None: ...

handler: ClientMessageHandler[None] = Server()
"""


def test_a_type_checker_flags_a_server_that_leaves_a_message_out() -> None:
    output, _, status = api.run(
        ["--config-file=", "--no-incremental", "--cache-dir=/dev/null", "-c", INCOMPLETE]
    )
    assert status == 1
    assert "on_hello" in output
