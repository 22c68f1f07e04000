"""The report for machines: JSON of format 1, as `report.schema.json` beside this file describes it.

`python -m osint_events_conformance.report.json_report` prints that schema.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from osint_events_conformance.report import view
from osint_events_conformance.report.text import save
from osint_events_conformance.results import ClauseResult, ConfirmedFinding, PhaseResult, RunResult

FORMAT: Final = 1
"""Changes when a reader of the report would have to; new fields may come without it."""

_DISTRIBUTIONS = ("osint-events", "hypothesis", "websockets")


def schema() -> str:
    """The JSON Schema (draft 2020-12) of the report, as text."""
    return (files("osint_events_conformance.report") / "report.schema.json").read_text(encoding="utf-8")


def document(result: RunResult) -> dict[str, Any]:
    """The report as a JSON value."""
    return {
        "format": FORMAT,
        "verdict": result.verdict,
        "summary": result.summary(),
        "exit_status": int(result.exit_status),
        "could_not_test": result.could_not_test,
        "usage": result.usage,
        "runner_fault": result.runner_fault,
        "target": result.target,
        "seed": result.seed,
        "strict": result.strict,
        "started": result.started,
        "seconds": round(result.seconds, 3),
        "versions": versions(),
        "options": result.options,
        "notes": result.notes,
        "phases": [_phase(phase) for phase in result.phases],
        "clauses": [_clause(result, clause) for clause in result.clauses],
        "coverage": result.coverage,
    }


def versions() -> Mapping[str, str]:
    """The versions of what the verdict depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _DISTRIBUTIONS}}


def write(result: RunResult, path: Path) -> None:
    """Write the report to `path`. Raises OSError.

    It is ASCII: whatever a server sent, any reader gets it back.
    """
    save(json.dumps(document(result), indent=1, allow_nan=False) + "\n", path)


def _phase(phase: PhaseResult) -> dict[str, Any]:
    return {
        "name": phase.name,
        "cases": phase.cases,
        "scripts": phase.scripts,
        "seconds": round(phase.seconds, 3),
        "rate": round(phase.rate, 1),
        "note": phase.note,
    }


def _clause(result: RunResult, clause: ClauseResult) -> dict[str, Any]:
    return {
        "id": clause.clause.id,
        "level": clause.clause.level,
        "section": clause.clause.section,
        "feature": clause.clause.feature,
        "subject": clause.clause.subject,
        "text": clause.clause.text,
        "outcome": clause.outcome,
        "known_failing": clause.known_failing,
        "reason": clause.reason,
        "cases": clause.cases.total(),
        "cases_by_phase": dict(clause.cases),
        "findings": [_finding(result, finding) for finding in clause.findings],
    }


def _finding(result: RunResult, finding: ConfirmedFinding) -> dict[str, Any]:
    return {
        "level": finding.level,
        "kind": finding.kind,
        "message": finding.message,
        "phase": finding.phase,
        "check": finding.check,
        "title": finding.title,
        "connection": finding.conn,
        "at": round(finding.at, 6),
        "expected": finding.expected,
        "got": finding.got,
        "reproduced": finding.reproduced,
        "attempts": finding.attempts,
        "flaky": finding.flaky,
        "further": finding.further,
        "repeat": view.repeat(result, finding),
        "script": list(finding.script),
        "wire": [
            {
                "at": round(entry.at, 6),
                "connection": entry.conn,
                "direction": entry.direction,
                "text": entry.text,
            }
            for entry in finding.wire
        ],
    }


if __name__ == "__main__":
    print(schema(), end="")  # noqa: T201 - printing is what the module is run for
