"""Writing to a transport that is full, with a transport and a drain of the test's own."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator

import pytest
from osint_events_server.frames import Frames
from osint_events_server.outbox import Outbox, Replay
from osint_events_server.sockets import Sockets
from osint_events_server.watched import watch
from osint_events_server.writer import Writer


class FullTransport(asyncio.Transport):
    """Keeps what is written, and is as full as it is told to be."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.buffered = 0
        self.drained = asyncio.Event()
        self.wrote = asyncio.Event()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 10

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        self.wrote.set()

    def is_closing(self) -> bool:
        return False

    async def drain(self) -> None:
        await self.drained.wait()

    def read_by_the_peer(self) -> None:
        self.buffered = 0
        self.drained.set()


class Watcher(Writer):
    """A writer that watches its transport itself."""

    def received(self, size: int) -> None:
        raise NotImplementedError("no peer here sends anything")


class Peer:
    """A writer, what it writes to, and why it gave up."""

    def __init__(self, *, stall: float = 10, max_messages: int = 4) -> None:
        self.transport = FullTransport()
        self.reasons: list[str] = []
        self.gave_up = asyncio.Event()
        self.sockets = Sockets()
        self.writer = Writer(
            self.transport,
            Outbox(max_messages=max_messages, max_bytes=1000),
            self.sockets,
            drain=self.transport.drain,
            stall=stall,
            give_up=self._give_up,
        )

    def _give_up(self, reason: str) -> None:
        self.reasons.append(reason)
        self.gave_up.set()

    async def until(self, written: bytes) -> None:
        async with asyncio.timeout(10):
            while self.transport.written != written:
                self.transport.wrote.clear()
                await self.transport.wrote.wait()


def frames(wire: bytes) -> Frames:
    return Frames(wire)


async def never() -> None:
    await asyncio.Event().wait()


async def replay(*wires: bytes, fail: bool = False) -> AsyncGenerator[Frames, None]:
    for wire in wires:
        yield Frames(wire)
    if fail:
        raise LookupError("nobody expected this")


async def test_where_the_peer_keeps_up_all_is_written_at_once() -> None:
    peer = Peer()
    peer.writer.send([frames(b"a"), frames(b"b")])
    assert peer.transport.written == b"ab"


async def test_what_waits_is_written_in_order_and_a_first_message_ahead_of_it() -> None:
    peer = Peer()
    peer.transport.buffered = 11
    peer.writer.send([frames(b"a"), frames(b"b")])
    peer.writer.send_first(frames(b"!"))
    assert peer.transport.written == b""
    peer.transport.read_by_the_peer()
    await peer.until(b"!ab")


async def test_what_is_sent_during_a_replay_comes_after_it_and_first_messages_within() -> None:
    peer = Peer()
    peer.writer.send([frames(b"a")])
    peer.writer.replay(replay(b"1", b"2"))
    peer.writer.send([frames(b"b")])
    peer.writer.replay(replay(b"3"))
    peer.writer.send([frames(b"c")])
    peer.writer.send_first(frames(b"!"))
    await peer.until(b"a!12b3c")
    peer.writer.send([frames(b"d")])
    assert peer.transport.written == b"a!12b3cd"


async def test_a_replay_waits_while_the_transport_is_full() -> None:
    peer = Peer()

    async def filling() -> AsyncGenerator[Frames, None]:
        yield Frames(b"1")
        peer.transport.buffered = 11
        yield Frames(b"2")

    peer.writer.replay(filling())
    await peer.until(b"1")
    peer.writer.send_first(frames(b"!"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert peer.transport.written == b"1"
    peer.transport.read_by_the_peer()
    await peer.until(b"1!2")


async def test_nothing_is_sent_after_what_did_not_fit() -> None:
    peer = Peer(max_messages=2)
    peer.transport.buffered = 11
    for wire in (b"a", b"b", b"c", b"d"):
        peer.writer.send([frames(wire)])
    assert peer.reasons == ["slow consumer"]
    peer.transport.read_by_the_peer()
    peer.writer.send([frames(b"e")])
    for _ in range(10):
        await asyncio.sleep(0)
    assert peer.transport.written == b""


async def test_too_many_replays_do_not_fit() -> None:
    peer = Peer(max_messages=2)
    peer.transport.buffered = 11
    for _ in range(3):
        peer.writer.replay(replay(b"1"))
    assert peer.reasons == ["slow consumer"]


async def test_a_peer_that_reads_nothing_is_given_up_once() -> None:
    peer = Peer(stall=0.01)
    peer.transport.buffered = 11
    peer.writer.send([frames(b"a")])
    async with asyncio.timeout(10):
        await peer.gave_up.wait()
    peer.transport.read_by_the_peer()
    assert (peer.reasons, peer.transport.written) == (["stalled"], b"")


async def test_nothing_follows_a_replay_that_broke_off() -> None:
    peer = Peer()
    # The exception is nobody's to catch: asyncio logs it when the task goes.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    peer.writer.replay(replay(b"1", fail=True))
    peer.writer.send([frames(b"a")])
    async with asyncio.timeout(10):
        await peer.gave_up.wait()
    peer.writer.send([frames(b"b")])
    assert (peer.reasons, peer.transport.written) == (["the replay failed"], b"1")


async def test_closing_flushes_up_to_the_first_replay() -> None:
    peer = Peer()
    peer.transport.buffered = 11
    peer.writer.send([frames(b"a")])
    unread: Replay = replay(b"1")
    peer.writer.replay(unread)
    peer.writer.send([frames(b"b")])
    peer.writer.close(flush=True)
    assert peer.transport.written == b"a"
    await unread.aclose()


def test_a_replay_has_its_place_in_the_outbox_and_counts_as_one_message() -> None:
    box = Outbox(max_messages=3, max_bytes=100)
    box.put(frames(b"a"))
    box.put_replay(waiting := replay())
    box.put(frames(b"b"))
    assert box.messages == 3
    assert box.take_replay() is None
    assert box.take().wire == b"a"
    box.put_first(frames(b"!"))
    assert box.take_replay() is None
    assert box.take().wire == b"!"
    assert box.take_replay() is waiting
    assert box.messages == 1
    assert box.take().wire == b"b"


async def test_what_a_socket_takes_in_part_arrives_whole_and_in_order() -> None:
    near, far = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    with far:
        far.setblocking(False)
        given_up: list[str] = []
        sockets = Sockets()
        writer = Watcher(
            transport,
            Outbox(max_messages=100, max_bytes=10_000_000),
            sockets,
            drain=never,
            stall=10,
            give_up=given_up.append,
        )
        watch(transport, writer)
        writer.open()
        sizes = [1, 300_000, 2, 500_000, 3]  # more than the buffers of a socket hold at once
        for number, size in enumerate(sizes):
            sockets.send([writer.number], (frames(b"%d" % number * size),))
        expected = b"".join(b"%d" % number * size for number, size in enumerate(sizes))
        waiting = writer._outbox.bytes
        assert 0 < waiting < len(expected)
        read = b""
        async with asyncio.timeout(10):
            while len(read) < len(expected) - waiting:
                read += await loop.sock_recv(far, 1 << 20)
        writer.close(flush=True)
        async with asyncio.timeout(10):
            while len(read) < len(expected):
                read += await loop.sock_recv(far, 1 << 20)
        assert read == expected
        assert given_up == []
        transport.abort()
        await asyncio.sleep(0)


async def test_a_peer_that_is_gone_harms_nobody() -> None:
    near, far = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    sockets = Sockets()
    writer = Watcher(
        transport,
        Outbox(max_messages=4, max_bytes=1000),
        sockets,
        drain=never,
        stall=10,
        give_up=pytest.fail,
    )
    watch(transport, writer)
    writer.open()
    far.close()
    for _ in range(10):
        sockets.send([writer.number], (frames(b"x"),))
        sockets.send([writer.number], (frames(b"x"), frames(b"y")))
    assert transport.is_closing()
    await asyncio.sleep(0)


async def test_what_others_left_in_the_transport_is_not_overtaken() -> None:
    near, far = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    sockets = Sockets()
    with far:
        far.setblocking(False)
        writer = Watcher(
            transport,
            Outbox(max_messages=4, max_bytes=1000),
            sockets,
            drain=never,
            stall=10,
            give_up=pytest.fail,
        )
        watch(transport, writer)
        writer.open()
        foreign = b"p" * 1_000_000  # as aiohttp's pongs and close frames are, but for the size
        transport.write(foreign)
        assert transport.get_write_buffer_size()
        assert sockets.busy == {writer.number}
        writer._high_water = len(foreign)  # there is room, so nothing is queued
        sockets.send([writer.number], (frames(b"next"),))
        read = b""
        async with asyncio.timeout(10):
            while len(read) < len(foreign) + 4:
                read += await loop.sock_recv(far, 1 << 20)
        assert read == foreign + b"next"
        assert not sockets.busy
        transport.abort()
        await asyncio.sleep(0)


async def test_a_writer_is_forgotten_before_its_socket_is_closed() -> None:
    near, far = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    open_when_lost: list[bool] = []

    class Last(Watcher):
        def lose(self) -> None:
            os.fstat(self.number)  # raises where it is closed
            super().lose()
            open_when_lost.append(self.number in sockets.busy)

    sockets = Sockets()
    with far:
        writer = Last(
            transport,
            Outbox(max_messages=4, max_bytes=1000),
            sockets,
            drain=never,
            stall=10,
            give_up=pytest.fail,
        )
        watch(transport, writer)
        writer.open()
        transport.abort()
        await asyncio.sleep(0)
    assert open_when_lost == [False]
    with pytest.raises(KeyError):
        sockets.remove(writer.number)


async def test_without_a_socket_of_its_own_frames_go_through_the_transport() -> None:
    peer = Peer()
    peer.writer.open()
    peer.sockets.send([peer.writer.number], (frames(b"a"),))
    peer.sockets.send([peer.writer.number], (frames(b"b"), frames(b"c")))
    assert peer.transport.written == b"abc"
