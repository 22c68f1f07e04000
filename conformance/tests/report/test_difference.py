"""Expected and got, side by side."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from osint_events_conformance.report.difference import difference


def shown(finding: Any) -> list[str]:
    return [f"{line.mark} {line.text}" for line in difference(finding)]


def differing(finding: Any) -> list[str]:
    return [part for line in difference(finding) for part, differs in line.parts if differs]


def update(data: str, investigation_id: str = "inv-1") -> str:
    return f'{{"type":"investigation_update","investigation_id":"{investigation_id}","data":{data}}}'


def test_a_finding_without_either_side_has_no_difference(make_finding: Any) -> None:
    assert shown(make_finding(expected=None, got=None)) == []


def test_what_never_came_is_what_was_expected(make_finding: Any) -> None:
    assert shown(make_finding(expected='{"a": [1, {}]}', got=None)) == [
        "- {", '-   "a": [', "-     1", "-     {}", "-   ]", "- }",
    ]  # fmt: skip


def test_what_was_got_alone_is_laid_out_unmarked(make_finding: Any) -> None:
    assert shown(make_finding(expected=None, got='{"b":1}')) == ["  {", '    "b": 1', "  }"]


def test_an_update_is_compared_by_its_payload(make_finding: Any) -> None:
    found = make_finding(expected='{"a": 1, "b": "x"}', got=update('{"b":"y","a":1}'))
    assert shown(found) == ["  {", '    "a": 1', '-   "b": "x"', '+   "b": "y"', "  }"]
    assert differing(found) == ["x", "y"]


@pytest.mark.parametrize(
    ("expected", "got", "lines"),
    [
        ('{"a": 1}', '{"a":1,"investigation_id":"inv-1"}', []),
        ('{"a": 1}', '{"a":1,"investigation_id":"inv-2"}', ['+   "investigation_id": "inv-2"']),
        ('{"investigation_id": "inv-1"}', "{}", ["- {", '-   "investigation_id": "inv-1"', "- }", "+ {}"]),
    ],
)
def test_only_the_right_investigation_id_may_be_added(
    make_finding: Any, expected: str, got: str, lines: list[str]
) -> None:
    found = shown(make_finding(expected=expected, got=update(got)))
    assert [line for line in found if line[0] in "+-"] == lines


def test_numbers_keep_their_spelling(make_finding: Any) -> None:
    found = make_finding(
        expected='{"n": 12345678901234567890, "p": 1.0}', got=update('{"n":12345678901234567000,"p":1}')
    )
    assert differing(found) == ["89", "00", ".0"]


def test_look_alikes_are_told_apart(make_finding: Any) -> None:
    found = make_finding(expected='{"a": "\u00e9"}', got=update('{"a":"e\u0301"}'))
    assert shown(found)[1:3] == ['-   "a": "\\u00e9"', '+   "a": "e\\u0301"']


def test_lines_that_are_equal_are_folded(make_finding: Any) -> None:
    data = {f"field {number:03}": number for number in range(100)}
    found = shown(make_finding(expected=json.dumps(data), got=update(json.dumps({**data, "field 050": -1}))))
    assert found[0] == "… 48 equal lines"
    assert found[-1] == "… 47 equal lines"
    assert len(found) == 10


def test_a_large_payload_is_compared_at_once(make_finding: Any) -> None:
    found = make_finding(expected=str([0] * 30_000), got=str([0] * 10_000 + [1] + [0] * 15_000))
    began = time.perf_counter()
    lines = shown(found)
    assert time.perf_counter() - began < 5
    assert lines[0] == "… 9998 equal lines"
    assert lines[-1].endswith("equal lines")


def test_a_difference_late_in_a_long_line_is_seen(make_finding: Any) -> None:
    found = make_finding(
        expected=f'{{"a": "{"x" * 1000}Y{"z" * 500}"}}', got=update(f'{{"a":"{"x" * 1000}{"z" * 500}"}}')
    )
    assert differing(found) == ["Y"]
    assert all(len(line) < 400 for line in shown(found))


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        "[" * 900 + "]" * 900,
        '{"cut": "in the mid',
        "\x00\ud800\u202e",
        "",
    ],
)
def test_text_that_is_no_plain_json_is_shown_as_it_is(make_finding: Any, text: str) -> None:
    lines = shown(make_finding(expected="[1]", got=text))
    assert lines
    assert all(line.isprintable() for line in lines)
