"""The sockets of a node's connections: the same bytes for many of them leave in one loop.

An event for a thousand connections is a thousand writes. What they cost besides the kernel's part is mostly
waiting for memory that the kernel's part displaced, so nothing of a connection is looked at but its number,
which is its socket's descriptor. All else is known beforehand: those whose writers have to be asked are busy.
"""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from osint_events_server.frames import Frames

if TYPE_CHECKING:
    from osint_events_server.writer import Writer


class Sockets:
    """The writers of all connections, by number.

    Attributes:
        busy: the numbers of those to whose sockets nothing is to be written past their writers. A writer adds
            its own as long as anything waits, or the connection does not take any more.

    """

    def __init__(self) -> None:
        self.busy: set[int] = set()
        self._writers: dict[int, Writer] = {}
        self._without = -1

    def add(self, writer: "Writer", descriptor: int | None) -> int:
        """Add a writer, busy at first, and return its number.

        Args:
            writer: the writer.
            descriptor: its socket's; None where frames do not go there as they are. It has to stay open until
                the writer was removed: whoever is given the number next would get what is for this one.

        """
        if descriptor is None:
            self._without = number = self._without - 1
        else:
            number = descriptor
        assert number not in self._writers
        self.busy.add(number)
        self._writers[number] = writer
        return number

    def remove(self, number: int) -> None:
        """Forget a writer: its socket is about to be closed."""
        del self._writers[number]
        self.busy.discard(number)

    def send(self, numbers: Iterable[int], writes: Sequence[Frames]) -> None:
        """Write frames to each now, or queue them where a peer does not keep up; never wait (ROB-5)."""
        writers = self._writers
        if len(writes) != 1:
            for number in numbers:
                writers[number].send(writes)
            return
        wire = writes[0].wire
        size, busy, write = len(wire), self.busy, os.write
        for number in numbers:
            if number in busy:
                writers[number].send(writes)
                continue
            try:
                written = write(number, wire)
            except OSError:  # full, or gone: the transport meets the same, and deals with it
                written = 0
            if written != size:
                writers[number].send_rest(wire[written:])
