"""One WebSocket connection: its session, inbox and outbox on an aiohttp response.

What a client does wrong (ROB-2): malformed text is ignored, and said to the debug log alone. A binary message
closes with 1003. aiohttp closes with 1002 what breaks RFC 6455, with 1007 what is no UTF-8, with 1009 what
is over the limit. Who does not read what is sent is closed with 1013 or, reading nothing at all, aborted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import WSCloseCode, WSMsgType, web

from osint_events_server.frames import Frames
from osint_events_server.hub import Hub
from osint_events_server.inbox import Inbox
from osint_events_server.linger import Lingering
from osint_events_server.outbox import Outbox, OutboxFull
from osint_events_server.session import Ignored, Send, Session, Subscribe
from osint_events_server.settings import Settings
from osint_events_server.throttle import TokenBucket

_log = logging.getLogger(__name__)


class Connection:
    """A connected client. Two of them are never equal, whatever their `client_id`s (CONN-5).

    Args:
        client_id: for the log only.
        ws: the response, prepared.
        transport: the connection's transport, to which ready frames are written.
        is_lost: whether the connection is gone, so that the transport is not to be touched any more.
        drain: waits until the transport's buffer is below its low-water mark again.
        hub: where the connection subscribes.
        lingering: holds the socket where the client is likely to be still sending.
        settings: the limits.

    """

    def __init__(
        self,
        client_id: str,
        *,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        is_lost: Callable[[], bool],
        drain: Callable[[], Awaitable[None]],
        hub: Hub["Connection"],
        lingering: Lingering,
        settings: Settings,
    ) -> None:
        self._client_id = client_id
        self._ws = ws
        self._transport = transport
        self._is_lost = is_lost
        self._drain = drain
        self._hub = hub
        self._lingering = lingering
        self._write_timeout = settings.write_timeout
        self._close_timeout = settings.close_timeout
        self._loop = asyncio.get_running_loop()
        self._session = Session(max_subscriptions=settings.max_subscriptions)
        self._inbox = Inbox(
            TokenBucket(rate=settings.messages_per_second, burst=settings.burst, now=self._loop.time()),
            clock=self._loop.time,
            carry_out=self._carry_out,
            max_size=2 * settings.max_message_bytes,
        )
        self._outbox = Outbox(max_messages=settings.max_queue_messages, max_bytes=settings.max_queue_bytes)
        _, self._high_water = transport.get_write_buffer_limits()
        self._flushing: asyncio.Task[None] | None = None
        self._ending: tuple[int, str] | None = None
        self._reading = asyncio.timeout(None)
        self._is_open = True

    async def serve(self) -> None:
        """Carry out what the client sends, until the connection has ended."""
        self._hub.connect(self)
        try:
            async with self._reading:
                await self._read()
        except TimeoutError:
            _log.debug("%s: not read from any more", self._client_id)
        finally:
            self._is_open = False
            self._hub.disconnect(self)
            self._inbox.close()
            self._outbox.clear()
        if self._ending is not None:
            await self._close(*self._ending)
        elif self._transport.get_write_buffer_size():
            # The client closed but may not read what it asked for: do not wait for ever.
            self._loop.call_later(self._close_timeout, self.abort)

    async def _read(self) -> None:
        async for message in self._ws:
            match message.type:
                case WSMsgType.TEXT:
                    await self._inbox.take(message.data)
                case WSMsgType.BINARY:
                    self.end(WSCloseCode.UNSUPPORTED_DATA, "text messages only")
                    return
                case WSMsgType.ERROR:
                    # aiohttp answered what breaks RFC 6455 or the limit with a close frame.
                    self._lingering.hold(self._transport)
                    return

    def send(self, writes: Sequence[Frames]) -> None:
        """Write frames now, or queue them while the peer does not keep up; never wait (ROB-5)."""
        transport = self._transport
        if self._ending is not None or self._ws.closed or transport.is_closing():
            return
        for frames in writes:
            # While nothing is being flushed, nothing waits.
            if self._flushing is None and transport.get_write_buffer_size() <= self._high_water:
                transport.write(frames.wire)
                continue
            try:
                self._outbox.put(frames)
            except OutboxFull:
                self.end(WSCloseCode.TRY_AGAIN_LATER, "slow consumer")
                return
            if self._flushing is None:
                self._flushing = self._loop.create_task(self._flush())

    def end(self, code: int, reason: str, *, flush: bool = False) -> None:
        """Begin to close the connection; it is aborted where the peer does not follow in time.

        Args:
            code: the close code.
            reason: the close frame's text, up to 123 bytes.
            flush: whether what waits is still to be sent first; else it is dropped.

        """
        if self._ending is not None or not self._is_open:
            return
        _log.info("%s: closing with %d, %s", self._client_id, code, reason)
        self._ending = (code, reason)
        while flush and self._outbox:
            self._transport.write(self._outbox.take().wire)
        self._outbox.clear()
        # The closing handshake is for `serve` to read, and aiohttp lets one task read at a time.
        self._reading.reschedule(self._loop.time())

    def abort(self) -> None:
        """Drop the connection without a close frame."""
        if not self._is_lost():  # up to Python 3.11, aborting a transport that has closed fails
            self._transport.abort()

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._close_timeout):
                await self._ws.close(code=code, message=reason.encode(), drain=False)
        except TimeoutError:
            _log.info("%s: no closing handshake in time", self._client_id)
        finally:
            # Without effect where the closing handshake was completed; what is still buffered nobody reads.
            self.abort()

    def _carry_out(self, text: str) -> None:
        for command in self._session.receive(text):
            match command:
                case Subscribe(investigation_id):
                    self._hub.subscribe(self, investigation_id)
                case Send(frames):
                    self.send((frames,))
                case Ignored(code, detail):
                    _log.debug("%s: ignored, %s: %s", self._client_id, code, detail)

    async def _flush(self) -> None:
        """Move what waits to the transport as the peer reads."""
        try:
            while self._outbox and not self._transport.is_closing():
                if self._transport.get_write_buffer_size() <= self._high_water:
                    self._transport.write(self._outbox.take().wire)
                elif not await self._drained():
                    self.end(WSCloseCode.TRY_AGAIN_LATER, "stalled")
        finally:
            self._flushing = None

    async def _drained(self) -> bool:
        """Wait until the transport takes more; say whether it does. False means stalled or gone."""
        # Never cancelled: aiohttp lets all who drain a connection wait for one future.
        drain = asyncio.ensure_future(self._drain())
        while True:
            before = self._transport.get_write_buffer_size()
            done, _ = await asyncio.wait((drain,), timeout=self._write_timeout)
            if done:
                return drain.exception() is None
            if self._transport.get_write_buffer_size() >= before:
                return False
