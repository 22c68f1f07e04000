"""ROB-5 and ROB-6: readers that stall, and clients that send more than the server wants."""

from __future__ import annotations

from collections.abc import Iterator

from osint_events_conformance.script import (
    Connect,
    Pause,
    Ping,
    Publish,
    Resume,
    Settle,
    Stall,
    Step,
    Subscribe,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, subscriber

_SMALL_BUFFER = 4096
_FLOOD_SECONDS = 6.0
"""What the flood may take a server that answers one message after the other."""
_LARGE = "x" * 60_000
"""Most of the largest message that is judged (EVT-1)."""


def _load(investigation_id: str, count: int) -> list[Step]:
    """`count` events of 60 kB: several MiB that a stalled reader leaves waiting.

    Whoever reads gets half a megabyte at a time, so that no reader but the stalled one is behind.
    """
    steps: list[Step] = []
    for number in range(count):
        payload = event("task_progress", message=_LARGE, name=f"{number}")
        steps.append(Publish(investigation_id, payload, wait=False))
        if number % 8 == 7:
            steps.append(Settle(fence=False))
    return [*steps, Settle(fence=False)]


@check("ROB-5", needs_payload=True, mode="long")
def a_stalled_reader_delays_nobody_and_is_ended(kit: Kit) -> Iterator[Scenario]:
    """Several MiB wait for it while others listen; in the end it is closed or aborted."""
    n = kit.names()
    stalled = [f"stalled{number}" for number in range(3)]
    steps: list[Step] = subscriber("witness", n.client("witness"), n.id(), n.id("other"))
    for conn in stalled:
        steps += [
            Connect(conn, n.client(conn), receive_buffer=_SMALL_BUFFER),
            Subscribe(conn, n.id()),
            Stall(conn),
        ]
    # Who comes later than those that stall suffers where all are sent to one after the other.
    steps += subscriber("late", n.client("late"), n.id())
    prompt: list[Step] = [
        Publish(n.id(), event(message=f"prompt {number}"), prompt=True) for number in range(3)
    ]
    steps += [
        *prompt,
        *_load(n.id(), 40),
        Settle(),
        *prompt,
        Publish(n.id("other"), event(message="other"), prompt=True),
    ]
    steps += [
        *subscriber("new", n.client("new"), n.id()),
        *_load(n.id(), 50),
        Settle(),
        *prompt,
        Ping("witness", b"there"),
    ]
    # Some servers go by what waits, others by time; who is not ended soon gets more to hold, and more time.
    steps += [Pause(1.0), Resume("stalled0", answers=True), *_load(n.id(), 300), Pause(11.0)]
    steps += [Resume("stalled1", answers=True), Pause(15.0), Resume("stalled2", must_have_ended=True)]
    yield n, "several MiB wait for a reader that stalls", steps


@check("ROB-5", needs_payload=True)
def a_reader_that_pauses_delays_nobody(kit: Kit) -> Iterator[Scenario]:
    """A short pause with little waiting: nothing is lost for anybody."""
    n = kit.names()
    yield n, "a pause of half a second", [
        *subscriber("witness", n.client("witness"), n.id()),
        Connect("slow", n.client("slow"), receive_buffer=_SMALL_BUFFER), Subscribe("slow", n.id()), Stall("slow"),
        *(Publish(n.id(), event(message=f"{number}"), prompt=True) for number in range(10)),
        Pause(0.5), Publish(n.id(), event(message="last"), prompt=True), Resume("slow"),
    ]  # fmt: skip


@check("ROB-6", mode="long")
def a_client_that_sends_much_loses_nothing(kit: Kit) -> Iterator[Scenario]:
    """Up to seven hundred subscribes as fast as they go: each is confirmed, sooner or later.

    A slow server gets fewer, lest its own keep-alive take the backlog for silence.
    """
    count = max(60, min(700, int(_FLOOD_SECONDS / kit.round_trip)))
    n = kit.names()
    several = [n.id(f"{number}") for number in range(min(count, 100))]
    yield n, f"{count} subscribes at once", [
        Connect("a", n.client()), *(Subscribe("a", several[number % len(several)], wait=False) for number in range(count)), Settle(),
        Ping("a", b"there"), Publish(several[0], event()), Publish(several[-1], event()),
    ]  # fmt: skip
