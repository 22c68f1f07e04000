"""Following the stream: one ordered push consumer for all of a node's subscriptions."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Self

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from osint_events_server.store import Event, Gap, StoreError
from osint_events_server.store.jetstream import consumers, messages, subjects
from osint_events_server.store.jetstream.broker import ApiError, Broker
from osint_events_server.store.jetstream.messages import Control, Numbers
from osint_events_server.store.jetstream.stream import State, Stream

_log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS: Final = 0.5
_SILENCE_SECONDS: Final = 4 * _HEARTBEAT_SECONDS
_RETRY_SECONDS: Final = 0.25
_BACKLOG: Final = 10_000
# A new leader may need a moment until it knows all that was stored.
_LOOKS_BEHIND: Final = 12


class JetStreamFollower:
    """A `Follower` of the stream.

    The consumer lives in one server of the cluster, and in memory. Where that server or the connection ends,
    or a message is missing, another one is made that begins after what was taken last. So nothing is lost,
    and nothing comes twice, as long as the stream keeps it; where it does not, that is a `Gap`.

    Args:
        broker: a connection of its own.
        stream: what is followed.
        state: the stream's, when it was looked at last; what comes after it is followed.
        renewed: is told of the state with a new epoch, before the gap is.

    """

    def __init__(
        self, broker: Broker, stream: Stream, state: State, *, renewed: Callable[[State], None]
    ) -> None:
        self._broker = broker
        self._stream = stream
        self._epoch = state.epoch
        self._position = state.last
        self._renewed = renewed
        self._delivered = 0
        self._due: deque[list[Event] | Gap] = deque()
        self._waiting = 0  # events that are due
        self._fed = asyncio.Event()
        self._taken = asyncio.Event()
        self._listening: Subscription | None = None
        self._consumer = ""
        self._is_lost = True
        self._is_closed = False
        self._looks_behind = 0
        broker.watch(self.lose)

    @property
    def position(self) -> int:
        """The number after which it follows."""
        return self._position

    def lose(self) -> None:
        """Make another consumer: this one may be gone."""
        self._is_lost = True
        self._fed.set()

    def close(self) -> None:
        """Follow no more; the broker forgets the consumer by itself."""
        self._is_closed = True
        self._due.clear()
        self._waiting = 0
        self._fed.set()
        self._taken.set()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Sequence[Event] | Gap:
        """Wait for what is due."""
        while not self._is_closed:
            if self._due:
                due = self._due.popleft()
                self._waiting -= 0 if isinstance(due, Gap) else len(due)
                self._taken.set()
                return due
            if self._is_lost:
                gap = await self._begin()
                if gap is not None:
                    return gap
                continue
            self._fed.clear()
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    await self._fed.wait()
            except TimeoutError:
                _log.info("NATS sends nothing, not even heartbeats")
                self._is_lost = True
        raise StopAsyncIteration

    async def _begin(self) -> Gap | None:
        """Make a consumer, or return what may be missing before that can be."""
        await self._end()
        try:
            state = await self._stream.state()
            if (gap := await self._gap(state)) is not None:
                return gap
            self._is_lost = False
            await self._consume()
        except (StoreError, ApiError) as error:
            _log.info("the events cannot be followed now: %s", error)
            self._is_lost = True
            await asyncio.sleep(_RETRY_SECONDS)
        return None

    async def _gap(self, state: State) -> Gap | None:
        if state.epoch != self._epoch:
            return self._begun_anew(state, state.first - 1)
        if state.last < self._position:
            self._looks_behind += 1
            if self._looks_behind < _LOOKS_BEHIND:
                raise StoreError(f"the stream's leader is behind, at {state.last}")
            _log.error("the stream has lost events: it ends with %d, after %d", state.last, self._position)
            return self._begun_anew(await self._stream.renew(), state.last)
        self._looks_behind = 0
        return self._missing(state.first) if state.first > self._position + 1 else None

    def _begun_anew(self, state: State, seq: int) -> Gap:
        self._epoch, self._position, self._looks_behind = state.epoch, seq, 0
        self._renewed(state)
        return Gap("epoch_changed", seq)

    def _missing(self, first: int) -> Gap:
        self._position = first - 1
        return Gap("unavailable", self._position)

    async def _consume(self) -> None:
        """Begin to listen."""
        self._delivered = 0
        self._consumer = consumers.new_name()
        self._listening = await self._broker.listen(self._take)
        await consumers.create(
            self._broker,
            self._stream.name,
            self._consumer,
            {
                "deliver_subject": self._listening.subject,
                "filter_subject": subjects.of_stream(self._stream.name),
                "opt_start_seq": self._position + 1,
                "ack_policy": "none",
                "flow_control": True,
                "idle_heartbeat": round(_HEARTBEAT_SECONDS * consumers.SECOND),
            },
        )

    async def _end(self) -> None:
        if self._listening is not None:
            await self._broker.forget(self._listening)
            self._listening = None
            await consumers.delete(self._broker, self._stream.name, self._consumer)

    async def _take(self, message: Msg) -> None:
        if self._is_lost or self._is_closed:
            return
        control = Control.of(message)
        if control is not None:
            await self._heed(control)
            return
        numbers = Numbers.of(message.reply)
        if numbers.delivered != self._delivered + 1:
            _log.info("a message from NATS is missing, after %d", self._position)
            self.lose()
            return
        self._delivered = numbers.delivered
        if numbers.seq <= self._position:  # from a server of the cluster that was behind
            return
        if numbers.seq > self._position + 1:  # every number is an event's: some were evicted
            self._due.append(self._missing(numbers.seq))
        self._position = numbers.seq
        try:
            event = messages.event(message, numbers.seq)
        except subjects.ForeignSubject as error:
            _log.warning("somebody else publishes to the stream: %s", error)
            return
        if self._due and isinstance(self._due[-1], list):
            self._due[-1].append(event)
        else:
            self._due.append([event])
        self._waiting += 1
        self._fed.set()

    async def _heed(self, control: Control) -> None:
        if control.delivered is not None and control.delivered != self._delivered:
            self.lose()
            return
        self._fed.set()
        if control.answer_to is not None:
            await self._room()
            try:
                await self._broker.publish(control.answer_to)
            except StoreError:
                self.lose()

    async def _room(self) -> None:
        """Wait until what is due is taken: until the answer the broker sends no more than its window."""
        while self._waiting >= _BACKLOG and not self._is_closed:
            self._taken.clear()
            await self._taken.wait()
