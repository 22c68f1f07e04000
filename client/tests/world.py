"""A server without I/O, small and right, for the client to be tested against."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from osint_events.features import FEATURES
from osint_events.scopes import is_in_scope


@dataclass
class Published:
    """An event as the store keeps it."""

    seq: int
    data: dict[str, Any]


@dataclass
class Connection:
    """What the server knows of one connection; `sent` is on its way to the client."""

    features: frozenset[str] = frozenset()
    scopes: dict[str, list[str] | None] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)


class FakeServer:
    """Numbers events, keeps them, and replays those that it keeps.

    Args:
        features: what it grants; with none of them it knows part 1 alone, and ignores hello.

    """

    def __init__(self, features: frozenset[str] = frozenset(FEATURES)) -> None:
        self.features = features
        self.epoch = 1
        self.first_known = 1
        """The epoch from which on it knows its own tokens: it may sign with other keys after a restart."""
        self.head = 0
        self.events: dict[str, list[Published]] = {}
        self.floor = 0
        """The number of the last event that is not kept any more."""
        self.connections: list[Connection] = []

    def connect(self) -> Connection:
        self.connections.append(Connection())
        return self.connections[-1]

    def disconnect(self, connection: Connection) -> None:
        self.connections.remove(connection)

    def receive(self, connection: Connection, text: str) -> None:
        message = json.loads(text)
        connection.received.append(message)
        match message["type"]:
            case "hello" if self.features and len(connection.received) == 1:
                granted = [name for name in message["features"] if name in self.features]
                connection.features = frozenset({"hello", *granted})
                connection.sent.append(
                    {"type": "welcome", "protocol": 1, "connection_id": "c", "features": granted}
                )
            case "subscribe_investigation":
                self._subscribe(connection, message)
            case "unsubscribe_investigation" if "unsubscribe" in connection.features:
                connection.scopes.pop(message["investigation_id"], None)
                answer = {"type": "unsubscribed", "investigation_id": message["investigation_id"]}
                connection.sent.append(answer | {"ref": message["ref"]})
            case "ping" if "heartbeat" in connection.features:
                connection.sent.append({"type": "pong", "id": message["id"]})
            case _:
                pass

    def publish(self, investigation_id: str, data: dict[str, Any]) -> int:
        """Store an event and send it to who is subscribed; give its number."""
        self.head += 1
        for connection in self.connections:
            if investigation_id in connection.scopes:
                scope = connection.scopes[investigation_id]
                if is_in_scope(data, scope):
                    prev = self._before(investigation_id, self.head, scope)
                    event = Published(self.head, data)
                    connection.sent.append(self._update(connection, investigation_id, event, prev))
        self.events.setdefault(investigation_id, []).append(Published(self.head, data))
        return self.head

    def restart(self, *, keeps_keys: bool) -> None:
        """Lose the history: the sequence starts anew (RPL-8)."""
        self.epoch += 1
        if not keeps_keys:
            self.first_known = self.epoch
        self.head = 0
        self.floor = 0
        self.events.clear()

    def position(self, kind: str, investigation_id: str, **fields: Any) -> dict[str, Any]:
        """Give a message that carries the head."""
        numbered = {"seq": self.head, "token": self.token(self.head)}
        return {"type": kind, "investigation_id": investigation_id, **fields, **numbered}

    def token(self, seq: int) -> str:
        return f"{self.epoch}-{seq}"

    def _subscribe(self, connection: Connection, message: dict[str, Any]) -> None:
        investigation_id = message["investigation_id"]
        scope = message.get("scope") if "scopes" in connection.features else None
        connection.scopes[investigation_id] = scope
        answer: dict[str, Any] = {"type": "subscription_confirmed", "investigation_id": investigation_id}
        if "hello" in connection.features:
            answer["ref"] = message["ref"]
        if "replay" not in connection.features:
            connection.sent.append(answer)
            return
        token = message.get("replay_token")
        epoch, _, seq = (token or "0-0").partition("-")
        if token is None or int(epoch) != self.epoch or int(seq) < self.floor:
            if token is not None:
                reason = "epoch_changed" if int(epoch) >= self.first_known else "invalid"
                if int(epoch) == self.epoch:
                    reason = "expired"
                answer["replay"] = {"status": "failed", "reason": reason}
            numbered = {"epoch": str(self.epoch), "seq": self.head, "token": self.token(self.head)}
            connection.sent.append(answer | numbered)
            return
        missed = [
            event
            for event in self.events.get(investigation_id, ())
            if event.seq > int(seq) and is_in_scope(event.data, scope)
        ]
        answer |= {"epoch": str(self.epoch), "seq": int(seq), "token": token}
        connection.sent.append(answer | {"replay": {"status": "complete", "count": len(missed)}})
        prev = int(seq)
        for event in missed:
            update = self._update(connection, investigation_id, event, prev)
            connection.sent.append(update | {"replayed": True})
            prev = event.seq
        connection.sent.append(self.position("replay_complete", investigation_id, ref=message["ref"]))

    def _update(
        self, connection: Connection, investigation_id: str, event: Published, prev: int
    ) -> dict[str, Any]:
        update: dict[str, Any] = {"type": "investigation_update", "investigation_id": investigation_id}
        if "replay" in connection.features:
            update |= {"seq": event.seq, "prev": prev, "token": self.token(event.seq)}
        return update | {"data": event.data}

    def _before(self, investigation_id: str, seq: int, scope: list[str] | None) -> int:
        known = self.events.get(investigation_id, ())
        return max((e.seq for e in known if e.seq < seq and is_in_scope(e.data, scope)), default=0)
