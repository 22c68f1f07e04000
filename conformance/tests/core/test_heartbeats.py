"""HB-2 and HB-3 without sockets: who must be pinged and ended, and who must not."""

from __future__ import annotations

import pytest
from osint_events_conformance.records import Peer
from osint_events_conformance.wire import Ended
from websockets.frames import Close

from .negotiated_world import NegotiatedWorld


@pytest.fixture
def world() -> NegotiatedWorld:
    """A server that offers everything."""
    return NegotiatedWorld()


def listener(world: NegotiatedWorld, *, dead: bool = False) -> Peer:
    """A connection that only listens: pings come after 10 s, the end after 15 s."""
    peer = world.connect("a")
    world.hello(peer, "heartbeat")
    world.welcome(peer, "heartbeat", heartbeat={"interval_ms": 10_000, "timeout_ms": 5_000})
    peer.link.wrote_at = world.now
    world.model.capabilities.listening(peer, world.now, dead=dead)
    return peer


def end(world: NegotiatedWorld, peer: Peer, code: int) -> None:
    """The server closes."""
    peer.link.ended, peer.link.close_received = Ended.CLOSE_FRAME, Close(code, "")
    world.model.ended(peer, world.now)


def test_a_ping_after_an_interval_is_in_time(world: NegotiatedWorld) -> None:
    peer = listener(world)
    world.tick(10)
    world.tell(peer, "ping", id="s1")
    assert world.kinds == []
    assert world.case.settled


def test_a_ping_that_never_comes_is_missed(world: NegotiatedWorld) -> None:
    listener(world)
    world.model.overdue(world.case, world.tick(30))
    assert world.kinds == ["no_ping"]


def test_a_ping_after_several_intervals_is_late(world: NegotiatedWorld) -> None:
    peer = listener(world)
    world.tick(22)
    world.tell(peer, "ping", id="s1")
    assert world.kinds == ["no_ping"]


def test_while_both_sides_talk_no_ping_is_due(world: NegotiatedWorld) -> None:
    """A server's own messages or Ping frames, and what answers them, are no silence."""
    peer = listener(world)
    peer.link.wrote_at = peer.link.heard_at = world.tick(22)
    world.model.overdue(world.case, world.tick(8))
    assert world.kinds == []


def test_a_ping_is_late_after_the_silence_of_one_side(world: NegotiatedWorld) -> None:
    peer = listener(world)
    peer.link.heard_at = world.tick(22)
    world.tell(peer, "ping", id="s1")
    assert world.kinds == ["no_ping"]


def test_a_dead_client_is_pinged_and_ended(world: NegotiatedWorld) -> None:
    peer = listener(world, dead=True)
    assert peer.link.is_mute
    world.tick(10)
    world.tell(peer, "ping", id="s1")
    world.tick(5)
    end(world, peer, 4001)
    assert world.kinds == []


def test_a_dead_client_that_is_kept_is_a_finding(world: NegotiatedWorld) -> None:
    peer = listener(world, dead=True)
    world.tick(10)
    world.tell(peer, "ping", id="s1")
    world.model.overdue(world.case, world.tick(30))
    assert world.kinds == ["not_timed_out"]


@pytest.mark.parametrize(("seconds", "code"), [(15, 1001), (3, 4001)])
def test_a_dead_client_is_ended_in_its_time_and_by_its_code(
    world: NegotiatedWorld, seconds: int, code: int
) -> None:
    peer = listener(world, dead=True)
    world.tell(peer, "ping", id="s1")
    world.tick(seconds)
    end(world, peer, code)
    assert world.kinds == ["wrong_timeout"]


def test_an_end_without_a_ping_before_is_two_faults_in_one(world: NegotiatedWorld) -> None:
    peer = listener(world)
    world.tick(15)
    end(world, peer, 4001)
    assert world.kinds == ["no_ping"]


def test_who_showed_life_is_not_ended(world: NegotiatedWorld) -> None:
    peer = listener(world)
    world.tell(peer, "ping", id="s1")
    peer.link.wrote_at = world.tick(12)
    world.tick(4)
    end(world, peer, 4001)
    assert world.kinds == ["wrong_timeout"]


def test_a_silence_of_our_own_is_no_fault_of_the_server_s(world: NegotiatedWorld) -> None:
    peer = listener(world)
    world.tell(peer, "ping", id="s1")
    world.tick(16)
    end(world, peer, 4001)
    assert world.kinds == []


def test_who_stalled_may_have_been_given_up(world: NegotiatedWorld) -> None:
    peer = listener(world)
    peer.has_stalled = peer.may_end = True
    world.tick(2)
    end(world, peer, 4001)
    assert world.kinds == []


def test_an_end_while_the_runner_had_no_processor_is_doubtful(world: NegotiatedWorld) -> None:
    peer = listener(world)
    peer.was_mute = True
    world.tick(2)
    end(world, peer, 4001)
    assert world.kinds
    assert all(finding.doubtful for finding in world.case.findings)


@pytest.mark.parametrize(("seconds", "kinds"), [(30, []), (33, ["wrong_timeout"])])
def test_the_end_of_a_dead_client_may_not_be_put_off_for_long(
    world: NegotiatedWorld, seconds: float, kinds: list[str]
) -> None:
    peer = listener(world, dead=True)
    world.tick(10)
    world.tell(peer, "ping", id="s1")
    world.tick(seconds - 10)
    end(world, peer, 4001)
    assert world.kinds == kinds
    assert all(finding.racy for finding in world.case.findings)


@pytest.mark.parametrize(("seconds", "kinds"), [(20, []), (23, ["no_ping"])])
def test_who_listens_is_pinged_again_and_again(
    world: NegotiatedWorld, seconds: float, kinds: list[str]
) -> None:
    peer = listener(world)
    world.tick(10)
    world.tell(peer, "ping", id="s1")
    peer.link.wrote_at = world.now
    world.model.fence_passed(world.case, world.tick(seconds))
    assert world.kinds == kinds


def test_pongs_that_nobody_asked_for_are_counted_behind_a_fence(world: NegotiatedWorld) -> None:
    peer = listener(world)
    world.model.capabilities.mistaken(peer, {"type": "pong", "id": "x"}, (), world.tick())
    assert not peer.may_end
    world.model.fence_passed(world.case, world.tick())
    assert world.case.cases["HB-3"] == 1


@pytest.mark.parametrize(
    ("offered", "clauses"), [(frozenset({"heartbeat"}), ["HB-3"]), (frozenset(), []), (None, [])]
)
def test_a_connection_that_said_no_hello_is_not_sent_pings_of_a_heartbeat(
    world: NegotiatedWorld, offered: frozenset[str] | None, clauses: list[str]
) -> None:
    core = world.connect("core")
    world.model.capabilities.offered = offered
    world.tell(core, "ping", id="s1")
    world.tell(core, "ping")  # of a dialect of its own
    assert [one.clause for one in world.case.findings] == clauses
