"""The steps that open connections, in the right way and in wrong ones."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from osint_events_conformance import script as s
from osint_events_conformance import security, values
from osint_events_conformance.context import Context, Running
from osint_events_conformance.model import Model
from osint_events_conformance.names import Names
from osint_events_conformance.pace import Ticker
from osint_events_conformance.records import Peer
from osint_events_conformance.wire import Ended, Link, Refused, Text, Unreachable

_BUSY = frozenset({429, 503})
_BUSY_RETRIES = 5
_HTTP_ANSWER_BYTES = 4096


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


class Connecting:
    """Opens the connections of scripts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._busy_retries = _BUSY_RETRIES

    async def connect(self, running: Running, step: s.Connect) -> None:
        """Connect; what refuses is a finding (CONN-1)."""
        running.peers[step.conn] = None
        case = running.case
        self._context.model.connecting(case, step.client_id)
        link = await self._open(running, step)
        if isinstance(link, Refused):
            case.log(self._context.clock(), step.conn, "*", f"connect as {step.client_id!r}: {link}")
            if step.auth == "none" and self._context.endpoint.credentials.own is not None:
                knows_hello = self._context.model.capabilities.offered is not None
                security.judge_refusal(case, step.conn, link, self._context.clock(), knows_hello=knows_hello)
                return
            kind = "refused_odd_client_id" if step.optional else "refused_upgrade"
            message, racy = f"{link} for client_id {values.show(step.client_id)}", link.status is None
            case.find(kind, message, step.conn, self._context.clock(), racy=racy)
        if not isinstance(link, Link):
            return
        case.cases["CONN-1"] += 1
        case.log(self._context.clock(), step.conn, "*", f"connected as {step.client_id!r}")
        peer = self._context.model.connected(case, step.conn, link)
        peer.stranger = step.auth == "none" and self._context.endpoint.credentials.own is not None
        peer.privileged = step.auth == "trigger"

        def answer(type_: str, id_: str) -> None:
            case.log(self._context.clock(), step.conn, ">", f'{{"type": "{type_}", "id": {json.dumps(id_)}}}')
            text = json.dumps({"type": type_, "id": id_}).encode()
            link.write(link.framed(text))

        peer.answer = answer
        running.peers[step.conn] = peer
        link.attach(_Ear(self._context.model, peer, self._context.clock, self._context.ticker))

    async def knock(self, running: Running, step: s.Knock) -> None:
        """Shake hands in a way that must be refused (SEC-1, SEC-3)."""
        case = running.case
        what = f"token {step.auth}" if step.origin is None else f"origin {values.show(step.origin)}"
        case.log(self._context.clock(), step.conn, "*", f"connect as {step.client_id!r} with {what}")
        link = await self._open(running, step, step.origin)
        if isinstance(link, Link):
            case.log(self._context.clock(), step.conn, "*", "connected")
            self._context.leave(link)
        elif link is not None:
            case.log(self._context.clock(), step.conn, "*", str(link))
        else:
            return
        security.judge_knock(case, step, link if isinstance(link, Refused) else None, self._context.clock())

    async def turned_away(self, running: Running, step: s.TurnedAway) -> None:
        """Say something as a stranger, and wait for the end (SEC-1)."""
        peer, case = running.peer(step.conn), running.case
        peer.turned_away = True
        if step.text is not None:
            token = self._context.endpoint.credentials.token(step.auth) or ""
            text = step.text.replace("{token}", json.dumps(token)[1:-1])
            case.log(
                self._context.clock(), step.conn, ">", step.text.replace("{token}", f"(token: {step.auth})")
            )
            peer.link.write(peer.link.framed(text.encode()))
            await peer.link.drain()
        await self._context.until(running, lambda: peer.gone, longer=step.seconds)
        security.judge_turned_away(peer, step, self._context.clock())

    async def http(self, running: Running, step: s.Http) -> None:
        """Send what is no WebSocket handshake (CONN-2)."""
        parts = urlsplit(self._context.endpoint.address(Names(self._context.rng).client("http")))
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
        data = step.data.replace(b"{path}", parts.path.encode()).replace(b"{host}", parts.netloc.encode())
        tls = (self._context.endpoint.tls or True) if parts.scheme == "wss" else None
        running.case.log(self._context.clock(), "http", ">", data[:200].decode(errors="backslashreplace"))
        line = b""
        try:
            async with asyncio.timeout(max(2.0, self._context.pace.deadline)):
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
            running.case.log(self._context.clock(), "http", "<", f"no answer: {error!r}")
        status = line.split(b" ")[1:2]
        running.case.log(self._context.clock(), "http", "<", line.decode(errors="replace").strip())
        if step.expect_client_error:
            running.case.cases["CONN-2"] += 1
            if not status or not status[0].startswith(b"4"):
                shown = line.decode(errors="replace").strip() or "nothing"
                running.case.find(
                    "served_plain_get",
                    f"a plain GET was answered with {shown}",
                    "http",
                    self._context.clock(),
                )

    async def _open(
        self, running: Running, step: s.Connect | s.Knock, origin: str | None = None
    ) -> Link | Refused | None:
        """Shake hands, again where the server is busy; None where it is gone, which is on record then."""
        for attempt in itertools.count():
            try:
                return await Link.open(
                    self._context.endpoint,
                    step.client_id,
                    self._context.clock,
                    within=max(self._context.pace.handshake, self._context.pace.deadline),
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
                running.case.find(
                    "unreachable", f"the server is gone: {error}", step.conn, self._context.clock()
                )
                return None
        raise AssertionError
