"""What all peers do alike: who is subscribed to what, and where they listen."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import json
import resource
import socket
from typing import Any, Generic, TypeVar

C = TypeVar("C")


class Subscribers(Generic[C]):
    """Connections by investigation."""

    def __init__(self) -> None:
        self._by_id: dict[str, dict[C, None]] = {}

    def of(self, investigation_id: str) -> list[C]:
        """Return who receives an event."""
        return list(self._by_id.get(investigation_id, ()))

    def subscribe(self, connection: C, message: dict[str, Any]) -> dict[str, Any]:
        """Subscribe a connection; return the confirmation."""
        investigation_id = message["investigation_id"]
        self._by_id.setdefault(investigation_id, {})[connection] = None
        return {"type": "subscription_confirmed", "investigation_id": investigation_id}

    def leave(self, connection: C) -> None:
        """Forget a connection."""
        for connections in self._by_id.values():
            connections.pop(connection, None)


def update(message: dict[str, Any]) -> dict[str, Any]:
    """Return what subscribers are sent for a `publish`."""
    return {
        "type": "investigation_update",
        "investigation_id": message["investigation_id"],
        "data": message["data"],
    }


def encode(message: dict[str, Any]) -> str:
    """Return a message's text, as short as the other servers'."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def listening() -> socket.socket:
    """Listen on a free port of the loopback interface, with as many files as are allowed, and say where."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    say(listener.getsockname()[1])
    return listener


def say(port: int) -> None:
    """Say where the server listens."""
    print(f"listening on http://127.0.0.1:{port}", flush=True)  # noqa: T201 - the starter reads it
