"""The oracle on connections that said hello: negotiation, refs, unsubscribing, pings, errors, scopes."""

from __future__ import annotations

from typing import Any

import pytest
from osint_events import contract
from osint_events.features import FEATURES
from osint_events_conformance.findings import BY_KIND, PART_2

from .negotiated_world import SUMMARY, TASK, NegotiatedWorld
from .world import X

# Negotiation, NEG


def test_a_hello_is_owed_a_welcome() -> None:
    w = NegotiatedWorld()
    a = w.connect()
    w.hello(a, "replay")
    assert [debt.kind for debt in w.case.owed] == ["no_welcome"]
    w.welcome(a, "replay")
    assert w.case.settled
    assert w.found == []
    assert w.case.cases["NEG-1"] == w.case.cases["NEG-2"] == w.case.cases["NEG-3"] == 1


@pytest.mark.parametrize(
    ("asked", "fields", "clause"),
    [
        (("replay",), {}, "NEG-2"),
        (("replay", "x"), {}, "NEG-3"),
        (("replay",), {"protocol": 2}, "NEG-3"),
        (("replay",), {"auth": {"token": "t"}}, "NEG-3"),
        (("replay",), {"client": {"name": "n"}}, "NEG-2"),
    ],
)
def test_a_hello_that_is_not_answered_breaks_what_is_unusual_about_it(
    asked: tuple[str, ...], fields: dict[str, Any], clause: str
) -> None:
    w = NegotiatedWorld()
    w.hello(w.connect(), *asked, **fields)
    w.overdue()
    assert w.found == [("no_welcome", clause)]


def test_a_server_that_is_not_known_to_know_hello_owes_no_welcome() -> None:
    w = NegotiatedWorld()
    w.model.capabilities.offered = None
    a = w.connect()
    w.hello(a, *FEATURES)
    w.ask(a)
    w.confirm(a)
    assert w.case.settled
    assert w.found == []
    w.tell(a, "gap", investigation_id=5)
    assert w.found == []


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (("replay",), ("replay", "scopes")),
        (("replay", "scopes"), ("replay",)),
        (("x", "replay"), ("x", "replay")),
        (("replay",), ("replay", "replay")),
        ((), FEATURES),
    ],
)
def test_what_is_granted_is_what_is_asked_for_and_offered(asked: tuple[str, ...], granted: Any) -> None:
    w = NegotiatedWorld()
    a = w.connect()
    w.hello(a, *asked)
    w.welcome(a, *granted)
    assert w.found == [("wrong_features", "NEG-1")]


def test_a_feature_that_the_server_does_not_offer_is_not_granted() -> None:
    w = NegotiatedWorld()
    w.model.capabilities.offered = frozenset({"scopes"})
    a = w.connect()
    w.hello(a, "replay", "scopes")
    w.welcome(a, "scopes")
    assert w.found == []


@pytest.mark.parametrize(("asked", "said", "found"), [(99, 1, []), (1, 1, []), (99, 99, ["wrong_protocol"])])
def test_the_highest_protocol_that_both_know_is_welcomed(asked: int, said: int, found: list[str]) -> None:
    w = NegotiatedWorld()
    a = w.connect()
    w.hello(a, protocol=asked)
    w.welcome(a, protocol=said)
    assert w.kinds == found


def test_a_confirmation_ahead_of_the_welcome_is_a_finding() -> None:
    w = NegotiatedWorld()
    a = w.connect()
    w.hello(a, *FEATURES)
    w.follow(a)
    w.confirm(a)
    assert w.found == [("late_welcome", "NEG-2")]


def test_a_second_welcome_is_a_finding() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.hello(a)
    w.welcome(a)
    assert w.found == [("second_welcome", "NEG-2")]


def test_a_hello_after_another_message_is_not_to_be_welcomed() -> None:
    w = NegotiatedWorld()
    a = w.subscriber()
    w.hello(a, "replay")
    assert w.case.settled
    w.welcome(a, "replay")
    assert w.found == [("second_welcome", "NEG-2")]


@pytest.mark.parametrize(
    ("message", "clause"),
    [
        ({"type": "unsubscribed", "investigation_id": X}, "NEG-1"),
        ({"type": "position", "investigation_id": X, "seq": 1, "token": "t"}, "NEG-1"),
        ({"type": "backpressure", "state": "high", "queued_messages": 1, "queued_bytes": 1}, "NEG-1"),
        ({"type": "ping", "id": "s1"}, "HB-3"),
    ],
)
def test_a_message_of_a_feature_that_was_not_granted_is_a_finding(message: Any, clause: str) -> None:
    w = NegotiatedWorld()
    a = w.connect()
    w.hello(a)
    w.welcome(a)
    w.send(a, message)
    assert w.found == [("not_granted", clause)]


def test_a_core_connection_may_be_told_anything_that_part_2_has_a_name_for() -> None:
    w = NegotiatedWorld()
    a = w.subscriber()
    w.send(a, {"type": "ping"})
    w.send(a, {"type": "welcome", "features": 7})
    w.send(a, {"type": "gap"})
    w.publish()
    fields = '"type": "investigation_update", "seq": "no number", "replayed": 5'
    w.send(a, f'{{{fields}, "investigation_id": "{X}", "data": {{"type": "finding", "n": 1}}}}')
    assert w.found == []


def test_fields_of_a_feature_that_was_not_granted_are_a_finding() -> None:
    w = NegotiatedWorld()
    a = w.greeted("a", "scopes")
    w.follow(a)
    w.send(a, {"type": "subscription_confirmed", "investigation_id": X, "scope": ["all"], "seq": 4})
    assert w.found == [("not_granted", "NEG-1")]


def test_a_scope_that_was_not_negotiated_is_ignored() -> None:
    w = NegotiatedWorld()
    a = w.greeted("a", "unsubscribe")
    w.follow(a, scope=("tasks",))
    w.confirm(a)
    w.publish(SUMMARY % 1)
    w.publish(TASK % 2)
    w.overdue()
    assert sorted(w.found) == [("lost", "DEL-1"), ("lost", "NEG-1")]


def test_an_unsubscribe_that_was_not_negotiated_is_ignored() -> None:
    w = NegotiatedWorld()
    a = w.greeted("a", "scopes")
    w.follow(a)
    w.send(a, {"type": "subscription_confirmed", "investigation_id": X, "scope": ["all"]})
    w.unfollow(a)
    w.publish()
    w.overdue()
    assert w.found == [("lost", "NEG-1")]


# References, NEG-4


@pytest.mark.parametrize("said", [{}, {"ref": ""}, {"ref": "R"}, {"ref": "r "}])
def test_a_ref_is_echoed_as_it_was_sent(said: dict[str, str]) -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.follow(a, ref="r")
    w.confirm_at(a, 0, **said)
    assert w.found == [("wrong_ref", "NEG-4")]


def test_a_ref_that_was_not_sent_is_not_echoed() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.ping(a, "1", ref="r")
    w.tell(a, "pong", id="1", ref="r")
    w.ping(a, "2")
    w.tell(a, "pong", id="2", ref="r")
    assert w.found == [("wrong_ref", "NEG-4")]


def test_two_requests_alike_are_told_apart_by_their_refs() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.follow(a, ref="1")
    w.follow(a, ref="2")
    w.confirm_at(a, 0, ref="2")
    w.confirm_at(a, 0, ref="1")
    assert w.found == []
    assert w.case.settled


# Broadcasts, NEG-5


def test_who_said_hello_gets_no_broadcast() -> None:
    w = NegotiatedWorld(fallback="on")
    a = w.greeted()
    w.publish()
    assert w.case.settled
    w.update(a, 1, 0)
    assert w.found == [("broadcast_after_hello", "NEG-5")]


def test_what_has_a_subscriber_is_astray_on_another_connection_that_said_hello() -> None:
    w = NegotiatedWorld()
    a, b = w.subscribed("a"), w.greeted("b")
    w.publish()
    w.update(a, 1, 0)
    w.update(b, 1, 0)
    assert w.found == [("stray", "DEL-2")]


# Unsubscribing, UNS-1


def test_an_unsubscribe_is_owed_an_answer() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.unfollow(a)
    w.overdue()
    assert w.found == [("not_unsubscribed", "UNS-1")]


def test_after_unsubscribed_nothing_is_owed_and_nothing_may_come() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.unfollow(a)
    w.tell(a, "unsubscribed", investigation_id=X)
    w.publish()
    assert w.case.settled
    w.update(a, 1, 0)
    w.model.fence_passed(w.case, w.tick())
    assert w.found == [("update_after_unsubscribed", "UNS-1")]


def test_what_was_published_before_an_unsubscribe_may_come_until_it_is_answered_and_need_not() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.publish(SUMMARY % 1)
    w.publish(SUMMARY % 2)
    w.unfollow(a)
    w.publish(SUMMARY % 3)
    w.update(a, 1, 0, SUMMARY % 1)
    w.tell(a, "unsubscribed", investigation_id=X)
    assert w.case.settled
    assert w.found == []


def test_a_new_subscription_after_an_unsubscribe_is_effective() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.unfollow(a)
    w.tell(a, "unsubscribed", investigation_id=X)
    w.follow(a)
    w.confirm_at(a, 0)
    w.publish()
    w.overdue()
    assert w.found == [("lost", "DEL-1")]


def test_a_subscribe_that_overtakes_nothing_stays_when_an_earlier_unsubscribe_is_answered() -> None:
    w = NegotiatedWorld()
    a = w.subscribed()
    w.unfollow(a)
    w.follow(a)
    w.tell(a, "unsubscribed", investigation_id=X)
    w.confirm_at(a, 0)
    w.publish()
    w.update(a, 1, 0)
    assert w.found == []
    assert w.case.settled


def test_unsubscribed_without_a_request_is_a_finding() -> None:
    w = NegotiatedWorld()
    w.tell(w.subscribed(), "unsubscribed", investigation_id=X)
    assert w.found == [("unasked_unsubscribed", "UNS-1")]


# Pings, HB


def test_a_ping_is_owed_a_pong_with_its_id() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.ping(a, "P")
    w.tell(a, "pong", id="p")
    assert not w.case.settled
    w.overdue()
    assert w.found == [("no_app_pong", "HB-1")]


def test_a_ping_of_the_server_is_answered_unless_the_client_is_to_be_silent() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    answers: list[tuple[str, str]] = []
    a.answer = lambda type_, id_: answers.append((type_, id_))
    w.tell(a, "ping", id="s1")
    assert a.talk is not None
    a.talk.answers_pings = False
    w.tell(a, "ping", id="s2")
    assert answers == [("pong", "s1")]
    assert w.found == []


# Errors, ERR-1


def test_an_error_goes_only_to_who_negotiated_errors() -> None:
    w = NegotiatedWorld()
    a = w.greeted("a", "scopes")
    w.mistake(a, "unknown_type")
    w.error(a, "unknown_type")
    w.model.fence_passed(w.case, w.tick())
    assert w.found == [("unasked_error", "ERR-1")]


def test_an_error_just_before_a_close_needs_only_a_hello() -> None:
    w = NegotiatedWorld()
    a = w.greeted("a", "scopes")
    w.mistake(a, "invalid_json")
    w.error(a, "invalid_json")
    w.close(a, 1007)
    w.model.fence_passed(w.case, w.tick())
    assert w.found == []


def test_rate_limited_goes_to_who_negotiated_flow_too() -> None:
    w = NegotiatedWorld()
    a = w.greeted("a", "flow")
    w.error(a, "rate_limited", temporary=True, retry_after_ms=5)
    w.model.fence_passed(w.case, w.tick())
    assert w.found == []


@pytest.mark.parametrize(("code", "temporary"), [("rate_limited", False), ("invalid_json", True)])
def test_a_known_error_says_rightly_whether_it_lasts(code: str, temporary: bool) -> None:
    w = NegotiatedWorld()
    w.error(w.greeted(), code, temporary=temporary, retry_after_ms=1)
    assert w.found == [("wrong_error", "ERR-1")]


def test_an_unknown_error_code_may_say_either() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.error(a, "x-busy", temporary=True)
    w.error(a, "x-broken")
    assert w.found == []


def test_an_error_names_what_is_wrong() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.mistake(a, "unknown_type", ref="1")
    w.error(a, "internal", temporary=True, ref="1")
    assert w.found == [("wrong_error", "ERR-1")]


def test_an_error_without_the_ref_of_what_it_is_about_is_a_finding() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.mistake(a, "unknown_type", ref="1")
    w.error(a, "unknown_type")
    assert w.found == [("wrong_ref", "NEG-4")]


@pytest.mark.parametrize("code", ["unknown_type", "invalid_message", "invalid_json"])
def test_what_the_server_may_ignore_is_owed_no_error(code: str) -> None:
    w = NegotiatedWorld()
    w.mistake(w.greeted(), code)
    assert w.case.settled


@pytest.mark.parametrize(("code", "clause"), [("already_initialized", "NEG-2"), ("invalid_scope", "SCP-2")])
def test_a_second_hello_and_a_bad_scope_are_told_to_who_negotiated_errors(code: str, clause: str) -> None:
    w = NegotiatedWorld()
    w.mistake(w.greeted(), code)
    w.overdue()
    assert w.found == [("no_error", clause)]


def test_a_malformed_message_may_end_the_connection_and_one_of_unknown_type_may_not() -> None:
    w = NegotiatedWorld()
    a, b = w.greeted("a"), w.greeted("b")
    w.mistake(a, "invalid_message")
    w.close(a, 1008)
    w.mistake(b, "unknown_type")
    w.close(b, 1008)
    assert w.found == [("ended", "ROB-3")]


def test_a_subscribe_that_is_refused_is_owed_no_confirmation() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.follow(a, ref="1", scope=("tasks",))
    w.error(a, "subscription_limit", ref="1")
    assert w.case.settled
    w.follow(a, ref="2")
    w.confirm_at(a, 0, ref="2")
    w.publish(SUMMARY % 1)
    w.overdue()
    assert w.found == [("lost", "DEL-1")]


def test_a_limit_that_is_told_without_its_ref_is_laid_to_the_ref_alone() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.follow(a, ref="1")
    w.error(a, "subscription_limit")
    w.overdue()
    assert w.found == [("wrong_ref", "NEG-4")]


def test_a_right_subscribe_that_is_called_wrong_stays_owed_its_confirmation() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.follow(a, ref="1")
    w.error(a, "invalid_message", ref="1")
    w.overdue()
    assert w.found == [("unconfirmed", "SUB-1")]


# Scopes, SCP


def test_a_scope_is_owed_its_events_and_no_others() -> None:
    w = NegotiatedWorld()
    w.subscribed(scope=("tasks",))
    w.publish(SUMMARY % 1)
    assert w.case.settled
    w.publish(TASK % 2)
    w.overdue()
    assert w.found == [("lost", "SCP-1")]


def test_an_event_out_of_scope_is_a_finding() -> None:
    w = NegotiatedWorld()
    a = w.subscribed(scope=("tasks",))
    w.publish(SUMMARY % 1)
    w.update(a, 1, 0, SUMMARY % 1)
    assert w.found == [("wrong_scope", "SCP-1")]


def test_a_confirmation_echoes_the_scope() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    w.follow(a, scope=("tasks", "summary"))
    w.confirm_at(a, 0, scope=["all"])
    assert w.found == [("wrong_scope_echo", "SCP-1")]


def test_a_switch_takes_effect_at_its_confirmation() -> None:
    w = NegotiatedWorld()
    a = w.subscribed(scope=("tasks",))
    w.follow(a, scope=("summary",))
    w.publish(TASK % 1)  # whichever comes first
    w.publish(SUMMARY % 2)
    assert [debt.kind for debt in w.case.owed] == ["unconfirmed"]
    w.update(a, 1, 0, TASK % 1)
    w.confirm_at(a, 2, scope=["summary"])
    w.publish(TASK % 3)
    assert w.case.settled
    w.update(a, 3, 2, TASK % 3)
    w.publish(SUMMARY % 4)
    w.overdue()
    assert w.found == [("wrong_scope", "SCP-3"), ("lost", "SCP-3")]


def test_what_both_scopes_have_is_owed_during_a_switch() -> None:
    w = NegotiatedWorld()
    a = w.subscribed(scope=("tasks",))
    w.follow(a)
    w.publish(TASK % 1)
    w.confirm_at(a, 0)
    w.overdue()
    assert w.found == [("lost", "SCP-3")]


def test_a_bad_scope_is_not_confirmed() -> None:
    w = NegotiatedWorld()
    a = w.greeted("a", "scopes")
    w.mistake(a, "invalid_scope", investigation_id=X)
    w.send(a, {"type": "subscription_confirmed", "investigation_id": X, "scope": []})
    assert w.kinds == ["schema"]
    w.confirm_at(w.greeted("b"), 0)
    w.send(a, {"type": "subscription_confirmed", "investigation_id": X, "scope": ["all"]})
    assert w.found[-1] == ("confirmed_bad_scope", "SCP-2")


# Schemas and pressure


@pytest.mark.parametrize(
    "message",
    [
        {"type": "gap", "investigation_id": X},
        {"type": "error", "code": "internal", "message": "m"},
        {"type": "pong"},
        {"type": "position", "investigation_id": X, "seq": "1", "token": "t"},
        {"type": "subscription_confirmed", "investigation_id": X, "replay": {"status": "failed"}},
    ],
)
def test_messages_of_part_2_keep_their_schemas_on_negotiated_connections(message: Any) -> None:
    w = NegotiatedWorld()
    w.send(w.subscribed(), message)
    assert w.found == [("schema", "MSG-2")]


def test_backpressure_alternates_and_begins_high() -> None:
    w = NegotiatedWorld()
    a = w.greeted()
    for state in ("high", "normal", "high"):
        w.tell(a, "backpressure", state=state, queued_messages=1, queued_bytes=1)
    assert w.found == []
    w.tell(a, "backpressure", state="high", queued_messages=1, queued_bytes=1)
    w.tell(w.greeted("b"), "backpressure", state="normal", queued_messages=1, queued_bytes=1)
    assert w.found == [("not_alternating", "FLW-1")] * 2


def test_every_kind_of_part_2_names_a_clause_of_part_2() -> None:
    features = {clause.id: clause.feature for clause in contract.clauses()}
    assert {kind for kind in PART_2 if features[BY_KIND[kind][0]] == "core"} == set()
