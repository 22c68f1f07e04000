"""What waits to be written to one connection, bounded in messages and in bytes (ROB-5)."""

from collections import deque

from osint_events_server.frames import Frames


class OutboxFull(Exception):
    """The frames do not fit any more: the connection is to end (FLW-2)."""


class Outbox:
    """A bounded queue of frames.

    It holds only what the transport could not take at once, so it is empty on a connection that keeps up.

    Args:
        max_messages: how many messages may wait, inclusive.
        max_bytes: how many bytes of frames, headers included, may wait, inclusive.

    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_messages", "_queue")

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._queue: deque[Frames] = deque()
        self._messages = 0
        self._bytes = 0

    @property
    def messages(self) -> int:
        """How many messages wait."""
        return self._messages

    @property
    def bytes(self) -> int:
        """How many bytes wait."""
        return self._bytes

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, frames: Frames) -> None:
        """Queue frames that are written together.

        Raises:
            OutboxFull: they do not fit; nothing was queued.

        """
        messages = self._messages + frames.messages
        size = self._bytes + len(frames.wire)
        if messages > self._max_messages or size > self._max_bytes:
            raise OutboxFull
        self._queue.append(frames)
        self._messages = messages
        self._bytes = size

    def take(self) -> Frames:
        """Return what is to be written next, and forget it. The outbox is not empty."""
        frames = self._queue.popleft()
        self._messages -= frames.messages
        self._bytes -= len(frames.wire)
        return frames

    def clear(self) -> None:
        """Forget all that waits."""
        self._queue.clear()
        self._messages = 0
        self._bytes = 0
