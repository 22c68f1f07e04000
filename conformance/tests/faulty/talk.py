"""A connection that says hello, for the scenes of Part 2: what it asks, and what it makes of the answers."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jsonschema
from osint_events import contract
from osint_events_conformance.faulty.capable.negotiating import FEATURES
from osint_events_conformance.faulty.capable.server import CapableServer

from .client import Client, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osint_events_conformance.faulty.capable.session import Session
    from websockets.extensions import ClientExtensionFactory

ALL = FEATURES
QUIET = tuple(feature for feature in FEATURES if feature != "heartbeat")
NOTE = '{"type": "note"}'
TASK = '{"type": "task_started", "task_id": "t"}'
SUMMARY = '{"type": "investigation_started"}'

_ANSWERS = {
    "welcome": "welcome",
    "subscription_confirmed": "negotiated_subscription_confirmed",
    "investigation_update": "negotiated_investigation_update",
    "replay_complete": "replay_complete",
    "position": "position",
    "gap": "gap",
    "ping": "ping",
    "pong": "pong",
    "unsubscribed": "unsubscribed",
    "backpressure": "backpressure",
    "error": "error",
}
_VALIDATORS = {
    type_: jsonschema.Draft202012Validator(contract.bundled(name)) for type_, name in _ANSWERS.items()
}


def hello_text(*features: str, **fields: object) -> str:
    """Return a hello."""
    return json.dumps({"type": "hello", "protocol": 1, "features": features, **fields})


class Talk:
    """A connection of the tests' own client that said hello."""

    def __init__(self, world: World, client: Client) -> None:
        self.world = world
        self.client = client

    @classmethod
    async def begin(
        cls,
        world: World,
        *features: str,
        client_id: str = "c",
        receive_buffer: int | None = None,
        extensions: tuple[ClientExtensionFactory, ...] = (),
        hello: Mapping[str, object] = MappingProxyType({}),
    ) -> Talk:
        """Connect and say hello, with fields besides; the welcome may not come."""
        client = await world.knock(client_id, receive_buffer, extensions)
        assert client.status == 101, client.status
        talk = cls(world, client)
        talk.say(type="hello", **{"protocol": 1, "features": features, **hello})
        await talk.gets("welcome")
        return talk

    def say(self, **fields: object) -> None:
        """Send a message."""
        self.client.say(json.dumps(fields, ensure_ascii=False))

    def subscribe(self, investigation_id: str = "i", **fields: object) -> None:
        """Send a subscribe."""
        self.say(type="subscribe_investigation", investigation_id=investigation_id, **fields)

    def unsubscribe(self, investigation_id: str = "i", **fields: object) -> None:
        """Send an unsubscribe."""
        self.say(type="unsubscribe_investigation", investigation_id=investigation_id, **fields)

    def of(self, *types: str) -> list[dict[str, Any]]:
        """Return the messages of some types."""
        return [message for message in self.client.messages if message.get("type") in types]

    async def gets(self, type_: str, number: int = 1, patience: float | None = None) -> bool:
        """Wait for so many messages of a type."""
        return await self.client.waits(
            lambda: len(self.of(type_)) >= number, self.world.patience if patience is None else patience
        )

    async def subscribed(self, investigation_id: str = "i", **fields: object) -> dict[str, Any]:
        """Subscribe, and return the confirmation; an empty one where none comes."""
        before = len(self.of("subscription_confirmed"))
        self.subscribe(investigation_id, **fields)
        await self.gets("subscription_confirmed", before + 1)
        return (self.of("subscription_confirmed")[before:] or [{}])[0]

    async def works(self) -> bool:
        """Say whether a fresh subscribe is confirmed: what had been on its way is there then."""
        return await self.client.works(self.world.patience)

    def numbers(self, investigation_id: str = "i") -> list[object]:
        """Return the member `n` of the payloads that came, as they came."""
        return [data.get("n") for data in self.client.payloads(investigation_id)]

    @property
    def session(self) -> Session:
        """What the server knows of this connection, which must be the last one."""
        return list(capable(self.world).sessions.values())[-1]

    def stall(self) -> None:
        """Read nothing more, with little room between the server and here."""
        self._room(4096)
        self.client.transport.pause_reading()

    def read_on(self) -> None:
        """Read again, with all the room that there is."""
        self._room(1024 * 1024)
        self.client.transport.resume_reading()

    def _room(self, size: int) -> None:
        server, client = self.session.peer.transport, self.client.transport
        server.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    async def heard(self) -> None:
        """Wait until the server has read what was said just now."""
        said = time.monotonic()
        self.client.write(b"\x8a\x80\0\0\0\0")  # an unsolicited pong
        await self.world.until(lambda: self.session.peer.received_at >= said)


def capable(world: World) -> CapableServer:
    """Return the server as what it is."""
    assert isinstance(world.server, CapableServer)
    return world.server


def hasten(world: World, interval: float = 0.2, timeout: float = 0.2) -> None:
    """Shorten the heartbeat of the connections to come, in seconds."""
    limits = replace(capable(world).limits, interval=interval, timeout=timeout)
    vars(world.server)["limits"] = limits


def invalid(message: dict[str, Any]) -> list[str]:
    """Return what the schemas of a connection that said hello have against a server's message."""
    validator = _VALIDATORS.get(message["type"])
    return [] if validator is None else [error.message for error in validator.iter_errors(message)]


def published(numbers: range, kind: str = "note", **fields: object) -> list[tuple[str, str]]:
    """Return events of the investigation i that are numbered by `n`."""
    return [("i", json.dumps({"type": kind, "n": number, **fields})) for number in numbers]
