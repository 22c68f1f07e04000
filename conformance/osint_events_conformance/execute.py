"""Runs scripts over real connections and tells the model what goes out and what comes in."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from osint_events_conformance import script as s
from osint_events_conformance.connecting import Connecting
from osint_events_conformance.context import LOOK, Context, Running
from osint_events_conformance.model import Model
from osint_events_conformance.names import Names
from osint_events_conformance.pace import TICK, Pace
from osint_events_conformance.publishing import Publishing
from osint_events_conformance.records import Case, Peer
from osint_events_conformance.restarts import RestartFailed
from osint_events_conformance.sending import Sending
from osint_events_conformance.triggers import Trigger
from osint_events_conformance.wire import Endpoint, Link, Refused, Unreachable

_OFTEN = 3
"""Delays after which a long script would only go on to be slow."""
_CROWDED = 100
_LONG_PAUSE = 5.0
_LIFE_WITHIN = 10.0
_LAST_TURNS = 10
_RESTART_TURN = 0.25
_RESTART_TURNS = 120


class Executor:
    """Executes scripts against one server, some side by side.

    `rng` names fences. `clock` gives seconds of the run.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        trigger: Trigger,
        model: Model,
        pace: Pace,
        rng: random.Random,
    ) -> None:
        self.endpoint = endpoint
        self.trigger = trigger
        self.model = model
        self.pace = pace
        self._context = Context(endpoint, trigger, model, pace, rng)
        self.ticker, self.clock = self._context.ticker, self._context.clock
        self.leave = self._context.leave
        self._connecting = Connecting(self._context)
        self._sending = Sending(self._context)
        self._publishing = Publishing(self._context)
        self._rng = rng
        self._numbers = itertools.count()
        self._bystanders: Running | None = None
        self._in_progress: set[Running] = set()
        self.restart: Callable[[], Awaitable[None]] | None = None
        """Restarts the server; raises `RestartFailed`."""
        self.hurry = asyncio.Event()
        """Set when the time is over: long pauses end."""

    # The life of an executor

    async def start(self) -> None:
        """Start the clock of deadlines. Bystanders come with the first `stand_by`."""
        self.ticker.start()

    async def stand_by(self) -> None:
        """Open two connections that stay beside every script: one unsubscribed, one subscribed elsewhere.

        What reaches them of other cases' investigations is astray (DEL-2).
        """
        names = Names(self._rng)
        running = self._begin("bystanders")
        self._bystanders = running
        await self._step(running, s.Connect("bystander", names.client("bystander")))
        await self._step(running, s.Connect("elsewhere", names.client("elsewhere")))
        await self._step(running, s.Subscribe("elsewhere", names.id("elsewhere")))

    def stand_down(self) -> None:
        """Let the bystanders go."""
        if self._bystanders is not None:
            self._hang_up(self._bystanders)
            self._bystanders = None

    @property
    def bystanders(self) -> Case | None:
        """The case of the connections that stand by."""
        return self._bystanders.case if self._bystanders else None

    async def close(self) -> None:
        """End all that was started."""
        self.stand_down()
        await self.ticker.stop()
        for _ in range(_LAST_TURNS):
            if all(link.tcp_closed for link in self._context.left):
                return
            await asyncio.sleep(TICK)
        for link in self._context.left:
            link.abort()
        await asyncio.sleep(TICK)  # transports close their sockets in the loop's next turns

    @property
    def at_ease(self) -> bool:
        """Whether no script in progress does more at the moment than let time pass."""
        return all(running.pausing for running in self._in_progress)

    @property
    def suspects(self) -> bool:
        """Whether a script in progress has shown that a MUST may be broken."""
        return any(running.case.is_broken for running in self._in_progress)

    async def run(
        self,
        script: s.Script,
        *,
        patience: float = 1.0,
        within: float | None = None,
        sought: str | None = None,
    ) -> Case:
        """Execute one script and judge it. `patience` scales its deadlines.

        It ends after the step that brought a finding of the kind `sought`. After `within` seconds it is
        cut short, and what it found until then is kept. Raises `TriggerFailed` where the trigger does not
        work at all.
        """
        running = self._begin(script.title, script.salts)
        running.patience = patience
        running.long = script.mode == "long"
        self._in_progress.add(running)
        try:
            async with asyncio.timeout(within):
                for step in script.steps:
                    await self._step(running, step)
                    if running.answered or self._is_enough(running, sought):
                        break
                if not self._is_enough(running, sought):
                    await self._settle(running, last=True)
                    await self._second_opinion(running)
                elif sought is None:
                    running.case.cut_short = True
        except TimeoutError:
            running.case.cut_short = True
        finally:
            self._in_progress.discard(running)
            for task in running.publishes:
                task.cancel()
            await asyncio.gather(*running.publishes, return_exceptions=True)
            self._hang_up(running)
        return running.case

    async def _second_opinion(self, running: Running) -> None:
        """Where an investigation's numbers went back, see whether it is still the same epoch (RPL-7)."""
        names = Names(self._rng)
        for number, investigation_id in enumerate(list(running.case.doubts)):
            conn = f"epoch{number}"
            steps: list[s.Step] = [s.Connect(conn, names.client(conn)), s.Hello(conn, ("replay",))]
            for step in (*steps, s.Follow(conn, investigation_id)):
                await self._step(running, step)
            peer = running.peers.get(conn)
            if peer is not None:
                self.model.capabilities.resolve(running.case, peer, investigation_id)

    def _is_enough(self, running: Running, sought: str | None) -> bool:
        """Whether what was found makes the rest superfluous."""
        kinds = Counter(finding.kind for finding in running.case.findings)
        if running.long and (self.hurry.is_set() or kinds["delayed"] >= _OFTEN):
            return running.case.is_broken
        return sought in kinds

    def _begin(self, title: str, salts: tuple[str, str] = ("", "")) -> Running:
        changed = asyncio.Event()
        return Running(Case(title, changed.set, salts), changed, {}, [])

    def _hang_up(self, running: Running) -> None:
        for peer in running.case.peers:
            if not peer.leaving:
                self.model.leaving(peer, self.clock(), handshake=False)
                peer.link.resume_reading()
                running.case.log(self.clock(), peer.name, ">", "Close 1000 (the scenario is over)")
                self._context.leave(peer.link)
            else:
                peer.link.hang_up_soon()
                self._context.left.add(peer.link)

    # Steps

    async def _step(self, running: Running, step: s.Step) -> None:  # noqa: C901, PLR0912, PLR0915 - one arm a step
        peers = [running.peers.get(name) for name in s.connections(step)]
        if not isinstance(step, s.Connect) and any(peer is None or not peer.serves for peer in peers):
            return  # the connection was refused or ended: that is on record already
        match step:
            case s.Connect():
                await self._connecting.connect(running, step)
            case s.Knock():
                await self._connecting.knock(running, step)
            case s.TurnedAway():
                await self._connecting.turned_away(running, step)
            case s.Together(steps):
                await self._sending.send(running, list(steps))
            case s.Pieces():
                await self._sending.pieces(running, step)
            case s.Raw(name, data, about):
                peer = running.peer(name)
                peer.may_end = True
                running.case.log(self.clock(), name, ">", about or f"raw bytes 0x{data[:40].hex()}")
                peer.link.write(data)
                await peer.link.drain()
            case s.Http():
                await self._connecting.http(running, step)
            case s.Publish():
                await self._publishing.publish(running, step)
            case s.Close(name, code, reason, wait):
                peer = running.peer(name)
                running.case.log(self.clock(), name, ">", f"Close {code or ''} {reason}".rstrip())
                self.model.leaving(peer, self.clock(), handshake=True)
                peer.link.close(code, reason)
                if wait:
                    await self._context.until(running, lambda: not peer.debts)
            case s.Abort(name):
                peer = running.peer(name)
                running.case.log(self.clock(), name, ">", "TCP reset")
                self.model.leaving(peer, self.clock(), handshake=False)
                peer.link.abort()
            case s.Stall(name):
                peer = running.peer(name)
                running.case.log(self.clock(), name, "*", "stops reading")
                peer.may_end = peer.stalled = peer.has_stalled = True
                peer.stalled_at = self.clock()
                peer.link.pause_reading()
            case s.Resume():
                await self._resume(running, step)
            case s.Pause(seconds):
                await self._pause(running, seconds)
            case s.Restart():
                await self._restart(running)
            case s.Await():
                await self._await(running, step)
            case s.Inflate():
                await self._sending.inflate(running, step)
            case s.Flood():
                await self._sending.flood(running, step)
            case s.Quiet(name, dead, deaf):
                peer = running.peer(name)
                running.case.log(
                    self.clock(),
                    name,
                    "*",
                    "shows no life" if dead else "answers no ping" if deaf else "only listens",
                )
                self.model.capabilities.listening(peer, self.clock(), dead=dead, deaf=deaf)
            case s.Settle(fence=True):
                await self._settle(running, last=False)
            case s.Settle():
                await self._publishing.caught_up(running)
            case _:
                await self._sending.send(running, [step])

    async def _pause(self, running: Running, seconds: float) -> None:
        """Let time pass; when all are told to hurry, the rest of a script with long pauses is left out."""
        running.pausing = True
        if seconds < _LONG_PAUSE:
            await asyncio.sleep(seconds)
            running.pausing = False
            return
        try:
            async with asyncio.timeout(seconds):
                await self.hurry.wait()
        except TimeoutError:
            running.pausing = False
            return
        running.answered = running.case.cut_short = True

    async def _restart(self, running: Running) -> None:
        """Restart the server, and wait until it serves again. Raises `RestartFailed`."""
        if self.restart is None:
            raise RestartFailed("nothing restarts the server; --restart-command does")
        running.case.log(self.clock(), "server", "*", "is restarted")
        running.case.restarted = True
        for peer in running.case.peers:
            if peer.serves:
                self.model.leaving(peer, self.clock(), handshake=False)
                self._context.leave(peer.link)
        await self.restart()
        for _ in range(_RESTART_TURNS):
            try:
                link = await Link.open(
                    self.endpoint, Names(self._rng).client("up"), self.clock, within=_LIFE_WITHIN
                )
            except (Refused, Unreachable):
                await asyncio.sleep(_RESTART_TURN)
            else:
                self._context.leave(link)
                return
        seconds = _RESTART_TURN * _RESTART_TURNS
        raise RestartFailed(f"the server does not serve {seconds:.0f} s after its restart")

    async def _await(self, running: Running, step: s.Await) -> None:
        """Wait longer than any deadline for something that the server sends by its own clock."""
        peer = running.peer(step.conn)
        judge, at = self.model.capabilities, self.clock()
        due = [judge.awaiting(peer, one, at) for one in step.investigation_ids]
        until = self.ticker.seconds + step.seconds
        while any(debt in peer.debts for debt in due) and self.ticker.seconds < until:
            running.changed.clear()
            try:
                async with asyncio.timeout(LOOK):
                    await running.changed.wait()
            except TimeoutError:
                pass

    async def _resume(self, running: Running, step: s.Resume) -> None:
        peer = running.peer(step.conn)
        peer.link.resume_reading()
        self.model.capabilities.resuming(peer, _published(peer), self.clock() - peer.stalled_at)
        running.case.log(self.clock(), step.conn, "*", "reads again")
        peer.stalled = False
        await self._context.until(running, lambda: peer.gone or not peer.debts)
        if any(finding.kind == "lost" for finding in running.case.findings):
            return  # it is not known whether anything waited
        if not (peer.gone or peer.debts):
            self.model.capabilities.resumed(peer, self.clock())
        if step.must_have_ended and not await self._context.until(running, lambda: peer.gone):
            message = "a reader that stalled for long was never ended, however much waited for it"
            running.case.find("never_ended", message, step.conn, self.clock())
        running.answered = step.answers and peer.gone

    # Fences and deadlines

    async def _settle(self, running: Running, *, last: bool) -> None:
        await self._publishing.caught_up(running)
        case = running.case
        names = Names(self._rng)
        fenced: set[str] = set()
        for name, peer in running.peers.items():
            if peer is None or not peer.serves or peer.stalled:
                continue
            confirmed = [key for key, value in peer.subscriptions.items() if value.confirmed_at is not None]
            if confirmed and self.trigger.controls_payload and not peer.malformed:
                if fenced.isdisjoint(confirmed):
                    fenced.add(confirmed[0])
            elif last and not peer.stranger:
                # A connection that holds many subscriptions may have no room for another (SUB-3).
                again = confirmed[0] if len(confirmed) > _CROWDED else names.id("fence")
                await self._step(running, s.Subscribe(name, again, wait=False))
            else:
                await self._step(running, s.Ping(name, b"fence"))
        for investigation_id in sorted(fenced):
            number = next(self._numbers)
            data = json.dumps({"type": "investigation_started", "message": f"fence {number}"})
            running.publishes.append(
                asyncio.create_task(self._publishing.emit(running, s.Publish(investigation_id, data)))
            )
        await self._publishing.caught_up(running)
        await asyncio.sleep(self.pace.grace)
        self.model.fence_passed(case, self.clock())


def _published(peer: Peer) -> int:
    """About how many bytes were published for a connection."""
    return sum(
        len(json.dumps(event.data))
        for investigation in peer.case.investigations.values()
        if peer in investigation.subscriptions
        for event in investigation.events
    )
