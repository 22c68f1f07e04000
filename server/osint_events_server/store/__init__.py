"""Where events are kept, and from where they are delivered.

Events come in through `EventStore.append` alone, which numbers them, and are delivered by following the
store, so there is one path whether the publisher is local or on another node.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class StoreError(Exception):
    """The store did not do what was asked.

    - `StoreUnavailable`: it cannot be reached now.
    - `IdempotencyConflict`: the caller used a key twice, for different events.
    - `PositionExpired`: what was asked for is not kept any more.
    """


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
class Event:
    """One event as the store holds it.

    Attributes:
        seq: its number, which increases strictly within an investigation (RPL-1).
        investigation_id: the investigation, 1 to 255 characters.
        data: the payload as it was published: one JSON object, UTF-8 (EVT-6).

    """

    seq: int
    investigation_id: str
    data: bytes


class EventStore(Protocol):
    """What the server asks of a store."""

    @property
    def epoch(self) -> str:
        """Names the sequence: another epoch means that the numbers began anew (RPL-8)."""

    async def append(
        self, investigation_id: str, payloads: Sequence[bytes], *, idempotency_key: str | None = None
    ) -> Sequence[int]:
        """Store events of one investigation, all of them or none, and return their numbers in order.

        With a key that was used before for the same events, nothing is stored and the numbers of then are
        returned. The key is the investigation's own.

        Raises:
            StoreUnavailable: nothing was stored.
            IdempotencyConflict: nothing was stored.

        """

    async def read_after(self, investigation_id: str, seq: int, *, limit: int) -> Sequence[Event]:
        """Return the investigation's first events, up to `limit`, after the number `seq`, in order.

        Raises:
            StoreUnavailable: the store cannot be reached.
            PositionExpired: an event after `seq` was evicted.

        """

    def follow(self) -> AsyncIterator[Sequence[Event]]:
        """Follow what is appended from this call on, on any node, in order of `seq`.

        Each step waits for events and returns all that are due. A follower that is left behind delays
        `append`; it never loses an event.
        """
