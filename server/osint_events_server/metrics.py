"""What the node counted, and its state, for Prometheus.

Counts are collected when they are scraped, so that nothing of this is in the way of events. No label has a
value that a client chose.
"""

import time
from collections import Counter as Counted
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from osint_events.close_codes import CloseCode
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from osint_events_server.counts import Counts

_PREFIX = "osint_events_"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_MAX_PENDING = 10_000  # publications whose delivery is waited for


class Queue(Protocol):
    """What waits for one connection."""

    @property
    def waiting_messages(self) -> int:
        """How many messages wait."""

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait."""


@dataclass(frozen=True, slots=True)
class State:
    """What is true of a node at the moment.

    Attributes:
        queues: of all connections.
        subscriptions: of all connections together.
        position: the number up to which events were delivered.
        deliveries: messages of events that were handed to connections since the start.
        delivered_bytes: their bytes, frame headers included.
        writes: by which they were handed over, each of one or more messages.
        is_draining: whether it takes no connections any more.

    """

    queues: Collection[Queue]
    subscriptions: int
    position: int
    deliveries: int
    delivered_bytes: int
    writes: int
    is_draining: bool


class Metrics:
    """A node's metrics.

    Args:
        counts: what was counted.
        state: what is true at the moment.
        max_connections: the limit, to be seen beside what there is.

    Attributes:
        publish_seconds: is told how long each request to publish took, until its events were stored.

    """

    def __init__(self, counts: Counts, state: Callable[[], State], *, max_connections: int) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Node(self, counts, state, max_connections))
        ProcessCollector(registry=self._registry)
        self.publish_seconds = self._histogram(
            "publish_duration_seconds", "From a request to publish until its events were stored."
        )
        self._delivery_seconds = self._histogram(
            "delivery_latency_seconds",
            "From a request to publish on this node until its last event was handed to all connections.",
        )
        self.store_is_up = True
        self._position = 0
        self._pending: deque[tuple[int, float]] = deque(maxlen=_MAX_PENDING)

    def _histogram(self, name: str, documentation: str) -> Histogram:
        return Histogram(_PREFIX + name, documentation, buckets=_BUCKETS, registry=self._registry)

    def published(self, seq: int, began: float) -> None:
        """Take note that a request was carried out.

        Args:
            seq: the number of its last event.
            began: when it came, by `time.perf_counter`.

        """
        self.publish_seconds.observe(time.perf_counter() - began)
        if seq <= self._position:
            self._delivery_seconds.observe(time.perf_counter() - began)
        else:
            self._pending.append((seq, began))

    def delivered(self, position: int) -> None:
        """Take note that events up to a number were handed to their receivers."""
        self._position = position
        while self._pending and self._pending[0][0] <= position:
            _, began = self._pending.popleft()
            self._delivery_seconds.observe(time.perf_counter() - began)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics as text, and its content type, as an `Accept` header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Node(Collector):
    """Collects what was counted, and what is true at the moment."""

    def __init__(
        self, metrics: Metrics, counts: Counts, state: Callable[[], State], max_connections: int
    ) -> None:
        self._metrics = metrics
        self._counts = counts
        self._state = state
        self._max_connections = max_connections

    def describe(self) -> list[Metric]:
        """Return nothing, so that nothing is collected when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the node's metrics."""
        state = self._state()
        yield from self._gauges(state)
        yield from self._counters(state)

    def _gauges(self, state: State) -> Iterator[Metric]:
        messages = [queue.waiting_messages for queue in state.queues]
        sizes = [queue.waiting_bytes for queue in state.queues]
        for name, documentation, value in (
            ("connections", "WebSocket connections that are open.", len(state.queues)),
            ("connections_limit", "WebSocket connections that may be open.", self._max_connections),
            ("subscriptions", "Subscriptions of all open connections.", state.subscriptions),
            ("queue_messages", "Messages that wait for connections that do not keep up.", sum(messages)),
            ("queue_bytes", "Bytes that wait for connections that do not keep up.", sum(sizes)),
            ("queue_messages_max", "Messages in the longest queue.", max(messages, default=0)),
            ("queue_bytes_max", "Bytes in the largest queue.", max(sizes, default=0)),
            ("queues", "Connections for which something waits.", sum(map(bool, messages))),
            ("position", "Number of the last event that was delivered.", state.position),
            ("draining", "1 while the server takes no connections any more, else 0.", state.is_draining),
            ("store_up", "1 while the store can be reached, else 0.", self._metrics.store_is_up),
        ):
            yield GaugeMetricFamily(_PREFIX + name, documentation, value=float(value))

    def _counters(self, state: State) -> Iterator[Metric]:
        counts = self._counts
        for name, documentation, value in (
            ("connections_accepted", "WebSocket handshakes that were accepted.", counts.accepted),
            ("messages_received", "Text messages of clients.", counts.received_messages),
            ("received_bytes", "Bytes of clients after the handshake.", counts.received_bytes),
            ("events_followed", "Events that came from the store to be delivered.", counts.followed),
            ("deliveries", "Messages of events that were handed to connections.", state.deliveries),
            ("delivered_bytes", "Bytes of these messages, frame headers included.", state.delivered_bytes),
            ("writes", "Writes by which they were; fewer where several left in one.", state.writes),
            ("replayed_events", "Events that replays held.", counts.replayed),
            ("slow_consumers", "Connections ended since they did not keep up.", _slow(counts)),
        ):
            yield CounterMetricFamily(_PREFIX + name, documentation, value=value)
        for name, documentation, label, values in (
            ("connections_refused", "WebSocket handshakes that were refused.", "reason", counts.refused),
            ("connections_closed", "Connections that the server closed or dropped.", "code", counts.closed),
            ("messages_ignored", "Messages that were not carried out.", "code", counts.ignored),
            ("events_published", "Events that this node stored.", "source", counts.published),
            ("gaps", "Times that events may have been missed.", "reason", counts.gaps),
            ("replays", "Replays, by status or by why they failed.", "status", counts.replays),
        ):
            yield _labelled(_PREFIX + name, documentation, label, values)


def _slow(counts: Counts) -> int:
    return counts.closed[CloseCode.SLOW_CONSUMER] + counts.closed[CloseCode.TRY_AGAIN_LATER]


def _labelled(
    name: str, documentation: str, label: str, values: "Mapping[str, int] | Counted[int]"
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in values.items():
        family.add_metric([str(value)], count)
    return family
