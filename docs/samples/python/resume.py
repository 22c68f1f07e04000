"""Stays connected, and shows each event once: those too that came while there was no connection."""

import asyncio
import sys

from osint_events_client import Ended, Event, Gap, connect


async def follow(url: str, investigation_id: str) -> None:
    # tokens={...}: what `items.tokens` held when the program ended. Keep it in a file, and nothing is lost.
    async with connect(url, [investigation_id], tokens={}) as items:
        try:
            async for item in items:
                match item:
                    case Event(kind=kind):
                        print(kind or "unknown", flush=True)
                    case Gap(reason=reason):
                        print(f"events may be missing here ({reason})", flush=True)
        except Ended as end:  # after close codes that only repeat themselves
            print(f"ended with {end.code}", flush=True)


asyncio.run(follow(sys.argv[1], sys.argv[2]))
