"""Who is subscribed to what, and who receives an event.

Receivers are connections, never `client_id`s: two connections may share one (CONN-5, CONN-6).
"""

import math
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

    @property
    def number(self) -> int:
        """What stands for it as long as it is connected, where frames are sent."""


Send = Callable[[Collection[int], Sequence[Frames]], None]
"""Sends frames, in this order, to receivers by their numbers.

It returns at once, whatever the state of the peers, and leaves the hub as it is. By numbers, since with a
thousand receivers what an event costs besides the kernel's part is mostly waiting for memory: nothing else of
them is looked at.
"""


R = TypeVar("R", bound=Receiver)

_CORE = Form()


class _Group(Generic[R]):
    """The subscribers of one investigation that get the same bytes.

    Attributes:
        receivers: their numbers, in order of arrival, so that who came first is served first.
        told: the number that the latest of them heard of last, or a higher one that others did.
        told_at: when that was.

    """

    __slots__ = ("receivers", "told", "told_at")

    def __init__(self, told: int, told_at: float) -> None:
        self.receivers: dict[R, int] = {}
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
        group.receivers[receiver] = receiver.number

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


class _Share(NamedTuple):
    """Frames, and the numbers of who gets them."""

    receivers: Collection[int]
    wires: Sequence[bytes]


def _no_token(_investigation_id: str, _seq: int) -> str:
    raise NotImplementedError("no subscriber negotiated replay")


class Hub(Generic[R]):
    """The connections of one node and their subscriptions.

    Args:
        send: sends frames to connections.
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
        send: Send,
        *,
        fallback: bool,
        position: int = 0,
        issue: IssueToken = _no_token,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._send = send
        self._fallback = fallback
        self._position = position
        self._issue = issue
        self._clock = clock
        # Dictionaries as sets in order of arrival, so that who came first is served first.
        self._connections: dict[R, list[str]] = {}
        self._listeners: dict[Form, dict[R, int]] = {}
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
        self._connections[receiver] = []
        if may_see is not None:
            self._may_see[receiver] = may_see
        self._listeners.setdefault(Form(deflated=deflated), {})[receiver] = receiver.number

    def spare(self, receiver: R) -> None:
        """Send a connection no fallback's broadcasts any more (NEG-5)."""
        for listeners in self._listeners.values():
            listeners.pop(receiver, None)

    def disconnect(self, receiver: R) -> None:
        """Forget a connection, where it is known, and its subscriptions, and nobody else's (CONN-6)."""
        self.spare(receiver)
        self._may_see.pop(receiver, None)
        for investigation_id in self._connections.pop(receiver, ()):
            self._leave(receiver, investigation_id)

    def sent_at(self, receiver: R) -> float:
        """Return when events were last handed over for a connection; -inf for never.

        It may be a time before the connection was there, and is none at which it had to wait for an event.
        """
        return max(
            (
                topic.groups[topic.forms[receiver]].told_at
                for topic in map(self._topics.__getitem__, self._connections.get(receiver, ()))
                if receiver not in topic.waiting
            ),
            default=-math.inf,
        )

    def is_subscribed(self, receiver: R, investigation_id: str) -> bool:
        """Say whether a connection is subscribed."""
        topic = self._topics.get(investigation_id)
        return topic is not None and receiver in topic.forms

    def subscribe(self, receiver: R, investigation_id: str, form: Form = _CORE, *, after: int = 0) -> int:
        """Subscribe a connection, or change how it is; the same a second time changes nothing (SUB-4, SCP-3).

        Args:
            receiver: the connection; nothing is done for one that is gone.
            investigation_id: what to.
            form: what of it, and as which bytes.
            after: a number up to which no event is to be delivered, where it is still to come (RPL-9).

        Returns:
            The position: later events are delivered, and no others.

        """
        if receiver not in self._connections:
            return max(self._position, after)
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
        else:
            self._connections[receiver].append(investigation_id)
        topic.forms[receiver] = form
        if is_waiting:
            topic.waiting[receiver] = position
        else:
            topic.join(receiver, position=position, now=self._clock())
        return position

    def unsubscribe(self, receiver: R, investigation_id: str) -> None:
        """End a connection's subscription, where there is one (UNS-1)."""
        if self.is_subscribed(receiver, investigation_id):
            self._connections[receiver].remove(investigation_id)
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
        shares: list[_Share] = []
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
        if _are_apart(shares):
            for share in shares:
                self._write(share.receivers, tuple(frames.join(share.wires)))
        else:
            self._send_joined(shares)

    def _write(self, receivers: Collection[int], writes: Sequence[Frames]) -> None:
        self._send(receivers, writes)
        self.writes += len(writes) * len(receivers)

    def _send_joined(self, shares: Sequence[_Share]) -> None:
        """Send each receiver its parts of several shares in as few writes as that takes."""
        due: dict[int, list[int]] = {}
        for which, share in enumerate(shares):
            for receiver in share.receivers:
                if (its := due.get(receiver)) is None:
                    due[receiver] = [which]
                else:
                    its.append(which)
        alike: dict[tuple[int, ...], list[int]] = {}
        for receiver, its in due.items():
            alike.setdefault(tuple(its), []).append(receiver)
        for common, receivers in alike.items():
            wires = (wire for which in common for wire in shares[which].wires)
            self._write(receivers, tuple(frames.join(wires)))

    def _publish(self, topic: _Topic[R], batch: Sequence[Event]) -> Iterator[_Share]:
        made = [topic.follow(event, self._issue) for event in batch]
        for form, group in topic.groups.items():
            scope = form.scope
            wires = [one.frame(form) for one in made if one.event.scope & scope]
            if not wires:
                continue
            self._count(wires, len(group.receivers))
            yield _Share(list(group.receivers.values()), wires)
            group.told = batch[-1].seq
            group.told_at = self._clock()

    def _count(self, wires: Sequence[bytes], receivers: int) -> None:
        self.deliveries += len(wires) * receivers
        self.delivered_bytes += sum(map(len, wires)) * receivers

    def _broadcast(self, batch: Sequence[Event]) -> Iterator[_Share]:
        if not self._fallback:
            return
        made = [EventFrames(event, (), self._issue) for event in batch]
        for form, listeners in self._listeners.items():
            if listeners:
                wires = [one.frame(form) for one in made]
                receivers = self._those_who_may_see(batch[0].investigation_id, listeners)
                self._count(wires, len(receivers))
                yield _Share(receivers, wires)

    def _those_who_may_see(self, investigation_id: str, receivers: Mapping[R, int]) -> Collection[int]:
        """Return the numbers of whom a fallback's broadcast may go to (SEC-2)."""
        if not self._may_see:
            return list(receivers.values())
        return [
            number
            for receiver, number in receivers.items()
            if (may_see := self._may_see.get(receiver)) is None or may_see(investigation_id)
        ]

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
            self._send(list(group.receivers.values()), (message,))
            group.told, group.told_at = self._position, self._clock()


def _are_apart(shares: Sequence[_Share]) -> bool:
    """Say whether nobody gets more than one of them."""
    if len(shares) <= 1:
        return True
    receivers: set[int] = set()
    for share in shares:
        receivers.update(share.receivers)
    return len(receivers) == sum(len(share.receivers) for share in shares)
