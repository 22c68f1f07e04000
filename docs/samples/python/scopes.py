"""Shows the tasks of an investigation, and leaves the rest on the server where that can."""

import asyncio
import sys

from osint_events_client import Event, connect


async def follow(url: str, investigation_id: str) -> None:
    async with connect(url, [investigation_id], scope=["tasks"]) as items:
        async for item in items:
            # await items.subscribe(investigation_id, scope=["summary"]) would switch, without a loss (SCP-3).
            if isinstance(item, Event):
                print(item.kind or "unknown", flush=True)


asyncio.run(follow(sys.argv[1], sys.argv[2]))
