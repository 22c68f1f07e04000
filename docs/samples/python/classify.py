"""Tells what each event is, whoever sent it and however old the sender is."""

import asyncio
import sys

from osint_events import classify
from osint_events_client import Event, connect


async def follow(url: str, investigation_id: str) -> None:
    async with connect(url, [investigation_id]) as items:
        async for item in items:
            if not isinstance(item, Event) or item.investigation_id != investigation_id:
                continue
            # Not data["type"]: older senders write "event", or only a status and a message (LEG-1 to LEG-4).
            # The same kind is in item.kind; the rule says how it was found.
            kind, rule = classify(item.data)
            match kind:
                case "investigation_started":
                    print(f"the investigation runs ({rule})", flush=True)
                case "task_completed":
                    print(f"task {item.data['task_id']} is done ({rule})", flush=True)
                case None:
                    print(f"an event of no known kind ({rule})", flush=True)
                case _:  # the set of kinds is open
                    print(f"{kind} ({rule})", flush=True)


asyncio.run(follow(sys.argv[1], sys.argv[2]))
