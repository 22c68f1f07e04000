"""The steps that send messages: each is told to the model, and what is owed for it waited for."""

from __future__ import annotations

import asyncio
import itertools
import json

from osint_events.close_codes import CloseCode

from osint_events_conformance import script as s
from osint_events_conformance import verdicts
from osint_events_conformance.context import Context, Running
from osint_events_conformance.pace import Bucket
from osint_events_conformance.positions import Request, Token
from osint_events_conformance.records import Debt, Peer

_DRIP_PAUSE = 0.001
_SUSTAINED = 8.0
"""Seconds for which a connection goes on sending too much before its end is missed (FLW-3)."""
_ABUSE = 10
"""How many times the messages allowed it goes on with, when many bursts did not end it."""
_SHARE_OF_RATE = 0.9
"""Share of the rate that the welcome tells which is used: clocks differ a little."""
_TOO_BIG = CloseCode.MESSAGE_TOO_BIG
_UNSET = Debt("unconfirmed", None, "")  # type: ignore[arg-type]  # the model sets the debt and its peer
_DEBT_OF: dict[type[s.Message], str] = {
    s.Hello: "no_welcome", s.Follow: "unconfirmed", s.Unfollow: "not_unsubscribed", s.AppPing: "no_app_pong",
    s.Mistake: "no_error", s.Forbidden: "no_error",
}  # fmt: skip


def _waits(step: s.Message) -> bool:
    return type(step) in _DEBT_OF and getattr(step, "wait", False)


class Sending:
    """Sends the messages of scripts."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def send(self, running: Running, steps: list[s.Message]) -> None:
        """Send messages of one connection in one segment, and wait for the answers that steps wait for."""
        peer = running.peer(steps[0].conn)
        await self._keep_rate(peer, len(steps))
        data = b""
        for step in steps:
            another = s.Follow | s.Unfollow | s.AppPing | s.Mistake
            anywhere = isinstance(step, s.Forbidden) or (isinstance(step, s.Follow) and step.uninvited)
            if peer.talk is None and isinstance(step, another) and not anywhere:
                continue  # without hello these are messages of another dialect
            token = self._token(running, step) if isinstance(step, s.Follow) and step.token else None
            text = token[0] if token else None
            if isinstance(step, s.Hello):
                text = self._context.endpoint.credentials.token(step.auth)
            if isinstance(step, s.Negotiated):
                self._announce_negotiated(running, step, token)
            else:
                self._announce(running, step)
            data += s.frames(step, text, peer.link.extensions)
            peer.spoke = peer.spoke or not isinstance(step, s.Ping)
        peer.link.write(data)
        await peer.link.drain()
        waited = {_DEBT_OF[type(one)] for one in steps if _waits(one)}
        if waited:
            await self._context.until(running, lambda: not any(debt.kind in waited for debt in peer.debts))
        if any(isinstance(step, s.Subscribe) and step.wait for step in steps):
            debts = [debt for _, debt in peer.unconfirmed]
            before = self._context.ticker.seconds
            await self._context.until(running, lambda: not any(debt in peer.debts for debt in debts))
            if not peer.may_end:
                clause, took = running.case.disturber(peer), self._context.ticker.seconds - before
                at, limit = self._context.clock(), self._context.pace.prompt
                verdicts.judge_delay(running.case, peer.name, clause, seconds=took, limit=limit, at=at)

    async def pieces(self, running: Running, step: s.Pieces) -> None:
        """Send a message in several frames or segments (CONN-7)."""
        peer = running.peer(step.step.conn)
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
            await self._context.until(running, lambda: not peer.unconfirmed)

    async def inflate(self, running: Running, step: s.Inflate) -> None:
        """Send what inflates to too much: only 1009 is an answer (CMP-2)."""
        peer, case = running.peer(step.conn), running.case
        if not peer.link.compresses:
            return
        frame = peer.link.framed(step.payload(), alone=True)
        text = f"a subscribe of {len(frame)} bytes that inflates to {step.size}"
        case.log(self._context.clock(), step.conn, ">", text)
        peer.may_end = True
        self._context.model.misbehaving(peer, "CMP-2")
        peer.link.write(frame)
        await peer.link.drain()
        ended = await self._context.until(running, lambda: peer.gone)
        case.cases["CMP-2"] += 1
        close = peer.link.close_received
        if not ended or close is None or close.code != _TOO_BIG:
            how = "not refused" if not ended else f"answered by close {close.code if close else 'of TCP'}"
            case.find(
                "inflated", f"{text} was {how}", step.conn, self._context.clock(), expected=str(_TOO_BIG)
            )

    async def flood(self, running: Running, step: s.Flood) -> None:
        """Send as fast as the server reads (FLW-3)."""
        peer, judge = running.peer(step.conn), self._context.model.capabilities
        if peer.talk is None:
            return
        running.case.log(self._context.clock(), step.conn, ">", f"{step.count} subscribes at once")
        peer.may_end = peer.may_end or step.until_ended
        before, sent = self._context.ticker.seconds, 0
        rate = peer.talk.welcome.get("limits", {}).get("messages_per_second", step.count)

        def is_enough() -> bool:
            if not step.until_ended:
                return sent >= step.count
            return sent >= step.most and self._context.ticker.seconds - before >= _SUSTAINED

        while not is_enough() and not peer.gone:
            for _ in range(step.count):
                follow = s.Follow(step.conn, step.investigation_id, ref=f"flood {sent}")
                at = self._context.clock()
                request = Request("subscribe", step.investigation_id, follow.ref, at, _UNSET)
                self._context.model.subscribing(peer, step.investigation_id, at, request)
                judge.flooding(peer)
                peer.link.write(s.frames(follow, extensions=peer.link.extensions))
                sent += 1
            await peer.link.drain()
            await self._context.until(running, lambda: not peer.debts)
            if step.until_ended and sent >= step.most:
                await asyncio.sleep(step.count / (_ABUSE * rate))
        if step.until_ended:
            judge.abused(peer, sent, self._context.clock())
        else:
            judge.flooded(peer, sent, self._context.ticker.seconds - before, self._context.clock())

    def _announce(self, running: Running, step: s.Subscribe | s.Say | s.Ping) -> None:
        peer, at = running.peer(step.conn), self._context.clock()
        match step:
            case s.Subscribe(investigation_id=investigation_id):
                self._context.model.subscribing(peer, investigation_id, at)
                running.case.log(at, step.conn, ">", step.payload().decode())
            case s.Ping(data=data):
                self._context.model.pinging(peer, data, at)
                running.case.log(at, step.conn, ">", f"Ping 0x{data.hex()}")
            case s.Say(data=data, role=role, clause=clause, about=about):
                if role == "malformed":
                    self._context.model.misbehaving(peer, clause)
                shown = data[:200].decode(errors="backslashreplace")
                running.case.log(at, step.conn, ">", f"{shown}  ({about})" if about else shown)

    def _announce_negotiated(
        self, running: Running, step: s.Negotiated, token: tuple[str, Token | None] | None
    ) -> None:
        peer, at, judge = running.peer(step.conn), self._context.clock(), self._context.model.capabilities
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
                self._context.model.subscribing(peer, investigation_id, at, request)
            case s.Unfollow():
                judge.unfollowing(peer, json.loads(data), at)
            case s.AppPing():
                judge.pinging(peer, json.loads(data), at)
            case s.Mistake(codes=codes):
                judge.mistaken(peer, _value(data), codes, at)

    def _token(self, running: Running, step: s.Follow) -> tuple[str, Token | None] | None:
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

    async def _keep_rate(self, peer: Peer, count: int) -> None:
        """Send no faster than the welcome allows: what is refused as too much tells nothing else."""
        limits = peer.talk.welcome.get("limits", {}) if peer.talk else {}
        burst, rate = limits.get("burst"), limits.get("messages_per_second")
        if peer.talk is None or not burst or not rate:
            return
        if peer.talk.bucket is None:
            peer.talk.bucket = Bucket(_SHARE_OF_RATE * burst, _SHARE_OF_RATE * rate, self._context.clock())
        wait = peer.talk.bucket.take(count, self._context.clock())
        if wait > 0:
            await asyncio.sleep(wait)


def _value(data: bytes) -> object:
    """What a message's JSON means, if it is JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
