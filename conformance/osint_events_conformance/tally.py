"""What a run has judged so far, by clause and phase, and why it judged no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from osint_events import contract

from osint_events_conformance.deliveries import Fallback
from osint_events_conformance.records import Case
from osint_events_conformance.results import ClauseResult, Phase, PhaseResult
from osint_events_conformance.script import Script

LATE = "the time was over before it was begun (--max-time)"
_UNREACHED = dict.fromkeys(
    ("EVT-2", "EVT-3", "EVT-4", "EVT-5"),
    "judged on events that the server writes itself: --trigger-url, --trigger-command or --observe",
) | {
    "DEL-3": "whether a fallback is expected was not said: --fallback on|off",
    "RPL-9": "no token of before the restart was good after it: the store keeps nothing over a restart",
}
"""Why a clause has no case, where nothing else says so."""
_NOT_WAITED_FOR = {"ROB-5": "it was not waited for the end of a reader that stalls"}
_BY_CASES = frozenset({"RPL-6", "RPL-9", "FLW-1", "FLW-2"})
"""Clauses that a script need not reach: only what was judged counts."""


@dataclass(slots=True)
class Tally:
    """Counts of what was judged. Under a `fallback` that may be on or off, only its cases count."""

    fallback: Fallback
    phases: list[PhaseResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_begun: list[tuple[Phase, Script]] = field(default_factory=list)
    """Scripts for which no time was left."""
    stopped: bool = False
    """Whether the smoke phase showed that nothing else can be told."""
    reasons: dict[str, str] = field(default_factory=lambda: dict(_UNREACHED))
    """Why a clause has no case at all."""
    partly: dict[str, str] = field(default_factory=dict)
    """Why a clause was not judged to the end."""
    refused_payloads: int = 0
    _cases: dict[Phase, Counter[str]] = field(default_factory=dict)

    def count(self, phase: Phase, runs: list[tuple[Script, Case]], seconds: float) -> None:
        """Count what the scripts judged that were run in a phase; they took `seconds` together."""
        counts = self._cases.setdefault(phase, Counter())
        before = counts.total()
        for script, case in runs:
            counts.update(case.cases)
            by_cases = script.clause in _BY_CASES or (script.clause == "DEL-3" and self.fallback == "any")
            if case.cases and not case.cut_short and not by_cases:
                counts[script.clause] += 1
            self.refused_payloads += case.refused_payloads
        result = self.phase(phase)
        result.cases += counts.total() - before
        result.scripts += len(runs)
        result.seconds += seconds

    def phase(self, phase: Phase) -> PhaseResult:
        """How a phase went so far."""
        result = next((one for one in self.phases if one.name == phase), None)
        if result is None:
            result = PhaseResult(phase)
            self.phases.append(result)
        return result

    def cut_short(self, script: Script) -> None:
        """A script was ended before it had seen what it was written for."""
        self.partly[script.clause] = _NOT_WAITED_FOR.get(script.clause, "it was not waited for its end")

    @property
    def left_out(self) -> list[Script]:
        """Scripts of the coverage phase for which no time was left."""
        return [script for phase, script in self.not_begun if phase == "coverage"]

    @property
    def is_mostly_left_out(self) -> bool:
        """Whether that is so of most of them, so that the rest is no verdict."""
        return len(self.left_out) > self.phase("coverage").scripts

    def result(self, clause: contract.Clause) -> ClauseResult:
        """What was judged of a clause, and why not more; whoever asks adds the findings."""
        result = ClauseResult(clause)
        for phase, counts in self._cases.items():
            if counts[clause.id]:
                result.cases[phase] = counts[clause.id]
        reasons = dict.fromkeys((script.clause for script in self.left_out), LATE) | self.reasons
        result.not_tested = self.partly.get(clause.id) or reasons.get(clause.id)
        result.partly = clause.id in self.partly
        if self.stopped:
            result.not_tested = "the smoke phase failed"
        return result

    def remarks(self, unexamined: int) -> list[str]:
        """What a reader must know to read the verdict; `unexamined` suspicions were not looked into."""
        notes = list(self.notes)
        if self.not_begun:
            notes.append(f"{len(self.not_begun)} scripts were not begun: the time was over (--max-time)")
        if unexamined:
            notes.append(f"{unexamined} more suspicions were not examined: the time was over")
        if self.refused_payloads:
            notes.append(f"{self.refused_payloads} publishes were refused or not answered by the trigger")
        return notes
