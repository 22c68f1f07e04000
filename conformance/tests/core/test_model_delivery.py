"""The oracle: who is owed an event, and what may reach whom (DEL)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .world import EVENT, World, X

if TYPE_CHECKING:
    from osint_events_conformance.deliveries import Fallback

Y = "inv-2"


# Owed, paid, overdue, DEL-1


def test_a_confirmed_subscriber_is_owed_an_event() -> None:
    w = World()
    a = w.subscriber()
    w.publish()
    assert [debt.kind for debt in w.case.owed] == ["lost"]
    w.deliver(a)
    assert w.case.settled
    assert w.case.cases["DEL-1"] == 1
    assert w.found == []


def test_every_subscriber_is_owed_it() -> None:
    w = World()
    peers = [w.subscriber(f"c{number}") for number in range(12)]
    w.publish()
    for peer in peers[:10]:
        w.deliver(peer)
    w.deliver(peers[11])
    w.overdue()
    assert w.found == [("lost", "DEL-1")]
    assert w.only.conn == "c10"


def test_an_event_that_never_comes_is_lost_and_told_with_what_was_expected() -> None:
    w = World()
    w.subscriber()
    w.publish()
    w.overdue()
    assert w.found == [("lost", "DEL-1")]
    assert w.only.expected == '{"investigation_id": "inv-1", "data": {"type": "finding", "n": 1}}'
    assert w.case.settled


def test_what_comes_after_its_deadline_was_lost_and_is_no_duplicate() -> None:
    w = World()
    a = w.subscriber()
    w.publish()
    w.overdue()
    w.deliver(a)
    assert w.kinds == ["lost"]


def test_an_event_for_another_investigation_pays_nothing() -> None:
    w = World()
    a = w.subscriber("a", X, Y)
    w.publish(EVENT, X)
    w.publish(EVENT, Y)
    w.deliver(a, EVENT, Y)
    w.overdue()
    assert w.kinds == ["lost"]
    assert '"inv-1"' in str(w.only.expected)


def test_who_has_not_been_confirmed_is_owed_nothing_but_may_get_it() -> None:
    w = World()
    a, b = w.connect("a"), w.connect("b")
    w.ask(a)
    w.ask(b)
    w.publish()
    w.deliver(a)
    w.confirm(a)
    w.confirm(b)
    assert w.case.settled
    assert w.found == []


def test_events_may_come_before_the_publish_is_answered() -> None:
    w = World()
    a = w.subscriber()
    event = w.start_publish()
    w.deliver(a)
    w.model.published(event, accepted=True, at=w.tick())
    assert w.case.settled
    assert w.found == []


def test_a_refused_publish_is_owed_to_nobody() -> None:
    w = World()
    w.subscriber()
    w.publish(accepted=False)
    assert w.case.settled


def test_a_publish_whose_fate_is_unknown_is_owed_to_nobody_but_may_come() -> None:
    w = World()
    a = w.subscriber()
    w.publish(accepted=None)
    assert w.case.settled
    w.deliver(a)
    assert w.found == []


def test_a_subscriber_that_left_before_the_publish_is_owed_nothing() -> None:
    w = World()
    a, b = w.subscriber("a"), w.subscriber("b")
    w.leave(a)
    w.close(a, 1000)
    w.drop(a)
    w.publish()
    assert [debt.peer.name for debt in w.case.owed] == [b.name]


def test_events_on_the_way_when_a_client_closes_are_nobody_s_fault() -> None:
    w = World()
    a = w.subscriber()
    w.publish()
    w.leave(a)
    w.deliver(a)
    w.deliver(a)
    assert w.found == []


# Exactly once


def test_an_event_that_comes_twice_is_a_duplicate() -> None:
    w = World()
    a = w.subscriber()
    w.publish()
    w.deliver(a)
    w.deliver(a)
    assert w.found == [("duplicate", "DEL-1")]


def test_a_second_copy_is_no_old_event_where_an_equal_one_is_older_than_the_subscribe() -> None:
    w = World()
    first = w.subscriber("first")
    w.publish()
    w.deliver(first)
    w.tick(1.0)
    late = w.subscriber("late")
    w.publish()
    w.deliver(first)
    w.deliver(late)
    w.deliver(late)
    assert w.kinds == ["duplicate"]


def test_an_old_event_is_replayed_also_where_an_equal_one_is_owed_later() -> None:
    w = World()
    first = w.subscriber("first")
    w.publish()
    w.deliver(first)
    w.tick(1.0)
    late = w.subscriber("late")
    w.deliver(late)
    assert w.kinds == ["replayed"]


def test_one_copy_for_each_connection_is_no_duplicate() -> None:
    w = World()
    a, b = w.subscriber("a"), w.subscriber("b")
    w.publish()
    w.deliver(a)
    w.deliver(b)
    assert w.found == []


def test_a_subscribe_again_owes_no_second_copy() -> None:
    w = World()
    a = w.subscriber()
    w.ask(a)
    w.confirm(a)
    w.publish()
    w.deliver(a)
    assert w.case.settled
    w.deliver(a)
    assert w.found == [("duplicate", "DEL-1")]


def test_a_broadcast_that_comes_twice_is_a_duplicate_too() -> None:
    w = World("any")
    a = w.connect()
    w.publish()
    w.deliver(a)
    w.deliver(a)
    assert w.found == [("duplicate", "DEL-1")]


def test_equal_payloads_are_as_many_events_as_were_published() -> None:
    w = World()
    a = w.subscriber()
    for _ in range(3):
        w.publish()
    w.deliver(a)
    w.deliver(a)
    assert len(w.case.owed) == 1
    w.deliver(a)
    assert w.case.settled
    assert w.found == []
    w.deliver(a)
    assert w.kinds == ["duplicate"]


def test_equal_payloads_of_which_one_is_missing_are_one_loss() -> None:
    w = World()
    a = w.subscriber()
    w.publish('{"n": 1}')
    w.publish('{"n": 1.0}')
    w.deliver(a, '{"n": 1}')
    w.overdue()
    assert w.kinds == ["lost"]


def test_equal_payloads_of_two_investigations_are_told_apart() -> None:
    w = World()
    a = w.subscriber("a", X, Y)
    w.publish(EVENT, X)
    w.publish(EVENT, Y)
    w.deliver(a, EVENT, X)
    w.deliver(a, EVENT, X)
    w.overdue()
    assert w.kinds == ["duplicate", "lost"]


# Strays, DEL-2


def test_an_update_for_a_stranger_is_a_stray_if_a_subscriber_got_it_too() -> None:
    w = World()
    a, b = w.subscriber("a"), w.connect("b")
    w.publish()
    w.deliver(a)
    w.deliver(b)
    assert w.found == [("stray", "DEL-2")]
    assert w.only.conn == "b"


def test_a_stray_counts_as_soon_as_the_subscriber_gets_it() -> None:
    w = World()
    a, b = w.subscriber("a"), w.connect("b")
    w.publish()
    w.deliver(b)
    assert w.found == []
    w.deliver(a)
    assert w.found == [("stray", "DEL-2")]


def test_a_broadcast_that_misses_the_subscriber_is_a_loss_and_no_stray() -> None:
    """The server lost the subscription, and so took the event for one without subscribers."""
    w = World("on")
    w.subscriber("a")
    b = w.connect("b")
    w.publish()
    w.deliver(b)
    w.overdue()
    assert w.found == [("lost", "DEL-1")]


def test_each_connection_that_gets_a_stray_is_a_finding() -> None:
    w = World()
    a, b, c = w.subscriber("a"), w.connect("b"), w.subscriber("c", Y)
    w.publish()
    for peer in (a, b, c):
        w.deliver(peer)
    assert [(one.kind, one.conn) for one in w.case.findings] == [("stray", "b"), ("stray", "c")]


@pytest.mark.parametrize("other", ["inv-10", "inv-", "INV-1", "inv-1 ", "*"])
def test_a_subscription_to_a_similar_id_is_none(other: str) -> None:
    w = World()
    a, b = w.subscriber("a", X), w.subscriber("b", other)
    w.publish(EVENT, X)
    w.deliver(a)
    w.deliver(b)
    assert w.found == [("stray", "DEL-2")]


def test_a_stray_on_another_script_s_connection_is_laid_to_the_script_that_published() -> None:
    w = World()
    beside = w.another_case()
    a, bystander = w.subscriber("a"), w.connect("bystander", case=beside)
    w.publish()
    w.deliver(a)
    w.deliver(bystander)
    assert w.found == [("stray", "DEL-2")]
    assert beside.findings == []


def test_a_connection_that_asked_already_is_no_stranger() -> None:
    w = World()
    a, b = w.subscriber("a"), w.connect("b")
    w.ask(b)
    w.publish()
    w.deliver(a)
    w.deliver(b)
    assert w.found == []


def test_an_update_that_arrives_while_the_only_subscriber_leaves_may_be_a_broadcast() -> None:
    w = World("on")
    a, b = w.subscriber("a"), w.connect("b")
    w.start_publish()
    w.leave(a)
    w.deliver(b)
    assert w.found == []


def test_an_update_of_an_investigation_that_nobody_here_knows_is_not_judged() -> None:
    w = World("off")
    w.deliver(w.connect(), EVENT, "someone-else's")
    assert w.found == []


def test_silences_behind_a_fence_count_as_cases_of_del_2() -> None:
    w = World()
    a = w.subscriber("a")
    w.connect("b")
    w.connect("c")
    w.publish()
    w.deliver(a)
    w.model.fence_passed(w.case, w.tick())
    assert w.case.cases["DEL-2"] == 2


def test_silences_about_what_was_refused_prove_nothing() -> None:
    w = World()
    w.subscriber("a")
    w.connect("b")
    w.publish(accepted=False)
    w.model.fence_passed(w.case, w.tick())
    assert w.case.cases["DEL-2"] == 0


# Fallback, DEL-3


def test_without_subscribers_all_are_owed_a_broadcast_where_the_fallback_is_on() -> None:
    w = World("on")
    a, b = w.connect("a"), w.subscriber("b", Y)
    w.publish()
    w.deliver(a)
    assert w.case.cases["DEL-3"] == 1
    w.overdue()
    assert w.found == [("fallback_lost", "DEL-3")]
    assert w.only.conn == b.name


@pytest.mark.parametrize("fallback", ["off", "any"])
def test_without_subscribers_nobody_is_owed_anything_otherwise(fallback: str) -> None:
    w = World("off" if fallback == "off" else "any")
    w.connect("a")
    w.publish()
    assert w.case.settled


def test_a_broadcast_where_the_fallback_is_off_is_a_finding() -> None:
    w = World("off")
    a = w.connect()
    w.publish()
    w.deliver(a)
    assert w.found == [("fallback_sent", "DEL-3")]


def test_a_broadcast_is_right_where_it_is_not_known_whether_the_fallback_is_on() -> None:
    w = World("any")
    a, b = w.connect("a"), w.connect("b")
    w.publish()
    w.deliver(a)
    w.deliver(b)
    assert w.found == []


def test_no_broadcast_is_owed_while_a_subscribe_is_under_way() -> None:
    w = World("on")
    a, _ = w.connect("a"), w.connect("b")
    w.ask(a)
    w.publish()
    assert [debt.kind for debt in w.case.owed] == ["unconfirmed"]


def test_a_subscribe_after_the_publish_makes_either_outcome_right() -> None:
    w = World("on")
    a, b, c = w.connect("a"), w.connect("b"), w.connect("c")
    w.publish()
    w.ask(a)
    w.confirm(a)
    assert w.case.settled
    w.deliver(b)
    w.deliver(a)
    w.overdue()
    assert c.debts == set()
    assert w.found == []


def test_no_broadcast_is_owed_at_once_when_the_last_subscriber_left() -> None:
    w = World("on")
    a, _ = w.subscriber("a"), w.connect("b")
    w.leave(a, handshake=False)
    w.now += w.model.clear_after - 1.5
    w.publish()
    assert w.case.settled


def test_a_broadcast_is_owed_a_while_after_the_last_subscriber_left() -> None:
    w = World("on")
    a, b = w.subscriber("a"), w.connect("b")
    w.leave(a, handshake=False)
    w.now += w.model.clear_after
    w.publish()
    assert [(debt.kind, debt.peer) for debt in w.case.owed] == [("fallback_lost", b)]


def test_a_refused_publish_owes_no_broadcast() -> None:
    w = World("on")
    w.connect()
    w.publish(accepted=False)
    assert w.case.settled


def test_a_broadcast_for_an_investigation_with_subscribers_is_a_stray_whatever_the_fallback() -> None:
    w = World("on")
    a, b = w.subscriber("a"), w.connect("b")
    w.publish()
    w.deliver(a)
    w.deliver(b)
    assert w.found == [("stray", "DEL-2")]


# Order, DEL-4


def test_events_in_the_order_of_publication_keep_del_4() -> None:
    w = World()
    a = w.subscriber()
    for number in range(3):
        w.publish(f'{{"n": {number}}}')
    for number in range(3):
        w.deliver(a, f'{{"n": {number}}}')
    assert w.found == []
    assert w.case.cases["DEL-4"] == 2


def test_an_event_after_one_that_was_published_later_breaks_a_should() -> None:
    w = World()
    a = w.subscriber()
    w.publish('{"n": 1}')
    w.publish('{"n": 2}')
    w.deliver(a, '{"n": 2}')
    w.deliver(a, '{"n": 1}')
    assert w.found == [("out_of_order", "DEL-4")]
    assert w.only.level == "SHOULD"


def test_events_that_were_published_at_once_have_no_order() -> None:
    w = World()
    a = w.subscriber()
    one, other = w.start_publish('{"n": 1}'), w.start_publish('{"n": 2}')
    for event in (one, other):
        w.model.published(event, accepted=True, at=w.tick())
    w.deliver(a, '{"n": 2}')
    w.deliver(a, '{"n": 1}')
    assert w.found == []


def test_equal_events_cannot_be_told_apart_and_so_are_not_judged_by_their_order() -> None:
    w = World()
    a = w.subscriber()
    w.publish('{"n": 1}')
    w.publish('{"n": 2}')
    w.publish('{"n": 1}')
    w.deliver(a, '{"n": 2}')
    w.deliver(a, '{"n": 1}')
    w.deliver(a, '{"n": 1}')
    assert w.found == []


def test_events_of_two_investigations_have_no_order() -> None:
    w = World()
    a = w.subscriber("a", X, Y)
    w.publish('{"n": 1}', X)
    w.publish('{"n": 2}', Y)
    w.deliver(a, '{"n": 2}', Y)
    w.deliver(a, '{"n": 1}', X)
    assert w.found == []


def test_each_connection_has_an_order_of_its_own() -> None:
    w = World()
    a, b = w.subscriber("a"), w.subscriber("b")
    w.publish('{"n": 1}')
    w.publish('{"n": 2}')
    w.deliver(a, '{"n": 1}')
    w.deliver(a, '{"n": 2}')
    w.deliver(b, '{"n": 1}')
    w.deliver(b, '{"n": 2}')
    assert w.found == []


# Nothing from before, DEL-5


def test_an_event_from_before_the_subscribe_may_not_come_after_it() -> None:
    w = World()
    witness, late = w.subscriber("witness"), w.connect("late")
    w.publish()
    w.deliver(witness)
    w.ask(late)
    w.confirm(late)
    w.deliver(late)
    assert w.found == [("replayed", "DEL-5")]
    assert w.only.conn == "late"


def test_an_event_that_the_witness_got_after_the_subscribe_was_sent_may_come() -> None:
    w = World()
    witness, late = w.subscriber("witness"), w.connect("late")
    w.publish()
    w.ask(late)
    w.deliver(witness)
    w.confirm(late)
    w.deliver(late)
    assert w.found == []


def test_an_event_that_may_have_been_in_flight_may_come() -> None:
    w = World()
    witness, late = w.subscriber("witness"), w.connect("late")
    w.publish()
    w.deliver(witness)
    w.now += w.model.deliveries.in_flight / 2 - 1
    w.ask(late)
    w.confirm(late)
    w.deliver(late)
    assert w.found == []


@pytest.mark.parametrize(("fallback", "racy"), [("any", True), ("on", True), ("off", False)])
def test_a_late_event_that_nobody_was_subscribed_to_may_be_a_broadcast(
    fallback: Fallback, racy: bool
) -> None:
    w = World(fallback)
    witness, late = w.connect("witness"), w.connect("late")
    w.publish()
    w.deliver(witness)
    w.ask(late)
    w.confirm(late)
    w.deliver(late)
    assert [one.racy for one in w.case.findings if one.kind == "replayed"] == [racy]


def test_equal_events_that_are_still_under_way_are_no_duplicates() -> None:
    w = World()
    a = w.subscriber("a")
    w.publish()
    late = w.connect("late")
    w.ask(late)
    w.publish()
    w.confirm(late)
    for peer in (a, late, a, late):
        w.deliver(peer)
    assert w.found == []
    w.deliver(late)
    assert w.found == [("duplicate", "DEL-1")]


@pytest.mark.parametrize(("seconds", "racy"), [(0.1, True), (0.7, False)])
def test_what_somebody_got_shortly_before_the_subscribe_may_be_late(seconds: float, racy: bool) -> None:
    w = World()
    witness, late = w.subscriber("witness"), w.connect("late")
    w.publish()
    w.deliver(witness)
    w.now += seconds - 1
    w.ask(late)
    w.confirm(late)
    w.publish()
    w.deliver(late)
    w.deliver(late)
    assert [(one.kind, one.racy) for one in w.case.findings] == [("duplicate", racy)]


def test_who_leaves_without_reading_may_be_kept_for_long_and_no_broadcast_is_owed() -> None:
    w = World("on")
    listener, slow = w.connect("listener"), w.subscriber("slow")
    slow.stalled = True
    w.leave(slow)
    w.now += 100
    w.publish()
    assert not listener.debts


def test_without_a_witness_it_cannot_be_told_what_is_old() -> None:
    w = World()
    w.publish()
    late = w.subscriber("late")
    w.deliver(late)
    assert w.found == []


def test_an_event_that_comes_again_after_a_reconnect_is_old_too() -> None:
    w = World()
    a = w.subscriber("a")
    w.publish()
    w.deliver(a)
    w.leave(a, handshake=False)
    back = w.subscriber("back")
    w.deliver(back)
    assert w.found == [("replayed", "DEL-5")]


def test_a_second_copy_after_a_first_subscribe_is_a_replay_of_what_was_broadcast() -> None:
    w = World("on")
    a = w.connect()
    w.publish()
    w.deliver(a)
    w.ask(a)
    w.confirm(a)
    w.deliver(a)
    assert w.found == [("replayed", "DEL-5")]


def test_what_waited_for_a_stalled_reader_is_not_old() -> None:
    w = World()
    witness, slow = w.subscriber("witness"), w.connect("slow")
    w.publish()
    w.deliver(witness)
    slow.stalled = slow.has_stalled = True
    w.ask(slow)
    slow.stalled = False
    w.confirm(slow)
    w.deliver(slow)
    assert w.found == []


# Readers that stall, ROB-5


def test_a_stalled_reader_is_waited_for_by_nobody() -> None:
    w = World()
    a, slow = w.subscriber("a"), w.subscriber("slow")
    slow.stalled = slow.has_stalled = slow.may_end = True
    w.publish()
    w.deliver(a)
    assert w.case.settled
    w.overdue()
    assert w.found == []


def test_a_stalled_reader_that_reads_again_is_owed_what_waited() -> None:
    w = World()
    slow = w.subscriber("slow")
    slow.stalled = slow.has_stalled = slow.may_end = True
    w.publish()
    slow.stalled = False
    assert not w.case.settled
    w.overdue()
    assert w.found == [("lost", "DEL-1")]


def test_a_stalled_reader_may_be_ended_in_any_way_and_is_owed_nothing_then() -> None:
    w = World()
    slow = w.subscriber("slow")
    slow.stalled = slow.has_stalled = slow.may_end = True
    w.publish()
    w.drop(slow)
    slow.stalled = False
    assert w.case.settled
    assert w.found == []


def test_a_silence_about_an_investigation_without_subscribers_proves_nothing_of_del_2() -> None:
    w = World("off")
    w.connect("a")
    w.publish()
    w.model.fence_passed(w.case, w.tick())
    assert w.case.cases["DEL-2"] == 0


def test_an_id_that_is_added_does_not_confuse_an_event_with_one_that_had_it() -> None:
    w = World()
    a = w.subscriber()
    w.publish('{"n": 1}')
    w.publish('{"n": 1, "investigation_id": "inv-1"}')
    w.deliver(a, '{"n": 1, "investigation_id": "inv-1"}')
    w.deliver(a, '{"n": 1, "investigation_id": "inv-1"}')
    w.overdue()
    assert w.found == []


def test_a_broadcast_is_for_all_though_nobody_said_that_there_is_one() -> None:
    world = World(fallback="any")
    one, other = world.connect("one"), world.connect("other")
    world.publish()
    world.deliver(one)
    world.overdue()
    assert world.only.kind == "fallback_lost"
    assert world.only.conn == other.name


def test_a_broadcast_to_nobody_is_no_broadcast() -> None:
    world = World(fallback="any")
    world.connect("one")
    world.publish()
    world.overdue()
    assert world.kinds == []


def test_who_may_be_ended_need_not_get_a_broadcast() -> None:
    world = World(fallback="any")
    one, other = world.connect("one"), world.connect("other")
    world.publish()
    world.malformed(other)
    world.deliver(one)
    world.overdue()
    assert world.kinds == []


def test_a_broadcast_that_a_subscribe_meets_is_for_some_or_for_all() -> None:
    world = World(fallback="any")
    one, other = world.connect("one"), world.connect("other")
    world.publish()
    world.ask(other)
    world.deliver(one)
    world.confirm(other)
    world.overdue()
    assert world.kinds == []
