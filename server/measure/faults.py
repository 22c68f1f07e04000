"""Is anything lost when a part fails? Nodes and brokers are killed, paused and cut off under load.

`python server/measure/faults.py` runs three NATS servers as a cluster and three server nodes on it, all on
this machine. For each fault it publishes and subscribes, lets the fault happen in the midst of that, and at
the end holds what each subscriber received against what was acknowledged. A quarter of the subscribers lose
their connection with each fault, so that there is something to resume even where no node ends.

Exit status: 0 nothing lost, doubled or reordered; 1 something was; 2 usage; 3 a run that means nothing, since
no publish was in flight at the fault, or nobody resumed.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import nats
from brokers import NatsServer, nats_cluster
from cable import Cable, cable
from nodes import Node, shared
from resuming import Book, Publisher, Subscriber, publishing_client

_FAULT_SECONDS: Final = 5.0
_CATCH_UP_SECONDS: Final = 60.0
_STREAM: Final = "OSINT_EVENTS"
_SHORT: Final = ("node killed", "leader killed")

FLAGS: Final = (
    "--ping-interval=1",
    "--history-ttl=600",
    "--max-replay-events=100000",
    "--nats-timeout=3",
    "--log-level=ERROR",
)


@dataclass(frozen=True, slots=True)
class World:
    """What can fail.

    Attributes:
        brokers: the NATS servers.
        nodes: the server nodes; the first one reaches NATS through the cables.
        cables: one for each NATS server.

    """

    brokers: list[NatsServer]
    nodes: list[Node]
    cables: list[Cable]

    async def leader(self) -> NatsServer:
        """Return the NATS server that leads the stream."""
        client = await nats.connect([broker.url for broker in self.brokers], connect_timeout=5)
        try:
            info = await client.request(f"$JS.API.STREAM.INFO.{_STREAM}", timeout=5)
            name: str = json.loads(info.data)["cluster"]["leader"]
        finally:
            await client.close()
        return self.brokers[int(name.removeprefix("n"))]


async def _node_killed(world: World) -> None:
    world.nodes[0].kill()
    await asyncio.sleep(_FAULT_SECONDS)
    await asyncio.to_thread(world.nodes[0].start)


async def _follower_killed(world: World) -> None:
    leader = await world.leader()
    await _kill_for_a_while(next(broker for broker in world.brokers if broker is not leader))


async def _leader_killed(world: World) -> None:
    await _kill_for_a_while(await world.leader())


async def _kill_for_a_while(broker: NatsServer) -> None:
    broker.kill()
    await asyncio.sleep(_FAULT_SECONDS)
    await asyncio.to_thread(broker.start)


async def _all_killed(world: World) -> None:
    for node in world.nodes:
        node.kill()
    for broker in world.brokers:
        broker.kill()
    for broker in world.brokers:
        broker.start(wait=False)
    for broker in world.brokers:
        await asyncio.to_thread(broker.wait)
    for node in world.nodes:
        await _started(node)


async def _started(node: Node) -> None:
    """Start a node as a supervisor does: again, where the cluster has no leader yet."""
    for _ in range(10):
        try:
            await asyncio.to_thread(node.start)
        except SystemExit:
            continue
        return
    raise SystemExit("a node did not start again")


async def _node_paused(world: World) -> None:
    world.nodes[0].send_signal(signal.SIGSTOP)
    await asyncio.sleep(_FAULT_SECONDS)
    world.nodes[0].send_signal(signal.SIGCONT)


async def _broker_paused(world: World) -> None:
    leader = await world.leader()
    leader.send_signal(signal.SIGSTOP)
    await asyncio.sleep(_FAULT_SECONDS)
    leader.send_signal(signal.SIGCONT)


async def _node_cut_off(world: World) -> None:
    await asyncio.gather(*(one.cut() for one in world.cables))
    await asyncio.sleep(_FAULT_SECONDS)
    await asyncio.gather(*(one.lay() for one in world.cables))


async def _node_unheard(world: World) -> None:
    for one in world.cables:
        one.freeze()
    await asyncio.sleep(_FAULT_SECONDS)
    for one in world.cables:
        one.thaw()


FAULTS: Final[dict[str, Callable[[World], Awaitable[None]]]] = {
    "node killed": _node_killed,
    "broker killed": _follower_killed,
    "leader killed": _leader_killed,
    "all killed": _all_killed,
    "node paused": _node_paused,
    "leader paused": _broker_paused,
    "node cut off": _node_cut_off,
    "node unheard": _node_unheard,
}


@dataclass(frozen=True, slots=True)
class Load:
    """What is going on.

    Attributes:
        publishers: each publishes an investigation of its own.
        subscribers: each is subscribed to three of them.
        pause: seconds between two events of an investigation.
        seconds: before the fault, and after it.

    """

    publishers: int
    subscribers: int
    pause: float
    seconds: float


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(FAULTS)), help="This fault, and no others.")
@click.option("--short", is_flag=True, help=f"Two faults only ({', '.join(_SHORT)}), for less long.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
def main(only: tuple[str, ...], *, short: bool, file: Path | None) -> None:
    """Let parts fail, and count what was lost."""
    load = Load(6, 12, 0.02, 2.0) if short else Load(12, 30, 0.01, 4.0)
    figures = asyncio.run(run(only or (_SHORT if short else tuple(FAULTS)), load))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    click.echo(table(figures))
    problems = [f"{row['fault']}: {problem}" for row in figures for problem in row["problems"]]
    for problem in problems[:50]:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    empty = [row["fault"] for row in figures if not (row["in_flight"] and row["resumed"])]
    if empty:
        click.echo(f"no run, since nothing was in flight or nobody resumed: {', '.join(empty)}", err=True)
        sys.exit(3)


async def run(faults: tuple[str, ...], load: Load) -> list[dict[str, Any]]:
    """Let one fault after another happen; return the figures of each."""
    figures = []
    async with world() as parts, publishing_client() as http:
        for number, name in enumerate(faults):
            figures.append(await happen(name, parts, http, load, f"f{number}"))
            click.echo(
                f"{name}: {figures[-1]['lost']} lost, {len(figures[-1]['problems'])} problems", err=True
            )
    return figures


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Run everything that may fail."""
    # What the servers tell of each other would lead around the cables.
    with nats_cluster(3, "--no_advertise") as brokers:
        async with AsyncExitStack() as stack:
            cables = [await stack.enter_async_context(cable(broker.port)) for broker in brokers]
            through = [f"nats://127.0.0.1:{one.port}" for one in cables]
            straight = [broker.url for broker in brokers]
            nodes = [Node(*shared(*stores), *FLAGS) for stores in (through, straight, straight)]
            try:
                for node in nodes:
                    await _started(node)  # a cluster takes some seconds to agree on a leader
                yield World(brokers, nodes, cables)
            finally:
                for node in nodes:
                    node.kill()


async def happen(
    name: str, parts: World, http: aiohttp.ClientSession, load: Load, prefix: str
) -> dict[str, Any]:
    """Publish and subscribe, let a fault happen meanwhile, and return the figures."""
    book = Book()
    ids = [f"{prefix}-{number}" for number in range(load.publishers)]
    subscribers = [
        Subscriber(number, parts.nodes, [ids[(number + other) % len(ids)] for other in range(3)], book)
        for number in range(load.subscribers)
    ]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        listening = [tasks.create_task(subscriber.listen()) for subscriber in subscribers]
        await asyncio.gather(*(subscriber.ready() for subscriber in subscribers))
        publishing = [
            tasks.create_task(
                Publisher(
                    one, parts.nodes[number % 3 :] + parts.nodes[: number % 3], http, book, load.pause
                ).publish(stop)
            )
            for number, one in enumerate(ids)
        ]
        await asyncio.sleep(load.seconds)
        await book.flying.wait()  # a moment without any would make this a run that means nothing
        resumed, in_flight, failed_at = book.tally["resumes"], book.in_flight, time.monotonic()
        for subscriber in subscribers[::4]:  # not all of one node
            subscriber.drop()
        await FAULTS[name](parts)
        await asyncio.sleep(load.seconds)
        stop.set()
        await asyncio.gather(*publishing)
        caught_up = await _catch_up(subscribers, book)
        for task in listening:
            task.cancel()
    return {
        "fault": name,
        "in_flight": in_flight,
        "resumed": book.tally["resumes"] - resumed,
        "acknowledged": sum(map(len, book.log.values())),
        "delivered": book.tally["delivered"],
        **_compared(subscribers, book),
        "seconds_without_acknowledgement": round(_longest_pause(book), 1),
        "seconds_to_recover": round(_recovered(book, failed_at), 1),
        "tally": dict(sorted(book.tally.items())),
        "caught_up": caught_up,
    }


async def _catch_up(subscribers: list[Subscriber], book: Book) -> bool:
    heads = {name: log[-1].seq for name, log in book.log.items() if log}
    try:
        async with asyncio.timeout(_CATCH_UP_SECONDS):
            while not all(subscriber.broken or subscriber.has(heads) for subscriber in subscribers):  # noqa: ASYNC110 - told by nobody
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True


def _compared(subscribers: list[Subscriber], book: Book) -> dict[str, Any]:
    """Hold what was received against what was acknowledged."""
    lost = doubled = reordered = 0
    problems = [problem for subscriber in subscribers for problem in subscriber.broken]
    for subscriber in subscribers:
        for name, history in subscriber.histories.items():
            expected = [number for _, number in history.expected(book.log[name])]
            got = [number for _, number in history.events]
            lost += len(set(expected) - set(got))
            doubled += len(got) - len(set(got))
            reordered += got != sorted(got)
            # What was published before the subscription was confirmed may have come, too; nothing else.
            if strange := [number for number in got if number not in set(expected)]:
                problems.append(f"{name}: {strange[:5]} were received and never acknowledged")
    if lost or doubled or reordered:
        problems.append(f"{lost} lost, {doubled} doubled, {reordered} investigations out of order")
    return {"lost": lost, "doubled": doubled, "reordered": reordered, "problems": problems}


def _longest_pause(book: Book) -> float:
    times = sorted(book.acknowledged_at.values())
    return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)


def _recovered(book: Book, failed_at: float) -> float:
    """Return when, after the fault, the last event that was late by a second or more had come everywhere."""
    late = [
        at - failed_at
        for seq, at in book.delivered_at.items()
        if seq in book.acknowledged_at and at - book.acknowledged_at[seq] > 1.0
    ]
    return max(late, default=0.0)


def table(figures: list[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table."""
    columns = {
        "fault": "fault",
        "in_flight": "publishes in flight",
        "resumed": "resumed",
        "acknowledged": "acknowledged",
        "delivered": "delivered",
        "lost": "lost",
        "doubled": "doubled",
        "reordered": "out of order",
        "seconds_without_acknowledgement": "s without an acknowledgement",
        "seconds_to_recover": "s until nobody waited",
    }
    lines = [f"| {' | '.join(columns.values())} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(str(row[key]) for key in columns)} |" for row in figures]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
