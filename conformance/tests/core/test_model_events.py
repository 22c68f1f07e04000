"""The oracle: payloads as they were published, and payloads that the server wrote itself (EVT)."""

from __future__ import annotations

import pytest

from .world import World, X


def _delivered(published: str, got: str, *, exact: bool = False) -> World:
    w = World()
    a = w.subscriber()
    w.publish(published, exact=exact)
    w.deliver(a, got)
    w.overdue()
    return w


# As published, EVT-1


@pytest.mark.parametrize(
    ("published", "got"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ('{"a": 1}', '{"a": 1.0}'),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}'),
        ('{"a": 1e2}', '{"a": 100}'),
        ('{"a": 0.1}', '{"a": 0.1000000000000000055511151231257827}'),
        ('{"a": -0.0}', '{"a": 0}'),
        ('{"a": "\\u00e9\\/"}', '{"a": "é/"}'),
        ("{}", "{}"),
        ('{"a": 1}', '{"a": 1, "investigation_id": "inv-1"}'),
        ("{}", '{"investigation_id": "inv-1"}'),
        ('{"investigation_id": "inv-1"}', '{"investigation_id": "inv-1"}'),
    ],
)
def test_a_payload_that_is_equal_as_json_is_as_published(published: str, got: str) -> None:
    w = _delivered(published, got)
    assert w.found == []
    assert w.case.cases["EVT-1"] == 1


@pytest.mark.parametrize(
    ("published", "got"),
    [
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": null}', "{}"),
        ("{}", '{"a": null}'),
        ('{"a": []}', '{"a": null}'),
        ('{"a": []}', '{"a": {}}'),
        ('{"a": [1, 2]}', '{"a": [2, 1]}'),
        ('{"a": "é"}', '{"a": "e\\u0301"}'),
        ('{"a": " x"}', '{"a": "x"}'),
        ('{"a": "\\ud83d\\ude00"}', '{"a": "?"}'),
        ('{"a": 1, "x": 2}', '{"a": 1}'),
        ('{"a": 1}', '{"a": 1, "investigation_id": "inv-2"}'),
        ('{"a": 1}', '{"a": 1, "investigation_id": null}'),
        ('{"a": 1}', '{"a": 1, "investigation_id": "inv-1", "at": 5}'),
        ('{"a": 1, "investigation_id": "inv-1"}', '{"a": 1}'),
        ('{"a": 0.1}', '{"a": 0.1000001}'),
        ('{"a": {"type": 5}}', '{"a": {"type": "5"}}'),
    ],
)
def test_a_payload_that_is_not_equal_was_changed_and_is_not_lost_besides(published: str, got: str) -> None:
    w = _delivered(published, got)
    assert w.found == [("changed", "EVT-1")]
    assert w.only.expected is not None
    assert w.only.got is not None


def test_a_changed_payload_is_told_with_the_place_of_its_difference() -> None:
    assert "data.a[1].b is missing" in _delivered('{"a": [1, {"b": 2}]}', '{"a": [1, {}]}').only.message


def test_a_changed_payload_is_taken_for_the_oldest_event_that_is_owed() -> None:
    w = World()
    a = w.subscriber()
    w.publish('{"n": 1}')
    w.publish('{"n": 2}')
    w.deliver(a, '{"n": "1"}')
    w.deliver(a, '{"n": 2}')
    w.overdue()
    assert w.found == [("changed", "EVT-1")]


def test_an_event_that_nobody_published_is_invented() -> None:
    w = World()
    a = w.subscriber()
    w.deliver(a, '{"n": 5}')
    assert w.found == [("invented", "EVT-1")]


def test_an_invented_event_of_an_unknown_investigation_is_another_publisher_s() -> None:
    w = World()
    w.deliver(w.subscriber(), '{"n": 5}', "other")
    assert w.found == []


# Spelling, EVT-6


@pytest.mark.parametrize("data", ['{"a": 1.0}', '{"a": 9007199254740993}', '{"a": [1e2, {"b": -0.0}]}'])
def test_numbers_that_keep_their_spelling_keep_evt_6(data: str) -> None:
    w = _delivered(data, data.replace(" ", ""), exact=True)
    assert w.found == []
    assert w.case.cases["EVT-6"] == 1


@pytest.mark.parametrize(
    ("published", "got"),
    [
        ('{"a": 1.0}', '{"a": 1}'),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}'),
        ('{"a": 100}', '{"a": 1e2}'),
        ('{"a": [{"b": 1.50}]}', '{"a": [{"b": 1.5}]}'),
    ],
)
def test_a_number_that_was_spelt_anew_breaks_a_should(published: str, got: str) -> None:
    w = _delivered(published, got, exact=True)
    assert w.found == [("respelt", "EVT-6")]
    assert w.only.level == "SHOULD"


def test_the_spelling_is_judged_only_where_it_is_asked_for() -> None:
    w = _delivered('{"a": 1.0}', '{"a": 1}')
    assert w.found == []
    assert w.case.cases["EVT-6"] == 0


def test_an_added_id_is_no_matter_of_spelling() -> None:
    assert _delivered('{"a": 1.0}', '{"investigation_id": "inv-1", "a": 1.0}', exact=True).found == []


# Events of the server's own choice, EVT-2 to EVT-5

WELL = (
    '{"type": "task_started", "task_id": "1", "progress": 0, "investigation_id": "inv-1"}',
    '{"type": "investigation_paused"}',
    '{"type": "x", "progress": 1}',
    '{"type": "x", "progress": 0.5, "status": 7}',
    '{"type": "tasks", "name": "n"}',
)


@pytest.mark.parametrize("data", WELL)
def test_an_event_of_the_server_s_own_that_keeps_the_rules_is_right(data: str) -> None:
    w = World()
    a = w.subscriber()
    w.publish(None)
    w.deliver(a, data)
    assert w.found == []
    assert w.case.settled
    assert w.case.cases["DEL-1"] == 1
    assert w.case.cases["EVT-5"] == 1


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ('{"type": "x", "investigation_id": "inv-2"}', ("wrong_mirror", "EVT-2")),
        ('{"type": "x", "investigation_id": "INV-1"}', ("wrong_mirror", "EVT-2")),
        ('{"type": "x", "investigation_id": 1}', ("wrong_mirror", "EVT-2")),
        ('{"type": "x", "progress": 42}', ("progress_range", "EVT-3")),
        ('{"type": "x", "progress": -0.01}', ("progress_range", "EVT-3")),
        ('{"type": "x", "progress": 1.0000001}', ("progress_range", "EVT-3")),
        ('{"type": "x", "progress": "0.5"}', ("progress_range", "EVT-3")),
        ('{"type": "x", "progress": true}', ("progress_range", "EVT-3")),
        ('{"type": "task_started"}', ("no_task_id", "EVT-4")),
        ('{"type": "task_x", "task_id": ""}', ("no_task_id", "EVT-4")),
        ('{"type": "task_x", "task_id": 7}', ("no_task_id", "EVT-4")),
        ('{"type": "task_"}', ("no_task_id", "EVT-4")),
        ('{"status": "running", "message": "startup"}', ("no_kind", "EVT-5")),
        ('{"type": "", "event": "x"}', ("no_kind", "EVT-5")),
        ('{"type": null}', ("no_kind", "EVT-5")),
        ("{}", ("no_kind", "EVT-5")),
    ],
)
def test_an_event_of_the_server_s_own_that_breaks_a_rule_is_a_finding(
    data: str, found: tuple[str, str]
) -> None:
    w = World()
    a = w.subscriber()
    w.publish(None)
    w.deliver(a, data)
    assert w.found == [found]
    assert w.only.level == ("SHOULD" if found[1] == "EVT-5" else "MUST")
    assert w.case.settled


@pytest.mark.parametrize("data", ['{"type": "task_x", "progress": 42}', '{"investigation_id": "other"}'])
def test_what_the_checker_wrote_itself_is_not_judged_by_the_publisher_s_rules(data: str) -> None:
    assert _delivered(data, data).found == []


def test_every_subscriber_is_owed_what_one_of_them_got() -> None:
    w = World()
    a, b = w.subscriber("a"), w.subscriber("b")
    w.publish(None)
    w.deliver(a, '{"type": "x"}')
    w.overdue()
    assert w.found == [("lost", "DEL-1")]
    assert w.only.conn == b.name


def test_a_trigger_after_which_nothing_comes_is_a_loss() -> None:
    w = World()
    w.subscriber()
    w.publish(None)
    w.overdue()
    assert w.found == [("lost", "DEL-1")]
    assert "any update after the trigger" in w.only.message
    assert w.only.expected is None


def test_a_trigger_may_make_several_events() -> None:
    w = World()
    a, b = w.subscriber("a"), w.subscriber("b")
    w.publish(None)
    for data in ('{"type": "x"}', '{"type": "y"}'):
        w.deliver(a, data)
        w.deliver(b, data)
    w.overdue()
    assert w.found == []


def test_each_event_of_a_trigger_is_judged_once_and_not_once_for_each_receiver() -> None:
    w = World()
    a, b = w.subscriber("a"), w.subscriber("b")
    w.publish(None)
    w.deliver(a, '{"type": "x", "progress": 7}')
    w.deliver(b, '{"type": "x", "progress": 7}')
    assert w.kinds == ["progress_range"]


def test_an_event_of_one_trigger_that_comes_twice_is_a_duplicate() -> None:
    w = World()
    a = w.subscriber()
    w.publish(None)
    w.deliver(a, '{"type": "x"}')
    w.deliver(a, '{"type": "x"}')
    assert w.found == [("duplicate", "DEL-1")]


def test_two_triggers_may_make_two_equal_events() -> None:
    w = World()
    a = w.subscriber()
    w.publish(None)
    w.publish(None)
    w.deliver(a, '{"type": "x"}')
    assert not w.case.settled
    w.deliver(a, '{"type": "x"}')
    assert w.case.settled
    assert w.found == []


def test_an_event_of_the_server_s_own_that_goes_astray_is_a_stray() -> None:
    w = World()
    a, b = w.subscriber("a"), w.connect("b")
    w.publish(None)
    w.deliver(a, '{"type": "x"}')
    w.deliver(b, '{"type": "x"}')
    assert "stray" in w.kinds


def test_a_trigger_that_failed_is_owed_to_nobody() -> None:
    w = World()
    w.subscriber()
    w.publish(None, accepted=False)
    assert w.case.settled


# What was seen


def test_types_kinds_and_fields_that_were_seen_are_counted() -> None:
    w = World()
    a = w.subscriber()
    w.publish('{"type": "x", "n": 1}')
    w.deliver(a, '{"type": "x", "n": 1}')
    w.send(a, {"type": "welcome"})
    assert w.model.seen_types == {
        "subscription_confirmed": 1,
        "investigation_update": 1,
        "welcome": 1,
    }
    assert w.model.deliveries.seen_kinds == {"x": 1}
    assert w.model.deliveries.seen_fields == {"type": 1, "n": 1}


def test_a_record_of_an_id_is_made_anew_for_a_later_script_that_nobody_else_shares_it_with() -> None:
    w = World()
    first = w.model.investigation(w.case, X)
    other = w.another_case()
    assert w.model.investigation(w.case, X) is first
    assert w.model.investigation(other, X) is not first


def test_two_scripts_that_subscribe_to_one_id_share_its_record() -> None:
    w = World()
    w.subscriber("a")
    other = w.another_case()
    assert w.model.investigation(other, X) is w.model.investigation(w.case, X)
