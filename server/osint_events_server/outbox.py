"""What waits to be written to one connection, bounded in messages and in bytes (ROB-5, FLW-1, FLW-2).

The outbox holds what the transport could not take at once, so it is empty on a connection that keeps up. It
knows frames and their order, and nothing of what they say.

A replay has its place in the queue, but is not in it: it may be longer than any bound, and is fed to the
transport as that drains (RPL-5). It counts as one message until its turn has come. What is put later, updates
of the same investigation among it, waits behind it: so there is no gap, duplicate or reordering at its end.
"""

from collections import deque
from collections.abc import AsyncGenerator
from enum import Enum
from typing import Final

from osint_events_server.frames import JOIN_BYTES, Frames

MAX_FIRST: Final = 64
"""Messages that may wait ahead of the others, beside the limits; being small, they do not count as bytes."""


Replay = AsyncGenerator[Frames, None]
"""Yields what is to be written, in the order in which it is."""


class OutboxFull(Exception):
    """The frames do not fit, and are lost: the connection is to end, and nothing more is queued (FLW-2)."""


class Pressure(Enum):
    """How full the outbox is, for those who are told (FLW-1). The values are the protocol's."""

    HIGH = "high"
    """At least half of the messages or of the bytes that may wait do."""

    NORMAL = "normal"
    """No more than a quarter of either waits."""


class Outbox:
    """A bounded queue of frames, and a small one ahead of it.

    Args:
        max_messages: how many messages may wait, inclusive.
        max_bytes: how many bytes of frames, headers included, may wait, inclusive.

    """

    __slots__ = (
        "_bytes",
        "_first",
        "_is_full",
        "_max_bytes",
        "_max_messages",
        "_messages",
        "_pressure",
        "_queue",
    )

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        # Made when first needed: most connections never do, and there are many.
        self._queue: deque[Frames | Replay] | None = None
        self._first: deque[Frames] | None = None
        self._messages = 0
        self._bytes = 0
        self._pressure = Pressure.NORMAL
        self._is_full = False

    @property
    def messages(self) -> int:
        """How many messages wait, without those that were put first."""
        return self._messages

    @property
    def bytes(self) -> int:
        """How many bytes wait, without those that were put first."""
        return self._bytes

    def __bool__(self) -> bool:
        return bool(self._queue or self._first)

    def put(self, frames: Frames) -> None:
        """Queue frames that are written together.

        Raises:
            OutboxFull: they do not fit, or others did not before; nothing was queued.

        """
        messages = self._messages + frames.messages
        size = self._bytes + len(frames.wire)
        if self._is_full or messages > self._max_messages or size > self._max_bytes:
            self._is_full = True
            raise OutboxFull
        if self._queue is None:
            self._queue = deque()
        self._queue.append(frames)
        self._messages = messages
        self._bytes = size

    def put_first(self, frames: Frames) -> None:
        """Queue one small message ahead of all others but of those that were put first before (HB-1, FLW-1).

        Raises:
            OutboxFull: `MAX_FIRST` messages wait already: the peer asks, and reads no answers.

        """
        if self._first is None:
            self._first = deque()
        if self._is_full or len(self._first) >= MAX_FIRST:
            self._is_full = True
            raise OutboxFull
        self._first.append(frames)

    def put_replay(self, replay: Replay) -> None:
        """Queue a replay.

        Raises:
            OutboxFull: as many messages wait as may.

        """
        if self._is_full or self._messages >= self._max_messages:
            self._is_full = True
            raise OutboxFull
        if self._queue is None:
            self._queue = deque()
        self._queue.append(replay)
        self._messages += 1

    def take_replay(self) -> Replay | None:
        """Return the replay whose turn it is, and forget it; None where frames are to be written next."""
        if self._first or not self._queue or isinstance(self._queue[0], Frames):
            return None
        self._messages -= 1
        replay = self._queue.popleft()
        assert not isinstance(replay, Frames)
        return replay

    def take_first(self) -> Frames | None:
        """Return what was put first alone, and forget it; None where there is nothing."""
        return self._first.popleft() if self._first else None

    def take(self, limit: int = JOIN_BYTES) -> Frames:
        """Return what is to be written next in one go, and forget it. There is something, and no replay.

        Args:
            limit: bytes up to which frames are joined; what was put as one is never divided.

        """
        parts: list[Frames] = []
        size = 0
        while upcoming := self._first or self._queue:
            frames = upcoming[0]
            if not isinstance(frames, Frames):
                break
            size += len(frames.wire)
            if parts and size > limit:
                break
            parts.append(frames)
            upcoming.popleft()
            if upcoming is self._queue:
                self._messages -= frames.messages
                self._bytes -= len(frames.wire)
        if len(parts) == 1:
            return parts[0]
        return Frames(b"".join([part.wire for part in parts]), sum(part.messages for part in parts))

    def pressure(self) -> Pressure | None:
        """Return the pressure where it is another one than was returned last, else None.

        It begins as normal, so the first one that is returned is high, and they alternate. To be asked after
        each `put` and `take`, where the peer is to be told.
        """
        if self._pressure is Pressure.NORMAL:
            if 2 * self._messages < self._max_messages and 2 * self._bytes < self._max_bytes:
                return None
            self._pressure = Pressure.HIGH
        else:
            if 4 * self._messages > self._max_messages or 4 * self._bytes > self._max_bytes:
                return None
            self._pressure = Pressure.NORMAL
        return self._pressure

    def clear(self) -> None:
        """Forget all that waits, and that something did not fit."""
        self._queue = self._first = None
        self._messages = 0
        self._bytes = 0
        self._is_full = False
