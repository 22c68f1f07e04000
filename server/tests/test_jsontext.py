"""JSON as the server takes it: strict, and each member's text as it was written."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events_server.jsontext import InvalidJSON, members, parse


def test_a_value_is_that_of_the_standard_library() -> None:
    text = ' {"a": [1, 1.0, -0, 1e3, true, null, "\\u00e9\\ud83e\\udd8a"], "b": {}} '
    assert parse(text, max_nesting=10) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value at character 1"),
        ("{", "at character 2"),
        ('{"a": 1} x', "Extra data at character 10"),
        ('{"a": 01}', "at character 8"),
        ("{'a': 1}", "at character 2"),
        ('{"a": "\n"}', "Invalid control character at character 8"),
        ("\ufeff{}", "at character 1"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ('{"a": 1, "a": 1}', 'the name "a" occurs twice'),
        ('{"b": [{"a": 1, "\\u0061": 2}]}', 'the name "a" occurs twice'),
        ('{"": 1, "": 1}', 'the name "" occurs twice'),
    ],
)
def test_what_is_no_json_is_refused_and_said(text: str, problem: str) -> None:
    with pytest.raises(InvalidJSON) as refused:
        parse(text, max_nesting=10)
    assert problem in str(refused.value)


def test_the_same_name_in_different_objects_is_no_repetition() -> None:
    assert parse('{"a": {"a": [{"a": 1}, {"a": 2}]}}', max_nesting=10)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_taken_up_to_the_limit_inclusive(opening: str) -> None:
    closing = {"[": "]", "{": "}"}[opening[0]]

    def nested(levels: int) -> str:
        return opening * (levels - 1) + opening[0] + closing * levels

    parse(nested(32), max_nesting=32)
    for levels in (33, 34, 1000, 100_000):
        with pytest.raises(InvalidJSON, match="more than 32 levels"):
            parse(nested(levels), max_nesting=32)


def test_many_brackets_side_by_side_or_in_text_are_no_depth() -> None:
    assert parse(json.dumps([[] for _ in range(1000)]), max_nesting=2)
    assert parse(json.dumps(["[" * 1000]), max_nesting=1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e999", sys.float_info.max),
        ("-1e999", -sys.float_info.max),
        ("9" * 10_000, sys.float_info.max),
        ("-" + "9" * 10_000, -sys.float_info.max),
        ("9" * 100, 1e100),
        ("9" * 18, int("9" * 18)),
    ],
)
def test_numbers_beyond_a_double_become_the_largest_of_their_sign(text: str, value: float) -> None:
    assert parse(text, max_nesting=1) == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)
spaces = st.text(" \t\r\n", max_size=3)


@given(st.dictionaries(st.text(), json_values, max_size=4), spaces, spaces, spaces, st.booleans())
def test_each_member_is_found_with_its_text_as_it_was_written(
    value: dict[str, Any], before: str, comma: str, colon: str, ascii_only: bool
) -> None:
    written = {
        name: json.dumps(member, ensure_ascii=ascii_only, separators=(f"{comma},", f":{colon}"))
        for name, member in value.items()
    }
    inside = f"{comma},{before}".join(
        f"{json.dumps(name, ensure_ascii=ascii_only)}{colon}:{before}{text}" for name, text in written.items()
    )
    text = f"{before}{{{colon}{inside}{comma}}}{colon}"
    parse(text, max_nesting=100)
    assert dict(members(text)) == written
