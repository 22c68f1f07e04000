"""Consumers of the stream: what all of them have in common. They live in one server, in memory."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from osint_events_server.store import StoreError
from osint_events_server.store.jetstream.broker import Broker

SECOND: Final = 10**9  # JetStream counts nanoseconds
_IDLE_SECONDS: Final = 5  # after which the broker forgets a consumer that nobody listens to


def new_name() -> str:
    """Return a name that no consumer has."""
    return f"osint-{secrets.token_hex(8)}"


async def create(broker: Broker, stream: str, name: str, config: Mapping[str, Any]) -> int:
    """Make a push consumer; return the number that it begins with.

    That is later than was asked for where the server that it lives in has evicted that event.

    Raises:
        ApiError: JetStream refuses.
        StoreUnavailable: it does not answer.

    """
    whole = {
        "name": name,
        "deliver_policy": "by_start_sequence",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _IDLE_SECONDS * SECOND,
        **config,
    }
    request = {"stream_name": stream, "action": "create", "config": whole}
    answer = await broker.api(f"CONSUMER.CREATE.{stream}.{name}", request)
    return int(answer["delivered"]["stream_seq"]) + 1


async def delete(broker: Broker, stream: str, name: str) -> None:
    """Have a consumer forgotten at once, where the broker is reached; else it is after a while."""
    try:
        await broker.publish(f"$JS.API.CONSUMER.DELETE.{stream}.{name}")
    except StoreError:
        return
