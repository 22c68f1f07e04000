"""FLW without sockets: full queues, slow consumers, floods. CMP-1 where a twin is at hand."""

from __future__ import annotations

from typing import cast

import pytest
from osint_events_conformance.records import Peer

from .negotiated_world import SUMMARY, NegotiatedWorld
from .world import FakeLink, X

QUEUE = 1000


@pytest.fixture
def world() -> NegotiatedWorld:
    """A server that offers everything."""
    return NegotiatedWorld()


def reader(world: NegotiatedWorld, name: str = "a") -> Peer:
    """A connection with flow control alone, subscribed."""
    peer = world.connect(name)
    world.hello(peer, "flow", "errors")
    limits = {"max_queue_bytes": QUEUE, "burst": 10, "messages_per_second": 10}
    world.welcome(peer, "flow", "errors", limits=limits)
    world.follow(peer)
    world.confirm(peer)
    return peer


def press(world: NegotiatedWorld, peer: Peer, state: str, queued_bytes: int | None = None) -> None:
    """A `backpressure`, at its mark unless said otherwise."""
    if queued_bytes is None:
        queued_bytes = QUEUE // (2 if state == "high" else 4)
    world.tell(peer, "backpressure", state=state, queued_messages=1, queued_bytes=queued_bytes)


def stalled(world: NegotiatedWorld, name: str, held: int, seconds: float = 0.1) -> Peer:
    """A reader that stalled while so much was published for it."""
    peer = reader(world, name)
    peer.has_stalled = peer.may_end = True
    world.model.capabilities.resuming(peer, held, seconds)
    return peer


def end(world: NegotiatedWorld, peer: Peer, code: int = 4002) -> None:
    """The server closes."""
    world.close(peer, code)


def test_high_and_normal_alternate(world: NegotiatedWorld) -> None:
    peer = reader(world)
    for state in ("high", "normal", "high", "normal"):
        press(world, peer, state)
    assert world.kinds == []
    press(world, peer, "normal")
    assert world.kinds == ["not_alternating"]


def test_normal_is_said_at_a_quarter_not_as_soon_as_it_is_less_than_half() -> None:
    world = NegotiatedWorld()
    peer = reader(world)
    press(world, peer, "high")
    press(world, peer, "normal", int(QUEUE * 0.45))
    assert world.kinds == ["not_alternating"]


def test_high_is_followed_by_normal_in_the_end(world: NegotiatedWorld) -> None:
    press(world, reader(world), "high")
    world.model.overdue(world.case, world.tick())
    assert world.kinds == ["no_normal"]


def test_a_queue_that_was_nearly_full_is_told(world: NegotiatedWorld) -> None:
    stalled(world, "a", 1000)
    end(world, stalled(world, "b", 1200))
    world.model.capabilities.judge_silence(world.case)
    assert world.kinds == ["no_pressure"]


@pytest.mark.parametrize(
    ("held", "full", "seconds"), [(700, 1200, 0.1), (700, 900, 0.1), (1000, 1200, 2.0), (1300, 1200, 0.1)]
)
def test_nothing_is_known_of_a_queue_that_another_reader_s_end_does_not_show(
    world: NegotiatedWorld, held: int, full: int, seconds: float
) -> None:
    stalled(world, "a", held)
    end(world, stalled(world, "b", full, seconds))
    world.model.capabilities.judge_silence(world.case)
    assert world.kinds == []


def test_one_that_was_told_shows_that_the_server_tells(world: NegotiatedWorld) -> None:
    press(world, stalled(world, "a", 900), "high")
    stalled(world, "b", 1000)
    end(world, stalled(world, "c", 1200))
    world.model.capabilities.judge_silence(world.case)
    assert world.kinds == []


@pytest.mark.parametrize(("code", "kinds"), [(4002, []), (1013, []), (1000, ["wrong_slow_end"])])
def test_a_slow_consumer_is_ended_by_its_code(world: NegotiatedWorld, code: int, kinds: list[str]) -> None:
    end(world, stalled(world, "a", 1200), code)
    assert world.kinds == kinds


@pytest.mark.parametrize(("code", "kinds"), [(4002, ["wrong_slow_end"]), (1013, [])])
def test_a_slow_core_connection_is_ended_by_its_code(
    world: NegotiatedWorld, code: int, kinds: list[str]
) -> None:
    peer = world.connect("a")
    peer.has_stalled = peer.may_end = True
    end(world, peer, code)
    assert world.kinds == kinds


def test_nothing_is_sent_after_the_first_lost_event(world: NegotiatedWorld) -> None:
    peer = stalled(world, "a", 1200)
    world.publish(SUMMARY % 1)
    world.publish(SUMMARY % 2)
    world.deliver(peer, SUMMARY % 2)
    end(world, peer)
    assert world.kinds == ["sent_after_loss"]


def test_a_reader_that_loses_and_goes_on_is_no_plain_loss(world: NegotiatedWorld) -> None:
    stalled(world, "a", 1200)
    world.publish(SUMMARY % 1)
    world.model.overdue(world.case, world.tick())
    assert world.kinds == ["sent_after_loss"]


@pytest.mark.parametrize(("slow", "kinds"), [(True, ["sent_after_loss"]), (False, ["wrong_prev"])])
def test_a_slow_reader_whose_position_jumps_over_a_lost_event_is_sent_more_than_it_should(
    world: NegotiatedWorld, slow: bool, kinds: list[str]
) -> None:
    peer = world.subscribed()
    peer.has_stalled = slow
    world.publish(SUMMARY % 1)
    world.publish(SUMMARY % 2)
    world.update(peer, 9, 8, SUMMARY % 2)
    assert world.kinds == kinds


def test_what_was_refused_is_not_carried_out(world: NegotiatedWorld) -> None:
    peer = reader(world)
    world.follow(peer, ref="1")
    world.error(peer, "rate_limited", temporary=True, retry_after_ms=5, ref="1")
    assert world.kinds == []
    world.tell(peer, "subscription_confirmed", investigation_id=X, ref="1")
    assert world.kinds == ["carried_out"]


def test_a_ref_that_is_used_again_is_another_request(world: NegotiatedWorld) -> None:
    peer = reader(world)
    world.follow(peer, ref="1")
    world.follow(peer, ref="1")
    world.error(peer, "rate_limited", temporary=True, retry_after_ms=5, ref="1")
    world.tell(peer, "subscription_confirmed", investigation_id=X, ref="1")
    assert world.kinds == []


def test_more_than_burst_and_rate_allow_is_refused(world: NegotiatedWorld) -> None:
    peer = reader(world)
    world.model.capabilities.flooded(peer, 20, 0.1, world.tick())
    assert world.kinds == []
    world.model.capabilities.flooded(peer, 40, 0.1, world.tick())
    assert world.kinds == ["not_limited"]


def test_abuse_ends_by_its_code(world: NegotiatedWorld) -> None:
    peer = reader(world)
    peer.may_end = True
    world.model.capabilities.abused(peer, 1000, world.tick())
    assert world.kinds == ["abuse_borne"]
    end(world, peer, 4003)
    world.model.capabilities.abused(peer, 1000, world.tick())
    assert world.kinds == ["abuse_borne"]


def test_abuse_may_end_without_a_close_frame_but_not_by_another_code(world: NegotiatedWorld) -> None:
    peer = reader(world)
    peer.may_end = peer.gone = True
    world.model.capabilities.abused(peer, 1000, world.tick())
    assert world.kinds == []
    end(world, peer, 1000)
    world.model.capabilities.abused(peer, 1000, world.tick())
    assert world.kinds == ["abuse_borne"]


def test_a_pong_comes_ahead_of_a_queue_that_is_half_full(world: NegotiatedWorld) -> None:
    peer = world.connect("a")
    world.hello(peer, "flow", "heartbeat")
    world.welcome(peer, "flow", "heartbeat")
    world.follow(peer)
    world.confirm(peer)
    peer.has_stalled = True
    world.publish(SUMMARY % 1)
    world.ping(peer, "p")
    press(world, peer, "high")
    world.deliver(peer, SUMMARY % 1)
    world.tell(peer, "pong", id="p")
    assert world.kinds == ["pong_behind"]


def test_what_only_a_compressed_connection_misses_is_a_matter_of_compression(
    world: NegotiatedWorld,
) -> None:
    cast("FakeLink", world.subscriber("z").link).compresses = True
    plain = world.subscriber("plain")
    world.publish(SUMMARY % 1)
    world.deliver(plain, SUMMARY % 1)
    world.model.overdue(world.case, world.tick())
    assert [finding.clause for finding in world.case.findings] == ["CMP-1"]
