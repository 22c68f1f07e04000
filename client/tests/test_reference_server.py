"""The client and the reference server, which share nothing but the contract."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import urllib.request
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from osint_events.features import FEATURES
from osint_events_client import Client, Event, Gap, Item, connect

COMMAND = str(Path(sys.executable).parent / "osint-events-server")
pytestmark = pytest.mark.timeout(60)


async def started(port: int = 0) -> tuple[Process, str]:
    process = await asyncio.create_subprocess_exec(
        COMMAND, "run", "--port", str(port), stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("listening on http://"), line
    return process, line.split("http://")[1].strip()


async def stopped(process: Process) -> None:
    process.terminate()
    await process.communicate()


@asynccontextmanager
async def reference_server() -> AsyncIterator[str]:
    process, address = await started()
    try:
        yield address
    finally:
        await stopped(process)


async def publish(address: str, investigation_id: str, *events: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"http://{address}/investigations/{investigation_id}/events",
        "\n".join(map(json.dumps, events)).encode(),
        {"Content-Type": "application/x-ndjson"},
    )

    def post() -> int:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- our own server
            status: int = answer.status
            return status

    assert await asyncio.to_thread(post) == 202


async def confirmed(client: Client, investigation_id: str) -> None:
    """Wait until the server has confirmed, which no event tells."""
    subscription = client._session._subscriptions[investigation_id]
    async with asyncio.timeout(20):
        while not subscription.is_confirmed:  # noqa: ASYNC110 -- only the client's own state says so
            await asyncio.sleep(0.01)


async def take(client: Client, count: int) -> list[Item]:
    async with asyncio.timeout(20):
        return [await anext(client) for _ in range(count)]


def numbers(items: list[Item]) -> list[int]:
    return [item.data["n"] for item in items if isinstance(item, Event)]


def events(*ns: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"type": "evidence_found", "n": n, **fields} for n in ns]


async def test_a_broken_connection_loses_nothing(rng: random.Random) -> None:
    async with reference_server() as address, connect(f"ws://{address}/ws", ["X"], rng=rng) as client:
        await confirmed(client, "X")
        assert client.features == {"hello", *FEATURES}
        expected = []
        for n in range(0, 60, 3):
            await publish(address, "X", *events(n))
            if client._connection is not None:  # else it is being made again already
                client._connection.transport.abort()
            await publish(address, "X", *events(n + 1, n + 2))
            expected += [n, n + 1, n + 2]
        items = await take(client, 60)
        assert numbers(items) == expected
        assert any(isinstance(item, Event) and item.replayed for item in items)


async def test_a_restart_that_loses_the_history_is_told_as_that() -> None:
    process, address = await started()
    try:
        async with connect(f"ws://{address}/ws", ["X"], rng=random.Random(1)) as client:
            await confirmed(client, "X")
            await publish(address, "X", *events(1))
            [first] = await take(client, 1)
            await stopped(process)
            process, address = await started(int(address.rpartition(":")[2]))
            await confirmed(client, "X")
            await publish(address, "X", *events(2))
            gap, second = await take(client, 2)
    finally:
        await stopped(process)
    assert isinstance(gap, Gap)
    # The server itself says "invalid": without a fixed key it cannot tell that the token was its own.
    assert gap.reason == "epoch_changed"
    assert numbers([first, second]) == [1, 2]


async def test_subscriptions_scopes_and_positions_while_it_runs(rng: random.Random) -> None:
    async with reference_server() as address:
        async with connect(f"ws://{address}/ws", ["X"], rng=rng) as client:
            await client.subscribe("Y", scope=["tasks"])
            await confirmed(client, "Y")
            await publish(
                address,
                "Y",
                {"type": "investigation_started"},
                {"type": "task_started", "task_id": "t", "n": 1},
            )
            [item] = await take(client, 1)
            assert isinstance(item, Event)
            assert (item.investigation_id, item.kind) == ("Y", "task_started")
            await client.unsubscribe("Y")
            await publish(address, "Y", *events(2, task_id="t"))
            await publish(address, "X", *events(3))
            assert numbers(await take(client, 1)) == [3]
            saved = dict(client.tokens)
        await publish(address, "Y", *events(4))
        async with connect(f"ws://{address}/ws", ["Y"], tokens=saved, rng=rng) as client:
            assert numbers(await take(client, 2)) == [2, 4]
