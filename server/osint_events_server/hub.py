"""Who is subscribed to what, and who receives an event.

Receivers are connections, never `client_id`s: two connections may share one (CONN-5, CONN-6).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from osint_events import Gap as GapMessage
from osint_events import Position as PositionMessage

from osint_events_server import frames
from osint_events_server.forms import EventFrames, Form, IssueToken
from osint_events_server.frames import Frames
from osint_events_server.scope import Scope
from osint_events_server.store import Event, Gap


class Receiver(Protocol):
    """A connection, as the hub sees it. It is its own identity: equality is not asked."""

    def send(self, writes: Sequence[Frames]) -> None:
        """Take frames to be written in this order.

        It returns at once, whatever the state of the peer, and leaves the hub as it is.
        """


R = TypeVar("R", bound=Receiver)

_CORE = Form()


_Send = Callable[[Sequence[Frames]], None]


class _Group(Generic[R]):
    """The subscribers of one investigation that get the same bytes.

    Attributes:
        receivers: a dictionary as a set in order of arrival, so that who came first is served first.
        told: the number that the latest of them heard of last, or a higher one that others did.
        told_at: when that was.

    """

    __slots__ = ("receivers", "told", "told_at")

    def __init__(self, told: int, told_at: float) -> None:
        self.receivers: dict[R, _Send] = {}
        self.told = told
        self.told_at = told_at


class _Topic(Generic[R]):
    """One investigation that somebody is subscribed to.

    Attributes:
        forms: each subscriber's form.
        groups: the subscribers that are served, by form.
        waiting: the subscribers that are served events after a number only, which is still to come (RPL-9).
        last: for each scope, by its number, the `seq` of the last event in it, or a higher one that no
            subscriber's position is below of: the next event's `prev` (RPL-2).

    """

    __slots__ = ("forms", "groups", "last", "waiting")

    def __init__(self, position: int) -> None:
        self.forms: dict[R, Form] = {}
        self.groups: dict[Form, _Group[R]] = {}
        self.waiting: dict[R, int] = {}
        self.last = (position,) * (Scope.ALL + 1)

    def join(self, receiver: R, *, position: int, now: float) -> None:
        form = self.forms[receiver]
        group = self.groups.get(form)
        if group is None:
            group = self.groups[form] = _Group(position, now)
        group.receivers[receiver] = receiver.send

    def leave(self, receiver: R) -> None:
        if self.waiting.pop(receiver, None) is None:
            form = self.forms[receiver]
            receivers = self.groups[form].receivers
            del receivers[receiver]
            if not receivers:
                del self.groups[form]
        del self.forms[receiver]

    def follow(self, event: Event, issue: IssueToken) -> EventFrames:
        """Move on by one event, and return what can be made of it."""
        made = EventFrames(event, self.last, issue)
        self.last = tuple(event.seq if event.scope & scope else last for scope, last in enumerate(self.last))
        return made


class _Share(NamedTuple, Generic[R]):
    """Frames, and who gets them: receivers, and how each is sent something.

    How to send is kept beside the receiver, whose own memory is not looked at then: with a thousand of them,
    what a delivery costs besides the kernel's part is mostly waiting for memory.
    """

    receivers: Mapping[R, "_Send"]
    wires: Sequence[bytes]


def _no_token(_investigation_id: str, _seq: int) -> str:
    raise NotImplementedError("no subscriber negotiated replay")


class Hub(Generic[R]):
    """The connections of one node and their subscriptions.

    Args:
        fallback: whether an event that nobody is subscribed to goes to all connections (DEL-3).
        position: the `seq` after which events are delivered.
        issue: makes tokens.
        clock: seconds that never go back.

    Attributes:
        deliveries: how many events were handed to connections, each counted once per connection.
        delivered_bytes: their bytes, frame headers included.
        writes: by which they were handed over, each of one or more of them.

    """

    def __init__(
        self,
        *,
        fallback: bool,
        position: int = 0,
        issue: IssueToken = _no_token,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._fallback = fallback
        self._position = position
        self._issue = issue
        self._clock = clock
        # Dictionaries as sets in order of arrival, so that who came first is served first.
        self._connections: dict[R, set[str]] = {}
        self._listeners: dict[Form, dict[R, None]] = {}
        self._topics: dict[str, _Topic[R]] = {}
        self._may_see: dict[R, Callable[[str], bool]] = {}
        self.deliveries = 0
        self.delivered_bytes = 0
        self.writes = 0

    @property
    def connections(self) -> Collection[R]:
        """All connections, the oldest first."""
        return self._connections.keys()

    @property
    def subscriptions(self) -> int:
        """How many subscriptions all connections have together."""
        return sum(map(len, self._connections.values()))

    @property
    def position(self) -> int:
        """The `seq` up to which everything was delivered."""
        return self._position

    def connect(
        self, receiver: R, *, deflated: bool = False, may_see: Callable[[str], bool] | None = None
    ) -> None:
        """Add a connection that is subscribed to nothing (SUB-8), and gets the fallback's broadcasts.

        Args:
            receiver: the connection.
            deflated: whether its frames are compressed.
            may_see: which investigations' broadcasts it may get (SEC-2); None: all.

        """
        self._connections[receiver] = set()
        if may_see is not None:
            self._may_see[receiver] = may_see
        self._listeners.setdefault(Form(deflated=deflated), {})[receiver] = None

    def spare(self, receiver: R) -> None:
        """Send a connection no fallback's broadcasts any more (NEG-5)."""
        for listeners in self._listeners.values():
            listeners.pop(receiver, None)

    def disconnect(self, receiver: R) -> None:
        """Forget a connection and its subscriptions, and nobody else's (CONN-6)."""
        self.spare(receiver)
        self._may_see.pop(receiver, None)
        for investigation_id in self._connections.pop(receiver):
            self._leave(receiver, investigation_id)

    def is_subscribed(self, receiver: R, investigation_id: str) -> bool:
        """Say whether a connection is subscribed."""
        return investigation_id in self._connections[receiver]

    def subscribe(self, receiver: R, investigation_id: str, form: Form = _CORE, *, after: int = 0) -> int:
        """Subscribe a connection, or change how it is; the same a second time changes nothing (SUB-4, SCP-3).

        Args:
            receiver: the connection.
            investigation_id: what to.
            form: what of it, and as which bytes.
            after: a number up to which no event is to be delivered, where it is still to come (RPL-9).

        Returns:
            The position: later events are delivered, and no others.

        """
        self._connections[receiver].add(investigation_id)
        topic = self._topics.get(investigation_id)
        if topic is None:
            topic = self._topics[investigation_id] = _Topic(self._position)
        position = max(self._position, after, topic.waiting.get(receiver, 0))
        is_waiting = position > self._position
        if receiver in topic.forms:
            if topic.forms[receiver] == form and is_waiting == (receiver in topic.waiting):
                if is_waiting:
                    topic.waiting[receiver] = position
                return position
            topic.leave(receiver)
        topic.forms[receiver] = form
        if is_waiting:
            topic.waiting[receiver] = position
        else:
            topic.join(receiver, position=position, now=self._clock())
        return position

    def unsubscribe(self, receiver: R, investigation_id: str) -> None:
        """End a connection's subscription, where there is one (UNS-1)."""
        subscribed = self._connections[receiver]
        if investigation_id in subscribed:
            subscribed.remove(investigation_id)
            self._leave(receiver, investigation_id)

    def _leave(self, receiver: R, investigation_id: str) -> None:
        topic = self._topics[investigation_id]
        topic.leave(receiver)
        if not topic.forms:
            del self._topics[investigation_id]

    def deliver(self, events: Iterable[Event]) -> None:
        """Hand events to their receivers, those of one investigation in their order (DEL-1 to DEL-4).

        What is due together leaves together: a connection gets one write, and connections that are due the
        same share its bytes.
        """
        due: dict[str, list[Event]] = {}
        position = self._position
        for event in events:
            due.setdefault(event.investigation_id, []).append(event)
            position = event.seq
        shares: list[_Share[R]] = []
        for investigation_id, batch in due.items():
            topic = self._topics.get(investigation_id)
            if topic is None:
                shares += self._broadcast(batch)
            elif topic.waiting:
                for event in batch:
                    self._admit(topic, event.seq)
                    shares += self._publish(topic, (event,))
            else:
                shares += self._publish(topic, batch)
        self._position = position
        if len(shares) == 1:
            self._send(shares[0])
        else:
            self._send_joined(shares)

    def _send(self, share: _Share[R]) -> None:
        writes = tuple(frames.join(share.wires))
        for send in share.receivers.values():
            send(writes)
        self.writes += len(writes) * len(share.receivers)

    def _send_joined(self, shares: Sequence[_Share[R]]) -> None:
        """Send each receiver its parts of several shares in as few writes as that takes."""
        due: dict[R, list[int]] = {}
        for number, share in enumerate(shares):
            for receiver in share.receivers:
                if (numbers := due.get(receiver)) is None:
                    due[receiver] = [number]
                else:
                    numbers.append(number)
        joined: dict[tuple[int, ...], tuple[Frames, ...]] = {}
        for receiver, numbers in due.items():
            key = tuple(numbers)
            writes = joined.get(key)
            if writes is None:
                wires = (wire for number in key for wire in shares[number].wires)
                writes = joined[key] = tuple(frames.join(wires))
            receiver.send(writes)
            self.writes += len(writes)

    def _publish(self, topic: _Topic[R], batch: Sequence[Event]) -> Iterator[_Share[R]]:
        made = [topic.follow(event, self._issue) for event in batch]
        for form, group in topic.groups.items():
            scope = form.scope
            wires = [one.frame(form) for one in made if one.event.scope & scope]
            if not wires:
                continue
            self._count(wires, len(group.receivers))
            yield _Share(group.receivers.copy(), wires)
            if form.sequenced:
                group.told = batch[-1].seq
                group.told_at = self._clock()

    def _count(self, wires: Sequence[bytes], receivers: int) -> None:
        self.deliveries += len(wires) * receivers
        self.delivered_bytes += sum(map(len, wires)) * receivers

    def _broadcast(self, batch: Sequence[Event]) -> Iterator[_Share[R]]:
        if not self._fallback:
            return
        made = [EventFrames(event, (), self._issue) for event in batch]
        for form, listeners in self._listeners.items():
            if listeners:
                wires = [one.frame(form) for one in made]
                receivers = self._those_who_may_see(batch[0].investigation_id, listeners)
                self._count(wires, len(receivers))
                yield _Share(receivers, wires)

    def _those_who_may_see(self, investigation_id: str, receivers: Iterable[R]) -> dict[R, _Send]:
        """Return whom a fallback's broadcast may go to (SEC-2)."""
        return {
            receiver: receiver.send
            for receiver in receivers
            if (may_see := self._may_see.get(receiver)) is None or may_see(investigation_id)
        }

    def _admit(self, topic: _Topic[R], seq: int) -> None:
        """Serve those who waited for the event of this number, or one before it."""
        for receiver, after in list(topic.waiting.items()):
            if after < seq:
                del topic.waiting[receiver]
                topic.join(receiver, position=after, now=self._clock())

    def interrupt(self, gap: Gap, *, epoch: str) -> None:
        """Tell all whom it may concern that events may be missing here (RPL-7).

        Args:
            gap: why, and where the sequence goes on.
            epoch: the epoch from here on.

        """
        self._position = gap.seq
        for investigation_id, topic in self._topics.items():
            # What is waited for belongs to the sequence before.
            self._admit(topic, max(topic.waiting.values(), default=0) + 1)
            topic.last = (gap.seq,) * len(topic.last)
            groups = [group for form, group in topic.groups.items() if form.sequenced]
            if groups:
                message = GapMessage(
                    type="gap",
                    investigation_id=investigation_id,
                    reason=gap.reason,
                    epoch=epoch,
                    seq=gap.seq,
                    token=self._issue(investigation_id, gap.seq),
                )
                self._tell(groups, frames.message(message))

    def keep_young(self, *, idle: float) -> None:
        """Send `position` to subscribers that heard nothing for a while in which the store moved on (RPL-6).

        Args:
            idle: how long, in seconds.

        """
        before = self._clock() - idle
        for investigation_id, topic in self._topics.items():
            groups = [
                group
                for form, group in topic.groups.items()
                if form.sequenced and group.told < self._position and group.told_at <= before
            ]
            if groups:
                message = PositionMessage(
                    type="position",
                    investigation_id=investigation_id,
                    seq=self._position,
                    token=self._issue(investigation_id, self._position),
                )
                self._tell(groups, frames.message(message))

    def _tell(self, groups: Iterable[_Group[R]], message: Frames) -> None:
        """Send a message that sets the receivers' position to the hub's."""
        for group in groups:
            for receiver in group.receivers:
                receiver.send((message,))
            group.told, group.told_at = self._position, self._clock()
