"""Who receives what, without a socket."""

import json
from collections.abc import Iterable, Sequence
from weakref import WeakValueDictionary

import pytest
from osint_events_server.frames import Frames
from osint_events_server.hub import Hub
from osint_events_server.scope import Scope
from osint_events_server.store import Event

_recorders: WeakValueDictionary[int, "Recorder"] = WeakValueDictionary()


class Recorder:
    """A receiver that keeps what it is sent. Two of them are never equal."""

    def __init__(self) -> None:
        self.writes: list[Frames] = []
        self.number = id(self)
        _recorders[self.number] = self

    @property
    def numbers(self) -> list[int]:
        """The `n` of each event received, in order; the test's events are short, so headers have 2 bytes."""
        wire = b"".join(write.wire for write in self.writes)
        numbers = []
        while wire:
            end = 2 + wire[1]
            numbers.append(json.loads(wire[2:end])["data"]["n"])
            wire = wire[end:]
        return numbers


def send(numbers: Iterable[int], writes: Sequence[Frames]) -> None:
    for number in numbers:
        _recorders[number].writes += writes


def event(investigation_id: str, number: int) -> Event:
    return Event(number, investigation_id, b'{"n":%d}' % number, Scope.ALL)


@pytest.fixture(name="hub")
def fixture_hub() -> Hub[Recorder]:
    return Hub(send, fallback=True)


def connected(hub: Hub[Recorder], *investigation_ids: str) -> Recorder:
    receiver = Recorder()
    hub.connect(receiver)
    for investigation_id in investigation_ids:
        hub.subscribe(receiver, investigation_id)
    return receiver


def test_an_event_reaches_every_subscriber_once_and_nobody_else(hub: Hub[Recorder]) -> None:
    subscribers = [connected(hub, "x"), connected(hub, "y", "x")]
    other = connected(hub, "y")
    hub.deliver([event("x", 1)])
    assert [receiver.numbers for receiver in subscribers] == [[1], [1]]
    assert other.numbers == []


@pytest.mark.parametrize("near", ["inv-10", "INV-1", "inv-1 ", "inv-?", "inv-*", "%", ""])
def test_ids_match_exactly(hub: Hub[Recorder], near: str) -> None:
    exact, other = connected(hub, "inv-1"), connected(hub, near)
    hub.deliver([event("inv-1", 1)])
    assert (exact.numbers, other.numbers) == ([1], [])


def test_composed_and_decomposed_ids_are_different(hub: Hub[Recorder]) -> None:
    composed, decomposed = connected(hub, "\u00e9"), connected(hub, "e\u0301")
    hub.deliver([event("e\u0301", 1)])
    assert (composed.numbers, decomposed.numbers) == ([], [1])


def test_subscribing_twice_delivers_once(hub: Hub[Recorder]) -> None:
    receiver = connected(hub, "x", "x")
    hub.deliver([event("x", 1)])
    assert receiver.numbers == [1]


def test_an_event_nobody_is_subscribed_to_goes_to_all(hub: Hub[Recorder]) -> None:
    receivers = [connected(hub), connected(hub, "y")]
    hub.deliver([event("x", 1)])
    assert [receiver.numbers for receiver in receivers] == [[1], [1]]


def test_without_the_fallback_it_goes_to_nobody() -> None:
    hub: Hub[Recorder] = Hub(send, fallback=False)
    receiver = connected(hub, "y")
    hub.deliver([event("x", 1), event("y", 2)])
    assert receiver.numbers == [2]


def test_the_fallback_returns_when_the_last_subscriber_has_gone(hub: Hub[Recorder]) -> None:
    first, second, witness = connected(hub, "x"), connected(hub, "x"), connected(hub)
    hub.disconnect(first)
    hub.deliver([event("x", 1)])
    hub.disconnect(second)
    hub.deliver([event("x", 2)])
    assert witness.numbers == [2]


def test_the_end_of_a_connection_leaves_others_subscribed(hub: Hub[Recorder]) -> None:
    gone, stays = connected(hub, "x", "y"), connected(hub, "x")
    hub.disconnect(gone)
    hub.deliver([event("x", 1)])
    assert (gone.numbers, stays.numbers) == ([], [1])
    assert list(hub.connections) == [stays]


def test_events_that_are_due_together_keep_their_order_and_share_a_write(hub: Hub[Recorder]) -> None:
    receivers = [connected(hub, "x"), connected(hub, "x")]
    hub.deliver([event("x", number) for number in range(5)])
    assert [receiver.numbers for receiver in receivers] == [list(range(5))] * 2
    (write,), (same,) = (receiver.writes for receiver in receivers)
    assert write.messages == 5
    assert same is write


def test_a_receiver_of_two_investigations_gets_both_in_order(hub: Hub[Recorder]) -> None:
    receiver = connected(hub, "x", "y")
    hub.deliver([event("x", 1), event("y", 2), event("x", 3), event("y", 4)])
    assert sorted(receiver.numbers) == [1, 2, 3, 4]
    assert [n for n in receiver.numbers if n % 2] == [1, 3]
    assert [n for n in receiver.numbers if not n % 2] == [2, 4]
