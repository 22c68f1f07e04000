"""Keeps up with a busy investigation, or lets the server wait: nothing is lost, and nothing piles up here."""

import asyncio
import sys

from osint_events_client import Event, connect


async def handle(event: Event) -> None:
    """Whatever takes its time: a database, another service."""
    await asyncio.sleep(0.001)
    print(f"{event.data['task_id']} {event.data['progress']:.0%}", flush=True)


async def follow(url: str, investigation_id: str) -> None:
    # Up to 16 items wait here. Beyond that nothing is read, and the server's queue fills (FLW-1); a server
    # that gives up on it closes with 4002, and the client resumes by token.
    async with connect(url, [investigation_id], queue_size=16) as items:
        async for item in items:
            if isinstance(item, Event):
                await handle(item)


asyncio.run(follow(sys.argv[1], sys.argv[2]))
