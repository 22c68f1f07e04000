"""One run: the phases, what is suspected in them, what is confirmed, and the verdict."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from osint_events import contract

from osint_events_conformance import suite
from osint_events_conformance.confirm import Confirmer
from osint_events_conformance.credentials import SPOILT
from osint_events_conformance.examine import Examiner
from osint_events_conformance.execute import Executor
from osint_events_conformance.keywords import KeywordCoverage
from osint_events_conformance.model import Model
from osint_events_conformance.names import Names
from osint_events_conformance.oracle import schema_problem
from osint_events_conformance.pace import Pace
from osint_events_conformance.patterns import Patterns
from osint_events_conformance.probe import TAKES_ANY_ORIGIN, not_offered, probe
from osint_events_conformance.progress import (
    PhaseBegan,
    PhaseEnded,
    Progress,
    ScriptEnded,
    Suspected,
)
from osint_events_conformance.records import Case
from osint_events_conformance.restarts import RestartCommand, RestartFailed
from osint_events_conformance.results import (
    NOT_TESTED,
    ClauseResult,
    Phase,
    RunResult,
)
from osint_events_conformance.script import (
    Connect,
    Pause,
    Publish,
    Script,
    Step,
    Subscribe,
    flat,
    is_peaceful,
)
from osint_events_conformance.security import TIMED_OUT, TURNED_AWAY
from osint_events_conformance.settings import Settings, redacted_url
from osint_events_conformance.slots import Slots
from osint_events_conformance.suite import Kit, event, subscriber
from osint_events_conformance.tally import LATE, Tally
from osint_events_conformance.triggers import Trigger, TriggerFailed
from osint_events_conformance.wire import Link, Refused, Unreachable


class CannotTest(Exception):
    """The server or the trigger cannot be tested at all. Carries one clear line."""


_MOST_CONNECTIONS = 64
"""Connections open at once, but for a script that needs more alone."""
_BROKEN = "MUSTs are broken already (--patient goes on)"
_LEFT_OUT = f"the fuzz and stateful phases were left out: {_BROKEN}"
_NO_TIME = "the fuzz and stateful phases were left out: the time was over (--max-time)"
_NOBODY_MAY_SEE = "SEC-2: nobody is known who may see the --forbidden-id, to have a replay token of it"
_SMOKE_COPIES = 3
_FIRST_ANSWER = 10.0
"""Seconds for the very first handshake: nothing is known yet of the server's pace."""
_WRONG_PLACE = frozenset({301, 302, 307, 308, 401, 403, 404, 405, 407, 429, 502, 503, 504})
"""Answers to the first handshake that say more of the URL, or of who may come, than of the protocol."""
_PATIENT = 3600.0
"""Seconds that are always left for who is patient: a bound for what would hang."""
_IDLE = 20.0
"""Seconds for which a silent connection is expected to be kept; later ends are the server's own affair."""
_CROWD = 12
"""Scripts of a stage with findings after which the next ones wait less: what counts is run again alone."""
_HASTE = 0.3
_FOR_EXAMINING = 0.5
"""Share of the time that is left for that."""
_FOR_RESTARTS = 0.2
"""Share of the time that is left for them, where the server is to be restarted."""
_WORST = 10.0
"""Seconds that long scripts may take to send what waits for their stalled readers."""
_LOOK = 0.05
_OVERTIME = 2.0
"""Seconds that a script may go on after the time is over."""
_STOPPING = frozenset(
    {
        "unconfirmed",
        "lost",
        "refused_upgrade",
        "schema",
        "no_object",
        "broken_frame",
        "refused_event",
        "ended",
    }
)
"""Kinds of finding after which, where every smoke script shows them, nothing else can be told."""


class Run:
    """A run against one server. `progress` is told what happens as it happens."""

    def __init__(
        self, settings: Settings, trigger: Trigger, progress: Progress, known_failing: Patterns | None = None
    ) -> None:
        self.settings = settings
        self.seed = random.SystemRandom().getrandbits(32) if settings.seed is None else settings.seed
        self._known_failing = known_failing or Patterns(())
        self._only, self._skip = Patterns(settings.only), Patterns(settings.skip)
        self._endpoint = endpoint = settings.endpoint()
        self._trigger = trigger
        self._progress = progress
        self._rng = random.Random(self.seed)
        self._pace = Pace(settings.timeout_scale)
        self._model = Model(settings.fallback, schema_problem(), clear_after=settings.timeout_scale)
        self._model.deliveries.observing = not trigger.can_emit
        self._model.forbidden = settings.forbidden_id
        self._executor = Executor(endpoint, trigger, self._model, self._pace, self._rng)
        if settings.restart_command is not None:
            self._executor.restart = RestartCommand(settings.restart_command)
        examiner = Examiner(self._executor, self._rng, self._time_left)
        self._confirmer = Confirmer(examiner, self._selected, self._time_left, progress)
        self._tally = Tally(settings.fallback)
        self._started = time.monotonic()
        self._connections = Slots(_MOST_CONNECTIONS)
        self._keywords = KeywordCoverage()
        self._faults: list[BaseException] = []
        self._long: list[asyncio.Task[tuple[Script, Case]]] = []
        self._last: list[Script] = []
        self._cut = False
        """Whether long scripts were ended early since they had shown enough."""

    async def run(self) -> RunResult:
        """Run all phases and give the result; what cannot be tested is said in it, not raised."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        selected = [clause for clause in contract.clauses() if self._selected(clause.id)]
        cannot: str | None = None
        asyncio.get_running_loop().set_exception_handler(self._own_fault)
        try:
            await self._executor.start()
            await self._smoke()
            if not self._tally.stopped:
                await self._executor.stand_by()
                await self._probe()
                await self._coverage()
                await self._harvest()
                if self._broken and not self.settings.patient:
                    self._tally.notes.append(_LEFT_OUT)
                else:
                    await self._drawn()
                await self._finish_long()
                await self._idle()
                if self.settings.observe is not None:
                    await self._observe(self.settings.observe)
                await self._restarts()
        except (CannotTest, TriggerFailed) as error:
            cannot = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not pass for a verdict
            self._faults.append(error)
        finally:
            for task in self._long:
                task.cancel()
            await asyncio.gather(*self._long, return_exceptions=True)
            await self._executor.close()
            await self._trigger.close()
        return self._result(selected, started, cannot)

    def _own_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep an exception that nobody caught: a fault of the runner, which is no finding."""
        self._faults.append(context.get("exception") or RuntimeError(context["message"]))

    @property
    def _broken(self) -> bool:
        """Whether a MUST is known to be broken."""
        return any(one.level == "MUST" for one in self._confirmer.confirmed)

    # Phases

    async def _smoke(self) -> None:
        """See whether the harness itself works: connect, subscribe, make the server emit, receive."""
        self._progress(PhaseBegan("smoke", _SMOKE_COPIES))
        await self._reach()
        emits = self._trigger.can_emit
        scripts = []
        for number in range(_SMOKE_COPIES):
            n = Names(self._rng)
            steps = [*subscriber("a", n.client(), n.id()), Publish(n.id(), event(message=f"smoke {number}"))]
            steps = [step for step in steps if emits or not isinstance(step, Publish)]
            title = "connect, subscribe and receive"
            scripts.append(Script(title, tuple(steps), "LEG-5", "smoke", salts=(n.word, n.digits)))
        before = time.monotonic()
        within = max(self._time_left(), self._pace.handshake + 1.0)
        cases = await asyncio.gather(*(self._executor.run(script, within=within) for script in scripts))
        if emits and all(case.refused_payloads for case in cases):
            detail = next(entry.text for entry in reversed(cases[0].wire) if entry.conn == "publisher")
            raise CannotTest(f"the trigger does not work: {detail}")
        self._tally.count("smoke", list(zip(scripts, cases, strict=True)), time.monotonic() - before)
        self._progress(PhaseEnded(self._tally.phase("smoke")))
        if not any(case.findings for case in cases):
            self._pace.slowest = 0.0
            return
        every = set.intersection(*({finding.kind for finding in case.findings} for case in cases))
        await self._confirmer.confirm("smoke", list(zip(scripts, cases, strict=True)))
        self._tally.stopped = bool(every & _STOPPING)

    async def _reach(self) -> None:
        """One quiet connection and a few round trips, which set the deadlines."""
        names = Names(self._rng)
        within = min(_FIRST_ANSWER, max(self._time_left(), 1.0))
        try:
            link = await Link.open(self._endpoint, names.client("first"), self._executor.clock, within=within)
        except Unreachable as error:
            raise CannotTest(
                f"{error}: is the server running, and is {self._endpoint.url} its URL?"
            ) from error
        except Refused as error:
            if error.status in _WRONG_PLACE:
                asked = self._hint(error.status == HTTPStatus.UNAUTHORIZED)
                address = self._endpoint.address(names.client("first"))
                raise CannotTest(f"{error} at {address}{asked}") from error
            if error.status is None:
                self._pace.unanswered()
            return  # a finding (CONN-1), which the smoke scripts will make
        self._executor.leave(link)
        worst = 0.0
        for _ in range(3):
            n = Names(self._rng)
            before = time.monotonic()
            steps = (Connect("a", n.client()), Subscribe("a", n.id()))
            case = await self._executor.run(
                Script("measure", steps, "SUB-1", "smoke", salts=(n.word, n.digits))
            )
            closes = [peer.link.close_received for peer in case.peers]
            if any(close is not None and close.code in {TURNED_AWAY, TIMED_OUT} for close in closes):
                hint = self._hint(asked=True)
                raise CannotTest(f"a connection was closed with {closes[0] and closes[0].code}{hint}")
            if case.findings:
                break  # the smoke scripts will say so
            worst = max(worst, (time.monotonic() - before - self._pace.grace) / 3)
        self._pace.round_trip = max(worst, 0.001)
        self._model.deliveries.in_flight = self._pace.grace

    def _hint(self, asked: bool) -> str:
        """What to do where a server asks for a token."""
        told = "is its token a good one" if self.settings.token else "does it demand a token (--token)"
        return f": {told}?" if asked else ""

    async def _probe(self) -> None:
        """See what the server grants who asks for everything (NEG-1)."""
        if self.settings.profile == "core":
            return
        await probe(self._executor, self._rng)

    async def _coverage(self) -> None:
        settings, capabilities = self.settings, self._model.capabilities
        credentials = settings.credentials
        kit = Kit(
            self._rng,
            settings.fallback,
            self._pace.round_trip,
            capabilities.welcome,
            settings.patient,
            settings.restart_command is not None,
            origin=settings.origin or self._endpoint.own_origin,
            has_token=settings.token is not None,
            spoilings=tuple(how for how in SPOILT if credentials.token(how) is not None),
            forbidden_id=settings.forbidden_id,
            trigger_may_see=capabilities.trigger_may_see,
        )
        scripts: list[Script] = []
        clauses = {clause.id: clause for clause in contract.clauses()}
        for check in suite.checks():
            if not self._selected(check.clause):
                continue
            if not_offered(clauses[check.clause], capabilities, settings.profile, settings.origin):
                continue
            if check.needs_payload and not self._trigger.controls_payload:
                self._tally.reasons[check.clause] = "the trigger does not choose the payload; --inject does"
                continue
            if (reason := check.unless(kit)) is not None:
                self._tally.reasons[check.clause] = reason
                continue
            made = list(check.scripts(kit))
            if not self._trigger.can_emit:
                made = [script for script in made if not suite.publishes(script)]
                if not made:
                    self._tally.reasons[check.clause] = "nothing makes the server emit; --inject does"
            scripts += made
        self._last = [script for script in scripts if script.mode == "last"]
        scripts = [script for script in scripts if script.mode != "last"]
        # Whoever stalls comes first, since that takes long, and is left to it where it harms nobody. Of the
        # others first what is peaceful: what that suffers is nobody else's doing.
        peaceful = [script for script in scripts if is_peaceful(script)]
        hostile = [script for script in scripts if not is_peaceful(script)]
        self._begin_long(hostile)
        await self._first_of_long()
        self._begin_long(peaceful)
        await self._phase("coverage", peaceful, hostile)
        if self._cut:
            await self._finish_long()  # last, since what others showed too is no matter of stalling

    async def _drawn(self) -> None:
        """The fuzz and stateful phases. Drawing takes a thread, so that the long scripts go on meanwhile."""
        if self._time_left() <= self._reserve:
            self._tally.notes.append(_NO_TIME)  # drawing takes seconds
            return
        kit = Kit(random.Random(self._rng.getrandbits(64)), self.settings.fallback, self._pace.round_trip)
        examples, payloads = self.settings.examples, self._trigger.controls_payload
        offered = self._model.capabilities.offered
        self._progress("drawing cases")

        def draw() -> tuple[list[Script], list[Script]]:
            from osint_events_conformance import generate, negotiated  # noqa: PLC0415 - Hypothesis is slow to import

            drawn = list(generate.fuzz(kit, examples, payloads=payloads))
            made = list(generate.scenarios(kit, examples // 6)) if payloads else []
            if offered is not None:
                drawn += negotiated.fuzz(kit, examples, offered)
                made += negotiated.scenarios(kit, examples // 6, offered) if payloads else []
            return drawn, made

        before = time.monotonic()
        drawn, scenarios = await asyncio.to_thread(draw)
        seconds = time.monotonic() - before
        if not self._trigger.can_emit:
            drawn = [script for script in drawn if not suite.publishes(script)]
        await self._phase("fuzz", drawn)
        await self._harvest()
        self._tally.phase("fuzz").seconds += seconds
        await self._phase("stateful", scenarios)

    async def _idle(self) -> None:
        """Judge the bystanders: a core connection that sends nothing is served too (LEG-5)."""
        case = self._executor.bystanders
        ended = next((one for one in case.findings if one.kind == "ended"), None) if case else None
        if case is None or ended is None or ended.at > _IDLE:
            return
        n = Names(self._rng)
        waits = (Pause(_IDLE / 10) for _ in range(int(10 * ended.at / _IDLE) + 2))
        steps: list[Step] = [Connect("idle", n.client()), Subscribe("idle", n.id()), *waits]
        script = Script(
            "a connection that says nothing more", tuple(steps), "LEG-5", "idle", salts=(n.word, n.digits)
        )
        await self._confirmer.confirm("coverage", [(script, case)])

    async def _observe(self, seconds: float) -> None:
        """Judge what arrives by itself: on connections that subscribe to nothing, or to something else."""
        bystanders = self._executor.bystanders
        assert bystanders is not None
        self._progress(f"observing for {seconds:g} s")
        before = self._model.seen_types["investigation_update"]
        await asyncio.sleep(seconds)
        script = Script("what arrives by itself", (), "MSG-1", "observe", mode="long")
        self._tally.count("coverage", [(script, bystanders)], seconds)
        await self._confirmer.confirm("coverage", [(script, bystanders)])
        if self._model.seen_types["investigation_update"] == before:
            raise CannotTest(f"no event was seen within {seconds:g} s, and nothing makes the server emit one")

    async def _restarts(self) -> None:
        """Run what restarts the server, one script after the other, when nothing else needs it any more."""
        why_not = _BROKEN if self._broken and not self.settings.patient else None
        if self._time_left() <= 0:
            why_not = LATE
        if why_not is not None:
            self._tally.partly |= dict.fromkeys((script.clause for script in self._last), why_not)
            return
        self._executor.stand_down()
        before = time.monotonic()
        try:
            runs = [(script, await self._executor.run(script)) for script in self._last]
            self._tally.count("coverage", runs, time.monotonic() - before)
            await self._confirmer.confirm("coverage", runs)
        except RestartFailed as error:
            self._tally.partly |= dict.fromkeys((script.clause for script in self._last), str(error))

    def _begin_long(self, scripts: list[Script]) -> None:
        long = (script for script in scripts if script.mode == "long")
        self._long += [asyncio.create_task(self._long_script(script)) for script in long]

    async def _first_of_long(self) -> None:
        """Wait until the long scripts have done their worst, which is soon.

        What they bring to light must be known before others that run beside them are blamed for it.
        """
        until = time.monotonic() + min(_WORST, self._time_left() / 4)
        while time.monotonic() < until and not all(task.done() for task in self._long):
            await asyncio.sleep(_LOOK)
            if self._executor.suspects or self._executor.at_ease:
                break
        if self._executor.suspects or any(task.result()[1].is_broken for task in self._long if task.done()):
            self._executor.hurry.set()
            self._cut = True

    async def _long_script(self, script: Script) -> tuple[Script, Case]:
        return script, await self._executor.run(script, within=self._time_left() + _OVERTIME)

    async def _harvest(self) -> None:
        """Examine what long scripts have shown already, while there is time for it."""
        shown = [task for task in self._long if task.done() and task.result()[1].findings]
        self._long = [task for task in self._long if task not in shown]
        await self._judge_long([task.result() for task in shown], 0.0)

    async def _finish_long(self) -> None:
        """Wait for the scripts that ran beside the phases, as long as there is time."""
        self._cut = False
        if not self._long:
            return
        before = time.monotonic()
        if self._broken and not self.settings.patient:
            self._executor.hurry.set()
        await asyncio.wait(self._long, timeout=max(self._time_left() - self._reserve, 0.1))
        self._executor.hurry.set()
        runs = await asyncio.gather(*self._long)
        self._long.clear()
        await self._judge_long(runs, time.monotonic() - before)

    async def _judge_long(self, runs: list[tuple[Script, Case]], seconds: float) -> None:
        for script, case in runs:
            if case.cut_short:
                self._tally.cut_short(script)
        self._tally.count("coverage", runs, seconds)
        await self._confirmer.confirm("coverage", runs)

    async def _phase(self, name: Phase, *stages: list[Script]) -> None:
        """Run the scripts of one stage after the other."""
        self._progress(PhaseBegan(name, sum(len(scripts) for scripts in stages)))
        for scripts in stages:
            self._keywords.add(scripts)
            await self._stage(name, scripts)
        self._progress(PhaseEnded(self._tally.phase(name)))

    async def _stage(self, name: Phase, scripts: list[Script]) -> None:
        """Run scripts side by side, then the ones that want to be alone, then examine what is suspected."""
        before = time.monotonic()
        failed = 0
        beside = asyncio.Semaphore(self.settings.workers)
        runs: list[tuple[Script, Case]] = []

        async def one(script: Script) -> None:
            needed = sum(isinstance(step, Connect) for step in flat(script.steps))
            async with beside, self._connections.take(needed):
                nonlocal failed
                crowd = failed >= _CROWD
                kept = _FOR_EXAMINING * self.settings.max_time if crowd else self._reserve
                if self._time_left() > kept:
                    patience = _HASTE if crowd else 1.0
                    within = self._time_left() + _OVERTIME
                    case = await self._executor.run(script, patience=patience, within=within)
                    failed += bool(case.findings)
                    runs.append((script, case))
                    self._progress(ScriptEnded(case.cases.total() + 1))
                    if case.findings:
                        self._progress(Suspected(case.findings[0].message, script.title))
                else:
                    self._tally.not_begun.append((name, script))

        await asyncio.gather(*(one(script) for script in scripts if script.mode == "beside"))
        for script in scripts:
            if script.mode == "alone":
                await one(script)
        self._tally.count(name, runs, time.monotonic() - before)
        await self._confirmer.confirm(name, runs)

    # Odds and ends

    @property
    def _reserve(self) -> float:
        """Seconds that are kept for what restarts the server."""
        return _FOR_RESTARTS * self.settings.max_time if self._last else 0.0

    def _time_left(self) -> float:
        if self.settings.patient:
            return _PATIENT
        return self.settings.max_time - (time.monotonic() - self._started)

    def _selected(self, clause: str) -> bool:
        return not self._skip.match(clause) and (not self._only or self._only.match(clause))

    def _result(self, selected: list[contract.Clause], started: str, cannot: str | None) -> RunResult:
        if reason := self._unseen():
            self._tally.partly["SEC-2"] = reason
        results = []
        profile, origin = self.settings.profile, self.settings.origin
        for clause in selected:
            result = self._tally.result(clause)
            result.findings = [one for one in self._confirmer.confirmed if one.clause == clause.id]
            result.not_offered = not_offered(clause, self._model.capabilities, profile, origin)
            if result.not_offered == TAKES_ANY_ORIGIN:
                self._tally.notes.append(f"{clause.id}: {TAKES_ANY_ORIGIN}")
            result.known_failing = self._known_failing.match(clause.id)
            if cannot is not None:
                result.not_tested = cannot
            results.append(result)
        made = RunResult(
            redacted_url(self._endpoint.url),
            self.seed,
            started,
            time.monotonic() - self._started,
            results,
            self._tally.phases,
            strict=self.settings.strict,
            options=self.settings.redacted(),
            could_not_test=cannot or self._no_verdict(results),
        )
        made.notes += self._tally.remarks(self._confirmer.unexamined)
        if self.settings.forbidden_id is not None and not self._model.capabilities.trigger_may_see:
            made.notes.append(_NOBODY_MAY_SEE)
        if self._faults:
            made.runner_fault = "".join(traceback.format_exception(self._faults[0]))
        made.coverage = {
            "types_seen": dict(self._model.seen_types),
            "kinds_seen": dict(self._model.deliveries.seen_kinds),
            "fields_seen": dict(self._model.deliveries.seen_fields),
            "keywords": self._keywords.report(),
        }
        return made

    def _no_verdict(self, results: list[ClauseResult]) -> str | None:
        """Why what was judged is no verdict, if that is so."""
        if self._confirmer.unexamined and not self._confirmer.confirmed:
            return f"{self._confirmer.unexamined} suspicions could not be run again in time: raise --max-time"
        if self._tally.is_mostly_left_out:
            return "most scripts were not begun in time: raise --max-time"
        if all(result.outcome in NOT_TESTED for result in results):
            return "none of the selected clauses was tested" if results else "no clause is selected"
        return None

    def _unseen(self) -> str | None:
        """Why it was not seen whether events leak that may not be seen (SEC-2), if that is so."""
        if self._model.forbidden_refused:
            refused = self._model.forbidden_refused
            return f"its events could not be made, --trigger-token says who may: {refused}"
        if self.settings.forbidden_id is not None and not self._trigger.can_emit:
            return "nothing makes the server emit what may not be seen; --inject does"
        return None
