"""What belongs to which feature, for either side."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from osint_events.features import FEATURES, TEMPORARY_ERRORS, ErrorCode, is_used, used

UPDATE: dict[str, Any] = {
    "type": "investigation_update",
    "seq": "x",
    "prev": None,
    "token": 5,
    "replayed": 0,
    "data": {},
}


def test_the_features_and_errors_are_those_of_the_protocol() -> None:
    assert FEATURES == ("heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors")
    assert frozenset({"rate_limited", "unavailable", "internal"}) == TEMPORARY_ERRORS
    assert set(get_args(ErrorCode)) > TEMPORARY_ERRORS


@pytest.mark.parametrize(
    ("type_", "feature"),
    [
        ("ping", "heartbeat"),
        ("gap", "replay"),
        ("position", "replay"),
        ("replay_complete", "replay"),
        ("backpressure", "flow"),
        ("unsubscribed", "unsubscribe"),
        ("error", "hello"),
    ],
)
def test_a_message_is_used_where_its_feature_is(type_: str, feature: str) -> None:
    assert is_used(type_, {feature})
    assert not is_used(type_, {"hello", *FEATURES} - {feature})


@pytest.mark.parametrize("type_", ["hello", "welcome", "subscribe_investigation", "greeting", ""])
def test_what_belongs_to_no_feature_is_always_used(type_: str) -> None:
    assert is_used(type_, frozenset())


def test_the_fields_of_what_is_not_used_are_left_out() -> None:
    assert used(UPDATE, {"hello", "scopes"}) == {"type": "investigation_update", "data": {}}
    assert used(UPDATE, {"replay"}) == UPDATE
    assert "seq" in UPDATE


def test_unknown_fields_and_those_of_other_messages_stay() -> None:
    message = {"type": "greeting", "seq": 1, "scope": 2, "x": 3}
    assert used(message, frozenset()) == message
    assert used({"type": ["unhashable"], "seq": 1}, frozenset()) == {"type": ["unhashable"], "seq": 1}
