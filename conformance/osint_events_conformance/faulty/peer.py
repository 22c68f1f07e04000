"""One WebSocket connection: frames by `websockets`, and a bounded queue of what waits for the client."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import TYPE_CHECKING

from websockets.exceptions import PayloadTooBig
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN, SEND_EOF, SERVER, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.extensions import Extension

    from .server import Server

_PONG = b"\x8a"
_SHORT, _MEDIUM = 126, 1 << 16


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """Return one unmasked frame (RFC 6455 section 5.2), as a server sends it."""
    head = (0x80 if fin else 0) | opcode
    size = len(payload)
    if size < _SHORT:
        return bytes((head, size)) + payload
    if size < _MEDIUM:
        return struct.pack("!BBH", head, _SHORT, size) + payload
    return struct.pack("!BBQ", head, _SHORT + 1, size) + payload


class Peer(asyncio.Protocol):
    """A connected client, known by this object alone and never by its `client_id` (CONN-5, CONN-6)."""

    def __init__(self, server: Server, client_id: str, transport: asyncio.Transport) -> None:
        self.server = server
        self.client_id = client_id
        self.transport = transport
        self.subscriptions: dict[str, None] = {}
        self.open = True
        """False from the moment that either side has closed: nothing is sent any more."""
        self._frames = Protocol(SERVER, state=OPEN, max_size=server.limits.message_bytes)
        self.fragments: list[bytes] = []
        self.fragmented: Opcode | None = None
        """The opcode of the message of which only some fragments have come."""
        self.inbox: deque[tuple[Opcode, bytes]] = deque()
        self._next_message: asyncio.TimerHandle | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._finished = False
        self._watch: asyncio.TimerHandle | None = None
        self._cut_off: asyncio.TimerHandle | None = None
        transport.set_write_buffer_limits(high=0)

    # What the server does with a client.

    def extend(self, extensions: Sequence[Extension]) -> None:
        """Use the extensions that the handshake agreed on."""
        self._frames.extensions = list(extensions)

    def send(self, message: bytes) -> None:
        """Send one text message, or queue it while the client does not keep up."""
        if self.open:
            self.write(self.server.framed(message))

    def write(self, data: bytes) -> None:
        """Write whole frames as they are; beyond the queue's limits the connection ends (ROB-5)."""
        if not self._paused:
            self.put(data)
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self.server.queue_is_full(self, len(self._waiting), self.queued_bytes):
            self._waiting.clear()
            self._waiting_bytes = 0
            self.server.overflowed(self)

    @property
    def said_goodbye(self) -> bool:
        """Whether the client sent a close frame."""
        return self._frames.close_rcvd is not None

    @property
    def too_big(self) -> bool:
        """Whether the client sent a message beyond `Limits.message_bytes`."""
        return isinstance(self._frames.parser_exc, PayloadTooBig)

    @property
    def queued_bytes(self) -> int:
        """What was written and has not left the process yet, in bytes."""
        return self._waiting_bytes + self.transport.get_write_buffer_size()

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; a client that does not answer is cut off."""
        if self.open:
            self._flush()
            self.put(frame(Close(code, reason).serialize(), Opcode.CLOSE))
            self._end()

    def abort(self) -> None:
        """Drop the TCP connection without a word."""
        self.transport.abort()

    # asyncio.Protocol: reading.

    def data_received(self, data: bytes) -> None:
        """Take bytes in: answer what was asked first, then let control frames out (so a close comes last)."""
        self._frames.receive_data(data)
        for event in self._frames.events_received():
            if isinstance(event, Frame) and self.open:
                self.assemble(event)
        self._work()
        self._let_out()

    def eof_received(self) -> bool:
        """Treat the end of the stream as the end of the connection."""
        self._frames.receive_eof()
        self._let_out()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the client, however its connection ended."""
        self._end()
        for timer in (self._watch, self._next_message, self._cut_off):
            if timer is not None:
                timer.cancel()
        self.server.transports.discard(self.transport)
        self.server.forget(self)

    def assemble(self, event: Frame) -> None:
        """Join fragments (RFC 6455 section 5.4); the library answers the control frames in between."""
        if event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if self.fragmented is None:
            self.fragmented = event.opcode
        self.fragments.append(bytes(event.data))
        if event.fin:
            self.inbox.append((self.fragmented, self.joined(self.fragments)))
            self.fragmented = None
            self.fragments.clear()

    def joined(self, fragments: list[bytes]) -> bytes:
        """Return the message that fragments make."""
        return b"".join(fragments)

    def _work(self) -> None:
        """Handle the messages that were read, at the rate that the server allows (ROB-6)."""
        if self._next_message is not None:
            return
        while self.inbox and self.open:
            delay = self.server.throttle(self)
            if delay > 0:
                self._next_message = asyncio.get_running_loop().call_later(delay, self._resume)
                self.transport.pause_reading()
                return
            opcode, data = self.inbox.popleft()
            if opcode is Opcode.TEXT:
                self.server.received_text(self, data)
            elif opcode is Opcode.BINARY:
                self.server.received_binary(self, data)

    def _resume(self) -> None:
        self._next_message = None
        self._work()
        if self._next_message is None and not self.transport.is_closing():
            self.transport.resume_reading()

    def _let_out(self) -> None:
        """Write what the library answers by itself: pongs, the close frame, the end of the stream."""
        for data in self._frames.data_to_send():
            if data == SEND_EOF:
                self._end()
                self._flush()
                self.put_eof()
            elif data[:1] == _PONG:
                self.server.pong(self, data)
            elif self.open and self.said_goodbye:
                self.server.answer_close(self, data)
            elif self.open:
                self.write(data)

    # asyncio.Protocol: writing.

    def pause_writing(self) -> None:
        """Note that the kernel's buffer is full, and look after a while whether anything moved."""
        self._paused = True
        self._look_again(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Send what has waited, in one write."""
        self._paused = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._flush()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            self.put(data)

    def put(self, data: bytes) -> None:
        """Give bytes to the transport, unless the stream has ended."""
        if not (self._finished or self.transport.is_closing()):
            self.transport.write(data)

    def put_eof(self) -> None:
        """End the stream behind everything that was written."""
        self._finished = True
        if not self.transport.is_closing():
            self.transport.write_eof()

    def _look_again(self, before: int) -> None:
        delay = self.server.limits.stalled_write
        self._watch = asyncio.get_running_loop().call_later(delay, self._look, before)

    def _look(self, before: int) -> None:
        now = self.transport.get_write_buffer_size()
        if now < before:
            self._look_again(now)
        else:
            self.server.stalled(self)

    # The end.

    def _end(self) -> None:
        if self.open:
            self.open = False
            self.server.closed(self)
            delay = self.server.limits.closing
            self._cut_off = asyncio.get_running_loop().call_later(delay, self.transport.abort)
