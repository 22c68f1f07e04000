"""One WebSocket connection: its session, inbox and writer on an aiohttp response.

What a client does wrong (ROB-2): malformed text is ignored, and said to the debug log, and to clients that
negotiated `errors`. A binary message closes with 1003. aiohttp closes with 1002 what breaks RFC 6455, with
1007 what is no UTF-8, with 1009 what is over the limit. Who does not read what is sent is closed with 4002
(without `hello` 1013) or, reading nothing at all, aborted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiohttp import WSMsgType, web
from osint_events import Ping
from osint_events.close_codes import CloseCode

from osint_events_server import frames
from osint_events_server.access import Access
from osint_events_server.auth import AuthenticatorFailure, Unauthorized
from osint_events_server.counts import Counts
from osint_events_server.forms import Form
from osint_events_server.frames import Frames
from osint_events_server.hub import Hub
from osint_events_server.inbox import Inbox, NotYet
from osint_events_server.linger import Lingering
from osint_events_server.liveness import Liveness
from osint_events_server.logs import Log
from osint_events_server.outbox import Outbox
from osint_events_server.positions import Positions
from osint_events_server.replay import Replayer
from osint_events_server.session import (
    Authenticate,
    Command,
    Confirm,
    Ignored,
    Negotiated,
    Send,
    Session,
    Subscribe,
    Unauthenticated,
    Unsubscribe,
)
from osint_events_server.settings import Settings
from osint_events_server.store import EventStore, StoreUnavailable
from osint_events_server.throttle import RateAbuse, RateLimit, TokenBucket
from osint_events_server.writer import Writer

_PING_FRAME = Frames(b"\x89\x00")  # a control frame without payload (RFC 6455, section 5.5.2)


class Connection:
    """A connected client. Two of them are never equal, whatever their `client_id`s (CONN-5).

    Args:
        log: says which connection it is about.
        ws: the response, prepared.
        transport: the connection's transport, to which ready frames are written.
        is_lost: whether the connection is gone, so that the transport is not to be touched any more.
        drain: waits until the transport's buffer is below its low-water mark again.
        session: its protocol state.
        access: who the client is.
        hub: where the connection subscribes.
        store: says where a subscription begins.
        positions: makes the tokens of confirmations.
        replayer: replays what was missed.
        lingering: holds the socket where the client is likely to be still sending.
        counts: what happens is counted there.
        settings: the limits.

    Attributes:
        send: write frames now, or queue them while the peer does not keep up; never wait (ROB-5).

    """

    __slots__ = (
        "_access",
        "_bucket",
        "_counts",
        "_ending",
        "_features",
        "_hub",
        "_inbox",
        "_is_deflated",
        "_is_lost",
        "_is_open",
        "_lingering",
        "_liveness",
        "_log",
        "_loop",
        "_outbox",
        "_pings",
        "_positions",
        "_rate_limit",
        "_reading",
        "_replayer",
        "_session",
        "_settings",
        "_store",
        "_transport",
        "_writer",
        "_ws",
        "send",
    )

    def __init__(
        self,
        log: Log,
        *,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        is_lost: Callable[[], bool],
        drain: Callable[[], Awaitable[None]],
        session: Session,
        access: Access,
        hub: Hub["Connection"],
        store: EventStore,
        positions: Positions,
        replayer: Replayer,
        lingering: Lingering,
        counts: Counts,
        settings: Settings,
    ) -> None:
        self._log = log
        self._counts = counts
        self._ws = ws
        self._transport = transport
        self._is_lost = is_lost
        self._session = session
        self._access = access
        self._hub = hub
        self._store = store
        self._positions = positions
        self._replayer = replayer
        self._lingering = lingering
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._is_deflated = bool(ws.compress)
        now = self._loop.time()
        self._bucket = TokenBucket(rate=settings.messages_per_second, burst=settings.burst, now=now)
        self._inbox = Inbox(
            self._bucket,
            clock=self._loop.time,
            carry_out=self._carry_out,
            max_size=2 * settings.max_message_bytes,
        )
        self._rate_limit: RateLimit | None = None  # where the client is told
        self._outbox = Outbox(max_messages=settings.max_queue_messages, max_bytes=settings.max_queue_bytes)
        self._writer = Writer(
            transport,
            self._outbox,
            drain=drain,
            stall=settings.write_timeout,
            give_up=self._give_up_reading,
        )
        self.send: Callable[[Sequence[Frames]], None] = self._writer.send
        self._liveness = Liveness(
            ping=self._ping,
            give_up=self._give_up_answering,
            interval=settings.ping_interval,
            counts=counts,
        )
        self._features: frozenset[str] = frozenset()
        self._pings = 0
        self._ending: tuple[int, str] | None = None
        self._reading = asyncio.timeout(None)
        self._is_open = True

    @property
    def waiting_messages(self) -> int:
        """How many messages wait for the peer to read."""
        return self._outbox.messages

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for the peer to read, besides what the transport holds."""
        return self._outbox.bytes

    async def serve(self) -> None:
        """Carry out what the client sends, until the connection has ended."""
        self._hub.connect(self, deflated=self._is_deflated, may_see=self._access.restriction)
        if self._access.is_awaited:
            self._hub.spare(self)
        self._access.watch(silent=self._give_up_waiting, expired=self._expire)
        self._liveness.watch(self._transport)
        try:
            async with self._reading:
                await self._read()
        except TimeoutError:
            self._log.debug("not read from any more")
        except ConnectionResetError:  # aiohttp answers pings by itself, also of who is gone
            self._log.debug("gone before a pong")
        finally:
            self._is_open = False
            self._hub.disconnect(self)
            self._inbox.close()
            self._liveness.stop()
            self._access.stop()
            self._writer.close()
        if self._ending is not None:
            await self._close(*self._ending)
        elif self._transport.get_write_buffer_size():
            # The client closed but may not read what it asked for: do not wait for ever.
            self._loop.call_later(self._settings.close_timeout, self.abort)

    async def _read(self) -> None:
        async for message in self._ws:
            match message.type:
                case WSMsgType.TEXT:
                    await self._take(message.data)
                case WSMsgType.BINARY if self._access.is_awaited:
                    self._refuse("the first message is no hello with a token")
                    return
                case WSMsgType.BINARY:
                    self.end(CloseCode.UNSUPPORTED_DATA, "text messages only")
                    return
                case WSMsgType.ERROR:
                    # aiohttp answered what breaks RFC 6455 or the limit with a close frame.
                    self._lingering.hold(self._transport)
                    return

    def end(self, code: int, reason: str, *, flush: bool = False) -> None:
        """Begin to close the connection; it is aborted where the peer does not follow in time.

        Args:
            code: the close code.
            reason: the close frame's text, up to 123 bytes.
            flush: whether what waits is still to be sent first; else it is dropped.

        """
        if self._ending is not None or not self._is_open:
            return
        self._log.info("closing with %d, %s", code, reason)
        self._ending = (code, reason)
        self._counts.closed[int(code)] += 1
        self._writer.close(flush=flush)
        # The closing handshake is for `serve` to read, and aiohttp lets one task read at a time.
        self._reading.reschedule(self._loop.time())

    def abort(self) -> None:
        """Drop the connection without a close frame."""
        if not self._is_lost():  # up to Python 3.11, aborting a transport that has closed fails
            self._transport.abort()

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._settings.close_timeout):
                await self._ws.close(code=code, message=reason.encode(), drain=False)
        except TimeoutError:
            self._log.info("no closing handshake in time")
        finally:
            # Without effect where the closing handshake was completed; what is still buffered nobody reads.
            self.abort()

    def _give_up_reading(self, reason: str) -> None:
        self.end(CloseCode.SLOW_CONSUMER if self._features else CloseCode.TRY_AGAIN_LATER, reason)

    def _give_up_waiting(self) -> None:
        self.end(CloseCode.AUTHENTICATION_TIMEOUT, "no hello with a token in time")

    def _expire(self) -> None:
        self.end(CloseCode.AUTHENTICATION_EXPIRED, "authentication expired")

    def _refuse(self, detail: str) -> None:
        self._log.info("unauthorized: %s", detail)
        self.end(CloseCode.UNAUTHORIZED, "unauthorized")

    def _give_up_answering(self) -> None:
        if "heartbeat" in self._features:
            self.end(CloseCode.HEARTBEAT_TIMEOUT, "heartbeat timeout")
        else:
            self._log.info("no sign of life")
            self._counts.closed[CloseCode.ABNORMAL_CLOSURE] += 1
            self._transport.close()
            self._loop.call_later(self._settings.close_timeout, self.abort)

    def _ping(self) -> None:
        if self._access.is_awaited:  # nothing is sent, and nothing answered: another timer ends it (SEC-1)
            self._liveness.received()
        elif "heartbeat" in self._features:
            self._pings += 1
            self._writer.send_first(frames.message(Ping(type="ping", id=f"s{self._pings}")))
        else:
            self._writer.send_first(_PING_FRAME)

    async def _take(self, text: str) -> None:
        self._counts.received_messages += 1
        if self._is_deflated and len(text.encode()) > self._settings.max_message_bytes:
            self.end(CloseCode.MESSAGE_TOO_BIG, "message too large")
        elif self._rate_limit is None:
            await self._inbox.take(text)
        else:
            await self._admit(text, self._rate_limit)

    async def _admit(self, text: str, limit: RateLimit) -> None:
        """Carry a message out or refuse it (FLW-3)."""
        try:
            seconds = limit.admit(self._loop.time())
        except RateAbuse:
            self.end(CloseCode.RATE_ABUSE, "too many messages")
            return
        if seconds:
            await self._perform(self._session.rate_limited(text, seconds=seconds))
            return
        try:
            await self._carry_out(text)
        except NotYet:
            await self._inbox.take(text)

    async def _carry_out(self, text: str) -> None:
        await self._perform(self._session.receive(text))

    async def _perform(self, commands: Iterable[Command]) -> None:
        position = 0
        for command in commands:
            match command:
                case Subscribe():
                    try:
                        position = await self._subscribe(command)
                    except StoreUnavailable as error:
                        await self._perform(self._refusal(command, error))
                        return
                case Confirm():
                    self._confirm(command, position)
                case Unsubscribe(investigation_id):
                    self._hub.unsubscribe(self, investigation_id)
                case Negotiated(features):
                    self._negotiate(features)
                case Send(message, first):
                    self._send(message, first=first)
                case Authenticate() | Unauthenticated():
                    await self._introduce(command)
                case Ignored(code):
                    self._counts.ignored[code] += 1
                    self._log.debug("ignored: %s", code)  # without detail, which may quote the message

    def _send(self, message: Frames, *, first: bool) -> None:
        if first:
            self._writer.send_first(message)
        else:
            self._writer.send((message,))

    async def _introduce(self, command: Authenticate | Unauthenticated) -> None:
        """Decide by what the client says about itself first (SEC-1)."""
        if isinstance(command, Unauthenticated):
            self._refuse(command.detail)
            return
        try:
            await self._access.authenticate(command.token)
        except Unauthorized as refused:
            self._refuse(str(refused))
        except AuthenticatorFailure as failure:
            self._log.error("the authenticator failed: %s", failure)
            self.end(CloseCode.INTERNAL_ERROR, "internal error")
        else:
            await self._perform(self._session.authenticated(command.hello, self._access.may_see))

    def _refusal(self, wanted: Subscribe, error: StoreUnavailable) -> Sequence[Command]:
        """Take a subscription back; it is tried again for who would wait for an answer for ever."""
        refusal = self._session.unavailable(
            wanted.investigation_id, ref=wanted.ref, retry_after=error.retry_after
        )
        if "errors" not in self._features:
            raise NotYet(error.retry_after) from error
        return refusal

    async def _subscribe(self, wanted: Subscribe) -> int:
        """Subscribe at a position that nobody is ahead of, and return it (SUB-2, DEL-5)."""
        after = wanted.after
        if not self._hub.is_subscribed(self, wanted.investigation_id):
            after = max(after, await self._store.head())
        form = Form(wanted.scope, wanted.sequenced, self._is_deflated)
        return self._hub.subscribe(self, wanted.investigation_id, form, after=after)

    def _confirm(self, wanted: Confirm, position: int) -> None:
        confirmation = wanted.confirmation
        if wanted.resume is None:
            self._writer.send((confirmation.at(self._positions, position),))
        elif isinstance(wanted.resume, int):
            form = Form(wanted.scope, sequenced=True, deflated=self._is_deflated)
            epoch = self._positions.epoch
            self._writer.replay(
                self._replayer.replay(confirmation, form, epoch=epoch, after=wanted.resume, head=position)
            )
        else:
            self._counts.replays[wanted.resume] += 1
            failed = confirmation.failed(self._positions, position, reason=wanted.resume)
            self._writer.send((failed,))

    def _negotiate(self, features: frozenset[str]) -> None:
        """Use what was negotiated from now on."""
        self._features = features
        self._hub.spare(self)
        if "heartbeat" in features:
            self._writer.heartbeat = self._liveness.negotiate(timeout=self._settings.pong_timeout)
        if "flow" in features:
            self._writer.tells_pressure = True
        if features & {"flow", "errors"}:
            settings = self._settings
            refusals = TokenBucket(
                rate=settings.messages_per_second, burst=settings.burst, now=self._loop.time()
            )
            self._rate_limit = RateLimit(self._bucket, refusals)
