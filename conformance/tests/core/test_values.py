"""JSON equality (EVT-1), where values differ, and the spelling of numbers (EVT-6)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from osint_events_conformance import values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (2**53, 2**53 + 1),
        (1e2, 100),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}),
        ([], []),
        ({}, {}),
        (10**400, 10**400),
    ],
)
def test_values_are_equal_whatever_the_order_of_members_and_the_spelling_of_doubles(
    one: Any, other: Any
) -> None:
    assert values.key(one) == values.key(other)
    assert values.difference(one, other) is None


UNEQUAL: list[tuple[Any, Any, str | None]] = [
    (True, 1, "data is 1, should be true"),
    (False, 0, "data is 0, should be false"),
    (None, False, "data is false, should be null"),
    (None, 0, "data is 0, should be null"),
    ("1", 1, 'data is 1, should be "1"'),
    ("", None, 'data is null, should be ""'),
    ([], {}, "data is {}, should be []"),
    ([1, 2], [2, 1], "data[0] is 2, should be 1"),
    ([1], [1, 1], "data has 2 elements, should have 1"),
    ([[1]], [[]], "data[0] has 0 elements, should have 1"),
    ({"a": None}, {}, "data.a is missing, should be null"),
    ({}, {"a": None}, "data.a was added: null"),
    ({"a": {"b": [1, True]}}, {"a": {"b": [1, 1]}}, "data.a.b[1] is 1, should be true"),
    ({"a b": 1}, {"a b": 2}, 'data["a b"] is 2, should be 1'),
    ({"": 1}, {"": 2}, 'data[""] is 2, should be 1'),
    ("\u00e9", "e\u0301", r'data is "e\u0301", should be "\u00e9"'),
    (10**400, 10**400 + 1, None),
    (2**53, 2**53 + 2, None),
]


@pytest.mark.parametrize(("expected", "got", "said"), UNEQUAL)
def test_a_difference_is_told_with_its_place(expected: Any, got: Any, said: str | None) -> None:
    assert values.key(expected) != values.key(got)
    where = values.difference(expected, got)
    assert where is not None
    assert said is None or where == said


def test_an_array_and_an_object_of_the_same_pairs_are_different() -> None:
    assert values.key([["a", 1]]) != values.key({"a": 1})
    assert values.key(["object"]) != values.key("object")


def test_what_is_no_json_value_is_refused() -> None:
    with pytest.raises(TypeError, match="no JSON value: tuple"):
        values.key((1, 2))


def test_values_are_shown_in_ascii_and_not_too_long() -> None:
    assert values.show("\u0430\U0001f50d").isascii()
    shown = values.show("x" * 500)
    assert shown.endswith("… (502 characters)")
    assert len(shown) < 80
    assert values.show({"a": [1, None]}) == '{"a": [1, null]}'


@pytest.mark.parametrize(
    ("one", "other"), [("1.0", "1"), ("1e2", "100"), ("9007199254740993", "9007199254740992"), ("-0", "0")]
)
def test_spellings_tell_equal_numbers_apart(one: str, other: str) -> None:
    assert values.spellings(f'{{"a": [{one}]}}') != values.spellings(f'{{"a": [{other}]}}')


def test_spellings_leave_text_and_booleans_alone() -> None:
    text = '{"a": "1.0", "b": [true, null], "c": {}}'
    assert values.spellings(text) == json.loads(text)


def test_white_space_and_order_are_no_matter_of_spelling() -> None:
    one, other = values.spellings('{"a":1.50,"b":2}'), values.spellings(' { "b" : 2 , "a" : 1.50 } ')
    assert values.difference(one, other) is None
