"""Writing to one connection: at once where its peer keeps up, else from its outbox as the peer reads."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

from osint_events import Backpressure

from osint_events_server import frames
from osint_events_server.frames import Frames
from osint_events_server.heartbeat import Heartbeat
from osint_events_server.outbox import Outbox, OutboxFull, Replay
from osint_events_server.sockets import Sockets


class Writer:
    """The sending side of a connection.

    Args:
        transport: where frames are written.
        outbox: where they wait.
        sockets: where frames for many connections are written past the writer, as long as nothing waits here.
        drain: waits until the transport's buffer is below its low-water mark again.
        stall: seconds in which a peer that reads nothing is given up.
        give_up: is called, once, with the reason, where the peer does not read what it is sent (FLW-2).

    Attributes:
        number: the writer's among the `sockets`.
        heartbeat: is told when something is sent, where there is one.
        tells_pressure: whether the peer is told how full its queue is (FLW-1).

    """

    __slots__ = (
        "_drain",
        "_flushing",
        "_give_up",
        "_high_water",
        "_is_held",
        "_is_lost",
        "_is_open",
        "_is_replaying",
        "_loop",
        "_outbox",
        "_sockets",
        "_stall",
        "_transport",
        "heartbeat",
        "number",
        "tells_pressure",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        outbox: Outbox,
        sockets: Sockets,
        *,
        drain: Callable[[], Awaitable[None]],
        stall: float,
        give_up: Callable[[str], None],
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._drain = drain
        self._stall = stall
        self._give_up = give_up
        _, self._high_water = transport.get_write_buffer_limits()
        self._sockets = sockets
        self._loop = asyncio.get_running_loop()
        self._flushing: asyncio.Task[None] | None = None
        self._is_replaying = False
        self._is_open = True
        self._is_lost = False
        self._is_held = False
        self.heartbeat: Heartbeat | None = None
        self.tells_pressure = False
        self.number = sockets.add(self, _descriptor(transport))

    def open(self) -> None:
        """Let the socket be written to past this writer, which is told what happens to it from now on."""
        if self.number < 0:
            return
        self._is_held = self._transport.get_write_buffer_size() > 0
        # So the transport says whenever it begins to hold something, and when it holds nothing again.
        self._transport.set_write_buffer_limits(high=0)
        self._note()

    def pause(self) -> None:
        """Take note that the transport holds something."""
        self._is_held = True
        self._note()

    def resume(self) -> None:
        """Take note that the transport holds nothing any more."""
        self._is_held = False
        self._note()

    def lose(self) -> None:
        """Take note that the connection is gone, and its socket about to be closed."""
        self.close()
        if not self._is_lost:
            self._is_lost = True
            self._sockets.remove(self.number)
            # Else the two would hold each other until the garbage collector stops all for a while.
            self._give_up = _nobody

    def _note(self) -> None:
        """Say whether the socket may be written to past this writer."""
        if self._is_lost or self.number < 0:
            return
        if self._is_open and not self._is_held and self._flushing is None:
            self._sockets.busy.discard(self.number)
        else:
            self._sockets.busy.add(self.number)

    @property
    def is_busy(self) -> bool:
        """Whether anything waits, or nothing is taken any more."""
        return self._is_held or self._flushing is not None or not self._is_open

    def send_rest(self, wire: bytes) -> None:
        """Write what the socket did not take of a frame now, and before anything else."""
        if not self._transport.is_closing():
            self._transport.write(wire)

    def send(self, writes: Sequence[Frames]) -> None:
        """Write frames now, or queue them while the peer does not keep up; never wait (ROB-5)."""
        transport = self._transport
        if self.heartbeat is not None:
            self.heartbeat.sent_at = self._loop.time()
        for frames_ in writes:
            if not self._is_open or transport.is_closing():  # a write may be the first to notice
                return
            # While nothing is being flushed, nothing waits.
            if self._flushing is None and transport.get_write_buffer_size() <= self._high_water:
                transport.write(frames_.wire)
                continue
            try:
                self._outbox.put(frames_)
            except OutboxFull:
                self._stop("slow consumer")
                return
            self._flush_soon()
        if self.tells_pressure:
            self._tell_pressure()

    def send_first(self, message: Frames) -> None:
        """Write a small message ahead of what waits (HB-1)."""
        if self._flushing is None:
            self.send((message,))
            return
        if not self._is_open or self._transport.is_closing():
            return
        try:
            self._outbox.put_first(message)
        except OutboxFull:
            self._stop("slow consumer")

    def replay(self, replay: Replay) -> None:
        """Write what a replay yields as the peer reads, and what is sent later after it (RPL-5)."""
        if not self._is_open:
            return
        try:
            self._outbox.put_replay(replay)
        except OutboxFull:
            self._stop("slow consumer")
            return
        self._flush_soon()

    def close(self, *, flush: bool = False) -> None:
        """Send nothing any more.

        Args:
            flush: whether what waits is still to be sent, up to the first replay; else it is dropped.

        """
        self._is_open = False
        self._note()
        while flush and not self._is_replaying and self._outbox and self._outbox.take_replay() is None:
            self._transport.write(self._outbox.take().wire)
        self._outbox.clear()

    def _stop(self, reason: str) -> None:
        self.close()
        self._give_up(reason)

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = self._loop.create_task(self._flush())
            self._note()

    async def _flush(self) -> None:
        """Move what waits to the transport as the peer reads."""
        try:
            while self._outbox and await self._has_room():
                replay = self._outbox.take_replay()
                if replay is not None:
                    await self._feed(replay)
                elif self._outbox:
                    self._write(self._outbox.take())
                if self.tells_pressure:
                    self._tell_pressure()
        finally:
            self._flushing = None
            self._note()

    async def _feed(self, replay: Replay) -> None:
        self._is_replaying = True
        try:
            async with aclosing(replay):
                async for write in replay:
                    if not await self._has_room():
                        return
                    while (first := self._outbox.take_first()) is not None:
                        self._write(first)
                    self._write(write)
        except Exception:
            # What comes after half a replay would be taken for all there is.
            self._stop("the replay failed")
            raise
        self._is_replaying = False

    def _write(self, write: Frames) -> None:
        if self._is_open and not self._transport.is_closing():
            self._transport.write(write.wire)
            if self.heartbeat is not None:
                self.heartbeat.sent_at = self._loop.time()

    def _tell_pressure(self) -> None:
        if (pressure := self._outbox.pressure()) is not None:
            message = Backpressure(
                type="backpressure",
                state=pressure.value,
                queued_messages=self._outbox.messages,
                queued_bytes=self._outbox.bytes,
            )
            self.send_first(frames.message(message))

    async def _has_room(self) -> bool:
        """Wait until the transport takes more; say whether it does, or the connection is gone or given up."""
        while self._is_open and not self._transport.is_closing():
            if self._transport.get_write_buffer_size() <= self._high_water:
                return True
            if not await self._drained():
                if self._is_open:
                    self._stop("stalled")
                return False
        return False

    async def _drained(self) -> bool:
        """Wait until the transport has drained; say whether it has. False means stalled or gone."""
        # Never cancelled: aiohttp lets all who drain a connection wait for one future.
        drain = asyncio.ensure_future(self._drain())
        while True:
            before = self._transport.get_write_buffer_size()
            done, _ = await asyncio.wait((drain,), timeout=self._stall)
            if done:
                return drain.exception() is None
            if self._transport.get_write_buffer_size() >= before:
                return False


def _nobody(_reason: str) -> None:
    """Give up nobody: the connection is gone."""


def _descriptor(transport: asyncio.Transport) -> int | None:
    """Return the socket's file descriptor; None where what is written does not go there as it is."""
    socket = transport.get_extra_info("socket")
    if socket is None or transport.get_extra_info("sslcontext") is not None:
        return None
    descriptor: int = socket.fileno()
    return descriptor if descriptor >= 0 else None
