"""CMP: what is compressed says the same, and what inflates to too much is refused."""

from __future__ import annotations

from collections.abc import Iterator

from osint_events.features import FEATURES

from osint_events_conformance.names import Names
from osint_events_conformance.script import (
    Connect,
    Follow,
    Hello,
    Inflate,
    Ping,
    Publish,
    Settle,
    Step,
    Subscribe,
    subscribe_text,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, subscriber

_INVESTIGATIONS = 6
_EVENTS = 120
_TIMES = (1, 4, 150)
"""How many times the limit a message inflates to; the first is one byte beyond it."""
_MOST_BYTES = 20_000_000
"""Bytes that a message inflates to at most: beyond these it costs the machine of the runner, too."""


def _compressed(conn: str, client_id: str) -> Connect:
    return Connect(conn, client_id, compress=True)


@check("CMP-1", needs_payload=True)
def compressed_streams_say_the_same(kit: Kit) -> Iterator[Scenario]:
    """Beside uncompressed ones: events of one length in bursts, small and large ones, with pings in between."""
    n = kit.names()
    several = [n.id(f"{number}") for number in range(_INVESTIGATIONS)]
    steps: list[Step] = subscriber("plain", n.client("plain"), *several)
    for number in range(3):
        conn = f"z{number}"
        steps += [_compressed(conn, n.client(conn)), *(Subscribe(conn, one, wait=False) for one in several), Settle(fence=False)]  # fmt: skip
    for number in range(_EVENTS):
        steps.append(Publish(several[number % _INVESTIGATIONS], event("task_progress", message=f"{number:05}"), wait=False))  # fmt: skip
        if number % 10 == 0:
            steps += [Ping(f"z{turn}", f"between {number}".encode()) for turn in range(3)]
    yield n, "bursts of events of one length", [*steps, Settle()]
    n = kit.names()
    payloads = [event(message=character * size) for size in (0, 1, 125, 126, 65_000, 33_000, 5_000) for character in "aé"[: 2 if size < 30_000 else 1]]  # fmt: skip
    payloads.append(event(message=" ".join(str(number * number % 7919) for number in range(9000))))
    payloads += [
        event(message=character * size) for size in (3_000, 10_000) for character in ("€", "中文", "😀")
    ]
    yield n, "small and large events", [
        *subscriber("plain", n.client("plain"), n.id()), _compressed("z", n.client("z")), Subscribe("z", n.id()),
        *(step for payload in payloads for step in (Publish(n.id(), payload), Ping("z", b"between"))), Settle(),
        *(Publish(n.id(), payload, wait=False) for payload in payloads),
    ]  # fmt: skip


@check("CMP-1")
def compressed_messages_are_understood(kit: Kit) -> Iterator[Scenario]:
    """What the client sends is compressed too, up to the largest message that must be accepted (ROB-4)."""
    n = kit.names()
    large = n.id("large")
    text = subscribe_text(large, x="x" * (65_536 - len(subscribe_text(large, x="").encode())))
    yield n, "subscribes that are compressed", [
        _compressed("z", n.client("z")), Subscribe("z", n.id()), Subscribe("z", large, text), Ping("z", b"there"),
        *(Subscribe("z", n.id("x" * number), wait=False) for number in range(20)), Settle(), Publish(n.id(), event()), Publish(large, event()),
    ]  # fmt: skip
    if kit.offered:
        n = kit.names()
        yield n, "with hello", [
            _compressed("z", n.client("z")), Hello("z", FEATURES), Follow("z", n.id()), *subscriber("plain", n.client("p"), n.id()),
            *(Publish(n.id(), event(message=f"{number}"), wait=False) for number in range(20)),
        ]  # fmt: skip


def _no_limit(kit: Kit) -> str | None:
    if _limit(kit) >= _MOST_BYTES:
        return f"max_message_bytes is {_limit(kit)}: more than is sent here"
    return None if _limit(kit) else "the server tells no max_message_bytes"


def _limit(kit: Kit) -> int:
    return int(kit.welcome.get("limits", {}).get("max_message_bytes", 0))


def _beyond(n: Names, kit: Kit, times: int) -> Inflate:
    return Inflate("z", n.id("beyond"), _limit(kit) * times + (1 if times == 1 else 0))


@check("CMP-2", unless=_no_limit)
def what_inflates_to_too_much_is_refused(kit: Kit) -> Iterator[Scenario]:
    """A little and much beyond the limit, with `hello` and without; others go on."""
    for times in (times for times in _TIMES if _limit(kit) * times < _MOST_BYTES):
        for features in ((), FEATURES):
            n = kit.names()
            start: list[Step] = [
                _compressed("z", n.client("z")),
                *([Hello("z", features)] if features else []),
            ]
            yield n, f"{times} times the limit, {'with' if features else 'without'} hello", [
                *start, Subscribe("z", n.id("own")), *subscriber("other", n.client("o"), n.id()),
                _beyond(n, kit, times), Publish(n.id(), event()),
            ]  # fmt: skip
