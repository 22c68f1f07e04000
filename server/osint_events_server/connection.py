"""One WebSocket connection: its session, inbox and writer on an aiohttp response.

What a client does wrong (ROB-2): malformed text is ignored, and said to the debug log, and to clients that
negotiated `errors`. A binary message closes with 1003. aiohttp closes with 1002 what breaks RFC 6455, with
1007 what is no UTF-8, with 1009 what is over the limit. Who does not read what is sent is closed with 4002
(without `hello` 1013) or, reading nothing at all, aborted.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from aiohttp import WSMsgType, web
from osint_events import Ping
from osint_events.close_codes import CloseCode

from osint_events_server import frames, logs
from osint_events_server.access import Access
from osint_events_server.auth import AuthenticatorFailure, Unauthorized
from osint_events_server.counts import Counts
from osint_events_server.forms import Form
from osint_events_server.frames import Frames
from osint_events_server.hub import Hub
from osint_events_server.inbox import Inbox, NotYet
from osint_events_server.linger import Lingering
from osint_events_server.liveness import Liveness
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
from osint_events_server.sockets import Sockets
from osint_events_server.store import EventStore, StoreUnavailable
from osint_events_server.throttle import RateAbuse, RateLimit, TokenBucket
from osint_events_server.watched import watch
from osint_events_server.writer import Writer

_log = logging.getLogger(__name__)
_PING_FRAME = Frames(b"\x89\x00")  # a control frame without payload (RFC 6455, section 5.5.2)


@dataclass(frozen=True, slots=True)
class Node:
    """What the connections of a node share.

    Attributes:
        settings: the limits.
        hub: where a connection subscribes.
        sockets: where an event for many of them is written.
        store: says where a subscription begins.
        positions: makes the tokens of confirmations.
        replayer: replays what was missed.
        lingering: holds the socket where the client is likely to be still sending.
        counts: what happens is counted there.
        clock: the event loop's.

    """

    settings: Settings
    hub: "Hub[Connection]"
    sockets: Sockets
    store: EventStore
    positions: Positions
    replayer: Replayer
    lingering: Lingering
    counts: Counts
    clock: Callable[[], float]


class Connection:
    """A connected client. Two of them are never equal, whatever their `client_id`s (CONN-5).

    Args:
        node: what it shares with others.
        connection_id: its name in logs, beside the `client_id`.
        client_id: what the client calls itself.
        ws: the response, prepared.
        transport: the connection's transport, to which ready frames are written.
        drain: waits until the transport's buffer is below its low-water mark again.
        session: its protocol state.
        access: who the client is.

    Attributes:
        number: stands for it among the node's sockets.

    """

    # There are many: what they share is not theirs, and what most do without is made when it is needed.
    __slots__ = (
        "_access",
        "_bucket",
        "_client_id",
        "_connection_id",
        "_ending",
        "_features",
        "_inbox",
        "_is_deflated",
        "_is_lost",
        "_is_open",
        "_liveness",
        "_node",
        "_outbox",
        "_pings",
        "_rate_limit",
        "_reading",
        "_session",
        "_transport",
        "_writer",
        "_ws",
        "number",
    )

    def __init__(
        self,
        node: Node,
        *,
        connection_id: str,
        client_id: str,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        drain: Callable[[], Awaitable[None]],
        session: Session,
        access: Access,
    ) -> None:
        settings = node.settings
        self._node = node
        self._connection_id = connection_id
        self._client_id = client_id
        self._ws = ws
        self._transport = transport
        self._session = session
        self._access = access
        self._is_deflated = bool(ws.compress)
        self._bucket = TokenBucket(rate=settings.messages_per_second, burst=settings.burst, now=node.clock())
        self._inbox = Inbox(
            self._bucket,
            clock=node.clock,
            carry_out=self._carry_out,
            max_size=2 * settings.max_message_bytes,
        )
        self._rate_limit: RateLimit | None = None  # where the client is told
        self._outbox = Outbox(max_messages=settings.max_queue_messages, max_bytes=settings.max_queue_bytes)
        self._writer = Writer(
            transport,
            self._outbox,
            node.sockets,
            drain=drain,
            stall=settings.write_timeout,
            give_up=self._give_up_reading,
        )
        self.number = self._writer.number
        self._liveness = Liveness(self, interval=settings.ping_interval, counts=node.counts)
        self._features: frozenset[str] = frozenset()
        self._pings = 0
        self._ending: tuple[int, str] | None = None
        self._reading = asyncio.timeout(None)
        self._is_open = True
        self._is_lost = False

    @property
    def _log(self) -> logs.Log:
        return logs.of_connection(_log, connection_id=self._connection_id, client_id=self._client_id)

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
        self._node.hub.connect(self, deflated=self._is_deflated, may_see=self._access.restriction)
        if self._access.is_awaited:
            self._node.hub.spare(self)
        self._access.watch(silent=self._give_up_waiting, expired=self._expire)
        watch(self._transport, self)
        self._writer.open()
        try:
            async with self._reading:
                await self._read()
        except TimeoutError:
            self._log.debug("not read from any more")
        except ConnectionResetError:  # aiohttp answers pings by itself, also of who is gone
            self._log.debug("gone before a pong")
        finally:
            self._is_open = False
            self._node.hub.disconnect(self)
            self._inbox.close()
            self._liveness.stop()
            self._access.stop()
            self._writer.close()
        if self._ending is not None:
            await self._close(*self._ending)
        elif self._transport.get_write_buffer_size():
            # The client closed but may not read what it asked for: do not wait for ever.
            asyncio.get_running_loop().call_later(self._node.settings.close_timeout, self.abort)

    async def _read(self) -> None:
        while True:
            message = await self._ws.receive()  # rather than `async for`, which keeps a frame of its own
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
                    self._node.lingering.hold(self._transport)
                    return
                case _:  # closed
                    return
            del message  # it may be long, and the next one long in coming

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
        self._node.counts.closed[int(code)] += 1
        self._writer.close(flush=flush)
        # The closing handshake is for `serve` to read, and aiohttp lets one task read at a time.
        self._reading.reschedule(self._node.clock())

    def abort(self) -> None:
        """Drop the connection without a close frame."""
        if not self._is_lost:  # up to Python 3.11, aborting a transport that has closed fails
            self._transport.abort()

    def received(self, size: int) -> None:
        """Take note that something came; of any kind, it is a sign of life."""
        self._liveness.received(size)

    def pause(self) -> None:
        """Take note that the transport holds something."""
        self._writer.pause()

    def resume(self) -> None:
        """Take note that the transport holds nothing any more."""
        self._writer.resume()

    def lose(self) -> None:
        """Take note that the client is gone, before anybody else can have its socket's number."""
        self._is_lost = True
        self._node.hub.disconnect(self)
        self._writer.lose()

    def sent_at(self) -> float:
        """Return when events were last written to the socket past the writer."""
        return -math.inf if self._writer.is_busy else self._node.hub.sent_at(self)

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._node.settings.close_timeout):
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

    def give_up_answering(self) -> None:
        """End the connection: no sign of life came (HB-2)."""
        if "heartbeat" in self._features:
            self.end(CloseCode.HEARTBEAT_TIMEOUT, "heartbeat timeout")
        else:
            self._log.info("no sign of life")
            self._node.counts.closed[CloseCode.ABNORMAL_CLOSURE] += 1
            self._writer.close()
            self._transport.close()
            asyncio.get_running_loop().call_later(self._node.settings.close_timeout, self.abort)

    def ping(self) -> None:
        """Ask for a sign of life (HB-2)."""
        if self._access.is_awaited:  # nothing is sent, and nothing answered: another timer ends it (SEC-1)
            self._liveness.received()
        elif "heartbeat" in self._features:
            self._pings += 1
            self._writer.send_first(frames.message(Ping(type="ping", id=f"s{self._pings}")))
        else:
            self._writer.send_first(_PING_FRAME)

    async def _take(self, text: str) -> None:
        self._node.counts.received_messages += 1
        if self._is_deflated and len(text.encode()) > self._node.settings.max_message_bytes:
            self.end(CloseCode.MESSAGE_TOO_BIG, "message too large")
        elif self._rate_limit is None:
            await self._inbox.take(text)
        else:
            await self._admit(text, self._rate_limit)

    async def _admit(self, text: str, limit: RateLimit) -> None:
        """Carry a message out or refuse it (FLW-3)."""
        try:
            seconds = limit.admit(self._node.clock())
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
                    self._node.hub.unsubscribe(self, investigation_id)
                case Negotiated(features):
                    self._negotiate(features)
                case Send(message, first):
                    self._send(message, first=first)
                case Authenticate() | Unauthenticated():
                    await self._introduce(command)
                case Ignored(code):
                    self._node.counts.ignored[code] += 1
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
        if not self._node.hub.is_subscribed(self, wanted.investigation_id):
            after = max(after, await self._node.store.head())
        form = Form(wanted.scope, wanted.sequenced, self._is_deflated)
        return self._node.hub.subscribe(self, wanted.investigation_id, form, after=after)

    def _confirm(self, wanted: Confirm, position: int) -> None:
        confirmation = wanted.confirmation
        if wanted.resume is None:
            self._writer.send((confirmation.at(self._node.positions, position),))
        elif isinstance(wanted.resume, int):
            form = Form(wanted.scope, sequenced=True, deflated=self._is_deflated)
            epoch = self._node.positions.epoch
            self._writer.replay(
                self._node.replayer.replay(
                    confirmation, form, epoch=epoch, after=wanted.resume, head=position
                )
            )
        else:
            self._node.counts.replays[wanted.resume] += 1
            failed = confirmation.failed(self._node.positions, position, reason=wanted.resume)
            self._writer.send((failed,))

    def _negotiate(self, features: frozenset[str]) -> None:
        """Use what was negotiated from now on."""
        self._features = features
        self._node.hub.spare(self)
        if "heartbeat" in features:
            self._writer.heartbeat = self._liveness.negotiate(timeout=self._node.settings.pong_timeout)
        if "flow" in features:
            self._writer.tells_pressure = True
        if features & {"flow", "errors"}:
            settings = self._node.settings
            refusals = TokenBucket(
                rate=settings.messages_per_second, burst=settings.burst, now=self._node.clock()
            )
            self._rate_limit = RateLimit(self._bucket, refusals)
