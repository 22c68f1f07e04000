"""The report for CI systems: JUnit XML as Jenkins, GitLab and GitHub's actions read it.

One suite a phase, one test case for each clause that was judged in it. A clause without a verdict is
skipped, with its reason. Where there is no verdict on the server at all, the case `verdict` is an error, so
that a report of skipped cases is never taken for a green one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from osint_events_conformance.report import view
from osint_events_conformance.report.difference import difference
from osint_events_conformance.report.sequence import Gap, Row, excerpt, sequence
from osint_events_conformance.report.text import printable, save
from osint_events_conformance.results import NOT_TESTED, ClauseResult, ConfirmedFinding, RunResult

_WIRE_ROWS = 40

Outcome = Literal["failure", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class _Case:
    classname: str
    name: str
    outcome: Outcome | None = None
    """None: passed."""
    message: str = ""
    type: str = ""
    details: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class _Suite:
    name: str
    seconds: float = 0.0
    cases: list[_Case] = field(default_factory=list)

    def count(self, outcome: Outcome) -> int:
        return sum(case.outcome == outcome for case in self.cases)


def write(result: RunResult, path: Path) -> None:
    """Write the report to `path`. Raises OSError."""
    root = _xml(result, list(_suites(result)))
    ET.indent(root)
    save(f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n', path)


def _suites(result: RunResult) -> Iterable[_Suite]:
    for phase in result.phases:
        suite = _Suite(f"osint-events.{phase.name}", phase.seconds)
        for clause in result.clauses:
            found = [finding for finding in clause.findings if finding.phase == phase.name]
            if found or clause.cases[phase.name]:
                suite.cases.append(_judged(result, clause, phase.name, found))
        yield suite
    rest = _Suite("osint-events.verdict")
    for clause in result.clauses:
        if clause.outcome in NOT_TESTED:
            classname = f"osint-events.not-tested.{clause.clause.section}"
            rest.cases.append(_Case(classname, _name(clause), "skipped", clause.reason or ""))
        elif clause.known_failing and clause.outcome == "passed":
            message = "listed as known to fail, but it passes now: take it off the list"
            rest.cases.append(
                _Case("osint-events.known-failing", _name(clause), "failure", message, "known-failing")
            )
    rest.cases.append(_verdict(result))
    yield rest


def _verdict(result: RunResult) -> _Case:
    """The run as a whole: an error where there is no verdict on the server."""
    case = _Case("osint-events", "verdict", output=result.summary())
    if result.runner_fault:
        message = "the runner itself failed, so there is no verdict"
        return replace(
            case, outcome="error", message=message, type="runner-fault", details=result.runner_fault
        )
    cannot = result.usage or result.could_not_test
    return replace(case, outcome="error", message=cannot, type="could-not-test") if cannot else case


def _judged(result: RunResult, clause: ClauseResult, phase: str, found: list[ConfirmedFinding]) -> _Case:
    classname = f"osint-events.{phase}.{clause.clause.section}"
    output = f"{clause.cases[phase]} cases"
    text = "\n\n".join(_details(result, clause, finding) for finding in found)
    if not found:
        return _Case(classname, _name(clause), output=output)
    message = "; ".join(_headline(finding) for finding in found)
    if clause.known_failing:
        return _Case(classname, _name(clause), "skipped", f"known to fail: {message}", output=text)
    if clause not in result.violations:
        return _Case(classname, _name(clause), output=f"{output}, with warnings\n\n{text}")
    return _Case(classname, _name(clause), "failure", message, clause.outcome, text, output)


def _name(clause: ClauseResult) -> str:
    return f"{clause.clause.id} {view.short(clause.clause.text)}"


def _headline(finding: ConfirmedFinding) -> str:
    return f"{finding.level} {finding.message} ({view.rate(finding)})"


def _details(result: RunResult, clause: ClauseResult, finding: ConfirmedFinding) -> str:
    lines = [
        _headline(finding),
        f"{clause.clause.id}: {clause.clause.text}",
        f"scenario: {finding.title}",
    ]
    compared = difference(finding) if finding.expected is not None else []  # what was got stands below
    if compared:
        lines += ["", "expected (-), got (+):", *(f"{line.mark} {line.text}" for line in compared)]
    lines += ["", "what went over the wire (> sent, < received):"]
    lines += [_wire(row) for row in excerpt(sequence(finding), _WIRE_ROWS)]
    lines += ["", "smallest script:", *(f"  {view.step(made)}" for made in finding.script)]
    lines += ["", f"repeat: {view.repeat(result, finding)}"]
    return "\n".join(lines)


_ARROWS = {"sent": ">", "received": "<", "act": "*", "absent": "✗"}


def _wire(row: Row | Gap) -> str:
    if isinstance(row, Gap):
        return f"  … {row.rows} more"
    mark = "▶" if row.matters else " "
    return f"{mark} {row.at * 1000:9.1f} ms  {row.conn} {_ARROWS[row.direction]} {row.text}"


def _xml(result: RunResult, suites: list[_Suite]) -> ET.Element:
    root = ET.Element(
        "testsuites", {"name": "osint-events", "time": _seconds(result.seconds)} | _counts(suites)
    )
    for suite in suites:
        when = {"timestamp": result.started, "time": _seconds(suite.seconds)}
        element = ET.SubElement(root, "testsuite", {"name": suite.name} | when | _counts([suite]))
        about = {"target": result.target, "seed": str(result.seed), "verdict": result.verdict}
        properties = ET.SubElement(element, "properties")
        for name, value in about.items():
            ET.SubElement(properties, "property", name=name, value=printable(value))
        for case in suite.cases:
            _element(element, case)
    return root


def _element(parent: ET.Element, case: _Case) -> None:
    element = ET.SubElement(
        parent, "testcase", classname=printable(case.classname), name=printable(case.name), time="0"
    )
    if case.outcome is not None:
        child = ET.SubElement(element, case.outcome, message=printable(case.message))
        if case.outcome != "skipped":
            child.set("type", case.type)
            child.text = printable(case.details, keep="\n") or None
    if case.output:
        ET.SubElement(element, "system-out").text = printable(case.output, keep="\n")


def _counts(suites: list[_Suite]) -> dict[str, str]:
    return {
        "tests": str(sum(len(suite.cases) for suite in suites)),
        "failures": str(sum(suite.count("failure") for suite in suites)),
        "errors": str(sum(suite.count("error") for suite in suites)),
        "skipped": str(sum(suite.count("skipped") for suite in suites)),
    }


def _seconds(value: float) -> str:
    return f"{value:.3f}"
