"""Who is subscribed to what, and who receives an event.

Receivers are connections, never `client_id`s: two connections may share one (CONN-5, CONN-6).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from osint_events_server import frames
from osint_events_server.frames import Frames
from osint_events_server.store import Event


class Receiver(Protocol):
    """A connection, as the hub sees it. It is its own identity: equality is not asked."""

    def send(self, writes: Sequence[Frames]) -> None:
        """Take frames to be written in this order.

        It returns at once, whatever the state of the peer, and leaves the hub as it is.
        """


R = TypeVar("R", bound=Receiver)


class Hub(Generic[R]):
    """The connections of one node and their subscriptions.

    Args:
        fallback: whether an event that nobody is subscribed to goes to all connections (DEL-3).

    """

    def __init__(self, *, fallback: bool) -> None:
        self._fallback = fallback
        # Dictionaries as sets in order of arrival, so that who came first is served first.
        self._connections: dict[R, set[str]] = {}
        self._subscribers: dict[str, dict[R, None]] = {}

    @property
    def connections(self) -> Collection[R]:
        """All connections, the oldest first."""
        return self._connections.keys()

    def connect(self, receiver: R) -> None:
        """Add a connection that is subscribed to nothing (SUB-8)."""
        self._connections[receiver] = set()

    def disconnect(self, receiver: R) -> None:
        """Forget a connection and its subscriptions, and nobody else's (CONN-6)."""
        for investigation_id in self._connections.pop(receiver):
            subscribers = self._subscribers[investigation_id]
            del subscribers[receiver]
            if not subscribers:
                del self._subscribers[investigation_id]

    def subscribe(self, receiver: R, investigation_id: str) -> None:
        """Subscribe a connection; a second time changes nothing (SUB-4)."""
        self._connections[receiver].add(investigation_id)
        self._subscribers.setdefault(investigation_id, {})[receiver] = None

    def receivers(self, investigation_id: str) -> Collection[R]:
        """Return who is to receive an event of this investigation now (DEL-1 to DEL-3)."""
        subscribers = self._subscribers.get(investigation_id)
        if subscribers is not None:
            return subscribers.keys()
        return self._connections.keys() if self._fallback else ()

    def deliver(self, events: Iterable[Event]) -> None:
        """Hand events to their receivers, those of one investigation in their order (DEL-4).

        Events of one investigation that are due together share one encoding and one write: their receivers
        are the same.
        """
        due: dict[str, list[bytes]] = {}
        for event in events:
            due.setdefault(event.investigation_id, []).append(event.data)
        for investigation_id, payloads in due.items():
            receivers = self.receivers(investigation_id)
            if not receivers:
                continue
            wires = (frames.text_frame(frames.update(investigation_id, data)) for data in payloads)
            writes = tuple(frames.join(wires))
            for receiver in receivers:
                receiver.send(writes)
