"""Reading what was missed, with a push consumer of its own that sends no more than is wanted.

The leader says first which event is the last one. The consumer may live in a server of the cluster that is
behind: it is read until that event comes, so the replay is never partial (RPL-4).
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from nats.aio.msg import Msg

from osint_events_server.scope import Scope
from osint_events_server.store import Event, PositionExpired, StoreUnavailable
from osint_events_server.store.jetstream import consumers, messages, subjects
from osint_events_server.store.jetstream.broker import RETRY_AFTER, ApiError, Broker
from osint_events_server.store.jetstream.latest import Latest
from osint_events_server.store.jetstream.messages import Control, Numbers
from osint_events_server.store.jetstream.stream import Stream

_AT_A_TIME: Final = 16
"""Replays that are read at a time: when a node ends, all its clients come to the others at once."""


class Reading:
    """Reads a stream's history."""

    def __init__(self, broker: Broker, stream: Stream) -> None:
        self._broker = broker
        self._stream = stream
        self._turn = asyncio.Semaphore(_AT_A_TIME)
        self._under_way: dict[tuple[str, int, int, Scope], Latest[Sequence[Event]]] = {}

    async def after(self, investigation_id: str, seq: int, *, limit: int, scope: Scope) -> Sequence[Event]:
        """Return events after a number; see `EventStore.read_after`.

        Those who come with the same position at a time, as all do who lost the same node, share the events.
        """
        key = (investigation_id, seq, limit, scope)
        filters = subjects.of_scope(self._stream.name, investigation_id, scope)
        shared = self._under_way.get(key)
        if shared is None:
            shared = self._under_way[key] = Latest(lambda: self._in_turn(filters, seq, limit))
        try:
            return await shared()
        finally:
            if not shared.waiting:
                self._under_way.pop(key, None)

    async def _in_turn(self, filters: Sequence[str], seq: int, limit: int) -> Sequence[Event]:
        async with self._turn:
            try:
                return await self._read(filters, seq, limit)
            except ApiError as error:
                raise StoreUnavailable(f"the event store: {error}", retry_after=RETRY_AFTER) from error

    async def _read(self, filters: Sequence[str], seq: int, limit: int) -> Sequence[Event]:
        found = [await self._stream.last(subject) for subject in filters]
        last = max((int(message["seq"]) for message in found if message is not None), default=0)
        events = await self._consume(filters, seq, last, limit) if last > seq and limit else []
        # Eviction takes the oldest first, so an event that is there, up to `seq`, vouches for all after it.
        if not 0 < last <= seq:
            await self._check(seq)
        return events

    async def _check(self, seq: int) -> None:
        """Find out whether anything after a number was evicted, by now."""
        state = await self._stream.state()
        if state.first > seq + 1:
            raise PositionExpired(f"an event after {seq} was evicted")

    async def _consume(self, filters: Sequence[str], seq: int, last: int, limit: int) -> Sequence[Event]:
        """Read until the event with the number `last` has come, or `limit` events."""
        events: list[Event] = []
        complete = asyncio.Event()

        async def take(message: Msg) -> None:
            if Control.of(message) is not None or complete.is_set():
                return
            number = Numbers.of(message.reply).seq
            if number > seq:
                events.append(messages.event(message, number))
            if number >= last or len(events) >= limit:
                complete.set()

        name = consumers.new_name()
        listening = await self._broker.listen(take)
        try:
            first = await consumers.create(
                self._broker,
                self._stream.name,
                name,
                {
                    "deliver_subject": listening.subject,
                    "filter_subjects": list(filters),
                    "opt_start_seq": seq + 1,
                    # Nothing is ever acknowledged, so this is how many are sent at most.
                    "ack_policy": "explicit",
                    "max_ack_pending": limit,
                    "max_deliver": 1,
                },
            )
            if first > seq + 1:
                raise PositionExpired(f"an event after {seq} was evicted")
            async with asyncio.timeout(self._broker.timeout):
                await complete.wait()
        except TimeoutError as error:
            await self._check(seq)
            message = "the event store did not send all that was missed"
            raise StoreUnavailable(message, retry_after=RETRY_AFTER) from error
        finally:
            await self._broker.forget(listening)
            await consumers.delete(self._broker, self._stream.name, name)
        return events
