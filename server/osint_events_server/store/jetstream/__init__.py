"""The shared store: a NATS JetStream stream, which any number of server nodes append to and follow.

- `subjects`: where an event lies in the stream. `messages`: what consumers are sent. Neither has I/O.
- `broker`: the connection. `stream`: how the stream is made, and what it says of itself. `consumers`: how its
  consumers are.
- `publishing`: events in. `follower`: events out, live. `reading`: events out, from the history.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from osint_events_server.scope import Scope
from osint_events_server.store import Event, Payload, StoreUnavailable, StoreUnusable
from osint_events_server.store.jetstream.broker import RETRY_AFTER, ApiError, Broker, BrokerOptions
from osint_events_server.store.jetstream.follower import JetStreamFollower
from osint_events_server.store.jetstream.latest import Latest
from osint_events_server.store.jetstream.publishing import MAX_EVENTS, Publishing
from osint_events_server.store.jetstream.reading import Reading
from osint_events_server.store.jetstream.stream import State, Stream, StreamOptions

__all__ = ["MAX_EVENTS", "BrokerOptions", "JetStreamStore", "StreamOptions"]

_HEADERS_BYTES = 4096  # of a message, at most


class JetStreamStore:
    """An `EventStore` in a stream. See `JetStreamStore.open`.

    Args:
        broker: for requests, and for what they ask for.
        live: for what is followed, so that a node that catches up answers publishers and subscribers all the
            same, rather than after all that is under way to it.
        stream: the stream, over the first of the connections.
        state: the stream's, at the beginning.

    """

    def __init__(self, broker: Broker, live: Broker, stream: Stream, state: State) -> None:
        self._broker = broker
        self._live = live
        self._stream = stream
        self._state = state
        self._followers: list[JetStreamFollower] = []
        self._publishing = Publishing(broker, stream)
        self._reading = Reading(broker, stream)
        self._latest = Latest(self._look)

    @classmethod
    async def open(
        cls, broker: BrokerOptions, stream: StreamOptions, *, max_event_bytes: int = 0
    ) -> "JetStreamStore":
        """Connect, and make the stream where it is not there.

        Args:
            broker: how NATS is reached.
            stream: what is kept.
            max_event_bytes: how large an event may be.

        Raises:
            StoreUnusable: it cannot be done; the message says why and what to do.

        """
        async with AsyncExitStack() as undo:
            calls = await Broker.connect(broker, purpose="requests")
            undo.push_async_callback(calls.close)
            _check_size(calls.max_payload, max_event_bytes + _HEADERS_BYTES)
            opened = Stream(calls, stream)
            state = await _prepared(opened, broker.timeout)
            live = await Broker.connect(broker, purpose="live events")
            undo.pop_all()
            return cls(calls, live, opened, state)

    async def close(self) -> None:
        """End the connections."""
        for follower in self._followers:
            follower.close()
        await self._live.close()
        await self._broker.close()

    @property
    def epoch(self) -> str:
        """Names the stream as it was made, on every node the same (RPL-8)."""
        return self._state.epoch

    async def append(
        self, investigation_id: str, payloads: Sequence[Payload], *, idempotency_key: str | None = None
    ) -> Sequence[int]:
        """Store events, acknowledged by the stream; see `EventStore.append`."""
        return await self._publishing.publish(investigation_id, payloads, idempotency_key)

    async def head(self) -> int:
        """Ask the stream's leader for the last number; see `EventStore.head`."""
        return await self._latest()

    async def _look(self) -> int:
        try:
            state = await self._stream.state()
        except (ApiError, StoreUnusable) as error:
            raise StoreUnavailable(f"the event store: {error}", retry_after=RETRY_AFTER) from error
        if state.epoch != self._state.epoch:
            # What a number means is known when the follower has noticed too.
            for follower in self._followers:
                follower.lose()
            raise StoreUnavailable("the event store begins anew", retry_after=RETRY_AFTER)
        # A server that has just become the leader may not know yet what was delivered already.
        return max(state.last, *(follower.position for follower in self._followers), 0)

    async def read_after(
        self, investigation_id: str, seq: int, *, limit: int, scope: Scope = Scope.ALL
    ) -> Sequence[Event]:
        """Read an investigation's events after a number; see `EventStore.read_after`."""
        return await self._reading.after(investigation_id, seq, limit=limit, scope=scope)

    def follow(self) -> JetStreamFollower:
        """Follow what is appended since the stream was opened; see `EventStore.follow`."""
        follower = JetStreamFollower(self._live, self._stream, self._state, renewed=self._renew)
        self._followers.append(follower)
        return follower

    def _renew(self, state: State) -> None:
        self._state = state


def _check_size(limit: int, needed: int) -> None:
    if limit < needed:
        raise StoreUnusable(
            f"NATS takes messages of {limit} bytes: set its max_payload to {needed} at least, "
            "or --max-event-bytes lower"
        )


async def _prepared(stream: Stream, seconds: float) -> State:
    """Return the stream's state, where it answers in time: a cluster that starts has no leader at first."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return await stream.prepare()
                except StoreUnavailable:
                    await asyncio.sleep(RETRY_AFTER / 4)
    except TimeoutError as error:
        raise StoreUnusable(
            "NATS does not answer for JetStream: start it with -js; in a cluster, most servers must run"
        ) from error
