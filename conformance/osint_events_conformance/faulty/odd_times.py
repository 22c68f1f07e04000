"""Servers that are odd and right in when they do what they do."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from .catalogue import oddity
from .peer import Peer
from .server import ACCEPTED, Reply, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from .server import Answer, Event


class _Line:
    """Things to do later, in the order in which they came."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._actions: deque[Callable[[], object]] = deque()

    def add(self, delay: float, action: Callable[[], object]) -> None:
        """Do something after a delay in seconds, and after everything that is in the line."""
        self._actions.append(action)
        self._server.later(delay, self._do_next)

    def _do_next(self) -> None:
        self._actions.popleft()()


# Time.


class _FarAway(Peer):
    """Hears and is heard 30 ms late."""

    def __init__(self, server: Server, client_id: str, transport: asyncio.Transport) -> None:
        super().__init__(server, client_id, transport)
        self._in = _Line(server)
        self._out = _Line(server)

    def data_received(self, data: bytes) -> None:
        """Let it travel."""
        self._in.add(0.03, lambda: super(_FarAway, self).data_received(data))

    def eof_received(self) -> bool:
        """Let it travel."""
        self._in.add(0.03, self._eof)
        return True

    def _eof(self) -> None:
        super().eof_received()
        self.transport.close()

    def put(self, data: bytes) -> None:
        """Let it travel."""
        self._out.add(0.03, lambda: super(_FarAway, self).put(data))

    def put_eof(self) -> None:
        """Let it travel."""
        self._out.add(0.03, super().put_eof)


@oddity()
class IsFarAway(Server):
    """Takes 30 ms each way."""

    peer_class = _FarAway


@oddity()
class ThrottlesReading(Server):
    """Reads 100 messages a second after a burst of 20, and the rest later."""

    limits = replace(Server.limits, rate=100, burst=20)


@oddity()
class DeliversAfterAccepting(Server):
    """Answers an inject at once, and delivers 5 to 15 ms later, in order for each investigation."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[str, _Line] = {}
        self._random = Random(1)

    def publish(self, event: Event) -> None:
        """Go through a broker; there is no order across investigations."""
        line = self._lines.setdefault(event.investigation_id, _Line(self))
        line.add(
            self._random.uniform(0.005, 0.015), lambda: super(DeliversAfterAccepting, self).publish(event)
        )


@oddity()
class AcceptsAfterDelivering(Server):
    """Answers an inject 20 ms after the delivery."""

    def accept(self, event: Event) -> Answer:
        """Take time for the answer."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.publish(event)
        self.later(0.02, lambda: None if answer.done() else answer.set_result(ACCEPTED))
        return answer


@oddity()
class ConfirmsAfterDelivering(Server):
    """Makes a subscription effective at once, and confirms it 10 ms later: updates may come first."""

    def __init__(self) -> None:
        super().__init__()
        self._line = _Line(self)

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Take time for the confirmation."""
        self._line.add(0.01, lambda: super(ConfirmsAfterDelivering, self).confirm(peer, investigation_id))


@oddity("SUB-7")
class ConfirmsOutOfOrder(Server):
    """Confirms every second subscribe 3 ms late (SUB-7 warns)."""

    def __init__(self) -> None:
        super().__init__()
        self._confirmed = 0

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Take turns."""
        self._confirmed += 1
        if self._confirmed % 2:
            self.later(0.003, lambda: super(ConfirmsOutOfOrder, self).confirm(peer, investigation_id))
        else:
            super().confirm(peer, investigation_id)


class _Corked(Peer):
    """Writes every 10 ms."""

    def __init__(self, server: Server, client_id: str, transport: asyncio.Transport) -> None:
        super().__init__(server, client_id, transport)
        self._due: list[bytes] = []

    def put(self, data: bytes) -> None:
        """Wait for company."""
        if not self._due:
            self.server.later(0.01, self._uncork)
        self._due.append(data)

    def _uncork(self) -> None:
        data, self._due = b"".join(self._due), []
        super().put(data)

    def put_eof(self) -> None:
        """Write what is due first; the timer finds nothing then."""
        self._uncork()
        super().put_eof()


@oddity()
class JoinsWrites(Server):
    """Writes whatever is due in a single TCP segment every 10 ms."""

    peer_class = _Corked


@oddity()
class IsPatientWithStalledReaders(Server):
    """Queues 4 MiB for a client that does not read, and ends its connection after 2 s."""

    limits = replace(Server.limits, queue_bytes=4 * 1024 * 1024, queue_messages=10_000, stalled_write=2.0)
