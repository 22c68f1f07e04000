"""The report for people: one HTML file that needs nothing else, no script and no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from osint_events_conformance.report import view
from osint_events_conformance.report.diagram import Diagram, diagram
from osint_events_conformance.report.difference import Line, difference
from osint_events_conformance.report.json_report import versions
from osint_events_conformance.report.sequence import Row, sequence
from osint_events_conformance.report.text import clip, printable, save
from osint_events_conformance.results import ClauseResult, ConfirmedFinding, RunResult

_DRAWN = 28
"""Rows of a sequence that are drawn; the folded log has all of them."""
_LOGGED = 700
"""Characters of a message in the folded log; of those that matter all are shown."""
_SEEN = 60
"""Names that a table of what was seen lists; the JSON report has all."""


def write(result: RunResult, path: Path) -> None:
    """Write the report to `path`. Raises OSError."""
    save(render(result), path)


def render(result: RunResult) -> str:
    """The report as one HTML document."""
    environment = Environment(
        loader=PackageLoader("osint_events_conformance.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Every value passes here on its way into the page: what cannot be seen is named, then escaped.
        finalize=lambda value: printable(value, keep="\n") if type(value) is str else value,
    )
    environment.filters["code_spans"] = _code_spans
    environment.filters["short"] = view.short
    return environment.get_template("report.html.j2").render(
        result=result,
        sections=view.sections(result.clauses),
        untested=view.untested(result.clauses),
        findings=[
            _Finding(result, clause, finding, number)
            for number, (clause, finding) in enumerate(view.findings(result), 1)
        ],
        outcomes=view.OUTCOMES,
        counts={outcome: sum(one.outcome == outcome for one in result.clauses) for outcome in view.OUTCOMES},
        label=view.label,
        coverage=list(_coverage(result.coverage)),
        versions=versions(),
    )


class _Finding:
    """What the template shows of one finding."""

    def __init__(
        self, result: RunResult, clause: ClauseResult, finding: ConfirmedFinding, number: int
    ) -> None:
        self.clause = clause
        self.finding = finding
        self.number = number
        self.severity = view.severity(finding)
        self.rate = view.rate(finding)
        self.rows = sequence(finding)
        self.diagram: Diagram = diagram(self.rows, _DRAWN)
        self.difference: list[Line] = difference(finding)
        self.steps = [view.step(made) for made in finding.script]
        self.repeat = view.repeat(result, finding)

    def logged(self, row: Row) -> str:
        """A row's text as the log has it."""
        return row.text if row.matters else clip(row.text, _LOGGED)


def _code_spans(text: str) -> list[tuple[str, bool]]:
    """Markdown's `code` spans: the text in pieces, each with whether it is code."""
    return [(part, index % 2 == 1) for index, part in enumerate(text.split("`")) if part]


def _coverage(coverage: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, Any]], int]]:
    """Each table of the coverage: title, entries (the most frequent first), and how many are left out."""
    for name, value in coverage.items():
        title = name.replace("_", " ")
        if isinstance(value, Mapping):
            entries = sorted(value.items(), key=lambda item: _count(item[1]), reverse=True)
        elif isinstance(value, list | tuple):
            entries = [(str(item), None) for item in value]
        else:
            entries = [(str(value), None)]
        yield title, [(clip(str(key), 60), count) for key, count in entries[:_SEEN]], len(entries) - _SEEN


def _count(value: object) -> float:
    return value if isinstance(value, int | float) else 0
