"""What a capable server knows of a connection that said hello."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.server import Limits

if TYPE_CHECKING:
    from .history import Kept
    from .peer import CapablePeer

LONGEST_REF = 64
SCOPE_VALUES = frozenset({"all", "tasks", "summary"})


@dataclass(frozen=True)
class CapableLimits(Limits):
    """What a welcome says besides, and what it takes to see it all within seconds."""

    queue_bytes: int = 256 * 1024
    interval: float = 1.0
    timeout: float = 2.0
    replay_events: int = 100
    history_events: int = 200
    history_age: float = 120.0
    messages_per_second: float = 100
    client_burst: int = 256


class Bucket:
    """So many at once, and so many a second after that."""

    def __init__(self, burst: int, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._left, self._since = float(burst), time.monotonic()

    def take(self) -> float:
        """Take one and return 0; where there is none, return the seconds until there is."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._since) * self._rate)
        self._since = now
        if self._left >= 1:
            self._left -= 1
            return 0
        return (1 - self._left) / self._rate

    def give_back(self) -> None:
        """Return one that was taken."""
        self._left += 1


@dataclass
class Subscription:
    """One investigation of one connection."""

    scope: list[str]
    last: int
    """The number up to which the client has had everything."""
    sent_at: float = field(default_factory=time.monotonic)

    @property
    def form(self) -> str:
        """The scope as one word: `all`, `tasks` or `summary` (SCP-1)."""
        values = set(self.scope)
        return "all" if "all" in values or len(values) > 1 else self.scope[0]


@dataclass
class Replay:
    """A replay on its way: what is still to be sent, and what waits until it is complete (RPL-5)."""

    message: dict[str, Any]
    """The subscribe that asked for it."""
    after: int
    """The client's position."""
    head: int
    events: deque[Kept] = field(default_factory=deque)
    count: int = 0
    live: deque[Kept] = field(default_factory=deque)
    then: deque[dict[str, Any]] = field(default_factory=deque)


class Session:
    """A connection that said hello."""

    def __init__(self, peer: CapablePeer, number: int, features: list[str], limits: CapableLimits) -> None:
        self.peer = peer
        self.number = number
        self.features = features
        self.subscriptions: dict[str, Subscription] = {}
        self.replays: dict[str, Replay] = {}
        self.feeds = False
        """Whether the next piece of the replays is due in a moment."""
        self.pinged_at = 0.0
        self.pings = 0
        self.pressure = "normal"
        self.carried_out = Bucket(limits.client_burst, limits.messages_per_second)
        self.refused = Bucket(limits.client_burst, limits.messages_per_second)

    def has(self, *features: str) -> bool:
        """Say whether one of some features is used on this connection."""
        return any(feature in self.features for feature in features)


def valid_ref(message: dict[str, Any]) -> bool:
    """Say whether a message has no reference or a right one (NEG-4)."""
    ref = message.get("ref", "")
    return isinstance(ref, str) and len(ref) <= LONGEST_REF


def valid_scope(scope: object) -> bool:
    """Say whether a scope is one (SCP-2)."""
    if not isinstance(scope, list) or not scope:
        return False
    return all(isinstance(value, str) and value in SCOPE_VALUES for value in scope)


def valid_hello(message: dict[str, Any]) -> bool:
    """Say whether a hello is well formed; unknown features and fields are no matter (NEG-3)."""
    protocol, features = message.get("protocol"), message.get("features")
    if not isinstance(protocol, (int, float)) or isinstance(protocol, bool) or protocol < 1 or protocol % 1:
        return False
    if not isinstance(features, list) or not all(isinstance(feature, str) for feature in features):
        return False
    return valid_ref(message) and _valid_client(message.get("client", {}))


def _valid_client(client: object) -> bool:
    if not isinstance(client, dict):
        return False
    return all(isinstance(client.get(name, ""), str) for name in ("name", "version"))
