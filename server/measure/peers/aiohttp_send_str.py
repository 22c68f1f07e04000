"""A peer: aiohttp, an event encoded once and sent with `send_str` (`--compress`: with aiohttp's deflate)."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import json
import sys

import uvloop
from aiohttp import WSMsgType, web
from subscribers import Subscribers, encode, listening, update

COMPRESS = "--compress" in sys.argv
subscribers = Subscribers[web.WebSocketResponse]()


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Serve a connection."""
    ws = web.WebSocketResponse(compress=COMPRESS)
    await ws.prepare(request)
    try:
        async for frame in ws:
            if frame.type is not WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            if message["type"] == "subscribe_investigation":
                await ws.send_str(encode(subscribers.subscribe(ws, message)))
            elif message["type"] == "publish":
                await broadcast(message["investigation_id"], encode(update(message)))
    finally:
        subscribers.leave(ws)
    return ws


async def broadcast(investigation_id: str, text: str) -> None:
    """Send to all, one after the other."""
    for receiver in subscribers.of(investigation_id):
        try:
            await receiver.send_str(text)
        except ConnectionError:
            subscribers.leave(receiver)


async def main() -> None:
    """Serve until ended."""
    app = web.Application()
    app.router.add_get("/ws/{client_id}", websocket)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening(), backlog=1024).start()
    await asyncio.Event().wait()


uvloop.run(main())
