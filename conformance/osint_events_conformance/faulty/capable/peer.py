"""A capable server's connection: what waits leaves it piece by piece, and some messages overtake it."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode

from osint_events_conformance.faulty.peer import Peer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from websockets.extensions import Extension

    from .server import CapableServer

_MOST_URGENT = 64
_SLACK = 1024
"""Bytes by which a message may be larger deflated; what it inflates to is measured exactly."""


class CapablePeer(Peer):
    """A connection with a fast lane, and with permessage-deflate where the client offers it."""

    server: CapableServer

    def __init__(self, server: CapableServer, client_id: str, transport: asyncio.Transport) -> None:
        super().__init__(server, client_id, transport)
        self.extensions: Sequence[Extension] = ()
        self.received_at = self.sent_at = time.monotonic()
        self._urgent: deque[bytes] = deque()

    def extend(self, extensions: Sequence[Extension]) -> None:
        """Compress what is sent, if that was agreed on."""
        super().extend(extensions)
        self.extensions = extensions
        if extensions:
            self._frames.max_message_size = self.server.limits.message_bytes + _SLACK

    @property
    def queued_messages(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    @property
    def is_behind(self) -> bool:
        """Whether the socket takes nothing more for now."""
        return self._paused

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Note the sign of life (HB-2)."""
        self.received_at = time.monotonic()
        super().data_received(data)

    def assemble(self, event: Frame) -> None:
        """Refuse a message that inflates beyond the limit (CMP-2)."""
        super().assemble(event)
        if self.inbox and len(self.inbox[-1][1]) > self.server.limits.message_bytes:
            self.server.oversized(self)

    # Writing.

    def send(self, message: bytes) -> None:
        """Send one text message, deflated where that was agreed on."""
        if self.open:
            self.write(self.packed(message))

    def send_first(self, message: bytes) -> None:
        """Send one text message ahead of those that wait (HB-1)."""
        if not self.open:
            return
        if not self._paused:
            self.put(self.packed(message))
        elif len(self._urgent) < _MOST_URGENT:
            self._urgent.append(self.packed(message))
        else:
            self.server.overflowed(self)

    def packed(self, message: bytes) -> bytes:
        """Return a message's frames."""
        if not self.extensions:
            return self.server.framed(message)
        return self.server.deflated(self, message)

    def deflated(self, message: bytes) -> bytes:
        """Return a message's one frame, compressed (RFC 7692)."""
        return Frame(Opcode.TEXT, message).serialize(mask=False, extensions=self.extensions)

    def put(self, data: bytes) -> None:
        """Note that something was sent (HB-2)."""
        self.sent_at = time.monotonic()
        super().put(data)

    def write(self, data: bytes) -> None:
        """Look at the queue after each message (FLW-1)."""
        super().write(data)
        self.server.queued(self)

    def resume_writing(self) -> None:
        """Send as much of what waits as the socket takes."""
        self._paused = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        while not self._paused and (self._urgent or self._waiting):
            self.put(self._next())
        self.server.drained(self)

    def _next(self) -> bytes:
        if self._urgent:
            return self._urgent.popleft()
        data = self._waiting.popleft()
        self._waiting_bytes -= len(data)
        return data

    def _flush(self) -> None:
        while self._urgent:
            self.put(self._urgent.popleft())
        super()._flush()
