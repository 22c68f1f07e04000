"""What one client has of one investigation, by the rules of RPL-2, and what it must not have seen."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Broken(Exception):
    """The server broke the protocol; the message says how."""


@dataclass(frozen=True, slots=True)
class Published:
    """An accepted event, as its publisher knows it.

    Attributes:
        seq: the number that the server answered with.
        number: what tells it from all others.
        scopes: the parts that it belongs to (SCP-1).

    """

    seq: int
    number: int
    scopes: frozenset[str]


@dataclass(slots=True)
class History:
    """The events of one investigation that a client received, over all its connections.

    Attributes:
        investigation_id: the investigation.
        scope: the part that is subscribed to: all, tasks or summary.
        token: what to resume from; None before the first confirmation.
        first: the position of the first confirmation: all after it has to be there.
        last: RPL-2's `last`.
        events: seq and number of each event.
        is_subscribed: whether updates may come on the present connection.
        replaying: how many events the replay that is under way still owes, by its confirmation; else None.

    """

    investigation_id: str
    scope: str
    token: str | None = None
    first: int | None = None
    last: int = -1
    events: list[tuple[int, int]] = field(default_factory=list)
    is_subscribed: bool = False
    replaying: int | None = None

    def disconnected(self) -> None:
        """Forget what belongs to a connection."""
        self.is_subscribed = False
        self.replaying = None

    def confirmed(self, message: Mapping[str, Any]) -> int:
        """Take a confirmation; return how many events will be replayed at least (RPL-4)."""
        replay = message.get("replay")
        if (replay is None) != (self.token is None):
            raise Broken(f"{self._name}: token {self.token} was answered with the replay {replay}")
        if message.get("scope", ["all"]) != [self.scope]:
            raise Broken(f"{self._name}: another scope was confirmed: {message.get('scope')}")
        self.is_subscribed = True
        if replay is None:
            self.first = self.last = message["seq"]
        elif replay["status"] != "complete":
            raise Broken(f"{self._name}: the replay after {self.last} failed: {replay.get('reason')}")
        elif message["seq"] != self.last:
            raise Broken(f"{self._name}: resumed at {message['seq']} with the token of {self.last}")
        else:
            self.replaying = replay["count"]
        self.token = message["token"]
        return self.replaying or 0

    def unsubscribed(self) -> None:
        """Take the end of the subscription, which waits for that of a replay (RPL-5)."""
        if self.replaying is not None:
            raise Broken(f"{self._name}: unsubscribed in the middle of a replay")
        self.is_subscribed = False

    def updated(self, message: Mapping[str, Any]) -> None:
        """Take an update: no duplicate, none that follows a loss, and none out of order (RPL-2, RPL-5)."""
        seq, prev = message["seq"], message["prev"]
        if not self.is_subscribed:
            raise Broken(f"{self._name}: {seq} came while not subscribed")
        if seq <= self.last:
            raise Broken(f"{self._name}: {seq} came again, or out of order, after {self.last}")
        if prev > self.last:
            raise Broken(
                f"{self._name}: {seq} follows {prev}, which did not come: the last one was {self.last}"
            )
        if message.get("replayed", False) != (self.replaying is not None):
            raise Broken(f"{self._name}: {seq} is marked wrongly as replayed or not")
        if self.replaying:
            self.replaying -= 1
        self.events.append((seq, message["data"]["number"]))
        self.last, self.token = seq, message["token"]

    def replayed(self, message: Mapping[str, Any]) -> None:
        """Take the end of a replay."""
        if self.replaying is None:
            raise Broken(f"{self._name}: the end of a replay that was not under way")
        if self.replaying:
            raise Broken(f"{self._name}: the replay ended {self.replaying} events short")
        self.replaying = None
        self.moved(message)

    def moved(self, message: Mapping[str, Any]) -> None:
        """Take a position without an event (RPL-6)."""
        if message["seq"] < self.last:
            raise Broken(f"{self._name}: back from {self.last} to {message['seq']}")
        self.last, self.token = message["seq"], message["token"]

    def expected(self, log: Iterable[Published]) -> list[tuple[int, int]]:
        """Return what the client has to have, by what the publisher knows."""
        if self.first is None:
            return []
        return [
            (event.seq, event.number)
            for event in log
            if event.seq > self.first and (self.scope == "all" or self.scope in event.scopes)
        ]

    @property
    def _name(self) -> str:
        return f"{self.investigation_id} ({self.scope})"
