"""Run a recorded finding's script again, with fresh ids, on the same server or another."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from enum import Enum

from osint_events import contract
from osint_events.features import FEATURES

from osint_events_conformance.execute import Executor
from osint_events_conformance.findings import Finding
from osint_events_conformance.launch import trigger
from osint_events_conformance.model import Model
from osint_events_conformance.names import Names, renamed
from osint_events_conformance.oracle import schema_problem
from osint_events_conformance.pace import Pace
from osint_events_conformance.probe import probe
from osint_events_conformance.records import Case
from osint_events_conformance.restarts import RestartCommand, RestartFailed
from osint_events_conformance.results import ExitStatus
from osint_events_conformance.script import Forbidden, Hello, TurnedAway, flat
from osint_events_conformance.settings import Settings, flag
from osint_events_conformance.trace import Trace
from osint_events_conformance.triggers import TriggerFailed
from osint_events_conformance.wire import Link, Refused, Unreachable

_RUNS = 3
_RUNS_OF_FLAKY = 10
_CONNECT_WITHIN = 10.0
_PREVENTING = frozenset({"refused_odd_client_id", "dropped"})
"""Kinds of SHOULD findings after which the rest of a script does not run."""


class State(Enum):
    """What a replay says of the finding."""

    FIXED = "FIXED"
    STILL_FAILING = "STILL FAILING"
    COULD_NOT_TEST = "COULD NOT TEST"

    @property
    def exit_status(self) -> ExitStatus:
        """What the process ends with."""
        return _EXIT_STATUS[self]


_EXIT_STATUS = {
    State.FIXED: ExitStatus.CONFORMS,
    State.STILL_FAILING: ExitStatus.VIOLATION,
    State.COULD_NOT_TEST: ExitStatus.COULD_NOT_TEST,
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome, why in one line, and the run that shows it (None where there was none)."""

    state: State
    detail: str
    case: Case | None = None

    def line(self, trace: Trace) -> str:
        """The verdict line."""
        return f"{self.state.value}: {trace.header.clause} {trace.header.level}: {self.detail}"


async def replay(trace: Trace, settings: Settings, rng: random.Random) -> Replayed:
    """Run the trace's script as often as it takes: a finding of the same kind says that it still fails.

    A flaky finding gets more runs. Where another MUST breaks first, or nothing could be published, the
    recorded fault could not have shown, which is not the same as being fixed.
    """
    hook = trigger(settings)
    try:
        problem = _unsuitable(trace, can_emit=hook.can_emit, chooses=hook.controls_payload)
        if problem is not None:
            return Replayed(State.COULD_NOT_TEST, problem)
        pace = Pace(settings.timeout_scale)
        model = Model(settings.fallback, schema_problem(), clear_after=settings.timeout_scale)
        model.forbidden = settings.forbidden_id
        executor = Executor(settings.endpoint(), hook, model, pace, rng)
        if settings.restart_command is not None:
            executor.restart = RestartCommand(settings.restart_command)
        try:
            await _reach(executor, rng)
            await executor.start()
            await executor.stand_by()
            if any(isinstance(step, Hello | Forbidden | TurnedAway) for step in flat(trace.script.steps)):
                await probe(executor, rng)
                problem = _not_offered(trace, model.capabilities.offered)
                if problem is not None:
                    return Replayed(State.COULD_NOT_TEST, problem)
            return await _runs(executor, trace, rng)
        finally:
            await executor.close()
    except (Unreachable, Refused, TriggerFailed, RestartFailed) as error:
        return Replayed(State.COULD_NOT_TEST, str(error))
    finally:
        await hook.close()


def _unsuitable(trace: Trace, *, can_emit: bool, chooses: bool) -> str | None:
    """Why the script cannot be run with these settings, or None.

    Even a script that publishes nothing needs the trigger that it had: fences are events too.
    """
    recorded = trace.header.settings
    had = next((name for name in ("inject", "trigger_url", "trigger_command") if name in recorded), None)
    if had is None or (can_emit and (chooses or had != "inject")):
        return None
    return f"it was found with {flag(had)}: give one that reaches the server here"


def _not_offered(trace: Trace, offered: frozenset[str] | None) -> str | None:
    """Why a fault of Part 2 cannot show on this server, or None: what is silent is not mended."""
    feature = next((one.feature for one in contract.clauses() if one.id == trace.header.clause), None)
    if offered is None:
        return "the server does not answer hello"
    return f"the server does not offer {feature}" if feature in set(FEATURES) - offered else None


async def _reach(executor: Executor, rng: random.Random) -> None:
    """See that the server is there, and measure how quick it is."""
    before = time.monotonic()
    link = await Link.open(
        executor.endpoint, Names(rng).client("first"), executor.clock, within=_CONNECT_WITHIN
    )
    executor.pace.round_trip = max(time.monotonic() - before, executor.pace.round_trip)
    executor.leave(link)


async def _runs(executor: Executor, trace: Trace, rng: random.Random) -> Replayed:
    header = trace.header
    runs = 1 if header.mode == "long" else _RUNS_OF_FLAKY if header.flaky else _RUNS
    case: Case | None = None
    for number in range(1, runs + 1):
        case = await executor.run(renamed(trace.script, rng))
        found = _of_kind(case, header.kind)
        if found is not None:
            return Replayed(State.STILL_FAILING, f"{found.message} (run {number})", case)
        refused = [entry.text for entry in case.wire if entry.conn == "publisher"]
        if case.refused_payloads:
            return Replayed(State.COULD_NOT_TEST, f"a publish was not accepted: {refused[-1]}", case)
        other = next((one for one in case.findings if one.level == "MUST" or one.kind in _PREVENTING), None)
        if other is not None:
            detail = f"something else is broken first: {other.clause}: {other.message}"
            return Replayed(State.COULD_NOT_TEST, detail, case)
    times = "once" if runs == 1 else f"{runs} times"
    was = f"; it was seen {header.reproduced} of {header.attempts} times" if header.flaky else ""
    return Replayed(State.FIXED, f"run {times}, nothing found{was}", case)


def _of_kind(case: Case, kind: str) -> Finding | None:
    return next((finding for finding in case.findings if finding.kind == kind), None)
