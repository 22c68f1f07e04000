"""Events into the stream: acknowledged, all of a request or none, and once for each idempotency key.

Several events go as an atomic batch (JetStream 2.12, ADR-50), which the stream's leader stores together when
the last one of them comes.
"""

import asyncio
import base64
import hashlib
import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final

from osint_events_server.store import IdempotencyConflict, Payload, StoreUnavailable
from osint_events_server.store.jetstream import subjects
from osint_events_server.store.jetstream.broker import RETRY_AFTER, ApiError, Broker, NotStored
from osint_events_server.store.jetstream.stream import Stream

_log = logging.getLogger(__name__)

MAX_EVENTS: Final = 1000
"""Events of one request: JetStream takes no larger batch."""

_DIGEST: Final = "Osint-Events-Digest"
_DUPLICATE_IN_BATCH: Final = 10201
_DUPLICATE_IN_PROCESS: Final = 10158
_BATCH_INCOMPLETE: Final = 10176
_RETRY_SECONDS: Final = 0.1
# A stream allows 50 batches at a time, of all nodes together; one that waits for its turn is no error.
_BATCHES: Final = 8
_TOO_MANY_BATCHES: Final = 10210


class _Again(Exception):
    """Nothing was stored, and the same may succeed in a moment."""


class Publishing:
    """Publishes to a stream."""

    def __init__(self, broker: Broker, stream: Stream) -> None:
        self._broker = broker
        self._stream = stream
        self._batches = asyncio.Semaphore(_BATCHES)

    async def publish(
        self, investigation_id: str, payloads: Sequence[Payload], idempotency_key: str | None
    ) -> Sequence[int]:
        """Store events; see `EventStore.append`."""
        request = _Request(self._stream.name, investigation_id, payloads, idempotency_key)
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._broker.timeout
        while True:
            try:
                if len(payloads) == 1:
                    return await self._one(request, deadline - clock())
                async with self._batches:
                    return await self._batch(request, deadline - clock())
            except (_Again, NotStored) as error:
                # Without a connection it may take long, and another node may have one.
                if not self._broker.is_connected or clock() + _RETRY_SECONDS >= deadline:
                    raise StoreUnavailable(str(error), retry_after=RETRY_AFTER) from error
            except ApiError as error:
                _log.warning("NATS refuses to store events: %s", error)
                raise StoreUnavailable(f"the event store: {error}", retry_after=RETRY_AFTER) from error
            await asyncio.sleep(_RETRY_SECONDS)

    async def _one(self, request: "_Request", seconds: float) -> Sequence[int]:
        payload = request.payloads[0]
        headers = request.last_headers() or None
        answer = await self._send(request.subject(payload), payload.data, headers, seconds)
        seq = int(answer["seq"])
        if answer.get("duplicate"):
            request.check(await self._stream.message(seq))
        return (seq,)

    async def _batch(self, request: "_Request", seconds: float) -> Sequence[int]:
        if seconds <= 0:  # it has waited for its turn
            raise NotStored("too much is published at a time", retry_after=RETRY_AFTER)
        batch = {"Nats-Batch-Id": secrets.token_hex(8)}
        *others, last = request.payloads
        for number, payload in enumerate(others, 1):
            headers = {**batch, "Nats-Batch-Sequence": str(number)}
            await self._broker.publish(request.subject(payload), payload.data, headers)
        headers = {
            **batch,
            "Nats-Batch-Sequence": str(len(request.payloads)),
            "Nats-Batch-Commit": "1",
            **request.last_headers(),
        }
        try:
            answer = await self._send(
                request.subject(last, request.key or subjects.NO_KEY), last.data, headers, seconds
            )
            seq = int(answer["seq"])
        except ApiError as error:
            if error.code != _DUPLICATE_IN_BATCH:
                raise
            earlier = await self._stream.last(
                subjects.of_key(self._stream.name, request.investigation_id, request.key)
            )
            seq = request.check(earlier)
        return range(seq - len(request.payloads) + 1, seq + 1)

    async def _send(
        self, subject: str, data: bytes, headers: dict[str, str] | None, seconds: float
    ) -> dict[str, Any]:
        try:
            return await self._broker.request(subject, data, headers, seconds=seconds)
        except ApiError as error:
            if error.code in {_DUPLICATE_IN_PROCESS, _BATCH_INCOMPLETE, _TOO_MANY_BATCHES}:
                raise _Again(str(error)) from error
            raise


class _Request:
    """What is to be stored together.

    Attributes:
        investigation_id: of all events.
        payloads: one at least.
        key: names the idempotency key, within all investigations; empty without one.

    """

    def __init__(
        self, stream: str, investigation_id: str, payloads: Sequence[Payload], idempotency_key: str | None
    ) -> None:
        self._stream = stream
        self.investigation_id = investigation_id
        self.payloads = payloads
        self._idempotency_key = idempotency_key
        self.key = (
            "" if idempotency_key is None else _hash(investigation_id.encode(), idempotency_key.encode())
        )

    def subject(self, payload: Payload, key: str = subjects.NO_KEY) -> str:
        return subjects.of_event(self._stream, self.investigation_id, payload.scope, key)

    def last_headers(self) -> dict[str, str]:
        """Return what tells the last event of a request again, where that is wanted."""
        return {"Nats-Msg-Id": self.key, _DIGEST: self._digest()} if self.key else {}

    def check(self, earlier: dict[str, Any] | None) -> int:
        """Return the number of the message that the key was used for, if that was for the same events."""
        if earlier is None or f"{_DIGEST}: {self._digest()}".encode() not in _headers(earlier):
            raise IdempotencyConflict(
                f"the key {self._idempotency_key!r} was used for other events, or for some that are not kept"
            )
        return int(earlier["seq"])

    def _digest(self) -> str:
        return _hash(*(payload.data for payload in self.payloads))


def _hash(*parts: bytes) -> str:
    """Return a hash of parts, as URL-safe base64, which is safe in a subject too."""
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "big") + part)
    return base64.urlsafe_b64encode(state.digest()[:24]).decode()


def _headers(message: dict[str, Any]) -> list[bytes]:
    return base64.b64decode(message.get("hdrs", "")).split(b"\r\n")
