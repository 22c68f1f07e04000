"""Who receives what in which form, without a socket: replay, scopes, NEG-5, RPL-2, RPL-6 to RPL-9, CMP-3."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events_server import forms
from osint_events_server.forms import Form
from osint_events_server.frames import Frames
from osint_events_server.hub import Hub
from osint_events_server.scope import Scope
from osint_events_server.store import Event, Gap
from websockets.frames import Frame
from websockets.protocol import CLIENT, Protocol

SEQUENCED = Form(sequenced=True)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


_recorders: WeakValueDictionary[int, "Recorder"] = WeakValueDictionary()


class Recorder:
    """A receiver that keeps what it is sent."""

    def __init__(self) -> None:
        self.writes: list[Frames] = []
        self.number = id(self)
        _recorders[self.number] = self

    def take(self) -> list[Any]:
        """The messages since the last call; none is compressed."""
        client = Protocol(CLIENT, max_size=None)
        client.receive_data(b"".join(write.wire for write in self.writes))
        self.writes.clear()
        return [
            json.loads(bytes(frame.data)) for frame in client.events_received() if isinstance(frame, Frame)
        ]

    def seqs(self) -> list[int]:
        return [message["seq"] for message in self.take()]


def send(numbers: Iterable[int], writes: Sequence[Frames]) -> None:
    for number in numbers:
        _recorders[number].writes += writes


def event(seq: int, scope: Scope = Scope.ALL, *, of: str = "x") -> Event:
    return Event(seq, of, b'{"n":%d}' % seq, scope)


@pytest.fixture(name="clock")
def fixture_clock() -> Clock:
    return Clock()


@pytest.fixture(name="hub")
def fixture_hub(clock: Clock) -> Hub[Recorder]:
    return make_hub(clock)


def make_hub(clock: Clock, *, position: int = 0, fallback: bool = False) -> Hub[Recorder]:
    return Hub(send, fallback=fallback, position=position, issue=lambda of, seq: f"{of}.{seq}", clock=clock)


def connected(hub: Hub[Recorder], form: Form | None = None, *, of: str = "x", after: int = 0) -> Recorder:
    receiver = Recorder()
    hub.connect(receiver)
    if form is not None:
        hub.subscribe(receiver, of, form, after=after)
    return receiver


def test_a_sequenced_update_says_where_it_stands(hub: Hub[Recorder]) -> None:
    receiver = connected(hub, SEQUENCED)
    hub.deliver([event(3), event(4, of="y"), event(7)])
    assert receiver.take() == [
        {
            "type": "investigation_update",
            "investigation_id": "x",
            "seq": seq,
            "prev": prev,
            "token": f"x.{seq}",
            "data": {"n": seq},
        }
        for seq, prev in ((3, 0), (7, 3))
    ]


def test_core_and_sequenced_subscribers_are_served_side_by_side(hub: Hub[Recorder]) -> None:
    core, sequenced = connected(hub, Form()), connected(hub, SEQUENCED)
    hub.deliver([event(1)])
    assert [set(receiver.take()[0]) for receiver in (core, sequenced)] == [
        {"type", "investigation_id", "data"},
        {"type", "investigation_id", "seq", "prev", "token", "data"},
    ]


def test_all_receivers_of_a_form_share_the_bytes_and_a_deflated_one_is_made_once(
    hub: Hub[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []

    def deflated_frame(payload: bytes) -> bytes:
        made.append(payload)
        return b"deflated"

    monkeypatch.setattr(forms, "deflated_frame", deflated_frame)
    form = Form(sequenced=True, deflated=True)
    first, second = connected(hub, form), connected(hub, form)
    core = [connected(hub, Form(scope, deflated=True)) for scope in (Scope.ALL, Scope.TASKS)]
    hub.deliver([event(1)])
    assert first.writes[0] is second.writes[0]
    assert [write.wire for receiver in core for write in receiver.writes] == [b"deflated"] * 2
    assert len(made) == 2  # once sequenced, once for core subscribers of any scope


def test_a_position_is_never_below_what_a_new_subscriber_was_confirmed(clock: Clock) -> None:
    hub = make_hub(clock, position=40)
    assert hub.subscribe(receiver := connected(hub), "x", SEQUENCED) == 40
    hub.deliver([event(41)])
    assert receiver.take()[0]["prev"] <= 40


def test_who_said_hello_gets_no_broadcast(clock: Clock) -> None:
    hub = make_hub(clock, fallback=True)
    spared, listener = connected(hub), connected(hub)
    hub.spare(spared)
    hub.deliver([event(1)])
    assert (len(spared.take()), len(listener.take())) == (0, 1)
    hub.disconnect(spared)


def test_nothing_up_to_a_number_that_is_still_to_come_is_delivered(hub: Hub[Recorder]) -> None:
    receiver, other = connected(hub, SEQUENCED, after=5), connected(hub, SEQUENCED)
    hub.deliver([event(4), event(5), event(6), event(8)])
    assert receiver.seqs() == [6, 8]
    assert other.seqs() == [4, 5, 6, 8]
    hub.deliver([event(9)])
    assert receiver.seqs() == [9]


def test_who_waits_may_leave_switch_and_ask_again(hub: Hub[Recorder]) -> None:
    leaves, switches = connected(hub, SEQUENCED, after=5), connected(hub, SEQUENCED, after=5)
    assert hub.subscribe(switches, "x", Form(Scope.TASKS, sequenced=True)) == 5
    hub.unsubscribe(leaves, "x")
    hub.deliver([event(5), event(6, Scope.SUMMARY), event(7, Scope.TASKS)])
    assert (leaves.take(), switches.seqs()) == ([], [7])
    assert hub.subscribe(switches, "x", SEQUENCED, after=9) == 9
    hub.deliver([event(8), event(9), event(10)])
    assert switches.seqs() == [10]


def test_unsubscribing_twice_and_from_what_never_was_is_nothing(hub: Hub[Recorder]) -> None:
    receiver = connected(hub, SEQUENCED)
    for _ in range(2):
        hub.unsubscribe(receiver, "x")
        hub.unsubscribe(receiver, "never")
    assert not hub.is_subscribed(receiver, "x")
    hub.deliver([event(1)])
    assert receiver.take() == []


@given(
    batches=st.lists(st.lists(st.sampled_from(Scope), min_size=1, max_size=4), max_size=12),
    switches=st.lists(st.sampled_from(Scope), min_size=12, max_size=12),
)
def test_whoever_follows_the_rule_of_prev_sees_each_event_of_the_scope_once(
    batches: list[list[Scope]], switches: list[Scope]
) -> None:
    hub = make_hub(Clock())
    receiver = connected(hub)
    steady = {scope: connected(hub, Form(scope, sequenced=True)) for scope in Scope}
    seq, expected, received = 0, [], []
    for batch, scope in zip(batches, switches, strict=False):
        last = hub.subscribe(receiver, "x", Form(scope, sequenced=True))
        assert last == seq
        events = []
        for part in batch:
            seq += 1
            events.append(event(seq, part))
            if part & scope:
                expected.append(seq)
        hub.deliver(events)
        for message in receiver.take():
            assert message["prev"] <= last < message["seq"]
            last = message["seq"]
            received.append(last)
    assert received == expected
    for scope, follower in steady.items():
        last = 0
        for message in follower.take():
            assert message["prev"] == last, f"{scope}: what is lost here would not be noticed"
            last = message["seq"]


def test_an_idle_subscription_is_told_the_position_once_the_store_moved_on(
    hub: Hub[Recorder], clock: Clock
) -> None:
    idle, core = connected(hub, SEQUENCED), connected(hub, Form())
    clock.now += 30
    hub.keep_young(idle=25)
    assert idle.take() == []  # nothing happened
    hub.deliver([event(1, of="y"), event(2, of="y")])
    hub.keep_young(idle=25)
    assert idle.take() == [{"type": "position", "investigation_id": "x", "seq": 2, "token": "x.2"}]
    hub.keep_young(idle=25)
    clock.now += 30
    hub.keep_young(idle=25)
    assert (idle.take(), core.take()) == ([], [])
    hub.deliver([event(5)])
    assert idle.take()[0]["prev"] <= 2


def test_a_subscription_that_was_sent_something_lately_is_not_told(hub: Hub[Recorder], clock: Clock) -> None:
    tasks, summary = (connected(hub, Form(scope, sequenced=True)) for scope in (Scope.TASKS, Scope.SUMMARY))
    clock.now += 20
    hub.deliver([event(1, Scope.TASKS)])
    clock.now += 10
    hub.deliver([event(2, of="y")])
    hub.keep_young(idle=25)
    assert tasks.seqs() == [1]
    assert [(message["type"], message["seq"]) for message in summary.take()] == [("position", 2)]


def test_a_gap_is_announced_in_its_place_to_those_who_can_be_told(hub: Hub[Recorder]) -> None:
    sequenced, core, waits = (
        connected(hub, SEQUENCED),
        connected(hub, Form()),
        connected(hub, SEQUENCED, after=50),
    )
    hub.deliver([event(1)])
    hub.interrupt(Gap("epoch_changed", 3), epoch="new")
    hub.deliver([event(4)])
    before, gap, after = sequenced.take()
    assert (before["seq"], after["seq"]) == (1, 4)
    assert gap == {
        "type": "gap",
        "investigation_id": "x",
        "reason": "epoch_changed",
        "epoch": "new",
        "seq": 3,
        "token": "x.3",
    }
    assert after["prev"] <= 3
    assert [message["type"] for message in core.take()] == ["investigation_update"] * 2
    assert waits.seqs() == [3, 4]  # what it waited for was in the sequence before


def test_it_is_known_when_a_connection_was_last_handed_an_event(hub: Hub[Recorder], clock: Clock) -> None:
    tasks = connected(hub, Form(Scope.TASKS))
    hub.subscribe(tasks, "y")
    late = connected(hub, SEQUENCED, after=5)
    idle = connected(hub)
    assert hub.sent_at(idle) == hub.sent_at(late) == -math.inf
    clock.now = 200
    hub.deliver([event(1, Scope.SUMMARY)])
    assert hub.sent_at(tasks) == 100  # when it subscribed
    clock.now = 300
    hub.deliver([event(2, of="y")])
    assert hub.sent_at(tasks) == 300
    assert hub.sent_at(late) == -math.inf
    hub.deliver([event(6)])
    assert hub.sent_at(late) == 300
    hub.disconnect(late)
    assert hub.sent_at(late) == -math.inf


def test_nothing_is_done_for_who_is_gone(hub: Hub[Recorder]) -> None:
    gone = connected(hub, SEQUENCED)
    hub.disconnect(gone)
    assert hub.subscribe(gone, "x", SEQUENCED, after=3) == 3
    hub.unsubscribe(gone, "x")
    hub.disconnect(gone)
    hub.deliver([event(1), event(5)])
    assert (gone.take(), hub.subscriptions) == ([], 0)
