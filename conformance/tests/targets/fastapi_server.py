"""Part 1 of the protocol on FastAPI and uvicorn, as a backend team would write it.

A foreign target for the conformance runner: it shares no code with the reference server. It knows nothing
of Part 2, keeps the fallback (DEL-3), answers malformed input with an ``error`` message of its own dialect
and lets numbers through Python's JSON (integers exact, fractions as doubles).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import uvicorn
from fastapi import FastAPI, HTTPException, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    import socket

    from websockets.http11 import Request as Handshake

MAX_MESSAGE_BYTES = 128 * 1024
"""Inbound; uvicorn closes with 1009 beyond it (ROB-4 wants 64 KiB at least)."""
MAX_EVENT_BYTES = 256 * 1024
MAX_QUEUED_BYTES = 4 * 1024 * 1024
STALLED_SECONDS = 10
ID_CHARACTERS = 255


class Outbox:
    """What waits to be sent on one connection, bounded in bytes (the texts are ASCII)."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def offer(self, text: str) -> bool:
        """Queue ``text``, or return False where there is no room: events never wait for a slow reader."""
        if self._size + len(text) > MAX_QUEUED_BYTES:
            return False
        self._texts.append(text)
        self._size += len(text)
        self._filled.set()
        return True

    async def put(self, text: str) -> None:
        """Queue ``text``, waiting for room: who subscribes faster than it reads is read more slowly."""
        while not self.offer(text):
            self._drained.clear()
            await self._drained.wait()

    async def take(self) -> str:
        """Return the oldest text, waiting for one."""
        while not self._texts:
            self._filled.clear()
            await self._filled.wait()
        text = self._texts.popleft()
        self._size -= len(text)
        self._drained.set()
        return text


class Connection:
    """One client: the investigations it follows, and its outbox with the task that empties it."""

    def __init__(self, websocket: WebSocket) -> None:
        self.investigations: set[str] = set()
        self.outbox = Outbox()
        self._websocket = websocket

    def abort(self) -> None:
        """Drop the TCP connection: a close frame could not get past what a stalled client leaves unread."""
        self._websocket.scope["extensions"]["abort"]["now"]()

    async def write(self) -> None:
        """Send what is queued until the client goes; one that takes nothing for long is dropped (ROB-5)."""
        try:
            while True:
                text = await self.outbox.take()
                async with asyncio.timeout(STALLED_SECONDS):
                    await self._websocket.send_text(text)
        except TimeoutError:
            self.abort()
        except (
            WebSocketDisconnect,
            RuntimeError,
        ):  # uvicorn raises the latter once it has refused a frame itself
            return

    async def read(self) -> None:
        """Answer the client's messages until it goes."""
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            answer = self._answer(message.get("text"))
            if answer is not None:
                await self.outbox.put(json.dumps(answer))

    def _answer(self, text: str | None) -> dict[str, str] | None:
        if text is None:
            return {"type": "error", "detail": "text messages only"}
        try:
            message = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):  # deep nesting ends in RecursionError
            return {"type": "error", "detail": "invalid JSON"}
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            return {"type": "error", "detail": "an object with a type is wanted"}
        if message["type"] != "subscribe_investigation":
            return None
        investigation_id = message.get("investigation_id")
        if not isinstance(investigation_id, str) or not 1 <= len(investigation_id) <= ID_CHARACTERS:
            return {"type": "error", "detail": "investigation_id must be a string of 1 to 255 characters"}
        self.investigations.add(investigation_id)
        return {"type": "subscription_confirmed", "investigation_id": investigation_id}


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON"
    raise ValueError(message)


app = FastAPI(title="Investigation events")
connections: set[Connection] = set()


@app.websocket("/ws/{client_id}")
async def events(websocket: WebSocket, client_id: str) -> None:  # noqa: ARG001 - named by the route; nothing is keyed by it (CONN-5, CONN-6)
    """Serve one client until either side ends."""
    await websocket.accept()
    connection = Connection(websocket)
    connections.add(connection)
    tasks = {asyncio.create_task(connection.read()), asyncio.create_task(connection.write())}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        connections.discard(connection)
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()


@app.get("/ws/{client_id}")
async def upgrade_required(client_id: str) -> Response:  # noqa: ARG001 - named by the route
    """Tell a plain GET what is spoken here (CONN-2)."""
    return Response("WebSocket only", status_code=426, headers={"Upgrade": "websocket"})


def publish(investigation_id: str, data: dict[str, Any]) -> None:
    """Emit ``data`` to the investigation's subscribers, or to all where it has none (DEL-3)."""
    update = {"type": "investigation_update", "investigation_id": investigation_id, "data": data}
    try:
        text = json.dumps(update, allow_nan=False)
    except ValueError as error:
        raise HTTPException(422, "a number is out of range") from error
    if len(text) > MAX_EVENT_BYTES:
        raise HTTPException(413, f"an event has at most {MAX_EVENT_BYTES} bytes")
    subscribers = [c for c in connections if investigation_id in c.investigations]
    for connection in subscribers or list(connections):
        if not connection.outbox.offer(text):
            connection.abort()


# --8<-- [start:inject]
class Injection(BaseModel):
    """The body of the inject hook."""

    investigation_id: Annotated[str, Field(min_length=1, max_length=255)]
    data: dict[str, Any]


# In tests only: whoever reaches it makes the server say anything.
if os.environ.get("ENABLE_INJECT") == "1":

    @app.post("/inject", status_code=202)
    async def inject(injection: Injection) -> None:
        """Emit exactly this, by the way that every event goes."""
        publish(injection.investigation_id, injection.data)


# --8<-- [end:inject]
class AbortableProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, of which ASGI shows no way to end a connection whose peer reads nothing.

    ``websocket.close`` waits for the write buffer to drain, and so does uvicorn's own ping timeout: a stalled
    client would be kept for ever (ROB-5).
    """

    def handle_connect(self, event: Handshake) -> None:
        """Hand the application ``transport.abort`` as an ASGI extension."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"] = {"abort": {"now": self.transport.abort}}

    def keepalive_timeout(self) -> None:
        """Drop a peer that answers no ping instead of waiting for it to read."""
        super().keepalive_timeout()
        self.transport.abort()


class AnnouncingServer(uvicorn.Server):
    """A server that says where it listens, with the port that ``--port 0`` was given."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print the one line that a parent process waits for."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        print(f"listening on http://{host}:{port}", flush=True)  # noqa: T201 - the line is the interface


def main() -> None:
    """Run the server until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_level="error",
        ws=AbortableProtocol,
        # The default, 16 MiB, lets every client hold that much of the server's memory.
        ws_max_size=MAX_MESSAGE_BYTES,
        # On by default; deflating for each receiver costs more than everything else here.
        ws_per_message_deflate=False,
        # By default a stop waits for every client to leave, and one that reads nothing never does.
        timeout_graceful_shutdown=2,
    )
    AnnouncingServer(config).run()


if __name__ == "__main__":
    main()
