"""A peer: FastAPI on uvicorn, with `send_json` for each receiver, and an endpoint that validates events.

It is what most teams write: a connection manager with a list for each investigation. The endpoint validates
with the contract's own pydantic models, which is what the reference server's validation is held against.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import json
from itertools import count
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Path, Request, WebSocket, WebSocketDisconnect
from osint_events import parse_event
from pydantic import ValidationError
from subscribers import Subscribers, listening, update

app = FastAPI()
subscribers = Subscribers[WebSocket]()
numbers = count(1)

InvestigationId = Annotated[str, Path(min_length=1, max_length=255)]


@app.websocket("/ws/{client_id}")
async def websocket(ws: WebSocket) -> None:
    """Serve a connection."""
    await ws.accept()
    try:
        while True:
            message = await ws.receive_json()
            if message["type"] == "subscribe_investigation":
                await ws.send_json(subscribers.subscribe(ws, message))
            elif message["type"] == "publish":
                await broadcast(message["investigation_id"], update(message))
    except WebSocketDisconnect:
        pass
    finally:
        subscribers.leave(ws)


async def broadcast(investigation_id: str, message: dict[str, Any]) -> None:
    """Send to all, one after the other."""
    for receiver in subscribers.of(investigation_id):
        try:
            await receiver.send_json(message)
        except (WebSocketDisconnect, RuntimeError):
            subscribers.leave(receiver)


@app.post("/investigations/{investigation_id}/events", status_code=202)
async def publish(investigation_id: InvestigationId, request: Request) -> dict[str, Any]:
    """Validate what is posted, one event or a line for each, and broadcast it."""
    body = await request.body()
    is_single = request.headers["content-type"] == "application/json"
    events = []
    for line in [body] if is_single else body.splitlines():
        event = json.loads(line)
        try:
            parse_event(event)
        except ValidationError as error:
            raise HTTPException(422, error.errors()) from error
        if event.get("investigation_id", investigation_id) != investigation_id:
            raise HTTPException(422, "is not the id that is published to")
        events.append(event)
    for event in events:
        await broadcast(investigation_id, update({"investigation_id": investigation_id, "data": event}))
    seqs = [next(numbers) for _ in events]
    return {"seq": seqs[0]} if is_single else {"seqs": seqs}


listener = listening()
config = uvicorn.Config(app, log_level="critical", backlog=1024, ws_per_message_deflate=False)
uvicorn.Server(config).run(sockets=[listener])
