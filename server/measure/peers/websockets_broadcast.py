"""A peer: `websockets.broadcast`, which frames an event once for all."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import json

import uvloop
from subscribers import Subscribers, encode, listening, update
from websockets.asyncio.server import ServerConnection, broadcast, serve

subscribers = Subscribers[ServerConnection]()


async def websocket(ws: ServerConnection) -> None:
    """Serve a connection."""
    try:
        async for text in ws:
            message = json.loads(text)
            if message["type"] == "subscribe_investigation":
                await ws.send(encode(subscribers.subscribe(ws, message)))
            elif message["type"] == "publish":
                broadcast(subscribers.of(message["investigation_id"]), encode(update(message)))
    finally:
        subscribers.leave(ws)


async def main() -> None:
    """Serve until ended."""
    async with serve(websocket, sock=listening(), backlog=1024, compression=None):
        await asyncio.Event().wait()


uvloop.run(main())
