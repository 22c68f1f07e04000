"""A peer: picows, WebSockets in Cython."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import json
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server
from subscribers import Subscribers, encode, listening, update

subscribers = Subscribers[Any]()


class Connection(WSListener):  # type: ignore[misc] # where picows is not installed, it is Any
    """Serves a connection."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message."""
        if frame.msg_type != WSMsgType.TEXT:
            return
        message = json.loads(frame.get_payload_as_bytes())
        if message["type"] == "subscribe_investigation":
            confirmation = encode(subscribers.subscribe(transport, message))
            transport.send(WSMsgType.TEXT, confirmation.encode())
        elif message["type"] == "publish":
            text = encode(update(message)).encode()
            for receiver in subscribers.of(message["investigation_id"]):
                receiver.send(WSMsgType.TEXT, text)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget the connection."""
        subscribers.leave(transport)


def listener_for(_request: WSUpgradeRequest) -> Connection:
    """Accept any path."""
    return Connection()


async def main() -> None:
    """Serve until ended."""
    await ws_create_server(listener_for, sock=listening(), backlog=1024)
    await asyncio.Event().wait()


uvloop.run(main())
