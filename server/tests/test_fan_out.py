"""What a delivery costs, in writes and in processor time: no stopwatch, since the machine may be busy.

Hub, writers and sockets are real; who reads, reads at the end or beside.
"""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from weakref import WeakValueDictionary

import pytest
from osint_events_server import frames
from osint_events_server.frames import Frames
from osint_events_server.hub import Hub
from osint_events_server.outbox import Outbox
from osint_events_server.scope import Scope
from osint_events_server.sockets import Sockets
from osint_events_server.store import Event
from osint_events_server.watched import watch
from osint_events_server.writer import Writer

RECEIVERS = 200
ROUNDS = 4  # of 100 events: what a socket holds unread
TEXT = b'{"type":"task_started","task_id":"t-1","message":"%b"}' % (b"x" * 200)

# About six times what was measured, so that what fails is a change for the worse and not a busy machine.
MAX_USER_SECONDS = 4e-6


class Peer:
    """One end of a connection: what it was sent so far."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)

    def read(self) -> bytes:
        """All that has come."""
        read = b""
        while True:
            try:
                part = self._end.recv(1 << 20)
            except BlockingIOError:
                return read
            if not part:
                return read
            read += part


class Watcher(Writer):
    """A writer that watches its transport itself."""

    def received(self, size: int) -> None:
        raise NotImplementedError("no peer here sends anything")


class Connected:
    """A hub, and receivers with sockets of their own."""

    def __init__(self) -> None:
        self.sockets = Sockets()
        self.hub: Hub[Watcher] = Hub(self.sockets.send, fallback=False)
        self.writers: list[Watcher] = []
        self.peers: list[Peer] = []
        self._seq = 0

    async def join(self, stack: ExitStack, *investigation_ids: str) -> None:
        near, far = (stack.enter_context(end) for end in socket.socketpair())
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
        stack.callback(transport.abort)
        outbox = Outbox(max_messages=1024, max_bytes=1 << 20)

        async def drain() -> None:
            raise NotImplementedError("no peer here is full")

        writer = Watcher(transport, outbox, self.sockets, drain=drain, stall=10, give_up=pytest.fail)
        watch(transport, writer)
        writer.open()
        self.hub.connect(writer)
        for investigation_id in investigation_ids:
            self.hub.subscribe(writer, investigation_id)
        self.writers.append(writer)
        self.peers.append(Peer(far))

    def deliver(self, *investigation_ids: str) -> None:
        """Deliver one event of each, due together."""
        events = []
        for investigation_id in investigation_ids:
            self._seq += 1
            events.append(Event(self._seq, investigation_id, TEXT, Scope.ALL))
        self.hub.deliver(events)


@pytest.fixture(name="connected")
async def fixture_connected() -> AsyncIterator[Connected]:
    with ExitStack() as stack:
        connected = Connected()
        for _ in range(RECEIVERS):
            await connected.join(stack, "x")
        yield connected
        stack.close()
        await asyncio.sleep(0)  # transports say that they are lost in the loop's next turn


@contextmanager
def costs(connected: Connected, figures: dict[str, float]) -> Iterator[None]:
    """Note the writes and the seconds in user mode, each per delivery."""
    deliveries, writes = connected.hub.deliveries, connected.hub.writes
    user = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    yield
    user = resource.getrusage(resource.RUSAGE_SELF).ru_utime - user
    delivered = connected.hub.deliveries - deliveries
    figures["writes"] = (connected.hub.writes - writes) / delivered
    figures["user"] = user / delivered


def update(investigation_id: str) -> bytes:
    return frames.text_frame(frames.update(investigation_id, TEXT))


async def test_an_event_that_is_alone_leaves_at_once_with_a_write_a_receiver(connected: Connected) -> None:
    figures: dict[str, float] = {}
    with costs(connected, figures):
        for _ in range(100):
            connected.deliver("x")
    assert {peer.read() for peer in connected.peers} == {update("x") * 100}
    assert figures["writes"] == 1
    assert figures["user"] < MAX_USER_SECONDS


async def test_events_that_are_due_together_leave_in_one_write(connected: Connected) -> None:
    figures: dict[str, float] = {}
    with costs(connected, figures):
        for _ in range(ROUNDS):
            connected.deliver(*["x"] * 100)
    assert {peer.read() for peer in connected.peers} == {update("x") * 100 * ROUNDS}
    assert figures["writes"] == 1 / 100
    assert figures["user"] < MAX_USER_SECONDS / 5


async def test_so_do_events_of_several_investigations() -> None:
    names = [f"inv-{number}" for number in range(50)]
    with ExitStack() as stack:
        connected = Connected()
        for _ in range(20):
            await connected.join(stack, *names)
        figures: dict[str, float] = {}
        with costs(connected, figures):
            for _ in range(ROUNDS):
                connected.deliver(*names, *names)
        # In the order of each investigation's first event; those of one stay together.
        expected = b"".join(update(name) * 2 for name in names) * ROUNDS
        assert {peer.read() for peer in connected.peers} == {expected}
        assert figures["writes"] == 1 / 100
        assert figures["user"] < MAX_USER_SECONDS / 5
        stack.close()
        await asyncio.sleep(0)


_recorders: WeakValueDictionary[int, "Recorder"] = WeakValueDictionary()


class Recorder:
    """A receiver that keeps what it is sent."""

    def __init__(self) -> None:
        self.writes: list[Frames] = []
        self.number = id(self)
        _recorders[self.number] = self


def send(numbers: Iterable[int], writes: Sequence[Frames]) -> None:
    for number in numbers:
        _recorders[number].writes += writes


def test_those_who_are_due_the_same_share_the_joined_bytes() -> None:
    hub: Hub[Recorder] = Hub(send, fallback=True)
    both, as_well, one = Recorder(), Recorder(), Recorder()
    for receiver in (both, as_well, one):
        hub.connect(receiver)
        hub.subscribe(receiver, "x")
    for receiver in (both, as_well):
        hub.subscribe(receiver, "y")
    hub.deliver([Event(1, "x", b"{}", Scope.ALL), Event(2, "y", b"{}", Scope.ALL)])
    (joined,), (shared,), (alone,) = both.writes, as_well.writes, one.writes
    assert joined is shared
    assert (joined.messages, alone.messages) == (2, 1)
