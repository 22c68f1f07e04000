"""Runs scripts over real connections and tells the model what goes out and what comes in."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from osint_events.close_codes import CloseCode

from osint_events_conformance import script as s
from osint_events_conformance import security, values, verdicts
from osint_events_conformance.model import Model
from osint_events_conformance.names import Names
from osint_events_conformance.oracle import publishable
from osint_events_conformance.pace import TICK, Bucket, Pace, Ticker
from osint_events_conformance.positions import Request, Token
from osint_events_conformance.records import Case, Debt, Event, Peer
from osint_events_conformance.restarts import RestartFailed
from osint_events_conformance.triggers import Answer, Trigger
from osint_events_conformance.wire import Ended, Endpoint, Link, Refused, Text, Unreachable

_BUSY = frozenset({429, 503})
_BUSY_RETRIES = 5
_HTTP_ANSWER_BYTES = 4096
_DRIP_PAUSE = 0.001
_CROWDED = 100
_LONG_PAUSE = 5.0
_LIFE_WITHIN = 10.0
_LAST_TURNS = 10
_LOOK = 0.05
_RESTART_TURN = 0.25
_RESTART_TURNS = 120
_LATE = 6.0
"""Seconds that are waited to tell what is late from what is lost."""
_SUSTAINED = 8.0
"""Seconds for which a connection goes on sending too much before its end is missed (FLW-3)."""
_ABUSE = 10
"""How many times the messages allowed it goes on with, when many bursts did not end it."""
_SHARE_OF_RATE = 0.9
"""Share of the rate that the welcome tells which is used: clocks differ a little."""
_DEFAULT_QUEUE = 1 << 20
_SHARE_OF_QUEUE = 1 / 4
_BULKY = 2.0
"""How much longer than a single event half a megabyte may take until the next of it arrives."""


_TOO_BIG = CloseCode.MESSAGE_TOO_BIG
_UNSET = Debt("unconfirmed", None, "")  # type: ignore[arg-type]  # the model sets the debt and its peer
_DEBT_OF: dict[type[s.Message], str] = {
    s.Hello: "no_welcome", s.Follow: "unconfirmed", s.Unfollow: "not_unsubscribed", s.AppPing: "no_app_pong",
    s.Mistake: "no_error", s.Forbidden: "no_error",
}  # fmt: skip


def _waits(step: s.Message) -> bool:
    return type(step) in _DEBT_OF and getattr(step, "wait", False)


class _Ear:
    """Hands what a link receives to the model, and writes the log."""

    def __init__(self, model: Model, peer: Peer, clock: Callable[[], float], ticker: Ticker) -> None:
        self._model = model
        self._peer = peer
        self._clock = clock
        self._ticker = ticker

    def text(self, message: Text) -> None:
        self._peer.case.log(message.at, self._peer.name, "<", message.raw)
        self._model.received(self._peer, message)

    def pong(self, payload: bytes) -> None:
        self._peer.case.log(self._clock(), self._peer.name, "<", f"Pong 0x{payload.hex()}")
        self._model.ponged(self._peer, payload)

    def end(self) -> None:
        link = self._peer.link
        how = f"Close {link.close_received}" if link.ended is Ended.CLOSE_FRAME else "TCP ended"
        self._peer.case.log(self._clock(), self._peer.name, "<", how)
        self._peer.was_mute = self._ticker.stalled
        self._model.ended(self._peer, self._clock())


@dataclass(eq=False, slots=True)
class _Running:
    """A script in execution."""

    case: Case
    changed: asyncio.Event
    peers: dict[str, Peer | None]
    publishes: list[asyncio.Task[Event]]
    patience: float = 1.0
    answered: bool = False
    """Whether the rest of the script is not needed."""
    long: bool = False
    pausing: bool = False
    crowded: bool = False
    """Whether what was published once did not arrive in time: no room is waited for any more."""
    lossy: bool = False
    """Whether something that was waited for longer did not come either."""


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
        self.ticker = Ticker()
        started = time.monotonic()
        self.clock: Callable[[], float] = lambda: time.monotonic() - started
        self._rng = rng
        self._numbers = itertools.count()
        self._bystanders: _Running | None = None
        self._in_progress: set[_Running] = set()
        self._busy_retries = _BUSY_RETRIES
        self.restart: Callable[[], Awaitable[None]] | None = None
        """Restarts the server; raises `RestartFailed`."""
        self.hurry = asyncio.Event()
        """Set when the time is over: long pauses end."""

        self._left: weakref.WeakSet[Link] = weakref.WeakSet()
        """Connections that nobody uses any more and that may not have ended yet."""

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
            if all(link.tcp_closed for link in self._left):
                return
            await asyncio.sleep(TICK)
        for link in self._left:
            link.abort()
        await asyncio.sleep(TICK)  # transports close their sockets in the loop's next turns

    @property
    def at_ease(self) -> bool:
        """Whether no script in progress does more at the moment than let time pass."""
        return all(running.pausing for running in self._in_progress)

    @property
    def suspects(self) -> bool:
        """Whether a script in progress has shown findings already."""
        return any(running.case.findings for running in self._in_progress)

    def leave(self, link: Link) -> None:
        """Close a connection that is not needed any more, and see to it that it ends."""
        link.close()
        link.hang_up_soon()
        self._left.add(link)

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
        except TimeoutError:
            running.case.cut_short = True
        finally:
            self._in_progress.discard(running)
            for task in running.publishes:
                task.cancel()
            await asyncio.gather(*running.publishes, return_exceptions=True)
            self._hang_up(running)
        return running.case

    async def _second_opinion(self, running: _Running) -> None:
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

    def _is_enough(self, running: _Running, sought: str | None) -> bool:
        """Whether what was found makes the rest superfluous."""
        kinds = {finding.kind for finding in running.case.findings}
        return sought in kinds or (running.long and self.hurry.is_set() and bool(kinds))

    def _begin(self, title: str, salts: tuple[str, str] = ("", "")) -> _Running:
        changed = asyncio.Event()
        return _Running(Case(title, changed.set, salts), changed, {}, [])

    def _hang_up(self, running: _Running) -> None:
        for peer in running.case.peers:
            if not peer.leaving:
                self.model.leaving(peer, self.clock(), handshake=False)
                peer.link.resume_reading()
                running.case.log(self.clock(), peer.name, ">", "Close 1000 (the scenario is over)")
                self.leave(peer.link)
            else:
                peer.link.hang_up_soon()
                self._left.add(peer.link)

    # Steps

    async def _step(self, running: _Running, step: s.Step) -> None:  # noqa: C901, PLR0912, PLR0915 - one arm a step
        peers = [running.peers.get(name) for name in s.connections(step)]
        if not isinstance(step, s.Connect) and any(peer is None or not peer.serves for peer in peers):
            return  # the connection was refused or ended: that is on record already
        match step:
            case s.Connect():
                await self._connect(running, step)
            case s.Knock():
                await self._knock(running, step)
            case s.TurnedAway():
                await self._turned_away(running, step)
            case s.Together(steps):
                await self._send(running, list(steps))
            case s.Pieces():
                await self._pieces(running, step)
            case s.Raw(name, data, about):
                peer = self._peer(running, name)
                peer.may_end = True
                running.case.log(self.clock(), name, ">", about or f"raw bytes 0x{data[:40].hex()}")
                peer.link.write(data)
                await peer.link.drain()
            case s.Http():
                await self._http(running, step)
            case s.Publish():
                await self._publish(running, step)
            case s.Close(name, code, reason, wait):
                peer = self._peer(running, name)
                running.case.log(self.clock(), name, ">", f"Close {code or ''} {reason}".rstrip())
                self.model.leaving(peer, self.clock(), handshake=True)
                peer.link.close(code, reason)
                if wait:
                    await self._until(running, lambda: not peer.debts)
            case s.Abort(name):
                peer = self._peer(running, name)
                running.case.log(self.clock(), name, ">", "TCP reset")
                self.model.leaving(peer, self.clock(), handshake=False)
                peer.link.abort()
            case s.Stall(name):
                peer = self._peer(running, name)
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
                await self._inflate(running, step)
            case s.Flood():
                await self._flood(running, step)
            case s.Quiet(name, dead):
                peer = self._peer(running, name)
                running.case.log(self.clock(), name, "*", "shows no life" if dead else "only listens")
                self.model.capabilities.listening(peer, self.clock(), dead=dead)
            case s.Settle(fence=True):
                await self._settle(running, last=False)
            case s.Settle():
                await self._caught_up(running)
            case _:
                await self._send(running, [step])

    async def _pause(self, running: _Running, seconds: float) -> None:
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

    async def _restart(self, running: _Running) -> None:
        """Restart the server, and wait until it serves again. Raises `RestartFailed`."""
        if self.restart is None:
            raise RestartFailed("nothing restarts the server; --restart-command does")
        running.case.log(self.clock(), "server", "*", "is restarted")
        running.case.restarted = True
        for peer in running.case.peers:
            if peer.serves:
                self.model.leaving(peer, self.clock(), handshake=False)
                self.leave(peer.link)
        await self.restart()
        for _ in range(_RESTART_TURNS):
            try:
                link = await Link.open(
                    self.endpoint, Names(self._rng).client("up"), self.clock, within=_LIFE_WITHIN
                )
            except (Refused, Unreachable):
                await asyncio.sleep(_RESTART_TURN)
            else:
                self.leave(link)
                return
        seconds = _RESTART_TURN * _RESTART_TURNS
        raise RestartFailed(f"the server does not serve {seconds:.0f} s after its restart")

    async def _await(self, running: _Running, step: s.Await) -> None:
        """Wait longer than any deadline for something that the server sends by its own clock."""
        peer = self._peer(running, step.conn)
        judge, at = self.model.capabilities, self.clock()
        due = [judge.awaiting(peer, one, at) for one in step.investigation_ids]
        until = self.ticker.seconds + step.seconds
        while any(debt in peer.debts for debt in due) and self.ticker.seconds < until:
            running.changed.clear()
            try:
                async with asyncio.timeout(_LOOK):
                    await running.changed.wait()
            except TimeoutError:
                pass

    async def _inflate(self, running: _Running, step: s.Inflate) -> None:
        """Send what inflates to too much: only 1009 is an answer (CMP-2)."""
        peer, case = self._peer(running, step.conn), running.case
        if not peer.link.compresses:
            return
        frame = s.data_frame(step.payload(), compress=True)
        text = f"a subscribe of {len(frame)} bytes that inflates to {step.size}"
        case.log(self.clock(), step.conn, ">", text)
        peer.may_end = True
        self.model.misbehaving(peer, "CMP-2")
        peer.link.write(frame)
        await peer.link.drain()
        ended = await self._until(running, lambda: peer.gone)
        case.cases["CMP-2"] += 1
        close = peer.link.close_received
        if not ended or close is None or close.code != _TOO_BIG:
            how = "not refused" if not ended else f"answered by close {close.code if close else 'of TCP'}"
            case.find("inflated", f"{text} was {how}", step.conn, self.clock(), expected=str(_TOO_BIG))

    async def _flood(self, running: _Running, step: s.Flood) -> None:
        """Send as fast as the server reads (FLW-3)."""
        peer, judge = self._peer(running, step.conn), self.model.capabilities
        if peer.talk is None:
            return
        running.case.log(self.clock(), step.conn, ">", f"{step.count} subscribes at once")
        peer.may_end = peer.may_end or step.until_ended
        before, sent = self.ticker.seconds, 0
        rate = peer.talk.welcome.get("limits", {}).get("messages_per_second", step.count)

        def is_enough() -> bool:
            if not step.until_ended:
                return sent >= step.count
            return sent >= step.most and self.ticker.seconds - before >= _SUSTAINED

        while not is_enough() and not peer.gone:
            for _ in range(step.count):
                follow = s.Follow(step.conn, step.investigation_id, ref=f"flood {sent}")
                at = self.clock()
                request = Request("subscribe", step.investigation_id, follow.ref, at, _UNSET)
                self.model.subscribing(peer, step.investigation_id, at, request)
                judge.flooding(peer)
                peer.link.write(s.frames(follow, compress=peer.link.compresses))
                sent += 1
            await peer.link.drain()
            await self._until(running, lambda: not peer.debts)
            if step.until_ended and sent >= step.most:
                await asyncio.sleep(step.count / (_ABUSE * rate))
        if step.until_ended:
            judge.abused(peer, sent, self.clock())
        else:
            judge.flooded(peer, sent, self.ticker.seconds - before, self.clock())

    def _peer(self, running: _Running, name: str) -> Peer:
        peer = running.peers[name]
        assert peer is not None
        return peer

    async def _open(
        self, running: _Running, step: s.Connect | s.Knock, origin: str | None = None
    ) -> Link | Refused | None:
        """Shake hands, again where the server is busy; None where it is gone, which is on record then."""
        for attempt in itertools.count():
            try:
                return await Link.open(
                    self.endpoint,
                    step.client_id,
                    self.clock,
                    within=max(self.pace.handshake, self.pace.deadline),
                    receive_buffer=step.receive_buffer if isinstance(step, s.Connect) else None,
                    compress=isinstance(step, s.Connect) and step.compress,
                    auth=step.auth,
                    origin=origin,
                )
            except Refused as error:
                if error.status in _BUSY and attempt < self._busy_retries:
                    await asyncio.sleep(0.1 * 2**attempt)
                    continue
                if error.status in _BUSY:
                    self._busy_retries = 1  # it is full and stays so: no need to wait long again
                return error
            except Unreachable as error:
                if attempt < 1:
                    await asyncio.sleep(0.2)
                    continue
                running.case.find("unreachable", f"the server is gone: {error}", step.conn, self.clock())
                return None
        raise AssertionError

    async def _knock(self, running: _Running, step: s.Knock) -> None:
        """Shake hands in a way that must be refused (SEC-1, SEC-3)."""
        case = running.case
        what = f"token {step.auth}" if step.origin is None else f"origin {values.show(step.origin)}"
        case.log(self.clock(), step.conn, "*", f"connect as {step.client_id!r} with {what}")
        link = await self._open(running, step, step.origin)
        if isinstance(link, Link):
            case.log(self.clock(), step.conn, "*", "connected")
            self.leave(link)
        elif link is not None:
            case.log(self.clock(), step.conn, "*", str(link))
        else:
            return
        security.judge_knock(case, step, link if isinstance(link, Refused) else None, self.clock())

    async def _turned_away(self, running: _Running, step: s.TurnedAway) -> None:
        """Say something as a stranger, and wait for the end (SEC-1)."""
        peer, case = self._peer(running, step.conn), running.case
        peer.turned_away = True
        if step.text is not None:
            token = self.endpoint.credentials.token(step.auth) or ""
            text = step.text.replace("{token}", json.dumps(token)[1:-1])
            case.log(self.clock(), step.conn, ">", step.text.replace("{token}", f"(token: {step.auth})"))
            peer.link.write(s.data_frame(text.encode(), compress=peer.link.compresses))
            await peer.link.drain()
        await self._until(running, lambda: peer.gone, longer=step.seconds)
        security.judge_turned_away(peer, step, self.clock())

    async def _connect(self, running: _Running, step: s.Connect) -> None:
        running.peers[step.conn] = None
        case = running.case
        self.model.connecting(case, step.client_id)
        link = await self._open(running, step)
        if isinstance(link, Refused):
            case.log(self.clock(), step.conn, "*", f"connect as {step.client_id!r}: {link}")
            if step.auth == "none" and self.endpoint.credentials.own is not None:
                knows_hello = self.model.capabilities.offered is not None
                security.judge_refusal(case, step.conn, link, self.clock(), knows_hello=knows_hello)
                return
            kind = "refused_odd_client_id" if step.optional else "refused_upgrade"
            case.find(kind, f"{link} for client_id {values.show(step.client_id)}", step.conn, self.clock())
        if not isinstance(link, Link):
            return
        case.cases["CONN-1"] += 1
        case.log(self.clock(), step.conn, "*", f"connected as {step.client_id!r}")
        peer = self.model.connected(case, step.conn, link)
        peer.stranger = step.auth == "none" and self.endpoint.credentials.own is not None
        peer.privileged = step.auth == "trigger"

        def answer(type_: str, id_: str) -> None:
            case.log(self.clock(), step.conn, ">", f'{{"type": "{type_}", "id": {json.dumps(id_)}}}')
            text = json.dumps({"type": type_, "id": id_}).encode()
            link.write(s.data_frame(text, compress=link.compresses))

        peer.answer = answer
        running.peers[step.conn] = peer
        link.attach(_Ear(self.model, peer, self.clock, self.ticker))

    def _announce(self, running: _Running, step: s.Subscribe | s.Say | s.Ping) -> None:
        peer, at = self._peer(running, step.conn), self.clock()
        match step:
            case s.Subscribe(investigation_id=investigation_id):
                self.model.subscribing(peer, investigation_id, at)
                running.case.log(at, step.conn, ">", step.payload().decode())
            case s.Ping(data=data):
                self.model.pinging(peer, data, at)
                running.case.log(at, step.conn, ">", f"Ping 0x{data.hex()}")
            case s.Say(data=data, role=role, clause=clause, about=about):
                if role == "malformed":
                    self.model.misbehaving(peer, clause)
                shown = data[:200].decode(errors="backslashreplace")
                running.case.log(at, step.conn, ">", f"{shown}  ({about})" if about else shown)

    async def _send(self, running: _Running, steps: list[s.Message]) -> None:
        peer = self._peer(running, steps[0].conn)
        await self._keep_rate(peer, len(steps))
        data = b""
        for step in steps:
            another = s.Follow | s.Unfollow | s.AppPing | s.Mistake
            if peer.talk is None and isinstance(step, another) and not isinstance(step, s.Forbidden):
                continue  # without hello these are messages of another dialect
            token = self._token(running, step) if isinstance(step, s.Follow) and step.token else None
            text = token[0] if token else None
            if isinstance(step, s.Hello):
                text = self.endpoint.credentials.token(step.auth)
            if isinstance(step, s.Negotiated):
                self._announce_negotiated(running, step, token)
            else:
                self._announce(running, step)
            data += s.frames(step, text, compress=peer.link.compresses)
            peer.spoke = peer.spoke or not isinstance(step, s.Ping)
        peer.link.write(data)
        await peer.link.drain()
        waited = {_DEBT_OF[type(one)] for one in steps if _waits(one)}
        if waited:
            await self._until(running, lambda: not any(debt.kind in waited for debt in peer.debts))
        if any(isinstance(step, s.Subscribe) and step.wait for step in steps):
            debts = [debt for _, debt in peer.unconfirmed]
            before = self.ticker.seconds
            await self._until(running, lambda: not any(debt in peer.debts for debt in debts))
            if not peer.may_end:
                clause, took = running.case.disturber(peer), self.ticker.seconds - before
                self._judge_delay(running.case, peer.name, took, clause, self.pace.prompt)

    async def _keep_rate(self, peer: Peer, count: int) -> None:
        """Send no faster than the welcome allows: what is refused as too much tells nothing else."""
        limits = peer.talk.welcome.get("limits", {}) if peer.talk else {}
        burst, rate = limits.get("burst"), limits.get("messages_per_second")
        if peer.talk is None or not burst or not rate:
            return
        if peer.talk.bucket is None:
            peer.talk.bucket = Bucket(_SHARE_OF_RATE * burst, _SHARE_OF_RATE * rate, self.clock())
        wait = peer.talk.bucket.take(count, self.clock())
        if wait > 0:
            await asyncio.sleep(wait)

    def _announce_negotiated(
        self, running: _Running, step: s.Negotiated, token: tuple[str, Token | None] | None
    ) -> None:
        peer, at, judge = self._peer(running, step.conn), self.clock(), self.model.capabilities
        text, given = token or (None, None)
        if isinstance(step, s.Hello) and step.auth != "none":
            text = f"(token: {step.auth})"
        data = step.payload(text) if isinstance(step, s.Follow | s.Hello) else step.payload()
        running.case.log(at, step.conn, ">", data.decode())
        peer.asked_forbidden = peer.asked_forbidden or isinstance(step, s.Forbidden)
        match step:
            case s.Hello():
                judge.greeting(peer, json.loads(data), at)
                peer.stranger = peer.stranger and step.auth == "none"
                peer.privileged = peer.privileged or step.auth == "trigger"
            case s.Forbidden():
                running.case.cases["SEC-2"] += 1
                judge.mistaken(peer, json.loads(data), ("forbidden",), at)
            case s.Follow(investigation_id=investigation_id, scope=scope, ref=ref):
                request = Request("subscribe", investigation_id, ref, at, _UNSET, scope, text, given)
                self.model.subscribing(peer, investigation_id, at, request)
            case s.Unfollow():
                judge.unfollowing(peer, json.loads(data), at)
            case s.AppPing():
                judge.pinging(peer, json.loads(data), at)
            case s.Mistake(codes=codes):
                judge.mistaken(peer, _value(data), codes, at)

    def _token(self, running: _Running, step: s.Follow) -> tuple[str, Token | None] | None:
        """The text that a token reference stands for, and the token that it is, if any; None without one."""
        assert step.token is not None
        if step.token.startswith("="):
            return step.token[1:], None
        which, _, rest = step.token.partition(":")
        rest, _, spoiling = rest.partition("|")
        conn, _, other = rest.partition("/")
        peer = running.peers.get(conn)
        position = peer.talk.positions.get(other or step.investigation_id) if peer and peer.talk else None
        if position is None or not position.tokens:
            return None
        confirmed = position.confirmed or position.tokens[0]
        token = {"first": position.tokens[0], "confirmed": confirmed, "last": position.tokens[-1]}[which]
        text = token.text
        match spoiling:
            case "cut":
                text = text[:-1]
            case "flip":
                text = ("B" if text[0] == "A" else "A") + text[1:]
            case "flip_last":
                text = text[:-2] + ("B" if text[-2] == "A" else "A") + text[-1]
            case "long":
                text += "A" * 600
        return text, None if spoiling or other not in {"", step.investigation_id} else token

    async def _pieces(self, running: _Running, step: s.Pieces) -> None:
        peer = self._peer(running, step.step.conn)
        numbers = itertools.count()
        pings: list[bytes] = []

        def ping() -> bytes:
            pings.append(f"between {next(numbers)}".encode())
            return pings[-1]

        parts = s.pieces(step, ping)
        if isinstance(step.step, s.Hello):
            self._announce_negotiated(running, step.step, None)
        else:
            self._announce(running, step.step)
        for payload in pings:
            self._announce(running, s.Ping(step.step.conn, payload))
        for index, part in enumerate(parts):
            peer.link.write(part, whole=step.how != "segments" or index == len(parts) - 1)
            await asyncio.sleep(_DRIP_PAUSE)
        await peer.link.drain()
        if isinstance(step.step, s.Subscribe) and step.step.wait:
            await self._until(running, lambda: not peer.unconfirmed)

    async def _http(self, running: _Running, step: s.Http) -> None:
        parts = urlsplit(self.endpoint.address(Names(self._rng).client("http")))
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
        data = step.data.replace(b"{path}", parts.path.encode()).replace(b"{host}", parts.netloc.encode())
        tls = (self.endpoint.tls or True) if parts.scheme == "wss" else None
        running.case.log(self.clock(), "http", ">", data[:200].decode(errors="backslashreplace"))
        line = b""
        try:
            async with asyncio.timeout(max(2.0, self.pace.deadline)):
                reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=_HTTP_ANSWER_BYTES)
                try:
                    writer.write(data)
                    await writer.drain()
                    if step.linger:
                        await asyncio.sleep(step.linger)
                    elif step.expect_client_error:
                        line = await reader.readline()
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, ValueError) as error:
            running.case.log(self.clock(), "http", "<", f"no answer: {error!r}")
        status = line.split(b" ")[1:2]
        running.case.log(self.clock(), "http", "<", line.decode(errors="replace").strip())
        if step.expect_client_error:
            running.case.cases["CONN-2"] += 1
            if not status or not status[0].startswith(b"4"):
                shown = line.decode(errors="replace").strip() or "nothing"
                running.case.find(
                    "served_plain_get", f"a plain GET was answered with {shown}", "http", self.clock()
                )

    async def _publish(self, running: _Running, step: s.Publish) -> None:
        await self._await_room(running, len(step.data))
        if step.prompt:
            await self._prompt(running, step)
        elif step.wait:
            await self._emit(running, step)
        else:
            task = asyncio.create_task(self._emit(running, step))
            running.publishes.append(task)
            await asyncio.sleep(0)  # the request starts now, in this order

    async def _prompt(self, running: _Running, step: s.Publish) -> None:
        """Publish, and see that the deliveries are not delayed (ROB-5)."""
        before = self.ticker.seconds
        event = await self._emit(running, step)

        def arrived() -> bool:
            return all(debt.peer.stalled for debt in event.debts.values())

        came = await self._until(running, arrived)
        if not came and not running.lossy:
            came = await self._until(running, arrived, longer=_LATE)
            running.lossy = not came
        if came:
            self._judge_delivery(running, self.ticker.seconds - before)

    def _judge_delivery(self, running: _Running, seconds: float, slack: float = 1.0) -> None:
        """Judge a delivery that took `seconds` while another reader stalls."""
        self._judge_delay(running.case, "publisher", seconds, "ROB-5", self.pace.prompt * slack)

    def _judge_delay(self, case: Case, conn: str, seconds: float, clause: str | None, limit: float) -> None:
        """Judge what took `seconds` while another connection misbehaves, by the clause that protects it."""
        if clause is not None and seconds > limit:
            what = "not delivered" if conn == "publisher" else "not confirmed"
            doing = "stalls" if clause == "ROB-5" else "misbehaves"
            message = f"{what} within {seconds:.2f} s, while another connection {doing}"
            case.find("delayed", message, conn, self.clock(), clause=clause, expected=f"within {limit:.2f} s")

    async def _emit(self, running: _Running, step: s.Publish) -> Event:
        case, at = running.case, self.clock()
        data = step.data if self.trigger.controls_payload else None
        event = self.model.publishing(case, step.investigation_id, data, at, exact=step.exact)
        event.size = len(step.data)
        case.log(at, "publisher", "*", f"publish {values.show(step.investigation_id)}: {step.data[:400]}")
        answer: Answer | None = None
        try:
            answer = await self.trigger.emit(step.investigation_id, step.data)
        finally:
            accepted = answer.accepted if answer else None
            self.model.published(event, accepted=accepted, at=self.clock())
        if answer.accepted is None and any(peer.stalled for peer in case.peers):
            waiting = [peer for peer in verdicts.subscribers(event) if not peer.has_stalled]
            if any(peer not in event.received for peer in waiting):
                self._judge_delivery(running, self.clock() - at)
        if answer.accepted is not True and step.investigation_id == self.model.forbidden:
            self.model.forbidden_refused = answer.detail or "no answer"
        elif answer.accepted is not True:
            case.refused_payloads += 1
            case.log(self.clock(), "publisher", "*", answer.detail)
            legal = self.trigger.controls_payload and publishable(step.data, step.investigation_id)
            if answer.server_error or (answer.invalid and legal):
                case.find("refused_event", answer.detail, "publisher", self.clock(), expected=step.data[:400])
        return event

    async def _await_room(self, running: _Running, size: int) -> None:
        """Wait until no reader is behind by so much that the server may end it as slow (FLW-2)."""
        limits = self.model.capabilities.welcome.get("limits", {})
        most = limits.get("max_queue_bytes", _DEFAULT_QUEUE) * _SHARE_OF_QUEUE

        def is_room() -> bool:
            return all(
                size + behind <= most
                for peer in running.case.peers
                if peer.serves and not peer.may_end
                if (behind := sum(debt.event.size for debt in peer.debts if debt.event is not None))
            )

        if not running.crowded and not is_room():
            running.crowded = not await self._until(running, is_room)

    async def _resume(self, running: _Running, step: s.Resume) -> None:
        peer = self._peer(running, step.conn)
        peer.link.resume_reading()
        self.model.capabilities.resuming(peer, _published(peer), self.clock() - peer.stalled_at)
        running.case.log(self.clock(), step.conn, "*", "reads again")
        peer.stalled = False
        await self._until(running, lambda: peer.gone or not peer.debts)
        if any(finding.kind == "lost" for finding in running.case.findings):
            return  # it is not known whether anything waited
        if step.must_have_ended and not await self._until(running, lambda: peer.gone):
            message = "a reader that stalled for long was never ended, however much waited for it"
            running.case.find("never_ended", message, step.conn, self.clock())
        running.answered = step.answers and peer.gone

    # Fences and deadlines

    async def _settle(self, running: _Running, *, last: bool) -> None:
        await self._caught_up(running)
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
                asyncio.create_task(self._emit(running, s.Publish(investigation_id, data)))
            )
        await self._caught_up(running)
        await asyncio.sleep(self.pace.grace)
        self.model.fence_passed(case)

    async def _caught_up(self, running: _Running) -> None:
        """Wait until all that was published is delivered."""
        before = self.ticker.seconds
        events = await asyncio.gather(*running.publishes)
        running.publishes.clear()
        await self._collect(running)
        if any(peer.stalled for peer in running.case.peers):
            # A server may answer the publisher late; what counts is when the event arrives.
            delays = [
                at - event.started
                for event in events
                for peer, at in event.received.items()
                if not peer.has_stalled
            ]
            took = min(max(delays, default=0.0), self.ticker.seconds - before)
            self._judge_delivery(running, took, _BULKY)

    async def _collect(self, running: _Running) -> None:
        if not await self._until(running, lambda: running.case.settled):
            self.model.overdue(running.case, self.clock())

    async def _until(self, running: _Running, done: Callable[[], bool], *, longer: float = 0.0) -> bool:
        """Wait for `done`, as long as something that was owed keeps coming; False when it is overdue."""
        case = running.case
        seen, since, asked = case.progressed_at, self.ticker.seconds, False
        while not done():
            running.changed.clear()
            try:
                async with asyncio.timeout(_LOOK):
                    await running.changed.wait()
            except TimeoutError:
                pass
            if case.progressed_at != seen:
                self.pace.measured(self.ticker.seconds - since)
                seen, since = case.progressed_at, self.ticker.seconds
            limit = max(self.pace.deadline * running.patience, longer)
            if self.ticker.seconds - since <= limit:
                continue
            if asked:
                running.patience = min(running.patience, 0.3)  # what is slow to fail once fails fast again
                return done()
            asked = True
            await self._sign_of_life()
            since = self.ticker.seconds - limit * 0.7
        return True

    async def _sign_of_life(self) -> None:
        """Before something counts as missing, see whether the server is alive or stalls as a whole."""
        try:
            link = await Link.open(
                self.endpoint, Names(self._rng).client("alive"), self.clock, within=_LIFE_WITHIN
            )
        except (Refused, Unreachable):
            return
        self.leave(link)


def _published(peer: Peer) -> int:
    """About how many bytes were published for a connection."""
    return sum(
        len(json.dumps(event.data))
        for investigation in peer.case.investigations.values()
        if peer in investigation.subscriptions
        for event in investigation.events
    )


def _value(data: bytes) -> object:
    """What a message's JSON means, if it is JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
