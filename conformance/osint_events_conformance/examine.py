"""From a suspicion to a finding: run the script again alone, make it small, find the clause."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from osint_events_conformance.attribute import SELF_EVIDENT, experiments
from osint_events_conformance.execute import Executor
from osint_events_conformance.findings import BY_KIND, Finding
from osint_events_conformance.names import renamed
from osint_events_conformance.records import Case
from osint_events_conformance.results import ConfirmedFinding, Phase
from osint_events_conformance.script import (
    Connect,
    Pause,
    Resume,
    Script,
    Stall,
    Step,
    Together,
    is_peaceful,
    to_json,
)

_RERUNS = 2
_RERUN_WITHIN = 15.0
_OVERTIME = 5.0
"""Seconds that a run again may take beyond the end of the time; each is given `_AT_LEAST`."""
_AT_LEAST = 1.0
_REDUCTION = 2.5
_PATIENCE = 0.25
"""How much of a deadline the many runs get that only make a known failure smaller."""
_SIDE_BY_SIDE = 6
_SCREENING = 6.0
_RECOVERY = 0.1
"""Seconds between two scripts of which one may disturb the other."""
_AFTERMATH = 0.5


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
        """Run again alone, reduce, attribute. What never comes back counts as flaky.

        What is doubtful counts as neither seen nor tried, so that nothing may remain; of what may have been a
        race only the runs alone count.
        """
        kind, script = suspicion.finding.kind, suspicion.script
        attempts = reproduced = 0 if suspicion.finding.doubtful or suspicion.finding.racy else 1
        case, finding = suspicion.case, suspicion.finding
        if kind != "never_ended":  # which took long enough, and happened alone enough
            copies = [renamed(script, self._rng) for _ in range(_RERUNS)]
            reruns = await self._run(copies, kind)
            for rerun in reruns:
                found = self._find(rerun, kind)
                attempts += found is not None or not any(one.kind == kind for one in rerun.findings)
                if found is not None:
                    reproduced += 1
                    case, finding = rerun, found
        clause, surely = finding.clause, True
        if script.mode == "long" and kind not in SELF_EVIDENT and await self._is_own(script, kind):
            clause = script.clause
        if reproduced == attempts > 1 and script.mode not in {"long", "last"}:
            small, smaller_case, smaller_finding = await self._reduce(script, case, finding)
            if is_peaceful(script) or await self._comes_back(small, kind):
                script, case, finding = small, smaller_case, smaller_finding
            clause, surely = await self._clause(script, finding)
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
            reproduced,
            attempts,
            tuple(to_json(step) for step in script.steps),
            tuple(case.wire),
            suspicion.further,
            salts=script.salts,
            mode=script.mode,
            surely=surely,
        )

    async def _run(self, scripts: Iterable[Script], sought: str, *, patience: float = 1.0) -> list[Case]:
        """Run scripts side by side; but one after the other where they may disturb each other (ROB-1)."""
        scripts = list(scripts)

        def run(script: Script) -> Coroutine[Any, Any, Case]:
            left = max(self._time_left() + _OVERTIME, _AT_LEAST)
            return self._executor.run(
                script, patience=patience, within=min(_RERUN_WITHIN, left), sought=sought
            )

        if all(is_peaceful(script) for script in scripts):
            return await asyncio.gather(*map(run, scripts))
        cases = []
        for script in scripts:
            await asyncio.sleep(_RECOVERY)
            cases.append(await run(script))
        return cases

    async def culprit(self, suspects: Sequence[tuple[Script, Case, Finding]], kind: str) -> int:
        """The first of several misbehaving scripts that shows the finding alone; else 0.

        Side by side each of them suffers from what one does.
        """
        until = self._executor.clock() + min(_SCREENING, self._time_left() / 3)
        for index, (script, _, _) in enumerate(suspects):
            if self._executor.clock() > until:
                break
            [case] = await self._run([renamed(script, self._rng)], kind)
            if self._find(case, kind) is not None:
                return index
        return 0

    async def _is_own(self, script: Script, kind: str) -> bool:
        """Whether a long script, which is not taken apart, failed by what it was written for."""
        beginning = tuple(takewhile(_is_short, script.steps))
        plain = script.with_steps(step for step in beginning if not isinstance(step, Stall | Resume))
        if not any(isinstance(step, Stall) for step in script.steps):
            return True
        [case] = await self._run([renamed(plain, self._rng)], kind)
        return self._find(case, kind) is None

    def _find(self, case: Case, kind: str) -> Finding | None:
        """The first finding of a kind that is surely the server's."""
        return next((one for one in case.findings if one.kind == kind and not one.doubtful), None)

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

    async def _comes_back(self, script: Script, kind: str) -> bool:
        """Whether a reduced script fails by itself, not by what another left behind."""
        await asyncio.sleep(_AFTERMATH)
        [case] = await self._run([renamed(script, self._rng)], kind, patience=_PATIENCE)
        return self._find(case, kind) is not None

    async def _first_failing(
        self, candidates: list[Script], kind: str
    ) -> tuple[Script, Case, Finding] | None:
        for start in range(0, len(candidates), _SIDE_BY_SIDE):
            if self._time_left() <= 0:
                return None
            tried = [renamed(candidate, self._rng) for candidate in candidates[start : start + _SIDE_BY_SIDE]]
            cases = await self._run(tried, kind, patience=_PATIENCE)
            for one, case in zip(tried, cases, strict=True):
                found = self._find(case, kind)
                if found is not None:
                    return one, case, found
        return None

    async def _clause(self, script: Script, finding: Finding) -> tuple[str, bool]:
        """The clause of the first experiment that takes the failure away, and whether that is sure."""
        planned = list(experiments(script, finding))
        if not planned or self._time_left() <= 0:
            return finding.clause, not planned
        scripts = [script] * _RERUNS + [one for experiment in planned for one in experiment.scripts]
        tried = [renamed(one, self._rng) for one in scripts]
        cases = iter(await self._run(tried, finding.kind, patience=_PATIENCE))
        again = [self._find(next(cases), finding.kind) for _ in range(_RERUNS)]
        if not any(again):
            return finding.clause, False  # it comes and goes by itself: what seems a cure proves nothing
        for experiment in planned:
            results = [next(cases) for _ in experiment.scripts]
            if all(self._find(case, finding.kind) is None for case in results):
                return experiment.clause, True
        return finding.clause, True


def _is_short(step: Step) -> bool:
    return not isinstance(step, Pause)


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
