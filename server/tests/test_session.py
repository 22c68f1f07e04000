"""The session alone: text in, commands out."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events_server.session import Command, Ignored, Send, Session, Subscribe


def session(*, max_subscriptions: int = 128) -> Session:
    return Session(max_subscriptions=max_subscriptions)


def subscribe(investigation_id: object, **fields: object) -> str:
    return json.dumps({"type": "subscribe_investigation", "investigation_id": investigation_id, **fields})


def confirmed(commands: Sequence[Command]) -> str | None:
    """What the commands subscribe to and then confirm; None where they do neither."""
    match commands:
        case [Subscribe(investigation_id), Send(frames)]:
            wire = frames.wire
            message = json.loads(wire[4 if wire[1] == 126 else 2 :])
            assert message == {"type": "subscription_confirmed", "investigation_id": investigation_id}
            return investigation_id
        case [Ignored()]:
            return None
        case _:
            pytest.fail(f"neither confirmed nor ignored: {commands}")


@pytest.mark.parametrize(
    "investigation_id", ["1234", " a ", "ABC", "\u00e9", "e\u0301", "\x00", "🦊" * 255, "__proto__", "null"]
)
def test_a_subscribe_is_carried_out_and_then_confirmed_with_the_same_id(investigation_id: str) -> None:
    assert confirmed(session().receive(subscribe(investigation_id))) == investigation_id


def test_a_second_subscribe_is_confirmed_again() -> None:
    core = session()
    assert [confirmed(core.receive(subscribe("x"))) for _ in range(2)] == ["x", "x"]


def test_unknown_fields_are_ignored() -> None:
    assert confirmed(session().receive(subscribe("x", scope=["tasks"], ref=1, extra={"a": [None]}))) == "x"


def test_128_subscriptions_are_held_and_no_more() -> None:
    core = session(max_subscriptions=128)
    assert [confirmed(core.receive(subscribe(str(n)))) for n in range(128)] == [str(n) for n in range(128)]
    assert core.receive(subscribe("one more")) == (
        Ignored("subscription_limit", "128 subscriptions are held"),
    )
    assert confirmed(core.receive(subscribe("0"))) == "0"


@pytest.mark.parametrize(
    "investigation_id", [None, "", 1, 1.0, True, ["x"], {"x": 1}, "x" * 256, "\ud800", "a\udfff"]
)
def test_what_is_no_id_is_not_confirmed(investigation_id: object) -> None:
    (ignored,) = session().receive(subscribe(investigation_id))
    assert isinstance(ignored, Ignored)
    assert ignored.code == "invalid_message"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("nonsense", "invalid_json"),
        ('{"type": "subscribe_investigation", "investigation_id": "x"} x', "invalid_json"),
        ('{"type": "subscribe_investigation", "investigation_id": "x", "n": NaN}', "invalid_json"),
        ("[" * 30_000, "invalid_json"),
        ("[" * 30_000 + "]" * 30_000, "invalid_json"),
        ("1" * 60_000, "invalid_message"),
        ("null", "invalid_message"),
        ('"subscribe_investigation"', "invalid_message"),
        ("[]", "invalid_message"),
        ("{}", "invalid_message"),
        ('{"type": 1}', "invalid_message"),
        ('{"type": "subscribe_investigation"}', "invalid_message"),
    ],
)
def test_malformed_text_is_ignored(text: str, code: str) -> None:
    core = session()
    (ignored,) = core.receive(text)
    assert isinstance(ignored, Ignored)
    assert ignored.code == code
    assert confirmed(core.receive(subscribe("x"))) == "x"


def test_32_levels_of_nesting_are_taken() -> None:
    deep: object = "x"
    for _ in range(31):
        deep = [deep]
    assert confirmed(session().receive(subscribe("x", deep=deep))) == "x"


def test_numbers_beyond_a_double_do_no_harm() -> None:
    text = '{"type": "subscribe_investigation", "investigation_id": "x", "n": [1e999, -1e999, %s]}' % (
        "9" * 5000
    )
    assert confirmed(session().receive(text)) == "x"


@pytest.mark.parametrize(
    "type_", ["greeting", "", "subscribe_investigation ", "Subscribe_Investigation", "\ud800"]
)
def test_an_unknown_type_is_tolerated(type_: str) -> None:
    core = session()
    (ignored,) = core.receive(json.dumps({"type": type_, "investigation_id": "x"}))
    assert isinstance(ignored, Ignored)
    assert ignored.code == "unknown_type"
    assert confirmed(core.receive(subscribe("x"))) == "x"


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_no_text_makes_the_session_fail(text: str) -> None:
    assert isinstance(session().receive(text)[0], Ignored)
