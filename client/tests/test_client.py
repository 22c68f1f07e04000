"""The client on real sockets: resumes, comes back, stops, keeps pace, and ends cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import pytest
from osint_events_client import CannotConnect, Client, Ended, Event, Gap, Item, Refused, connect
from websockets import Request, Response
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers

if TYPE_CHECKING:
    from .conftest import Serving

TASK = {"type": "task_started", "task_id": "t"}
pytestmark = pytest.mark.timeout(30)


async def take(client: Client, count: int) -> list[Item]:
    async with asyncio.timeout(10):
        return [await anext(client) for _ in range(count)]


def event(item: Item) -> Event:
    assert isinstance(item, Event)
    return item


async def test_events_of_several_investigations_arrive_classified(serving: Serving) -> None:
    async with serving() as server, connect(server.url, ["X", "Y"]) as events:
        await server.subscribed("X", "Y")
        await server.publish("X", {"event": "task_started"})
        await server.publish("Z", TASK)
        await server.publish("Y", {"status": "running", "message": "starting"})
        first, second = map(event, await take(events, 2))
        assert (first.investigation_id, first.kind, first.data) == (
            "X",
            "task_started",
            {"event": "task_started"},
        )
        assert (second.investigation_id, second.kind) == ("Y", "investigation_started")
        assert events.features == {"hello", "heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors"}


async def test_what_a_broken_connection_missed_is_replayed(serving: Serving, rng: random.Random) -> None:
    async with serving() as server, connect(server.url, ["X"], rng=rng) as events:
        await server.subscribed("X")
        await server.publish("X", {"n": 1})
        assert event((await take(events, 1))[0]).data == {"n": 1}
        server.drop()
        await server.until(lambda: not server.sockets or server.paths[1:])
        await server.publish("X", {"n": 2})
        await server.subscribed("X")
        await server.publish("X", {"n": 3})
        assert [event(item).data for item in await take(events, 2)] == [{"n": 2}, {"n": 3}]


async def test_a_client_that_saw_no_event_resumes_too(serving: Serving, rng: random.Random) -> None:
    async with serving() as server, connect(server.url, ["X"], rng=rng) as events:
        await server.subscribed("X")
        await server.say({"type": "ping", "id": "after the confirmation"})
        await server.until(lambda: server.received("pong"))
        server.drop()
        await server.until(lambda: not server.sockets)
        await server.publish("X", {"n": 1})
        [item] = await take(events, 1)
        assert event(item).data == {"n": 1}
        assert event(item).replayed


async def test_what_cannot_be_replayed_is_a_gap(serving: Serving, rng: random.Random) -> None:
    async with serving() as server, connect(server.url, ["X"], rng=rng) as events:
        await server.subscribed("X")
        await server.publish("X", {"n": 1})
        [first] = await take(events, 1)
        server.drop()
        await server.until(lambda: not server.sockets)
        server.fake.publish("X", {"n": 2})
        server.fake.floor = server.fake.head
        await server.subscribed("X")
        await server.publish("X", {"n": 3})
        gap, last = await take(events, 2)
        assert gap == Gap("X", "expired", after=1, until=2, token=event(first).token)
        assert event(last).data == {"n": 3}


async def test_each_connection_has_a_client_id_of_its_own(serving: Serving, rng: random.Random) -> None:
    async with serving() as server, connect(f"{server.url}/?region=eu", ["X"], rng=rng, name="web"):
        await server.subscribed("X")
        server.drop()
        await server.until(lambda: len(server.paths) > 1)
        await server.subscribed("X")
    assert len(set(server.paths)) == 2
    assert all(path.startswith("/ws/web-") and path.endswith("?region=eu") for path in server.paths)


async def test_a_server_that_knows_part_1_alone_is_listened_to(serving: Serving, rng: random.Random) -> None:
    async with serving(features=()) as server, connect(server.url, ["X"], rng=rng) as events:
        await server.subscribed("X")
        await server.publish("X", TASK)
        await server.say({"type": "investigation_update", "investigation_id": "other", "data": {}})
        await server.say({"type": "ping"})
        [item] = await take(events, 1)
        assert item == Event("X", "task_started", TASK)
        assert events.features == frozenset()
        assert events.tokens == {}
        server.drop()
        await server.until(lambda: not server.sockets)
        await server.subscribed("X")
        await server.publish("X", {"n": 2})
        gap, last = await take(events, 2)
        assert gap == Gap("X", "not_replayed")
        assert event(last).data == {"n": 2}


async def test_a_client_may_speak_part_1_alone(serving: Serving) -> None:
    async with serving() as server, connect(server.url, ["X"], features=()) as events:
        await server.subscribed("X")
        await server.publish("X", TASK)
        assert await take(events, 1) == [Event("X", "task_started", TASK)]
        assert server.received("hello") == []


async def test_subscriptions_come_and_go_while_it_runs(serving: Serving, rng: random.Random) -> None:
    async with serving() as server, connect(server.url, rng=rng) as events:
        await events.subscribe("X")
        await events.subscribe("Y", scope=["tasks"])
        await server.subscribed("X", "Y")
        await server.publish("Y", {"type": "investigation_paused"})
        await server.publish("Y", TASK)
        assert event((await take(events, 1))[0]).kind == "task_started"
        await events.unsubscribe("X")
        await server.until(lambda: server.received("unsubscribe_investigation"))
        server.drop()
        await server.until(lambda: len(server.paths) > 1)
        await server.subscribed("Y")
        assert all("X" not in connection.scopes for connection in server.fake.connections)
        with pytest.raises(ValueError, match="investigation_id"):
            await events.subscribe("")
        with pytest.raises(ValueError, match="scope"):
            await events.subscribe("X", scope=[])


async def test_the_tokens_are_those_of_what_the_application_took(serving: Serving) -> None:
    async with serving() as server:
        async with connect(server.url, ["X"]) as events:
            await server.subscribed("X")
            for n in range(3):
                await server.publish("X", {"n": n})
            await take(events, 2)
            assert events.tokens == {"X": "1-2"}
            saved = dict(events.tokens)
        async with connect(server.url, ["X"], tokens=saved) as events:
            [item] = await take(events, 1)
            assert event(item).data == {"n": 2}


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4001, 4002, 4003, 4499])
async def test_it_comes_back_after_an_end_that_passes(
    serving: Serving, rng: random.Random, code: int
) -> None:
    async with serving() as server, connect(server.url, ["X"], rng=rng) as events:
        await server.subscribed("X")
        await server.close(code)
        await server.until(lambda: len(server.paths) > 1)
        await server.subscribed("X")
        await server.publish("X", TASK)
        assert event((await take(events, 1))[0]).data == TASK


@pytest.mark.parametrize("code", [1002, 1007, 1008, 1009, 4500, 4501, 4504])
async def test_it_stops_after_an_end_that_does_not_pass(
    serving: Serving, rng: random.Random, code: int
) -> None:
    async with serving() as server, connect(server.url, ["X"], rng=rng) as events:
        await server.subscribed("X")
        await server.publish("X", TASK)
        await server.say({"type": "error", "code": "unauthorized", "message": "no", "temporary": False})
        await server.close(code, "not you")
        await take(events, 1)
        with pytest.raises(
            Ended, match=f"{code}, not you, the server said before: unauthorized: no"
        ) as ended:
            await take(events, 1)
        assert (ended.value.code, ended.value.reason) == (code, "not you")
        with pytest.raises(StopAsyncIteration):
            await anext(events)
    assert len(server.paths) == 1


async def test_the_iteration_ends_where_the_server_closes_normally(serving: Serving) -> None:
    async with serving() as server, connect(server.url, ["X"]) as events:
        await server.subscribed("X")
        await server.publish("X", TASK)
        await server.close(1000)
        assert [event(item).data async for item in events] == [TASK]


async def test_a_message_over_the_limit_is_not_asked_for_again(serving: Serving) -> None:
    async with serving() as server, connect(server.url, ["X"], max_message_bytes=1000) as events:
        await server.subscribed("X")
        await server.publish("X", {"message": "m" * 2000})
        with pytest.raises(Ended, match="1009"):
            await take(events, 1)


async def test_an_application_that_does_not_keep_up_is_waited_for(serving: Serving) -> None:
    async with serving() as server, connect(server.url, ["X"], queue_size=2) as events:
        await server.subscribed("X")
        for n in range(500):
            await server.publish("X", {"n": n})
        assert [event(item).data["n"] for item in await take(events, 500)] == list(range(500))


@pytest.mark.parametrize("features", [("heartbeat", "replay"), ()])
async def test_a_server_that_answers_probes_is_kept(serving: Serving, features: tuple[str, ...]) -> None:
    async with (
        serving(features=features) as server,
        connect(server.url, ["X"], interval=0.05, timeout=5) as events,
    ):
        await server.subscribed("X")
        if features:
            await server.until(lambda: len(server.received("ping")) > 2)
        else:
            # Longer than the interval: Ping frames are answered by the library.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(events)
        assert len(server.paths) == 1


async def test_a_silent_server_is_given_up(rng: random.Random) -> None:
    """A TCP server that completes the handshake and then says nothing at all."""
    handshakes: list[bytes] = []
    again = asyncio.Event()
    serving: list[asyncio.Task[None] | None] = []

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        request = await reader.readuntil(b"\r\n\r\n")
        handshakes.append(request)
        if len(handshakes) == 2:
            again.set()
        writer.write(_accepted(request))
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        connect(f"ws://127.0.0.1:{port}/ws", ["X"], interval=0.05, timeout=0.05, rng=rng),
        asyncio.timeout(10),
    ):
        await again.wait()
    await asyncio.gather(*filter(None, serving))


def _accepted(request: bytes) -> bytes:
    from websockets.utils import accept_key  # noqa: PLC0415 - of this fake alone

    [key] = [
        line.partition(b":")[2].strip()
        for line in request.splitlines()
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key.decode()).encode() + b"\r\n\r\n"
    )


async def test_what_is_not_valid_or_not_known_is_ignored(serving: Serving) -> None:
    async with serving() as server, connect(server.url, ["X"]) as events:
        await server.subscribed("X")
        for said in ("no JSON", "[]", '{"type": 5}', '{"type": "greeting", "seq": "x"}', b"binary"):
            await server.say(said)
        await server.say({"type": "investigation_update", "investigation_id": "X", "data": "no object"})
        await server.publish("X", TASK)
        assert event((await take(events, 1))[0]).data == TASK


async def test_a_refusal_is_handed_over_and_the_others_stay(serving: Serving, rng: random.Random) -> None:
    async with serving() as server, connect(server.url, ["X"], rng=rng) as events:
        await server.subscribed("X")
        server.fake._subscribe = lambda *_: None  # type: ignore[method-assign] # this fake's own
        await events.subscribe("secret")
        await server.until(lambda: len(server.received("subscribe_investigation")) == 2)
        [_, asked] = server.received("subscribe_investigation")
        error = {"type": "error", "code": "forbidden", "message": "no", "temporary": False}
        await server.say(error | {"ref": asked["ref"]})
        await server.publish("X", TASK)
        refused, item = await take(events, 2)
        assert refused == Refused("secret", "forbidden", "no")
        assert event(item).data == TASK


async def test_a_first_connection_that_fails_is_an_error() -> None:
    with pytest.raises(CannotConnect, match=r"cannot connect to ws://127\.0\.0\.1:1/ws: "):
        async with connect("ws://127.0.0.1:1/ws", ["X"]):
            pass


async def test_a_handshake_that_is_refused_for_good_ends_it(serving: Serving, rng: random.Random) -> None:
    def process(_: ServerConnection, __: Request) -> Response:
        return Response(403, "No", Headers())

    async with serving(process_request=process) as server:
        with pytest.raises(CannotConnect, match="403"):
            async with connect(server.url, ["X"], rng=rng):
                pass


async def test_a_handshake_that_is_refused_for_now_is_tried_again(
    serving: Serving, rng: random.Random
) -> None:
    statuses: list[int] = []

    def process(_: ServerConnection, __: Request) -> Response | None:
        return Response(statuses.pop(0), "No", Headers()) if statuses else None

    async with serving(process_request=process) as server, connect(server.url, ["X"], rng=rng) as events:
        await server.subscribed("X")
        statuses += [503, 429, 500]
        server.drop()
        await server.until(lambda: len(server.paths) > 1)
        await server.subscribed("X")
        statuses.append(404)
        server.drop()
        with pytest.raises(CannotConnect, match="404"):
            await take(events, 1)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/ws", "ws:///ws", "127.0.0.1:80", "ws://h:99999/", "ws://h/#f", ""]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="not an address like ws://"):
        connect(url)


def test_a_name_that_no_client_id_can_begin_with_is_refused() -> None:
    with pytest.raises(ValueError, match="a name has"):
        connect("ws://127.0.0.1/ws", name="a/b")


async def test_leaving_closes_the_connection_and_leaves_no_task(serving: Serving) -> None:
    async with serving() as server:
        before = asyncio.all_tasks()
        async with connect(server.url, ["X"]):
            await server.subscribed("X")
            [socket] = server.sockets
        await socket.wait_closed()
        assert socket.close_code == 1000
        await server.until(lambda: not server.sockets)
        assert asyncio.all_tasks() <= before


async def test_leaving_ends_a_client_that_waits_to_connect_again(serving: Serving) -> None:
    slow = random.Random(1)
    slow.uniform = lambda *_: 1000  # type: ignore[method-assign]
    async with serving() as server, connect(server.url, ["X"], rng=slow):
        await server.subscribed("X")
        server.drop()
        await server.until(lambda: not server.sockets)
