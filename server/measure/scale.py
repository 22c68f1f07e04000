"""What the shared store costs at scale: replays of long histories, idle investigations, more nodes.

`python server/measure/scale.py` starts NATS servers and server nodes of its own, and prints Markdown tables.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import nats
from brokers import free_ports, nats_server
from nats.aio.client import Client
from nodes import Node, running, shared
from websockets.asyncio.client import connect

STREAM: Final = "OSINT_EVENTS"
PAYLOAD: Final = json.dumps({"type": "task_progress", "task_id": "t-1", "message": "x" * 220}).encode()
FLAGS: Final = ("--history-ttl=86400", "--history-bytes=4000000000", "--log-level=ERROR")
_TOPICS: Final = 1000
_TAIL: Final = 10_000
_REPLAYS: Final = 30
_FLUSH: Final = 2000


def subject(investigation_id: str) -> str:
    """Return where an event of an investigation lies; see the server's `store.jetstream.subjects`."""
    return f"{STREAM}.{investigation_id}.tasks.-"


@click.command()
@click.option("--stored", multiple=True, type=click.IntRange(min=_TAIL), help="Events in the stream.")
@click.option(
    "--only", multiple=True, type=click.Choice(["replays", "live", "idle", "nodes"]), help="This part."
)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
def main(stored: tuple[int, ...], only: tuple[str, ...], file: Path | None) -> None:
    """Measure."""
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "replays": lambda: asyncio.run(replays(stored or (10_000, 100_000, 1_000_000))),
        "live": lambda: asyncio.run(live()),
        "idle": lambda: asyncio.run(idle()),
        "nodes": lambda: [asyncio.run(deliveries(count)) for count in (1, 2, 3)],
    }
    figures = {name: measure() for name, measure in parts.items() if not only or name in only}
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for name, rows in figures.items():
        click.echo(f"\n{name}\n\n{table(rows)}")


async def fill(client: Client, subjects: Iterable[str]) -> None:
    """Store an event for each subject, as fast as the broker takes them."""
    for number, one in enumerate(subjects):
        await client.publish(one, PAYLOAD)
        if number % _FLUSH == 0:
            await client.flush()
    await client.flush()


async def info(client: Client) -> dict[str, Any]:
    """Return what the stream says of itself."""
    answer: dict[str, Any] = json.loads(
        (await client.request(f"$JS.API.STREAM.INFO.{STREAM}", timeout=5)).data
    )
    return answer


async def stored_up_to(client: Client, count: int) -> None:
    """Wait until the stream has so many events."""
    async with asyncio.timeout(120):
        while (await info(client))["state"]["messages"] < count:  # noqa: ASYNC110 - the broker does not tell
            await asyncio.sleep(0.1)


async def replays(counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """Time replays of 100 and of 1,000 events among the last 10,000, with ever more stored before."""
    rows = []
    with nats_server() as broker, running([Node(*shared(broker.url), *FLAGS)]) as (node,):
        client = await nats.connect(broker.url)
        stored = 0
        for count in counts:
            await fill(client, (subject(f"i{number % _TOPICS}") for number in range(count - _TAIL - stored)))
            await stored_up_to(client, count - _TAIL)
            tokens = {name: await token(node, name) for name in ("i7", "busy")}
            await fill(client, map(subject, map(_of_tail, range(_TAIL))))
            stored = count
            await stored_up_to(client, stored)
            await caught_up(node)
            for name, missed in (("i7", 100), ("busy", 1000)):
                times = [await resumed(node, name, tokens[name], missed) for _ in range(_REPLAYS)]
                rows.append(
                    {
                        "events stored": f"{count:,}",
                        "missed": missed,
                        "median ms": round(statistics.median(times) * 1000, 1),
                        "slowest of 30, ms": round(max(times) * 1000, 1),
                    }
                )
        await client.close()
    return rows


def _of_tail(number: int) -> str:
    """Return an investigation: every hundredth time i7, every tenth time busy, and many others."""
    if number % 100 == 7:  # noqa: PLR2004 - any of them
        return "i7"
    return "busy" if number % 10 == 3 else f"i{number % _TOPICS}"  # noqa: PLR2004 - see above


async def token(node: Node, investigation_id: str) -> str:
    """Return a token of the present position."""
    async with connect(f"ws://{node.address}/ws/a") as ws:
        await ws.send(json.dumps({"type": "hello", "protocol": 1, "features": ["replay"]}))
        await ws.send(json.dumps({"type": "subscribe_investigation", "investigation_id": investigation_id}))
        await ws.recv()
        found: str = json.loads(await ws.recv())["token"]
        return found


async def caught_up(node: Node) -> None:
    """Wait until the node delivers what is published now, and has no other work."""
    url = f"http://{node.address}/investigations/fence/events"
    async with connect(f"ws://{node.address}/ws/a") as ws, aiohttp.ClientSession() as http:
        await ws.send(json.dumps({"type": "subscribe_investigation", "investigation_id": "fence"}))
        await ws.recv()
        async with http.post(url, json={"type": "note"}) as response:
            response.raise_for_status()
        async with asyncio.timeout(60):
            await ws.recv()


async def resumed(node: Node, investigation_id: str, replay_token: str, missed: int) -> float:
    """Return how long it takes from a subscribe to the last event that was missed, in seconds."""
    async with connect(f"ws://{node.address}/ws/a", compression=None) as ws:
        await ws.send(json.dumps({"type": "hello", "protocol": 1, "features": ["replay"]}))
        await ws.recv()
        message = {
            "type": "subscribe_investigation",
            "investigation_id": investigation_id,
            "replay_token": replay_token,
        }
        began = time.perf_counter()
        await ws.send(json.dumps(message))
        received = [await ws.recv() for _ in range(missed + 2)]
        took = time.perf_counter() - began
    confirmed, complete = json.loads(received[0]), json.loads(received[-1])
    assert (confirmed["replay"], complete["type"]) == (
        {"status": "complete", "count": missed},
        "replay_complete",
    ), (confirmed, complete)
    return took


async def live() -> list[dict[str, Any]]:
    """Time live events, from before the publish to the subscriber, alone and while others are replayed."""
    rows = []
    with nats_server() as broker, running([Node(*shared(broker.url), *FLAGS)]) as (node,):
        client = await nats.connect(broker.url)
        replay_token = await token(node, "busy")
        await fill(client, [subject("busy")] * 1000)
        await stored_up_to(client, 1000)
        await client.close()
        await caught_up(node)
        for others in (0, 1, 4):
            replayed = multiprocessing.Value("q", 0)
            # In processes of their own, so that it is the server's time that is measured.
            replaying = [
                multiprocessing.Process(target=_replay_on, args=(node.port, replay_token, replayed))
                for _ in range(others)
            ]
            for process in replaying:
                process.start()
            try:
                while replayed.value < others * 1000:  # noqa: ASYNC110 - another process counts
                    await asyncio.sleep(0.05)
                before, began = replayed.value, time.perf_counter()
                times = sorted(await _live_times(node))
                rate = (replayed.value - before) / (time.perf_counter() - began)
            finally:
                for process in replaying:
                    process.terminate()
                    process.join()
            rows.append(
                {
                    "clients that are replayed to": others,
                    "replayed events/s": f"{round(rate, -2):,.0f}",
                    "live, median ms": round(statistics.median(times) * 1000, 1),
                    "live, p99 ms": round(times[len(times) * 99 // 100] * 1000, 1),
                }
            )
    return rows


def _replay_on(port: int, replay_token: str, replayed: Any) -> None:
    """Have 1,000 events replayed again and again, until ended."""
    node = Node()
    node.port = port

    async def replay() -> None:
        while True:
            await resumed(node, "busy", replay_token, 1000)
            with replayed:
                replayed.value += 1000

    asyncio.run(replay())


async def _live_times(node: Node) -> list[float]:
    times = []
    url = f"http://{node.address}/investigations/live/events"
    async with connect(f"ws://{node.address}/ws/a") as ws, aiohttp.ClientSession() as http:
        await ws.send(json.dumps({"type": "subscribe_investigation", "investigation_id": "live"}))
        await ws.recv()
        for _ in range(300):
            began = time.perf_counter()
            async with http.post(url, json={"type": "note"}) as response:
                response.raise_for_status()
            await ws.recv()
            times.append(time.perf_counter() - began)
            await asyncio.sleep(0.01)
    return times


async def idle() -> list[dict[str, Any]]:
    """Compare the memory that 200,000 events take as one investigation, and as 100,000 or 200,000 of them."""
    rows = []
    for investigations in (1, 100_000, 200_000):
        (profile,) = free_ports(1)
        with (
            nats_server("-js", "--profile", str(profile)) as broker,
            running([Node(*shared(broker.url), *FLAGS)]) as (node,),
        ):
            client = await nats.connect(broker.url)
            before = (await heap_kib(profile), node.resident_kib())
            await fill(client, (subject(f"i{number % investigations}") for number in range(200_000)))
            await stored_up_to(client, 200_000)
            state = (await info(client))["state"]
            node_kib = node.resident_kib() - before[1]
            # What it wrote last it also keeps for a while; what it needs is what it reads at a start.
            await client.close()
            broker.stop()
            await asyncio.to_thread(broker.start)
            rows.append(
                {
                    "investigations": f"{investigations:,}",
                    "NATS server, MiB more": round((await heap_kib(profile) - before[0]) / 1024, 1),
                    "node, MiB more": round(node_kib / 1024, 1),
                    "bytes an event on disk": round(state["bytes"] / state["messages"]),
                    "of which payload": len(PAYLOAD),
                }
            )
    return rows


async def heap_kib(profile: int) -> float:
    """Return what a NATS server's heap holds after a collection of its garbage."""
    url = f"http://127.0.0.1:{profile}/debug/pprof/heap?gc=1&debug=1"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        found = re.search(r"^# HeapAlloc = (\d+)$", await response.text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


class _Counter(asyncio.Protocol):
    """A client that counts what it receives, and looks at none of it."""

    def __init__(self, received: list[int]) -> None:
        self._received = received
        self.is_upgraded = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if not self.is_upgraded.done():
            self.is_upgraded.set_result(None)
        self._received[0] += len(data)


async def deliveries(count: int, *, subscribers: int = 240, batches: int = 20) -> dict[str, Any]:
    """Publish bursts of 1,000 events to subscribers that are spread over nodes; count what arrives."""
    with nats_server() as broker, running([Node(*shared(broker.url), *FLAGS) for _ in range(count)]) as nodes:
        received = [0]
        async with AsyncExitStack() as stack, aiohttp.ClientSession() as http:
            for number in range(subscribers):
                await subscribed(nodes[number % count], received, stack)
            confirmations, burst = received[0], b"\n".join([PAYLOAD] * 1000)
            url = f"http://{nodes[0].address}/investigations/x/events"
            headers = {"Content-Type": "application/x-ndjson"}
            frame = len('{"type":"investigation_update","investigation_id":"x","data":}') + len(PAYLOAD) + 4
            owed = confirmations
            with cpu_seconds([node.pid for node in nodes]) as used:
                began = time.perf_counter()
                for _ in range(batches):
                    async with http.post(url, data=burst, headers=headers) as response:
                        assert response.status == 202, await response.text()  # noqa: PLR2004 - Accepted
                    owed += subscribers * 1000 * frame
                    async with asyncio.timeout(60):
                        while received[0] < owed:  # noqa: ASYNC110 - the receivers only count
                            await asyncio.sleep(0.002)
                took = time.perf_counter() - began
        assert received[0] == owed, (received[0], owed)
    delivered = subscribers * 1000 * batches
    return {
        "nodes": count,
        "subscribers": subscribers,
        "deliveries": f"{delivered:,}",
        "deliveries/s": f"{round(delivered / took, -3):,.0f}",
        "CPU of all nodes, s per million": round(used[0] / delivered * 1e6, 2),
    }


async def subscribed(node: Node, received: list[int], stack: AsyncExitStack) -> None:
    """Connect a counter, and subscribe it to `x`, as a client of Part 1."""
    transport, counter = await asyncio.get_running_loop().create_connection(
        lambda: _Counter(received), "127.0.0.1", node.port
    )
    stack.callback(transport.abort)
    key = base64.b64encode(os.urandom(16)).decode()
    transport.write(
        f"GET /ws/c HTTP/1.1\r\nHost: {node.address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    await counter.is_upgraded
    upgraded = received[0]
    text = b'{"type":"subscribe_investigation","investigation_id":"x"}'
    transport.write(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)  # masked with zeros
    while received[0] == upgraded:  # noqa: ASYNC110 - the receivers only count
        await asyncio.sleep(0.001)


@contextmanager
def cpu_seconds(pids: list[int]) -> Iterator[list[float]]:
    """Measure the processor time that processes take."""
    used = [0.0]
    before = sum(map(_cpu, pids))
    yield used
    used[0] = sum(map(_cpu, pids)) - before


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    lines = [f"| {' | '.join(rows[0])} |", f"|{' --- |' * len(rows[0])}"]
    return "\n".join([*lines, *(f"| {' | '.join(str(value) for value in row.values())} |" for row in rows)])


if __name__ == "__main__":
    main()
