"""Two server nodes on one broker, as clients and publishers see them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import nats as nats_client
import pytest
from osint_events_server.server import StartError, running
from osint_events_server.settings import Settings
from websockets.asyncio.client import connect

from .conftest import script

KEY = "k" * 32
cables = script("cable")

Node = Callable[..., AbstractAsyncContextManager["Peer"]]


class Client:
    """A client that speaks messages."""

    def __init__(self, ws: Any) -> None:
        self._ws = ws

    async def send(self, type_: str, **fields: object) -> None:
        await self._ws.send(json.dumps({"type": type_, **fields}))

    async def receive(self) -> Any:
        async with asyncio.timeout(60):
            return json.loads(await self._ws.recv())

    async def ask(self, type_: str, **fields: object) -> Any:
        await self.send(type_, **fields)
        return await self.receive()

    async def subscribe(self, investigation_id: str, **fields: object) -> Any:
        answer = await self.ask("subscribe_investigation", investigation_id=investigation_id, **fields)
        assert answer["type"] == "subscription_confirmed", answer
        return answer

    async def next_numbers(self, count: int) -> list[int]:
        return [(await self.receive())["data"]["n"] for _ in range(count)]


class Peer:
    """A node, and how to speak to it."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http

    @asynccontextmanager
    async def client(self, *features: str) -> AsyncIterator[Client]:
        async with connect(f"ws{self.url.removeprefix('http')}/ws/c") as ws:
            client = Client(ws)
            if features:
                assert (await client.ask("hello", protocol=1, features=features))["type"] == "welcome"
            yield client

    async def post(
        self, investigation_id: str, *numbers: int, key: str | None = None
    ) -> tuple[int, Any, Any]:
        """Publish; give status, answer and headers."""
        body = "\n".join(json.dumps({"type": "note", "n": number}) for number in numbers)
        headers = {"Content-Type": "application/json" if len(numbers) == 1 else "application/x-ndjson"}
        if key is not None:
            headers["Idempotency-Key"] = key
        url = f"{self.url}/investigations/{investigation_id}/events"
        async with self.http.post(url, data=body, headers=headers) as response:
            return response.status, await response.json(), response.headers

    async def publish(self, investigation_id: str, *numbers: int) -> None:
        status, answer, _ = await self.post(investigation_id, *numbers)
        assert status == 202, answer


@pytest.fixture
async def node(nats: Any, stream: str) -> AsyncIterator[Node]:
    """Run a node on the test's stream."""
    async with aiohttp.ClientSession() as http:

        @asynccontextmanager
        async def run(port: int = 0, **options: Any) -> AsyncIterator[Peer]:
            settings = Settings(
                port=0,
                store=f"nats://127.0.0.1:{port or nats.port}",
                nats_stream=stream,
                token_keys=(KEY,),
                **{"nats_timeout": 15, **options},
            )
            async with running(settings) as url:
                yield Peer(url, http)

        yield run


@pytest.fixture
async def nodes(node: Node) -> AsyncIterator[tuple[Peer, Peer]]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(node()), await stack.enter_async_context(node())


async def test_an_event_reaches_subscribers_on_all_nodes_once(nodes: tuple[Peer, Peer]) -> None:
    here, there = nodes
    async with here.client() as one, there.client() as two, there.client() as stranger:
        for client in (one, two):
            await client.subscribe("x")
        await stranger.subscribe("y")
        await here.publish("x", 1)
        await there.publish("x", 2, 3)
        await here.publish("y", 4)
        assert await one.next_numbers(3) == await two.next_numbers(3) == [1, 2, 3]
        assert await stranger.next_numbers(1) == [4]


async def test_a_confirmed_subscription_misses_nothing_that_another_node_takes(
    nodes: tuple[Peer, Peer],
) -> None:
    here, there = nodes
    async with here.client() as client:
        for number in range(50):
            await client.subscribe(f"i{number}")
            await there.publish(f"i{number}", number)
            assert await client.next_numbers(1) == [number]


async def test_what_was_delivered_elsewhere_is_not_delivered_to_who_subscribes_later(
    nodes: tuple[Peer, Peer],
) -> None:
    here, there = nodes
    async with here.client() as witness:
        await witness.subscribe("x")
        for number in range(0, 60, 2):
            await here.publish("x", number)
            assert await witness.next_numbers(1) == [number]
            async with there.client() as late:
                await late.subscribe("x")
                await here.publish("x", number + 1)
                assert await late.next_numbers(1) == [number + 1]
            assert await witness.next_numbers(1) == [number + 1]


async def test_nobody_gets_a_fallback(nodes: tuple[Peer, Peer]) -> None:
    here, there = nodes
    async with here.client() as client:
        await there.publish("nobody", 1)
        await client.subscribe("x")
        await there.publish("x", 2)
        assert await client.next_numbers(1) == [2]


async def test_a_token_of_one_node_resumes_on_another_and_after_a_restart(node: Node) -> None:
    async with node() as there:
        async with node() as here, here.client("replay") as client:
            token = (await client.subscribe("x"))["token"]
            await here.publish("x", 1, 2, 3)
            for expected in (1, 2):
                update = await client.receive()
                assert update["data"]["n"] == expected
            token = update["token"]
        await there.publish("x", 4)
        async with node() as restarted:
            for peer in (there, restarted):
                async with peer.client("replay") as client:
                    confirmed = await client.subscribe("x", replay_token=token)
                    assert confirmed["replay"] == {"status": "complete", "count": 2}
                    assert await client.next_numbers(2) == [3, 4]
                    assert (await client.receive())["type"] == "replay_complete"


async def test_the_order_of_an_investigation_is_the_same_on_all_nodes(nodes: tuple[Peer, Peer]) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(peer.client("replay")) for peer in nodes]
        for client in clients:
            await client.subscribe("x")
        posts = [nodes[number % 2].publish("x", number) for number in range(100)]
        await asyncio.gather(*posts)
        one, two = [await client.next_numbers(100) for client in clients]
        assert one == two
        assert sorted(one) == list(range(100))


async def test_a_retry_at_another_node_publishes_once(nodes: tuple[Peer, Peer]) -> None:
    here, there = nodes
    async with here.client() as client:
        await client.subscribe("x")
        answers = [(await peer.post("x", 1, 2, key="k"))[:2] for peer in (here, there, here)]
        assert answers == [(202, {"seqs": [1, 2]})] * 3
        assert (await there.post("x", 3, key="k"))[0] == 422
        await there.publish("x", 4)
        assert await client.next_numbers(3) == [1, 2, 4]


async def answered(node: Peer, status: int, number: int) -> None:
    """Publish an event of x again and again, until the answer has this status."""
    async with asyncio.timeout(60):
        while (await node.post("x", number))[0] != status:
            pass


async def test_while_the_broker_is_away_publishers_are_told_and_connections_stay(
    node: Node, nats: Any
) -> None:
    async with (
        node() as here,
        here.client("replay", "errors") as negotiated,
        here.client() as core,
    ):
        await negotiated.subscribe("x")
        await core.subscribe("x")
        nats.kill()
        await answered(here, 503, 0)
        status, answer, headers = await here.post("x", 0)
        assert (status, answer["code"], headers["Retry-After"]) == (503, "unavailable", "1")
        refused = await negotiated.ask("subscribe_investigation", investigation_id="y", ref="r")
        assert (refused["type"], refused["code"], refused["temporary"], refused["ref"]) == (
            "error",
            "unavailable",
            True,
            "r",
        )
        await core.send("subscribe_investigation", investigation_id="y")
        nats.start()
        # Who is not told of errors is confirmed when that is true.
        assert (await core.receive())["investigation_id"] == "y"
        await answered(here, 202, 1)
        await here.publish("y", 2)
        assert await negotiated.next_numbers(1) == [1]
        assert await core.next_numbers(2) == [1, 2]


@pytest.mark.parametrize("how", ["cut", "frozen"])
async def test_what_others_published_while_a_node_was_cut_off_comes_late_and_once(
    node: Node, nats: Any, how: str
) -> None:
    async with (
        cables.cable(nats.port) as cable,
        node(cable.port) as cut_off,
        node() as there,
        cut_off.client("replay") as client,
    ):
        await client.subscribe("x")
        if how == "cut":
            await cable.cut()
        else:
            cable.freeze()
        for number in range(5):
            await there.publish("x", number)
        if how == "cut":
            await cable.lay()
        else:
            cable.thaw()
        await there.publish("x", 5)
        assert await client.next_numbers(6) == list(range(6))


async def test_what_was_evicted_while_a_node_was_cut_off_is_a_gap(node: Node, nats: Any, stream: str) -> None:
    async with cables.cable(nats.port) as cable, node(cable.port) as cut_off, node() as there:
        async with cut_off.client("replay") as client:
            first = await client.subscribe("x")
            await cable.cut()
            await there.publish("x", 1, 2, 3)
            operator = await nats_client.connect(nats.url)
            await operator.request(f"$JS.API.STREAM.PURGE.{stream}", b'{"seq":3}')
            await operator.close()
            await cable.lay()
            gap = await client.receive()
            assert (gap["type"], gap["reason"], gap["seq"]) == ("gap", "unavailable", 2)
            assert gap["epoch"] == first["epoch"]
            assert await client.next_numbers(1) == [3]
            await client.send("unsubscribe_investigation", investigation_id="x")
        async with there.client("replay") as client:
            again = await client.subscribe("x", replay_token=first["token"])
            assert again["replay"] == {"status": "failed", "reason": "expired"}
            resumed = await client.subscribe("x", replay_token=gap["token"])
            assert resumed["replay"] == {"status": "complete", "count": 1}


async def test_a_stream_made_anew_is_another_epoch_for_everybody(
    nodes: tuple[Peer, Peer], nats: Any, stream: str
) -> None:
    here, there = nodes
    async with here.client("replay") as client:
        first = await client.subscribe("x")
        await there.publish("x", 1)
        assert await client.next_numbers(1) == [1]
        operator = await nats_client.connect(nats.url)
        await operator.request(f"$JS.API.STREAM.DELETE.{stream}", b"")
        await operator.close()
        gap = await client.receive()
        assert (gap["type"], gap["reason"]) == ("gap", "epoch_changed")
        assert gap["epoch"] != first["epoch"]
        await there.publish("x", 2)
        assert await client.next_numbers(1) == [2]
    async with there.client("replay") as client:
        again = await client.subscribe("x", replay_token=first["token"])
        assert (again["epoch"], again["replay"]) == (
            gap["epoch"],
            {"status": "failed", "reason": "epoch_changed"},
        )


async def test_a_server_does_not_start_without_its_broker() -> None:
    settings = Settings(port=0, store="nats://127.0.0.1:1", token_keys=(KEY,), nats_timeout=0.3)
    with pytest.raises(
        StartError, match=r"cannot connect to NATS at nats://127\.0\.0\.1:1: Connection refused"
    ):
        async with running(settings):
            pass
