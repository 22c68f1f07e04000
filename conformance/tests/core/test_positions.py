"""The oracle: numbers, tokens and replays (RPL)."""

from __future__ import annotations

from typing import Any

import pytest
from osint_events.features import FEATURES

from .negotiated_world import SUMMARY, TASK, NegotiatedWorld
from .world import X

# Numbers, RPL-1 and RPL-2


def test_numbers_that_increase_are_in_order_holes_or_not() -> None:
    w = NegotiatedWorld()
    a = w.subscribed(seq=4)
    last = 4
    for seq in (5, 9, 2**53 - 1):
        w.publish(SUMMARY % seq)
        w.update(a, seq, last, SUMMARY % seq)
        last = seq
    assert w.found == []
    assert w.case.cases["RPL-1"] == w.case.cases["RPL-2"] == 3


def test_an_event_has_the_same_number_for_everybody() -> None:
    w = NegotiatedWorld()
    a, b = w.subscribed("a"), w.subscribed("b")
    w.publish()
    w.update(a, 1, 0)
    w.update(b, 2, 0)
    assert w.found == [("renumbered", "RPL-1")]


def test_two_events_have_two_numbers() -> None:
    w = NegotiatedWorld()
    a, b = w.subscribed("a"), w.greeted("b")
    w.publish(SUMMARY % 1)
    w.update(a, 1, 0, SUMMARY % 1)
    w.follow(b)
    w.confirm_at(b, 1)
    w.publish(SUMMARY % 2)
    w.update(a, 1, 0, SUMMARY % 2)
    assert set(w.found) == {("not_increasing", "RPL-1")}


def test_numbers_follow_the_order_of_publication() -> None:
    w = NegotiatedWorld()
    a, b = w.subscribed("a"), w.subscribed("b")
    w.publish(SUMMARY % 1)
    w.publish(SUMMARY % 2)
    w.update(a, 5, 0, SUMMARY % 1)
    w.update(b, 3, 0, SUMMARY % 2)
    assert w.found == [("not_increasing", "RPL-1")]


@pytest.mark.parametrize("epoch", ["e", "e2"])
def test_numbers_that_go_back_are_of_another_epoch_or_wrong(epoch: str) -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.published(3, a)
    w.publish(SUMMARY % 4)
    w.update(a, 1, 0, SUMMARY % 4)
    b = w.greeted("b")
    w.follow(b)
    w.confirm_at(b, 3 if epoch == "e" else 1, epoch=epoch)
    w.model.capabilities.resolve(w.case, b, X)
    kind, clause = ("not_increasing", "RPL-1") if epoch == "e" else ("unannounced_epoch", "RPL-7")
    assert set(w.found) == {(kind, clause)}


@pytest.mark.parametrize(
    ("prev", "found"), [(1, []), (0, ["wrong_prev"]), (2, ["wrong_prev"]), (7, ["wrong_prev"])]
)
def test_prev_is_the_event_before_and_no_later_one(prev: int, found: list[str]) -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.published(1, a)
    w.publish()
    w.update(a, 2, prev)
    assert w.kinds == found


def test_prev_may_be_any_number_up_to_the_position() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.published(1, a)
    w.move(a, 8)
    for prev in (1, 5, 8):
        b = w.greeted(f"b{prev}")
        w.follow(b)
        w.confirm_at(b, 8)
    w.publish()
    w.update(a, 9, 8)
    for prev, peer in zip((1, 5, 8), w.case.peers[1:], strict=True):
        w.update(peer, 9, prev)
    assert w.found == []


@pytest.mark.parametrize(("field", "clause"), [("seq", "RPL-1"), ("prev", "RPL-2"), ("token", "RPL-3")])
def test_an_update_has_its_place(field: str, clause: str) -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.publish('{"n": 1}')
    place = {"seq": 1, "prev": 0, "token": "t"}
    del place[field]
    w.send(a, {"type": "investigation_update", "investigation_id": X, "data": {"n": 1}, **place})
    assert w.found == [("no_position", clause)]


def test_an_event_from_before_the_subscription_is_not_to_come() -> None:
    w = NegotiatedWorld()
    w.published(1, w.subscribed("a"))
    b = w.subscribed("b", seq=1)
    w.update(b, 1, 0, SUMMARY % 1)
    assert w.found == [("wrong_replay", "RPL-4")]


# Tokens, RPL-3


@pytest.mark.parametrize("token", ["a+b", "a b", "é", "a/b", "a=", "x" * 513])
def test_a_token_is_short_and_url_safe(token: str) -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.follow(a)
    w.confirm_at(a, 0, token=token)
    assert w.kinds in (["bad_token"], ["schema"])


def test_a_token_of_the_server_s_own_is_not_invalid() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    assert a.talk is not None
    w.follow(a, given=a.talk.positions[X].tokens[-1])
    w.confirm_at(a, 0, replay={"status": "failed", "reason": "invalid"})
    assert w.found == [("wrong_token", "RPL-3")]


@pytest.mark.parametrize("reason", ["expired", "unavailable"])
def test_a_token_may_always_have_expired(reason: str) -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    assert a.talk is not None
    w.published(2, a)
    w.follow(a, given=a.talk.positions[X].confirmed)
    w.confirm_at(a, 2, replay={"status": "failed", "reason": reason})
    assert w.found == []
    assert w.case.settled


def test_a_token_of_another_epoch_may_be_called_so() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    assert a.talk is not None
    w.follow(a, given=a.talk.positions[X].confirmed)
    w.confirm_at(a, 0, epoch="e2", replay={"status": "failed", "reason": "epoch_changed"})
    assert w.found == []


@pytest.mark.parametrize(
    ("replay", "found"),
    [
        ({"status": "failed", "reason": "invalid"}, []),
        ({"status": "failed", "reason": "expired"}, [("wrong_token", "RPL-3")]),
        ({"status": "complete", "count": 0}, [("wrong_token", "RPL-3")]),
    ],
)
def test_a_forged_token_is_invalid(replay: dict[str, Any], found: list[tuple[str, str]]) -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.follow(a, text="forged")
    w.confirm_at(a, 0, replay=replay)
    assert w.found == found


# Replays, RPL-4 and RPL-5


def resumed(count: int) -> tuple[NegotiatedWorld, Any]:
    """Some events were missed, and are being replayed on a second connection."""
    w = NegotiatedWorld()
    a = w.subscribed("a")
    since = w.now
    w.published(count, a)
    b = w.greeted("b")
    w.resume(b, 0, count, since=since, ref="r")
    return w, b


def test_a_whole_replay_is_right() -> None:
    w, b = resumed(3)
    for seq in (1, 2, 3):
        w.update(b, seq, seq - 1, SUMMARY % seq, replayed=True)
    assert not w.case.settled
    w.complete(b, 3, ref="r")
    assert w.case.settled
    w.publish(SUMMARY % 4)
    w.update(w.case.peers[0], 4, 3, SUMMARY % 4)
    w.update(b, 4, 3, SUMMARY % 4)
    assert w.found == []
    assert w.case.settled


def test_what_was_missed_is_owed_though_nobody_else_saw_its_number() -> None:
    w = NegotiatedWorld()
    a = w.subscribed("a")
    since = w.now
    w.leave(a, handshake=False)
    w.publish(SUMMARY % 1)
    b = w.greeted("b")
    w.resume(b, 0, 0, since=since)
    w.complete(b, 0)
    w.overdue()
    assert w.found == [("not_replayed", "RPL-4")]


def test_what_is_published_meanwhile_is_owed_at_the_hand_over() -> None:
    w, b = resumed(1)
    w.publish(SUMMARY % 2)
    w.update(w.case.peers[0], 2, 1, SUMMARY % 2)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    w.complete(b, 1, ref="r")
    w.overdue()
    assert w.found == [("lost_at_hand_over", "RPL-5")]


def test_what_may_come_after_a_switch_that_was_asked_for_is_not_owed_at_the_hand_over() -> None:
    w = NegotiatedWorld()
    a = w.subscribed("a")
    b = w.greeted("b")
    w.follow(b, ref="r", given=a.talk.positions[X].confirmed if a.talk else None)
    w.publish(SUMMARY % 1)
    w.follow(b, scope=("tasks",), ref="s")
    w.confirm_at(b, 0, ref="r", scope=["all"], replay={"status": "complete", "count": 0})
    w.complete(b, 0, ref="r")
    w.confirm_at(b, 0, ref="s", scope=["tasks"])
    w.update(a, 1, 0, SUMMARY % 1)
    w.overdue()
    assert w.found == []


def test_a_replay_that_lacks_one_is_not_whole() -> None:
    w, b = resumed(3)
    for seq in (1, 3):
        w.update(b, seq, seq - 1, SUMMARY % seq, replayed=True)
    w.complete(b, 3, ref="r")
    w.overdue()
    assert w.found == [("wrong_prev", "RPL-2"), ("not_replayed", "RPL-4")]


def test_a_replay_keeps_to_its_scope() -> None:
    w = NegotiatedWorld()
    a = w.subscribed("a")
    w.publish(TASK % 1)
    w.update(a, 1, 0, TASK % 1)
    b = w.greeted("b")
    w.follow(b, scope=("summary",), given=a.talk.positions[X].confirmed if a.talk else None)
    w.confirm_at(b, 0, scope=["summary"], replay={"status": "complete", "count": 0})
    w.complete(b, 1)
    assert w.case.settled
    assert w.found == []


@pytest.mark.parametrize(
    ("said", "found"),
    [({"count": 2}, []), ({"count": 3}, ["wrong_replay"]), ({"count": 0}, ["wrong_replay"])],
)
def test_count_is_what_is_replayed(said: dict[str, int], found: list[str]) -> None:
    w = NegotiatedWorld()
    a = w.subscribed("a")
    since = w.now
    w.published(2, a)
    b = w.greeted("b")
    w.resume(b, 0, said["count"], since=since)
    for seq in (1, 2):
        w.update(b, seq, seq - 1, SUMMARY % seq, replayed=True)
    w.complete(b, 2)
    assert w.kinds == found


def test_more_than_the_server_s_limit_is_never_replayed() -> None:
    w = NegotiatedWorld()
    b = w.connect("b")
    w.hello(b, *FEATURES)
    w.welcome(b, *FEATURES, limits={"max_replay_events": 5})
    w.resume(b, 0, 6)
    assert w.found == [("wrong_replay", "RPL-4")]


def test_a_replay_is_confirmed_with_the_position_that_it_resumes_from() -> None:
    w = NegotiatedWorld()
    a = w.subscribed("a")
    w.published(2, a)
    b = w.greeted("b")
    w.follow(b, given=a.talk.positions[X].confirmed if a.talk else None)
    w.confirm_at(b, 2, replay={"status": "complete", "count": 2})
    assert w.found == [("wrong_replay", "RPL-4")]


@pytest.mark.parametrize("seq", [0, 1])
def test_a_confirmation_without_a_replay_says_the_head(seq: int) -> None:
    w = NegotiatedWorld()
    w.published(2, w.subscribed("a"))
    b = w.greeted("b")
    w.follow(b)
    w.confirm_at(b, seq)
    assert w.found == [("wrong_head", "RPL-4")]


def test_replayed_updates_are_in_order() -> None:
    w, b = resumed(2)
    w.update(b, 2, 1, SUMMARY % 2, replayed=True)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    assert ("wrong_hand_over", "RPL-5") in w.found


def test_an_event_comes_once_in_a_replay() -> None:
    w, b = resumed(2)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    assert w.found == [("wrong_replay", "RPL-4")]


def test_what_came_with_the_token_is_not_replayed_again() -> None:
    w = NegotiatedWorld()
    a = w.subscribed("a")
    w.published(1, a)
    b = w.greeted("b")
    w.resume(b, 1, 0)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    assert w.found == [("wrong_replay", "RPL-4")]


def test_an_event_that_was_published_meanwhile_comes_once() -> None:
    w, b = resumed(1)
    w.publish(SUMMARY % 2)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    w.update(b, 2, 1, SUMMARY % 2, replayed=True)
    w.complete(b, 2, ref="r")
    assert w.found == []
    w.update(b, 2, 1, SUMMARY % 2)
    assert w.found == [("wrong_hand_over", "RPL-5")]


def test_a_live_update_waits_for_the_end_of_a_replay() -> None:
    w, b = resumed(2)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    w.publish(SUMMARY % 3)
    w.update(b, 3, 1, SUMMARY % 3)
    assert w.found == [("live_in_replay", "RPL-5")]


def test_a_replayed_update_does_not_come_outside_a_replay() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.publish()
    w.update(a, 1, 0, replayed=True)
    assert w.found == [("live_in_replay", "RPL-5")]


def test_a_replay_complete_that_never_comes_is_all_that_is_wrong() -> None:
    w, b = resumed(1)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    w.publish(SUMMARY % 2)
    w.update(w.case.peers[0], 2, 1, SUMMARY % 2)
    w.update(b, 2, 1, SUMMARY % 2)
    w.overdue()
    assert w.found == [("no_replay_complete", "RPL-4")]


def test_a_live_update_ahead_of_replay_complete_is_a_finding_once_that_comes() -> None:
    w, b = resumed(1)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    w.publish(SUMMARY % 2)
    w.update(b, 2, 1, SUMMARY % 2)
    w.complete(b, 1, ref="r")
    assert ("live_in_replay", "RPL-5") in w.found


def test_replay_complete_belongs_to_a_replay() -> None:
    w = NegotiatedWorld()
    w.complete(w.subscribed(), 0)
    assert w.found == [("wrong_replay", "RPL-4")]


def test_replay_complete_has_the_ref_of_the_subscribe() -> None:
    w, b = resumed(0)
    w.complete(b, 0, ref="another")
    assert w.found == [("wrong_ref", "NEG-4")]


def test_a_subscribe_during_a_replay_takes_effect_after_it() -> None:
    w, b = resumed(2)
    w.follow(b, ref="r2")
    w.confirm_at(b, 2, ref="r2")
    assert w.found == [("answered_in_replay", "RPL-5")]


def test_the_same_token_twice_is_replayed_twice() -> None:
    w, b = resumed(1)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    w.complete(b, 1, ref="r")
    w.resume(b, 0, 1, since=0.0)
    w.update(b, 1, 0, SUMMARY % 1, replayed=True)
    w.complete(b, 1)
    assert w.found == []
    assert w.case.settled


# Positions, gaps, epochs: RPL-6 to RPL-9


def test_a_position_never_goes_back() -> None:
    w = NegotiatedWorld()
    a = w.subscribed(seq=5)
    w.move(a, 9)
    w.move(a, 8)
    assert w.found == [("wrong_position", "RPL-6")]


def test_a_position_is_due_where_the_store_moved_on() -> None:
    w = NegotiatedWorld()
    a = w.subscribed(scope=("summary",))
    w.publish(TASK % 1)
    w.model.capabilities.awaiting(a, X, w.tick())
    w.overdue()
    assert w.found == [("no_position_message", "RPL-6")]


def test_a_position_that_came_before_it_was_waited_for_is_not_owed_again() -> None:
    w = NegotiatedWorld()
    a = w.subscribed(scope=("summary",))
    w.publish(TASK % 1)
    w.move(a, 1)
    w.model.capabilities.awaiting(a, X, w.tick())
    w.overdue()
    assert w.found == []


def test_a_position_that_came_is_not_due() -> None:
    w = NegotiatedWorld()
    a = w.subscribed(scope=("summary",))
    w.publish(TASK % 1)
    w.model.capabilities.awaiting(a, X, w.tick())
    w.move(a, 1)
    assert w.case.settled
    assert w.case.cases["RPL-6"] == 2


def test_before_a_gap_nothing_is_owed_and_after_it_everything() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.published(2)
    w.tell(a, "gap", investigation_id=X, reason="unavailable", **w.position_of(0, "e2"))
    assert w.case.settled
    w.publish(SUMMARY % 3)
    w.update(a, 1, 0, SUMMARY % 3)
    assert w.found == []


def test_who_holds_an_epoch_that_is_over_is_owed_a_gap() -> None:
    w = NegotiatedWorld()
    a, b = w.subscribed("a"), w.greeted("b")
    w.follow(b)
    w.confirm_at(b, 0, epoch="e2")
    assert [debt.kind for debt in w.case.owed] == ["no_gap"]
    w.tell(a, "gap", investigation_id=X, reason="epoch_changed", **w.position_of(0, "e2"))
    assert w.case.settled
    assert w.found == []


def test_a_gap_that_never_comes_is_a_finding() -> None:
    w = NegotiatedWorld()
    w.subscribed("a")
    b = w.greeted("b")
    w.follow(b)
    w.confirm_at(b, 0, epoch="e2")
    w.overdue()
    assert w.found == [("no_gap", "RPL-7")]


@pytest.mark.parametrize(
    ("seq", "epoch", "found"), [(2, "e", []), (0, "e2", []), (0, "e", [("epoch_kept", "RPL-8")])]
)
def test_after_a_restart_the_sequence_goes_on_or_has_a_new_epoch(
    seq: int, epoch: str, found: list[tuple[str, str]]
) -> None:
    w = NegotiatedWorld()
    a = w.subscribed("a")
    w.published(2, a)
    w.case.restarted = True
    w.leave(a, handshake=False)
    b = w.greeted("b")
    w.follow(b)
    w.confirm_at(b, seq, epoch=epoch)
    assert w.found == found
    assert w.case.cases["RPL-8"] == 1


@pytest.mark.parametrize(("epoch", "found", "cases"), [("e", [("wrong_token", "RPL-9")], 1), ("e2", [], 0)])
def test_a_store_that_lasts_knows_its_tokens_after_a_restart(
    epoch: str, found: list[tuple[str, str]], cases: int
) -> None:
    w = NegotiatedWorld()
    a = w.subscribed("a")
    w.case.restarted = True
    w.leave(a, handshake=False)
    b = w.greeted("b")
    w.follow(b, given=a.talk.positions[X].confirmed if a.talk else None)
    w.confirm_at(b, 0, epoch=epoch, replay={"status": "failed", "reason": "invalid"})
    assert w.found == found
    assert w.case.cases["RPL-9"] == cases
