"""From a client's text to the handler's method, and what is malformed on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mypy import api
from osint_events import SubscribeInvestigation
from osint_events.handlers import MalformedMessage, dispatch


class Recorder:
    """Gives back what it was called with."""

    def on_subscribe_investigation(self, message: SubscribeInvestigation) -> tuple[str, Any]:
        return "subscribe_investigation", message

    def on_unknown(self, type_: str, message: dict[str, Any]) -> tuple[str, Any]:
        return type_, message


SUBSCRIBE = '{"type": "subscribe_investigation", "investigation_id": "1234"}'


@pytest.mark.parametrize("raw", [SUBSCRIBE, SUBSCRIBE.encode(), f" {SUBSCRIBE}\n"])
def test_a_subscribe_reaches_its_method_as_a_model(raw: str | bytes) -> None:
    name, message = dispatch(raw, Recorder())
    assert name == "subscribe_investigation"
    assert message == SubscribeInvestigation(type="subscribe_investigation", investigation_id="1234")


@pytest.mark.parametrize("type_", ["hello", "", "Subscribe_Investigation", "subscription_confirmed"])
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
    assert (name, message.investigation_id) == ("subscribe_investigation", "1234")


def test_nesting_of_32_levels_is_taken() -> None:
    nested = "[" * 32 + "]" * 32
    assert dispatch(SUBSCRIBE[:-1] + f', "x": {nested}}}', Recorder())[0] == "subscribe_investigation"


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

    with pytest.raises(ValueError, match="hello"):
        dispatch('{"type": "hello"}', Broken())


INCOMPLETE = """
from typing import Any
from osint_events.handlers import ClientMessageHandler

class Server:
    def on_unknown(self, type_: str, message: dict[str, Any]) -> None: ...

handler: ClientMessageHandler[None] = Server()
"""


def test_a_type_checker_flags_a_server_that_leaves_a_message_out() -> None:
    output, _, status = api.run(
        ["--config-file=", "--no-incremental", "--cache-dir=/dev/null", "-c", INCOMPLETE]
    )
    assert status == 1
    assert "on_subscribe_investigation" in output
