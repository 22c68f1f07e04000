"""From a suspicion to a finding: run the script again alone, make it small, find the clause."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from osint_events_conformance.attribute import SELF_EVIDENT, Experiment, experiments
from osint_events_conformance.execute import Executor
from osint_events_conformance.findings import BY_KIND, Finding
from osint_events_conformance.names import renamed
from osint_events_conformance.records import Case
from osint_events_conformance.results import ConfirmedFinding, Phase
from osint_events_conformance.script import Connect, Script, Step, Together, to_json

_RERUNS = 2
_RERUN_WITHIN = 15.0
_REDUCTION = 2.5
_PATIENCE = 0.25
"""How much of a deadline the many runs get that only make a known failure smaller."""
_SIDE_BY_SIDE = 6


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A script whose run had findings of one kind, of which `finding` is the first."""

    script: Script
    finding: Finding
    case: Case
    phase: Phase
    further: int = 0


class Examiner:
    """Examines suspicions, one after the other. `time_left` gives the seconds that it may still take."""

    def __init__(self, executor: Executor, rng: random.Random, time_left: Callable[[], float]) -> None:
        self._executor = executor
        self._rng = rng
        self._time_left = time_left

    async def examine(self, suspicion: Suspicion) -> ConfirmedFinding:
        """Run again alone, reduce, attribute. What never comes back counts as flaky."""
        kind, script = suspicion.finding.kind, suspicion.script
        attempts = reproduced = 0
        case, finding = suspicion.case, suspicion.finding
        if kind != "never_ended":  # which took long enough, and happened alone enough
            copies = [renamed(script, self._rng) for _ in range(_RERUNS)]
            reruns = await asyncio.gather(
                *(self._executor.run(copy, within=_RERUN_WITHIN) for copy in copies)
            )
            attempts = len(reruns)
            for rerun in reruns:
                found = self._find(rerun, kind)
                if found is not None:
                    reproduced += 1
                    case, finding = rerun, found
        # A long script is not taken apart: what it was written for is the likeliest cause.
        own = script.mode == "long" and kind not in SELF_EVIDENT
        clause = script.clause if own else finding.clause
        if reproduced and reproduced == attempts and script.mode != "long":
            script, case, finding = await self._reduce(script, case, finding)
            clause = await self._clause(script, finding)
        return ConfirmedFinding(
            clause,
            BY_KIND[kind][1],
            kind,
            suspicion.phase,
            script.check,
            script.title,
            finding.message,
            finding.conn,
            finding.at,
            finding.expected,
            finding.got,
            reproduced + 1,
            attempts + 1,
            tuple(to_json(step) for step in script.steps),
            tuple(case.wire),
            suspicion.further,
            salts=script.salts,
            mode=script.mode,
        )

    def _find(self, case: Case, kind: str) -> Finding | None:
        return next((finding for finding in case.findings if finding.kind == kind), None)

    async def _reduce(self, script: Script, case: Case, finding: Finding) -> tuple[Script, Case, Finding]:
        """Leave out what the failure does not need, in ever smaller portions."""
        size = max(len(script.steps) // 2, 1)
        budget = min(_REDUCTION, self._time_left() / 3)
        deadline = self._executor.clock() + budget
        while self._executor.clock() < deadline:
            candidates = [script.with_steps(kept) for kept in _portions(script.steps, size)]
            shrunk = await self._first_failing(candidates, finding.kind)
            if shrunk:
                script, case, finding = shrunk
                size = min(size, max(len(script.steps) // 2, 1))
            elif size == 1:
                break
            else:
                size = max(size // 2, 1)
        return script, case, finding

    async def _first_failing(
        self, candidates: list[Script], kind: str
    ) -> tuple[Script, Case, Finding] | None:
        for start in range(0, len(candidates), _SIDE_BY_SIDE):
            if self._time_left() <= 0:
                return None
            tried = [renamed(candidate, self._rng) for candidate in candidates[start : start + _SIDE_BY_SIDE]]
            cases = await asyncio.gather(*(self._executor.run(one, patience=_PATIENCE) for one in tried))
            for one, case in zip(tried, cases, strict=True):
                found = self._find(case, kind)
                if found is not None:
                    return one, case, found
        return None

    async def _clause(self, script: Script, finding: Finding) -> str:
        """The clause of the first experiment that takes the failure away."""
        planned = list(experiments(script, finding))
        if not planned or self._time_left() <= 0:
            return finding.clause
        cures = await asyncio.gather(*(self._cures(experiment, finding) for experiment in planned))
        return next((one.clause for one, cured in zip(planned, cures, strict=True) if cured), finding.clause)

    async def _cures(self, experiment: Experiment, finding: Finding) -> bool:
        scripts = [renamed(one, self._rng) for one in experiment.scripts]
        cases = await asyncio.gather(*(self._executor.run(one, patience=_PATIENCE) for one in scripts))
        return all(self._find(case, finding.kind) is None for case in cases)


def _portions(steps: tuple[Step, ...], size: int) -> Iterator[tuple[Step, ...]]:
    """The steps without one portion of `size`, from the end; without a connection goes all that uses it."""
    for end in range(len(steps), 0, -size):
        kept = steps[: max(end - size, 0)] + steps[end:]
        if kept and any(isinstance(step, Connect) for step in kept):
            yield kept
    if size == 1:
        for index, step in enumerate(steps):
            if isinstance(step, Together) and len(step.steps) > 1:
                for inner in range(len(step.steps)):
                    fewer = Together(step.steps[:inner] + step.steps[inner + 1 :])
                    yield (*steps[:index], fewer, *steps[index + 1 :])
