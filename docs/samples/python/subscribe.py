"""Shows what happens to one investigation, with any server."""

import asyncio
import sys

from osint_events_client import Event, connect


async def follow(url: str, investigation_id: str) -> None:
    async with connect(url, [investigation_id]) as items:
        async for item in items:
            if isinstance(item, Event) and item.investigation_id == investigation_id:
                print(item.kind, item.data.get("task_id", ""), flush=True)


asyncio.run(follow(sys.argv[1], sys.argv[2]))
