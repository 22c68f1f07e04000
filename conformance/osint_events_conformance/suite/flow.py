"""FLW: queues that fill and empty, readers that are too slow, and clients that send too much."""

from __future__ import annotations

from collections.abc import Iterator

from osint_events.features import FEATURES

from osint_events_conformance.flow import WAYS
from osint_events_conformance.script import (
    AppPing,
    Connect,
    Flood,
    Follow,
    Hello,
    Pause,
    Publish,
    Resume,
    Settle,
    Stall,
    Step,
    Subscribe,
    Unfollow,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted, subscriber

_SMALL_BUFFER = 4096
_PARTS = 24
"""Events that fill a queue."""
_LARGEST = 60_000
_BEYOND = 3_000_000
"""Bytes that the ways to a reader may take up besides."""
_LONGEST = 8 * 1024 * 1024
"""Bytes of the longest queue that is filled."""
_LEVELS = tuple(level / 100 for level in range(55, 190, 20))
"""How much is published, in queues, when one reader after the other reads again."""
_BRIEF = 0.15
_MOST_AT_ONCE = 5_000
"""Messages of the largest burst that is sent."""
_BEFORE_ABUSE = 40
"""Bursts after which a client that does not stop must have been ended."""


def _queue(kit: Kit) -> int:
    return int(kit.welcome.get("limits", {}).get("max_queue_bytes", 0))


def _no_queue(kit: Kit) -> str | None:
    if _queue(kit) > _LONGEST:
        return f"max_queue_bytes is {_queue(kit)}: more than is published here"
    return None if _queue(kit) else "the server tells no max_queue_bytes"


def _slow(kit: Kit, conn: str, client_id: str, investigation_id: str, but: str = "") -> list[Step]:
    """A reader that stalls, without a heartbeat, which would end it by its own rules, and without one feature."""
    features = tuple(one for one in FEATURES if one not in {"heartbeat", but} and one in kit.offered)
    return [
        Connect(conn, client_id, receive_buffer=_SMALL_BUFFER),
        Hello(conn, features),
        Follow(conn, investigation_id),
        Stall(conn),
    ]


def _events(kit: Kit, investigation_id: str, size: int, name: str = "") -> list[Step]:
    """Events of about so many bytes in all, in the order of their numbers."""
    each = min(_queue(kit) // _PARTS, _LARGEST)
    text = "x" * each
    return [
        Publish(investigation_id, event("task_progress", message=text, name=f"{name}{number}"))
        for number in range(max(size // each, 1))
    ]


@check("FLW-1", needs_payload=True, unless=_no_queue)
def a_queue_that_fills_is_told(kit: Kit) -> Iterator[Scenario]:
    """Readers that stall, each until a little more waits for it than for the one before, and never for long."""
    n = kit.names()
    steps: list[Step] = []
    for number, level in enumerate(_LEVELS):
        conn, one = f"slow{number}", n.id(f"{number}")
        steps += [*_slow(kit, conn, n.client(conn), one), *_events(kit, one, int(_queue(kit) * level))]
        steps += [Resume(conn), Settle(fence=False)]
    yield n, "readers that are slower and slower", [*steps, Settle()]


@check("FLW-2", needs_payload=True, unless=_no_queue)
def a_reader_that_is_too_slow_is_ended(kit: Kit) -> Iterator[Scenario]:
    """Much more than a queue is published; what it reads then is whole up to its end, and it resumes."""
    n = kit.names()
    again: list[Step] = []
    if "replay" in kit.offered:
        again = [*greeted("again", n.client("slow"), "replay"), Follow("again", n.id(), token="last:slow")]
    yield n, "a reader that stalls for long", [
        *subscriber("witness", n.client("w"), n.id()), *_slow(kit, "slow", n.client("slow"), n.id()),
        Connect("core", n.client("c"), receive_buffer=_SMALL_BUFFER), Subscribe("core", n.id()), Stall("core"),
        *_events(kit, n.id(), 2 * _queue(kit) + _BEYOND), Resume("core"), Resume("slow"), *_events(kit, n.id(), _queue(kit) // 8, "after-"), Settle(),
        *again, Publish(n.id(), event(message="last")),
    ]  # fmt: skip


@check("FLW-2", needs_payload=True, unless=_no_queue, mode="long")
def a_queue_has_an_end(kit: Kit) -> Iterator[Scenario]:
    """More is published at once than the queue and all kernels on the way can hold: the reader is not served it."""
    n = kit.names()
    count = (_queue(kit) + WAYS) // _LARGEST + 5
    payload = "x" * _LARGEST
    much = [
        Publish(n.id(), event("task_progress", message=payload, name=f"{number}")) for number in range(count)
    ]
    yield n, "a reader that stalls while much is published", [
        *subscriber("witness", n.client("w"), n.id()), *_slow(kit, "slow", n.client("slow"), n.id()), *_slow(kit, "untold", n.client("u"), n.id(), but="flow"),
        *much, Resume("slow"), Resume("untold"),
    ]  # fmt: skip


def _no_unsubscribe(kit: Kit) -> str | None:
    if "unsubscribe" not in kit.offered:
        return "the server does not offer unsubscribe"
    return _no_queue(kit)


@check("UNS-1", needs_payload=True, unless=_no_unsubscribe)
def an_unsubscribe_is_answered_in_its_place(kit: Kit) -> Iterator[Scenario]:
    """While events wait for a slow reader: they come before the answer, or not at all."""
    n = kit.names()
    yield n, "an unsubscribe while events wait", [
        *subscriber("witness", n.client("w"), n.id()), *_slow(kit, "slow", n.client("slow"), n.id()),
        *_events(kit, n.id(), int(_queue(kit) * 0.9)), Unfollow("slow", n.id(), wait=False), Pause(_BRIEF), Resume("slow"), Settle(),
        Publish(n.id(), event(message="after")),
    ]  # fmt: skip


def _no_ping(kit: Kit) -> str | None:
    if "heartbeat" not in kit.offered:
        return "the server does not offer heartbeat"
    if "flow" not in kit.offered:
        return None
    return _no_queue(kit)


@check("HB-1", needs_payload=True, unless=_no_ping)
def a_ping_is_answered_ahead_of_what_waits(kit: Kit) -> Iterator[Scenario]:
    """Readers for which a queue half full waits, as `backpressure` says; they ask, then read."""
    if _no_queue(kit):
        return
    n = kit.names()
    steps: list[Step] = subscriber("witness", n.client("w"), n.id())
    conns = ("slow0", "slow1", "slow2", "slow3")
    for conn in conns:
        steps += [Connect(conn, n.client(conn), receive_buffer=_SMALL_BUFFER), Hello(conn, ("heartbeat", "flow")), Follow(conn, n.id()), Stall(conn)]  # fmt: skip
    steps += _events(kit, n.id(), int(_queue(kit) * 0.75))
    for number, conn in enumerate(conns):
        steps += [AppPing(conn, "ahead", wait=False), Publish(n.id(), event(message=f"{number}")), Pause(_BRIEF), Resume(conn), Settle(fence=False)]  # fmt: skip
        steps += _events(kit, n.id(), _queue(kit) // 6, f"{number}-")
    yield n, "pings while events wait", [*steps, Settle()]


def _burst(kit: Kit) -> int:
    return int(kit.welcome.get("limits", {}).get("burst", 0))


def _rate(kit: Kit) -> float:
    return float(kit.welcome.get("limits", {}).get("messages_per_second", 100))


def _no_burst(kit: Kit) -> str | None:
    if _burst(kit) + _rate(kit) > _MOST_AT_ONCE:
        return f"burst and messages_per_second are {_burst(kit) + _rate(kit):g}: more than is sent here"
    return None if _burst(kit) else "the server tells no burst"


@check("FLW-3", unless=_no_burst)
def what_comes_too_fast_is_refused(kit: Kit) -> Iterator[Scenario]:
    """More subscribes than a burst at once: each is confirmed or refused, not both; then it works again."""
    for features in (("flow",), ("flow", "errors")):
        n = kit.names()
        count = int(_burst(kit) * 1.25 + _rate(kit))
        yield n, f"{count} subscribes at once, features {list(features)}", [
            *greeted("a", n.client("a"), *features), Flood("a", n.id(), count), Settle(fence=False),
            Pause(1.0), Follow("a", n.id("2"), ref="later"), Subscribe("a", n.id()), Publish(n.id("2"), event()),
        ]  # fmt: skip


@check("FLW-3", unless=_no_burst)
def who_does_not_stop_is_ended(kit: Kit) -> Iterator[Scenario]:
    """Subscribes as fast as they go, for many bursts; nobody else suffers."""
    n = kit.names()
    yield n, "subscribes without end", [
        *subscriber("other", n.client("o"), n.id()), *greeted("a", n.client("a"), "flow", "errors"),
        Flood("a", n.id("flood"), 100, until_ended=True, most=_BEFORE_ABUSE * _burst(kit)), Publish(n.id(), event()),
    ]  # fmt: skip
