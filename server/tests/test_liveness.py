"""Heartbeats, slow consumers and inbound rates over real sockets: HB-1 to HB-3, FLW-1 to FLW-3."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from osint_events_server.settings import Settings
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol

Inject = Callable[[str, object], Awaitable[int]]
Dial = Callable[..., AbstractAsyncContextManager[Any]]

HANDSHAKE = (
    b"GET /ws/raw HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PAD = "x" * 50_000
HEARTBEAT_TIMEOUT, SLOW_CONSUMER, RATE_ABUSE = 4001, 4002, 4003


@pytest.fixture
def settings() -> Settings:
    return Settings(port=0, enable_inject=True, ping_interval=0.3, pong_timeout=0.2, close_timeout=0.2)


async def test_a_ping_is_answered_with_its_id_and_reference(dial: Dial) -> None:
    async with dial("heartbeat") as client:
        assert await client.ask("ping", id="é🦊", ref="r") == {"type": "pong", "id": "é🦊", "ref": "r"}
        assert await client.ask("ping", id="") == {"type": "pong", "id": ""}


@pytest.mark.parametrize("id_", ["x" * 65, "x" * 60_000, 1, None])
async def test_a_ping_with_an_id_that_is_none_is_an_error(dial: Dial, id_: object) -> None:
    async with dial("heartbeat", "errors") as client:
        assert (await client.ask("ping", id=id_))["code"] == "invalid_message"
        assert (await client.ask("ping", id="x" * 64))["type"] == "pong"


async def test_pongs_that_nobody_asked_for_are_ignored(dial: Dial) -> None:
    async with dial("heartbeat", "errors") as client:
        await client.send("pong", id="never sent")
        await client.send("pong", id="x" * 1000)
        assert (await client.ask("ping", id="1"))["type"] == "pong"


async def test_who_answers_pings_stays_connected_and_who_does_not_is_closed_with_4001(dial: Dial) -> None:
    async with dial("heartbeat") as answers, dial("heartbeat") as silent:
        seen = set()
        for _ in range(3):
            ping = await answers.receive()
            assert ping["type"] == "ping"
            seen.add(ping["id"])
            await answers.send("pong", id=ping["id"])
        assert len(seen) == 3
        assert (await silent.receive())["type"] == "ping"
        assert await silent.closed() == HEARTBEAT_TIMEOUT
        assert (await answers.ask("ping", id="still here"))["id"]


async def test_who_is_silent_is_closed_on_time(dial: Dial) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with dial("heartbeat") as client:
        await client.closed()
        assert 0.5 <= loop.time() - start < 1.7  # the interval and the timeout; a busy machine is forgiven


async def test_a_listener_of_a_busy_stream_that_only_answers_pings_is_never_closed(
    dial: Dial, inject: Inject
) -> None:
    async with dial("heartbeat") as client:
        await client.subscribe("x")
        pings = 0
        while pings < 3:
            await inject("x", {})
            message = await client.receive()
            if message["type"] == "ping":
                pings += 1
                await client.send("pong", id=message["id"])


async def test_while_both_sides_send_nobody_is_pinged(dial: Dial, inject: Inject) -> None:
    async with dial("heartbeat") as client:
        await client.subscribe("x")
        for _ in range(20):
            await client.send("pong", id="unsolicited")
            await inject("x", {})
            assert (await client.receive())["type"] == "investigation_update"
            await asyncio.sleep(0.05)


async def test_any_inbound_frame_is_life(dial: Dial) -> None:
    async with dial(
        "heartbeat", "errors", ping_interval=0.1
    ) as control:  # the library's pings, and pongs to ours
        for _ in range(4):
            assert (await control.receive())["type"] == "ping"


async def test_a_connection_without_heartbeat_sees_no_pings(dial: Dial) -> None:
    async with dial("replay") as client:
        await asyncio.sleep(0.8)  # several intervals; the library answers the control frames
        await client.subscribe("x")


@pytest.mark.parametrize("features", [(), ("heartbeat",)])
async def test_a_frame_that_comes_slowly_is_life_though_no_ping_is_answered(
    server: str, features: tuple[str, ...]
) -> None:
    def frame(message: dict[str, object]) -> bytes:
        return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)

    subscribe = frame({"type": "subscribe_investigation", "investigation_id": "x"})
    async with raw(server) as (reader, writer):
        if features:
            writer.write(frame({"type": "hello", "protocol": 1, "features": features}))
        for byte in subscribe:  # for longer than three intervals
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.95 / len(subscribe))
        async with asyncio.timeout(10):
            await reader.readuntil(b"subscription_confirmed")


@asynccontextmanager
async def raw(server: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket connection that answers nothing by itself."""
    reader, writer = await asyncio.open_connection(*server.split(":"))
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    yield reader, writer
    writer.close()


async def test_a_core_connection_that_shows_no_life_sees_one_ping_and_is_dropped(server: str) -> None:
    async with raw(server) as (reader, _), asyncio.timeout(10):
        assert await reader.read() == b"\x89\x00"


@asynccontextmanager
async def stalled(server: str, *features: str) -> AsyncIterator[socket.socket]:
    """A subscriber of x that reads no further than its confirmation, with small buffers."""
    host, port = server.split(":")
    loop = asyncio.get_running_loop()
    messages = [{"type": "subscribe_investigation", "investigation_id": "x"}]
    if features:
        messages.insert(0, {"type": "hello", "protocol": 1, "features": features})  # type: ignore[dict-item]
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(sock, (host, int(port)))
        wire = HANDSHAKE
        for message in messages:
            wire += Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)
        await loop.sock_sendall(sock, wire)
        received = b""
        async with asyncio.timeout(10):
            while b"subscription_confirmed" not in received:
                received += await loop.sock_recv(sock, 4096)
        yield sock


async def read(sock: socket.socket) -> AsyncIterator[tuple[int, bytes]]:
    """Opcode and payload of each frame that is left to be read."""
    loop = asyncio.get_running_loop()
    client = Protocol(CLIENT, max_size=None)
    async with asyncio.timeout(10):
        while chunk := await loop.sock_recv(sock, 1 << 20):
            client.receive_data(chunk)
            for frame in client.events_received():
                assert isinstance(frame, Frame)
                yield frame.opcode, bytes(frame.data)


async def rest(sock: socket.socket) -> tuple[list[Any], int]:
    """The messages and the close code that are left to be read."""
    messages: list[Any] = []
    async for opcode, payload in read(sock):
        if opcode == Opcode.CLOSE:
            return messages, int.from_bytes(payload[:2], "big")
        messages.append(json.loads(payload))
    pytest.fail("ended without a close frame")


async def read_updates(sock: socket.socket, count: int) -> list[Any]:
    """The messages up to an update."""
    messages: list[Any] = []
    async for _, payload in read(sock):
        messages.append(json.loads(payload))
        count -= messages[-1]["type"] == "investigation_update"
        if not count:
            return messages
    pytest.fail(f"ended {count} updates early")


class TestFlow:
    """A consumer that is too slow, and a client that is too fast."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            port=0,
            enable_inject=True,
            max_queue_messages=8,
            max_queue_bytes=100_000_000,
            messages_per_second=1,  # so slowly that a busy machine grants no message more
            burst=5,
        )

    @pytest.mark.parametrize(
        ("features", "code"), [((), 1013), (("errors",), SLOW_CONSUMER), (("flow", "replay"), SLOW_CONSUMER)]
    )
    async def test_who_does_not_read_is_ended_at_the_limit_and_delays_nobody(
        self, server: str, dial: Dial, inject: Inject, features: tuple[str, ...], code: int
    ) -> None:
        async with stalled(server, *features) as slow, dial("replay") as good:
            await good.subscribe("x")
            for number in range(160):
                await inject("x", {"n": number, "pad": PAD})
                assert (await good.receive())["data"]["n"] == number
            messages, closed_with = await rest(slow)
            numbers = [m["data"]["n"] for m in messages if m["type"] == "investigation_update"]
            assert numbers == list(range(len(numbers)))  # nothing after the first that was lost
            assert len(numbers) < 160
            assert closed_with == code
            told = [m["state"] for m in messages if m["type"] == "backpressure"]
            assert told == [] if "flow" not in features else set(told) <= {"high"}

    @pytest.mark.parametrize("features", [("flow",), ("errors",)])
    async def test_what_comes_too_fast_is_answered_and_not_carried_out(
        self, dial: Dial, features: tuple[str, ...]
    ) -> None:
        async with dial(*features) as client:
            for number in range(8):
                await client.send("subscribe_investigation", investigation_id=str(number), ref=f"r{number}")
            answers = [await client.receive() for _ in range(8)]
            confirmed = [answer["ref"] for answer in answers if answer["type"] == "subscription_confirmed"]
            refused = [answer for answer in answers if answer["type"] == "error"]
            assert confirmed == ["r0", "r1", "r2", "r3"]  # the hello was one of the five
            assert [answer["ref"] for answer in refused] == ["r4", "r5", "r6", "r7"]
            for answer in refused:
                assert (answer["code"], answer["temporary"]) == ("rate_limited", True)
                assert 0 < answer["retry_after_ms"] <= 1000
            await asyncio.sleep(answer["retry_after_ms"] / 1000)
            await client.subscribe("later")

    async def test_who_goes_on_regardless_is_closed_with_4003(self, dial: Dial) -> None:
        async with dial("flow") as client:
            for _ in range(100):
                await client.send("nonsense")
            assert await client.closed() == RATE_ABUSE

    async def test_who_cannot_be_told_is_read_more_slowly_and_loses_nothing(self, dial: Dial) -> None:
        async with dial("replay") as client:
            for number in range(6):
                await client.send("subscribe_investigation", investigation_id=str(number))
            answers = [await client.receive() for _ in range(6)]
            assert [answer["investigation_id"] for answer in answers] == [str(number) for number in range(6)]


class TestBackpressure:
    """A queue that fills, and is worked off."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(port=0, enable_inject=True, max_queue_messages=120, max_queue_bytes=100_000_000)

    async def test_it_is_told_high_and_then_normal_to_those_who_negotiated_it(
        self, server: str, inject: Inject
    ) -> None:
        async with stalled(server, "flow") as told, stalled(server, "replay") as other:
            for _ in range(110):  # a few of them fit into the kernel's buffers
                await inject("x", {"pad": "x" * 250_000})
            for sock, states in ((told, ["high", "normal"]), (other, [])):
                messages = await read_updates(sock, 110)
                pressure = [message for message in messages if message["type"] == "backpressure"]
                assert [message["state"] for message in pressure] == states
                if states:
                    high, normal = pressure
                    assert 60 <= high["queued_messages"] <= 120
                    assert high["queued_bytes"] > 60 * 250_000
                    assert normal["queued_messages"] <= 30


class TestLongReplays:
    """Replays beyond the queue's limits."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(port=0, enable_inject=True, max_queue_messages=16, max_queue_bytes=400_000)

    async def test_a_replay_larger_than_the_queue_is_fed_as_the_client_reads(
        self, dial: Dial, inject: Inject
    ) -> None:
        async with dial("replay") as client:
            token = (await client.subscribe("x"))["token"]
        for number in range(200):  # 10 MB
            await inject("x", {"n": number, "pad": PAD})
        async with dial("replay", "heartbeat", max_queue=1) as client:
            assert (await client.subscribe("x", replay_token=token))["replay"]["count"] == 200
            await inject("x", {"n": 200})
            await client.send("ping", id="overtakes")
            messages = [await client.receive() for _ in range(203)]
            assert [m["data"]["n"] for m in messages if "data" in m] == list(range(201))
            kinds = [m["type"] for m in messages]
            assert kinds.index("pong") < kinds.index("replay_complete") < len(kinds) - 1

    async def test_who_stops_reading_during_a_replay_is_ended(
        self, server: str, dial: Dial, inject: Inject
    ) -> None:
        async with dial("replay") as client:
            token = (await client.subscribe("x"))["token"]
        for number in range(300):
            await inject("x", {"n": number, "pad": PAD})
        async with stalled(server, "replay") as slow:
            again = {"type": "subscribe_investigation", "investigation_id": "x", "replay_token": token}
            wire = Frame(Opcode.TEXT, json.dumps(again).encode()).serialize(mask=True)
            await asyncio.get_running_loop().sock_sendall(slow, wire)
            for number in range(300, 340):
                await inject("x", {"n": number})
            messages, code = await rest(slow)
            numbers = [m["data"]["n"] for m in messages if "data" in m]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) < 300
            assert code == SLOW_CONSUMER
