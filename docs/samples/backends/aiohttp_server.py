"""Part 1 of the protocol on aiohttp, as small as a server can be that keeps every clause.

ENABLE_INJECT=1 python aiohttp_server.py 8001
"""

import asyncio
import json
import os
import sys
from typing import Any, NoReturn

from aiohttp import WSMsgType, web

STALLED = 10
"""Seconds in which a client reads nothing of what waits for it, and is dropped (ROB-5)."""


class Connection:
    """One client: what it follows, and what waits for it."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.investigations: set[str] = set()
        self._socket = socket
        self._request = request
        self._waiting: asyncio.Queue[str] = asyncio.Queue(4096)

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; a client that lets so many wait is dropped, and nobody waits for it."""
        try:
            self._waiting.put_nowait(json.dumps(message))
        except asyncio.QueueFull:
            self.drop()

    async def write(self) -> None:
        """Send what waits, until the client goes."""
        try:
            while True:
                text = await self._waiting.get()
                async with asyncio.timeout(STALLED):
                    await self._socket.send_str(text)
        except (TimeoutError, ConnectionError):
            self.drop()

    def drop(self) -> None:
        """End the connection at once: a close frame would wait behind what is not read."""
        if self._request.transport is not None:
            self._request.transport.abort()


connections: set[Connection] = set()


async def events(request: web.Request) -> web.StreamResponse:
    """Serve one client until it goes. Nothing is keyed by its client_id (CONN-5, CONN-6)."""
    socket = web.WebSocketResponse(max_msg_size=128 * 1024, compress=False)
    if not socket.can_prepare(request):
        return web.Response(status=426, headers={"Upgrade": "websocket"})
    await socket.prepare(request)
    connection = Connection(socket, request)
    connections.add(connection)
    writing = asyncio.create_task(connection.write())
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                receive(connection, message.data)
    finally:
        connections.discard(connection)
        writing.cancel()
    return socket


def receive(connection: Connection, text: str) -> None:
    """Carry out what a client says; what is malformed or unknown is ignored (ROB-2, ROB-3)."""
    try:
        message = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return
    if not isinstance(message, dict) or message.get("type") != "subscribe_investigation":
        return
    investigation_id = message.get("investigation_id")
    if isinstance(investigation_id, str) and 1 <= len(investigation_id) <= 255:  # noqa: PLR2004 - SUB-1
        connection.investigations.add(investigation_id)
        connection.send({"type": "subscription_confirmed", "investigation_id": investigation_id})


def refuse(name: str) -> NoReturn:
    """Take no NaN and no Infinity, which Python's JSON does and JSON does not have."""
    raise ValueError(name)


def publish(investigation_id: str, data: dict[str, Any]) -> None:
    """Send an event to whom it concerns, or to all where that is nobody (DEL-3)."""
    update = {"type": "investigation_update", "investigation_id": investigation_id, "data": data}
    followers = [one for one in connections if investigation_id in one.investigations]
    for connection in followers or list(connections):
        connection.send(update)


app = web.Application()
app.router.add_get("/ws/{client_id}", events)


# --8<-- [start:inject]
async def inject(request: web.Request) -> web.Response:
    """Emit exactly what the request says, by the way that every event goes."""
    match await request.json():
        case {"investigation_id": str(investigation_id), "data": dict(data)} if investigation_id:
            publish(investigation_id, data)
            return web.Response(status=202)
    return web.Response(status=422, text="an investigation_id and a data object are wanted")


# In tests only: whoever reaches it makes the server say anything.
if os.environ.get("ENABLE_INJECT") == "1":
    app.router.add_post("/inject", inject)
# --8<-- [end:inject]

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
