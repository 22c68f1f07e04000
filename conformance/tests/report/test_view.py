"""What several reports show alike."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from osint_events import contract
from osint_events_conformance.report import view


def test_broken_musts_come_before_broken_shoulds(make_result: Any, make_finding: Any) -> None:
    result = make_result(
        make_finding(clause="CONN-2", level="SHOULD"), make_finding(), make_finding(clause="SUB-1")
    )
    assert [finding.clause for _, finding in view.findings(result)] == ["SUB-1", "DEL-1", "CONN-2"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "failed"),
        ({"reproduced": 1}, "flaky"),
        ({"level": "SHOULD"}, "warned"),
        ({"level": "SHOULD", "reproduced": 1}, "warned"),
    ],
)
def test_a_finding_is_as_severe_as_what_it_makes_of_its_clause(
    make_result: Any, make_finding: Any, changes: dict[str, Any], expected: str
) -> None:
    finding = make_finding(**changes)
    assert view.severity(finding) == expected
    clause = next(one for one in make_result(finding).clauses if one.findings)
    assert clause.outcome == expected


def test_reasons_are_told_once_with_the_clauses_that_they_hold_for(make_result: Any) -> None:
    told = {group.ids: group.outcome for group in view.untested(make_result().clauses)}
    assert told["DEL-3"] == "skipped"
    assert told["LEG-1 to LEG-4"] == "untestable"
    assert told["CLT-1, CLT-2, CLT-4 to CLT-6"] == "untestable"


def test_every_clause_is_in_one_section(make_result: Any) -> None:
    sections = view.sections(make_result().clauses)
    assert [one.clause for _, members in sections for one in members] == list(contract.clauses())
    assert len({name for name, _ in sections}) == len(sections)


def test_a_clause_is_recognised_by_its_beginning() -> None:
    for clause in contract.clauses():
        short = view.short(clause.text)
        assert 0 < len(short) <= 72
        assert "`" not in short
        assert clause.text.replace("`", "").startswith(short.rstrip("…"))


def test_a_finding_is_repeated_by_the_same_seed_clause_and_options(
    make_result: Any, make_finding: Any
) -> None:
    options = {
        "inject": "http://h/inject?a=b&c",
        "strict": True,
        "patient": False,
        "header": ["A: (redacted)", "B: (redacted)"],
        "seed": 3,
        "skip": ["NEG-*"],
        "report_html": "r.html",
        "workers": 4,
    }
    assert shlex.split(view.repeat(make_result(options=options), make_finding())) == [
        "osint-events-conformance", "run", "ws://127.0.0.1:8000/ws", "--inject=http://h/inject?a=b&c",
        "--strict", "--header=A: (redacted)", "--header=B: (redacted)", "--workers=4", "--seed=7",
        "--only=DEL-1",
    ]  # fmt: skip


def test_a_trace_is_the_better_way_to_repeat_a_finding(make_result: Any, make_finding: Any) -> None:
    command = "osint-events-conformance replay traces/DEL-1.ndjson"
    assert view.repeat(make_result(), make_finding(repeat=command)) == command


def test_a_script_can_be_read() -> None:
    script = (
        {"step": "connect", "conn": "a", "client_id": "c-1"},
        {"step": "publish", "investigation_id": "inv-1", "data": '{"a": 1}', "wait": False},
        {"step": "together", "steps": [{"step": "ping", "conn": "a", "data": {"base64": "AGE="}}]},
        {"step": "settle"},
    )
    assert [view.step(one) for one in script] == [
        "connect a: client_id='c-1'",
        "publish investigation_id='inv-1' data={\"a\": 1} wait=False",
        "together steps=[(ping a: data=b'\\x00a')]",
        "settle",
    ]
