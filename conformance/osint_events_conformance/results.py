"""What a run found out, clause by clause, and the verdict that follows. Reports only print this."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

from osint_events import contract

from osint_events_conformance.findings import Level, WireEntry

Outcome = Literal["passed", "failed", "warned", "flaky", "not_offered", "skipped", "untestable"]
Verdict = Literal["conforms", "violations", "could_not_test"]
Phase = Literal["smoke", "coverage", "fuzz", "stateful"]


class ExitStatus(IntEnum):
    """What the process ends with."""

    CONFORMS = 0
    VIOLATION = 1
    USAGE = 2
    COULD_NOT_TEST = 3


@dataclass(frozen=True, slots=True)
class ConfirmedFinding:
    """A departure that was examined: run again, reduced, and laid to one clause.

    `reproduced` of `attempts` runs of the same script showed it. `script` is the smallest one that
    does, as trace files have it, `wire` what went over its connections.
    """

    clause: str
    level: Level
    kind: str
    phase: Phase
    check: str
    title: str
    message: str
    conn: str
    at: float
    expected: str | None
    got: str | None
    reproduced: int
    attempts: int
    script: tuple[dict[str, Any], ...]
    wire: tuple[WireEntry, ...]
    further: int = 0
    """Other findings of this kind that were not examined one by one."""
    repeat: str = ""
    """The command that repeats it, where a trace was written."""
    salts: tuple[str, str] = ("", "")
    """The script's salts, by which it gets fresh ids when it is run again (see `names`)."""
    mode: str = "beside"
    """The script's mode."""
    surely: bool = True
    """Whether the experiments that led to the clause could be relied on."""

    @property
    def flaky(self) -> bool:
        """Whether it came only sometimes."""
        return self.reproduced < self.attempts


@dataclass(slots=True)
class ClauseResult:
    """All that is known of one clause after a run."""

    clause: contract.Clause
    cases: Counter[str] = field(default_factory=Counter)
    """Cases judged, by phase."""
    findings: list[ConfirmedFinding] = field(default_factory=list)
    not_tested: str | None = None
    """Why it was not tested: the reason of `skipped` and `untestable`."""
    partly: bool = False
    """Whether a check of it could not be carried through, so that what was judged is not all of it."""
    known_failing: bool = False
    not_offered: str | None = None
    """Why it does not bind this server: it has no such capability."""

    @property
    def outcome(self) -> Outcome:
        """The clause's outcome. A finding counts before anything else; nothing judged is never passed."""
        if any(finding.level == "MUST" for finding in self.findings):
            musts = [finding for finding in self.findings if finding.level == "MUST"]
            return "flaky" if all(finding.flaky for finding in musts) else "failed"
        if self.findings:
            return "warned"
        if self.clause.untested is not None:
            return "untestable"
        if self.not_offered:
            return "not_offered"
        if self.partly or not self.cases.total():
            return "skipped"
        return "passed"

    @property
    def reason(self) -> str | None:
        """Why there is no verdict on the clause."""
        match self.outcome:
            case "untestable":
                return self.clause.untested
            case "not_offered":
                return self.not_offered
            case "skipped":
                return self.not_tested or "no case reached it"
            case _:
                return None


@dataclass(slots=True)
class PhaseResult:
    """How a phase went: cases judged, scripts run, seconds."""

    name: Phase
    cases: int = 0
    scripts: int = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def rate(self) -> float:
        """Cases a second."""
        return self.cases / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class RunResult:
    """A whole run."""

    target: str
    seed: int
    started: str
    seconds: float
    clauses: list[ClauseResult]
    phases: list[PhaseResult]
    strict: bool = False
    could_not_test: str | None = None
    """Why nothing could be tested, in one line."""
    usage: str | None = None
    """What was wrong with the request itself (a known-failing pattern that matches nothing)."""
    runner_fault: str | None = None
    """A traceback: the runner itself failed, so that nothing it says is a verdict."""
    notes: list[str] = field(default_factory=list)
    """What a reader must know to read the verdict: what a trigger cannot prove, payloads refused."""
    coverage: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def violations(self) -> list[ClauseResult]:
        """Clauses that fail the run: MUSTs, with `strict` SHOULDs too; known failures only when they pass."""
        bad = {"failed", "flaky", "warned"} if self.strict else {"failed", "flaky"}
        return [
            result
            for result in self.clauses
            if (result.outcome in bad and not result.known_failing)
            or (result.outcome == "passed" and result.known_failing)
        ]

    @property
    def verdict(self) -> Verdict:
        """The verdict. A violation found counts even where testing could not be finished."""
        if self.runner_fault:
            return "could_not_test"
        if self.violations:
            return "violations"
        return "could_not_test" if self.could_not_test else "conforms"

    @property
    def exit_status(self) -> ExitStatus:
        """What the process ends with."""
        if self.usage:
            return ExitStatus.USAGE
        return {
            "conforms": ExitStatus.CONFORMS,
            "violations": ExitStatus.VIOLATION,
            "could_not_test": ExitStatus.COULD_NOT_TEST,
        }[self.verdict]

    def summary(self) -> str:
        """The verdict line: what was tested and what not, by level."""
        if self.usage:
            return self.usage
        parts = []
        for level in ("MUST", "SHOULD"):
            binding = [
                result
                for result in self.clauses
                if result.clause.level == level and result.clause.subject != "client"
            ]
            tested = [result for result in binding if result.outcome not in NOT_TESTED]
            warned = [result for result in tested if result.outcome == "warned" and level == "MUST"]
            broken = [result for result in tested if result.outcome != "passed" and result not in warned]
            kept = f"{len(broken)} not kept: {_ids(broken)}" if broken else "all kept"
            text = f"{len(tested)} of {len(binding)} {level}s tested"
            if tested:
                text += f", {kept}"  # of nothing, nothing is kept
            if warned:
                text += f" (a SHOULD within them not: {_ids(warned)})"
            left = [result for result in binding if result.outcome in NOT_TESTED]
            if left:
                text += f"; {len(left)} not tested"
            parts.append(text)
        mended = [one for one in self.clauses if one.known_failing and one.outcome == "passed"]
        if mended:
            parts.append(f"known to fail, but passed: {_ids(mended)}")
        head = {"conforms": "CONFORMS", "violations": "VIOLATIONS", "could_not_test": "COULD NOT TEST"}
        line = f"{head[self.verdict]}: {'; '.join(parts)}"
        if self.runner_fault:
            return f"{line} (the runner itself failed: {self.runner_fault.strip().splitlines()[-1]})"
        return f"{line} ({self.could_not_test})" if self.could_not_test else line


NOT_TESTED = frozenset({"not_offered", "skipped", "untestable"})


def _ids(results: list[ClauseResult]) -> str:
    return ", ".join(result.clause.id for result in results)
