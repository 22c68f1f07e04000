"""What is printed: progress while a run goes on, then the report."""

from __future__ import annotations

import io
from typing import Any

import pytest
from osint_events_conformance.progress import (
    Confirmed,
    Event,
    PhaseBegan,
    PhaseEnded,
    ScriptEnded,
    Suspected,
)
from osint_events_conformance.report import terminal
from osint_events_conformance.results import PhaseResult, RunResult


class Terminal(io.StringIO):
    """Text output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that say what a terminal can do, set or not as the tests need them."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def progress(*events: Event, out: io.StringIO | None = None) -> list[str]:
    out = out or io.StringIO()
    with terminal.LiveProgress(terminal.console(out), clock=lambda: 0.0) as live:
        for event in events:
            live(event)
    return out.getvalue().splitlines()


def report(result: RunResult, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    terminal.report(result, terminal.console(out))
    return out.getvalue()


def test_progress_tells_phases_suspicions_and_findings(make_finding: Any) -> None:
    assert progress(
        PhaseBegan("smoke"),
        "a plain line",
        PhaseBegan("coverage", 300),
        ScriptEnded(10),
        Suspected("not delivered", "12 subscribers"),
        Confirmed(make_finding(message="not delivered")),
        Confirmed(make_finding(message="sometimes", reproduced=1, attempts=4)),
        PhaseEnded(PhaseResult("coverage", 5000, 300, 2.5)),
    ) == [
        "smoke",
        "a plain line",
        "coverage: 300 scripts",
        "  suspected: not delivered (12 subscribers)",
        "  DEL-1 MUST: not delivered",
        "  DEL-1 MUST: sometimes, seen 1 of 4 times (flaky)",
        "coverage: 5000 cases in 2.5 s (2000 a second)",
    ]


def test_many_suspicions_of_a_phase_are_not_told_one_by_one() -> None:
    suspicions = [Suspected(f"wrong {number}", "a scenario") for number in range(50)]
    lines = progress(PhaseBegan("coverage"), *suspicions, PhaseBegan("fuzz"), *suspicions[:2])
    assert sum("suspected:" in line for line in lines) == 8 + 2
    assert sum("more is suspected" in line for line in lines) == 1


def test_a_terminal_has_a_status_line_that_goes_away(make_finding: Any) -> None:
    out = Terminal()
    events = (PhaseBegan("coverage", 300), ScriptEnded(10), Suspected("x", "y"), Confirmed(make_finding()))
    progress(*events, out=out)
    text = out.getvalue()
    assert "\x1b[" in text
    assert "1/300 scripts" in text
    assert "10 cases" in text
    assert "1 suspected" in text
    assert "1 confirmed" in text
    assert text.rstrip().endswith("\x1b[2K"), "the last thing is to erase the line"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_none_of_it_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    out = Terminal()
    progress(PhaseBegan("coverage", 300), ScriptEnded(10), out=out)
    assert "300 scripts\n" in out.getvalue()
    assert "1/300" not in out.getvalue()


def test_forced_colours_do_not_make_a_file_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not any("0/300" in line for line in progress(PhaseBegan("coverage", 300), ScriptEnded(10)))


def test_what_a_server_sent_cannot_steer_the_terminal(hostile: str, make_finding: Any) -> None:
    events = (hostile, Suspected(hostile, hostile), Confirmed(make_finding(message=hostile)))
    lines = progress(*events)
    assert len(lines) == len(events)
    assert all(line.isprintable() for line in lines)
    assert "[red]markup[/red]" in lines[0]


def test_the_verdict_is_the_last_line(real_result: RunResult) -> None:
    assert report(real_result).splitlines()[-1] == real_result.summary()


def test_tested_clauses_stand_by_section_with_level_outcome_and_cases(make_result: Any) -> None:
    lines = report(make_result()).splitlines()
    at = lines.index("Subscribing")
    assert lines[at + 1].split()[:5] == ["SUB-1", "MUST", "✓", "passed", "10"]
    assert "DEL-3" not in "\n".join(lines[: lines.index("not tested")])


def test_what_was_not_tested_is_told_with_its_reason(make_result: Any) -> None:
    text = report(make_result()).partition("\nnot tested\n")[2]
    assert " skipped: DEL-3: no case reached it\n" in text
    assert "  · untestable: LEG-1 to LEG-4: " in text


def test_a_finding_tells_all_and_comes_after_the_clauses(make_result: Any, make_finding: Any) -> None:
    text = report(make_result(make_finding()))
    finding = text.partition("\n1. DEL-1 MUST failed\n")[2]
    assert "not tested" in text.partition("1. DEL-1")[0]
    for part in (
        "  An update MUST reach every connection subscribed to its investigation, exactly once",
        '  not delivered: {"type": "task_started"}\n',
        "  in phase coverage: 12 subscribers; seen 3 of 3 times\n",
        '       100.0 ms  b         → {"type": "subscribe_investigation", "investigation_id": "inv-1"}\n',
        '  ▶    500.0 ms  b         ✗ not delivered: {"type": "task_started"}\n',
        '    -   "investigation_id": "inv-1"\n',
        "    connect a: client_id='c-1'\n",
        "  repeat:\n    osint-events-conformance run ws://127.0.0.1:8000/ws --inject=",
    ):
        assert part.replace("       100.0 ms", "  ▶    100.0 ms") in finding


def test_a_broken_should_of_a_broken_clause_is_only_a_warning(make_result: Any, make_finding: Any) -> None:
    text = report(make_result(make_finding(), make_finding(level="SHOULD")))
    assert "1. DEL-1 MUST failed" in text
    assert "2. DEL-1 SHOULD warned" in text


def test_known_failures_are_marked(make_result: Any, make_finding: Any) -> None:
    text = report(make_result(make_finding(), known=frozenset({"DEL-1", "SUB-1"})))
    assert "✗ failed (known)" in text
    assert "✓ passed, known to fail" in text


def test_a_run_without_clauses_still_has_a_verdict(make_result: Any) -> None:
    result = make_result(clauses=[], could_not_test="nothing is selected")
    assert report(result).strip() == result.summary()


def test_no_line_but_what_matters_is_wider_than_the_output(
    monkeypatch: pytest.MonkeyPatch, make_result: Any, make_finding: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = report(make_result(make_finding(title="many words " * 20, wire=make_finding().wire * 5)))
    wide = [line for line in text.splitlines() if len(line) > 60]
    assert all(
        "▶" in line or "osint-events-conformance run" in line or line == text.splitlines()[-1]
        for line in wide
    )


def test_a_report_of_hostile_text_is_printable(hostile_result: RunResult) -> None:
    assert all(line.isprintable() for line in report(hostile_result).splitlines())


def test_an_output_that_has_no_arrows_gets_escapes(make_result: Any, make_finding: Any) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    terminal.report(make_result(make_finding()), terminal.console(out))
    out.flush()
    assert b"\\u2717 failed" in raw.getvalue()
