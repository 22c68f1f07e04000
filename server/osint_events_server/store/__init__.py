"""Where events are kept, and from where they are delivered.

Events come in through `EventStore.append` alone, which numbers them, and are delivered by following the
store, so there is one path whether the publisher is local or on another node.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from osint_events_server.scope import Scope


class StoreError(Exception):
    """The store did not do what was asked.

    - `StoreUnusable`: it cannot be used as the settings say.
    - `StoreUnavailable`: it cannot be reached now.
    - `IdempotencyConflict`: the caller used a key twice, for different events.
    - `PositionExpired`: what was asked for is not kept any more.
    """


class StoreUnusable(StoreError):
    """The store cannot be used as the settings say; the message says why and what to do."""


class StoreUnavailable(StoreError):
    """The store cannot be reached now; the same call may succeed later.

    Attributes:
        retry_after: seconds after which to try again.

    """

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class IdempotencyConflict(StoreError):
    """The idempotency key was used for other events of this investigation."""


class PositionExpired(StoreError):
    """An event after the position was evicted, so that a replay would have a gap (RPL-4)."""


@dataclass(frozen=True, slots=True)
class Payload:
    """An event before it is numbered.

    Attributes:
        data: the payload as it was published: one JSON object, UTF-8 (EVT-6).
        scope: what part of its investigation it belongs to, classified once (SCP-1).

    """

    data: bytes
    scope: Scope


@dataclass(frozen=True, slots=True)
class Event:
    """One event as the store holds it.

    Attributes:
        seq: its number, 1 to 2^53 - 1, which increases strictly within an investigation (RPL-1).
        investigation_id: the investigation, 1 to 255 characters.
        data: the payload as it was published: one JSON object, UTF-8 (EVT-6).
        scope: what part of its investigation it belongs to.

    """

    seq: int
    investigation_id: str
    data: bytes
    scope: Scope


@dataclass(frozen=True, slots=True)
class Gap:
    """A follower may have missed events of any investigation here (RPL-7).

    Attributes:
        reason: why.
        seq: the number after which it follows again.

    """

    reason: Literal["unavailable", "epoch_changed"]
    seq: int


class Follower(Protocol):
    """What is appended from a call of `EventStore.follow` on, on any node, in order of `seq`.

    Each step waits for events and returns all that are due, or says that some may be missing here.
    """

    @property
    def position(self) -> int:
        """The number after which it follows."""

    def __aiter__(self) -> Self:
        """Return itself."""

    async def __anext__(self) -> Sequence[Event] | Gap:
        """Wait for what is due, at least one event."""

    def close(self) -> None:
        """Follow no more, so that nobody waits for this follower."""


class EventStore(Protocol):
    """What the server asks of a store."""

    @property
    def epoch(self) -> str:
        """Names the sequence: another epoch means that the numbers began anew (RPL-8).

        It changes when a follower is given the gap that says so.
        """

    async def append(
        self, investigation_id: str, payloads: Sequence[Payload], *, idempotency_key: str | None = None
    ) -> Sequence[int]:
        """Store events of one investigation, all of them or none, and return their numbers in order.

        With a key that was used before for the same events, nothing is stored and the numbers of then are
        returned. The key is the investigation's own.

        Raises:
            StoreUnavailable: nothing was stored; or, where a shared store was lost before it answered, it is
                unknown whether all was stored or nothing. With a key the caller may just repeat.
            IdempotencyConflict: nothing was stored.

        """

    async def head(self) -> int:
        """Return the number of the last event of all, 0 where there was none yet.

        What any node delivered before the call has this number at most (DEL-5).

        Raises:
            StoreUnavailable: the store cannot be reached.

        """

    async def read_after(
        self, investigation_id: str, seq: int, *, limit: int, scope: Scope = Scope.ALL
    ) -> Sequence[Event]:
        """Return the first events, up to `limit`, of an investigation's scope after `seq`, in order.

        Raises:
            StoreUnavailable: the store cannot be reached.
            PositionExpired: an event of the investigation after `seq` was evicted, whatever its scope.

        """

    def follow(self) -> Follower:
        """Follow what is appended from this call on.

        A follower that is left behind delays `append`; it never loses an event without a `Gap`.
        """
