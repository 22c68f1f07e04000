"""What several reports show of a result, arranged once: nothing here decides."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from osint_events_conformance.report.text import clip
from osint_events_conformance.results import NOT_TESTED, ClauseResult, ConfirmedFinding, Outcome, RunResult

OUTCOMES: Mapping[Outcome, str] = {
    "passed": "✓",
    "failed": "✗",
    "flaky": "≈",
    "warned": "!",
    "skipped": "–",  # noqa: RUF001 - a dash of its own width, beside the other marks
    "not_offered": "○",
    "untestable": "·",
}
"""Every outcome with its mark, so that none is told by colour alone."""

_PAIR = 2

_NOT_REPEATED = frozenset(
    {"url", "seed", "only", "skip", "known_failing", "report_json", "report_junit", "report_html", "trace"}
)
"""Settings that the command to repeat a finding gives itself, or does not need."""


def label(result: ClauseResult) -> str:
    """The outcome in words, and what a known-failing list says about it."""
    words = result.outcome.replace("_", " ")
    if not result.known_failing:
        return words
    return "passed, known to fail" if result.outcome == "passed" else f"{words} (known)"


def severity(finding: ConfirmedFinding) -> Outcome:
    """What a finding alone would make of its clause."""
    if finding.level != "MUST":
        return "warned"
    return "flaky" if finding.flaky else "failed"


def rate(finding: ConfirmedFinding) -> str:
    """How often a finding was seen, and how much more of its kind there is."""
    seen = f"seen {finding.reproduced} of {finding.attempts} times{' (flaky)' if finding.flaky else ''}"
    return f"{seen}; {finding.further} more like it" if finding.further else seen


def sections(clauses: list[ClauseResult]) -> list[tuple[str, list[ClauseResult]]]:
    """The clauses by section of the protocol, both in its order."""
    grouped = groupby(clauses, key=lambda one: one.clause.section)
    return [(section, list(members)) for section, members in grouped]


def findings(result: RunResult) -> list[tuple[ClauseResult, ConfirmedFinding]]:
    """All findings with their clauses: broken MUSTs first, otherwise in the protocol's order."""
    found = [(clause, finding) for clause in result.clauses for finding in clause.findings]
    return sorted(found, key=lambda item: item[1].level != "MUST")


@dataclass(frozen=True, slots=True)
class Untested:
    """Clauses that have no verdict for one and the same reason."""

    outcome: Outcome
    reason: str
    clauses: tuple[ClauseResult, ...]

    @property
    def ids(self) -> str:
        """Their ids; runs within a section are drawn together, as in RPL-1 to RPL-9."""
        return ", ".join(_runs([result.clause.id for result in self.clauses]))


def untested(clauses: list[ClauseResult]) -> list[Untested]:
    """What was not tested, by reason, in the order in which the reasons first appear."""
    groups: dict[tuple[Outcome, str], list[ClauseResult]] = {}
    for result in clauses:
        if result.outcome in NOT_TESTED:
            reason = result.reason or "the server does not offer it"
            groups.setdefault((result.outcome, reason), []).append(result)
    return [Untested(outcome, reason, tuple(members)) for (outcome, reason), members in groups.items()]


def _runs(ids: list[str]) -> Iterator[str]:
    """Ids with consecutive numbers as "first to last"."""
    parts = [(prefix, int(number)) for prefix, _, number in (one.rpartition("-") for one in ids)]
    runs = groupby(enumerate(parts), key=lambda item: (item[1][0], item[1][1] - item[0]))
    for (prefix, _), members in runs:
        numbers = [number for _, (_, number) in members]
        between = ", " if len(numbers) == _PAIR else " to "
        yield between.join(f"{prefix}-{number}" for number in dict.fromkeys((numbers[0], numbers[-1])))


def short(text: str, width: int = 72) -> str:
    """The beginning of a clause's text, to recognise it by: no Markdown, cut between words."""
    plain = text.replace("`", "").partition(". ")[0].rstrip(".")
    if len(plain) <= width:
        return plain
    return clip(plain[: width - 1].rpartition(" ")[0] + "…", width)


def repeat(result: RunResult, finding: ConfirmedFinding) -> str:
    """The command that repeats a finding: its trace's, else a run with the same seed and that clause."""
    if finding.repeat:
        return finding.repeat
    words = ["osint-events-conformance", "run", result.target, *_flags(result.options)]
    return shlex.join([*words, f"--seed={result.seed}", f"--only={finding.clause}"])


def _flags(options: Mapping[str, Any]) -> Iterator[str]:
    """Settings as flags. They are redacted already: the value of a header is for the reader to fill in."""
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if name in _NOT_REPEATED or value in (None, False):
            continue
        if value is True:
            yield flag
        elif isinstance(value, list | tuple):
            yield from (f"{flag}={item}" for item in value)
        else:
            yield f"{flag}={value}"


def step(made: Mapping[str, Any]) -> str:
    """A step of a script on one line, to be read; the JSON report has it to be run."""
    words = [str(made.get("step")), *([f"{made['conn']}:"] if "conn" in made else [])]
    words += [f"{name}={_value(value)}" for name, value in made.items() if name not in {"step", "conn"}]
    return " ".join(words)


def _value(value: Any) -> str:
    match value:
        case {"base64": str(data)}:
            return clip(repr(base64.b64decode(data)), 400)
        case {"step": str()}:
            return f"({step(value)})"
        case list() | tuple():
            return f"[{', '.join(_value(item) for item in value)}]"
        case str():
            return value if value.startswith(("{", "[")) else repr(value)
        case _:
            return str(value)
