"""Notices a connection that is silent because it is dead, and makes another one."""

import asyncio
import logging
import sys

from osint_events_client import Event, connect

# The client says of its connections what it knows.
logging.basicConfig(format="%(message)s", stream=sys.stdout)


async def follow(url: str, investigation_id: str) -> None:
    # After 25 s of silence the server is asked, and has 10 s to answer; one that has heartbeats may name
    # other times. Pings of the server are answered by the client itself.
    async with connect(url, [investigation_id], interval=25, timeout=10) as items:
        async for item in items:
            if isinstance(item, Event):
                print(item.kind, flush=True)


asyncio.run(follow(sys.argv[1], sys.argv[2]))
