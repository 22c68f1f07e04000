"""One connection's protocol as the client sees it: negotiation, heartbeats, refusals, all without sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from osint_events import HelloClient
from osint_events.features import FEATURES
from osint_events_client.items import Event, Gap, Moved, Refused
from osint_events_client.session import Command, Deliver, GiveUp, Probe, Send, Session

WELCOME = {"type": "welcome", "protocol": 1, "connection_id": "c"}
CONFIRMED = {"type": "subscription_confirmed", "investigation_id": "X"}
UPDATE = {"type": "investigation_update", "investigation_id": "X", "data": {"type": "task_started"}}


def session(*features: str, **options: Any) -> Session:
    given: dict[str, Any] = {"interval": 25, "timeout": 10} | options
    return Session(features=features or FEATURES, client=HelloClient(name="t", version="1"), **given)


def sent(commands: list[Command]) -> list[dict[str, Any]]:
    return [json.loads(command.text) for command in commands if isinstance(command, Send)]


def delivered(commands: list[Command]) -> list[Any]:
    return [
        command.item
        for command in commands
        if isinstance(command, Deliver) and not isinstance(command.item, Moved)
    ]


def welcomed(client: Session, *features: str, now: float = 0, **fields: Any) -> list[dict[str, Any]]:
    """Connect, and give what was sent."""
    said = sent(client.connected(now))
    assert client.receive(json.dumps(WELCOME | {"features": features or list(FEATURES)} | fields), now) == []
    return said


def position(seq: int) -> dict[str, Any]:
    return {"seq": seq, "token": f"t{seq}"}


def confirm(client: Session, ref: str, seq: int = 0, **fields: Any) -> list[Command]:
    numbered = {"ref": ref, "epoch": "e", **position(seq)}
    return client.receive(json.dumps(CONFIRMED | numbered | fields), 0)


def update(client: Session, seq: int, prev: int, **fields: Any) -> list[Command]:
    return client.receive(json.dumps(UPDATE | position(seq) | {"prev": prev} | fields), 0)


def test_a_connection_begins_with_hello_and_all_subscribes_at_once() -> None:
    client = session()
    client.subscribe("X", ["tasks"], "t5")
    client.subscribe("Y")
    hello, first, second = sent(client.connected(0, "secret"))
    assert (hello["type"], hello["protocol"], hello["features"]) == ("hello", 1, list(FEATURES))
    assert hello["auth"] == {"token": "secret"}
    assert (first["investigation_id"], first["replay_token"], first["scope"]) == ("X", "t5", ["tasks"])
    assert second.keys() == {"type", "investigation_id", "ref"}
    assert first["ref"] != second["ref"]


def test_without_features_to_ask_for_no_hello_is_sent() -> None:
    client = Session(features=(), client=HelloClient(), interval=25, timeout=10)
    client.subscribe("X")
    assert [message["type"] for message in sent(client.connected(0))] == ["subscribe_investigation"]


def test_only_what_was_asked_for_and_granted_is_used() -> None:
    client = session("replay", "scopes")
    welcomed(client, "replay", "heartbeat", "time_travel")
    assert client.features == {"hello", "replay"}


def test_a_confirmation_without_a_welcome_means_part_1() -> None:
    client = session()
    client.subscribe("X")
    client.connected(0)
    client.receive(json.dumps(CONFIRMED | {"seq": "not a number of part 2"}), 0)
    client.receive(json.dumps(WELCOME | {"features": ["replay"]}), 0)
    assert client.features == frozenset()
    [event] = delivered(client.receive(json.dumps(UPDATE | {"seq": None, "token": 5}), 0))
    assert (event.seq, event.token) == (None, None)


def test_the_fields_of_what_is_not_used_are_ignored_whatever_they_hold() -> None:
    client = session()
    client.subscribe("X")
    welcomed(client, "heartbeat")
    [event] = delivered(client.receive(json.dumps(UPDATE | {"seq": "x", "prev": [], "token": 1}), 0))
    assert event == Event("X", "task_started", {"type": "task_started"})
    assert client.receive(json.dumps({"type": "gap", "investigation_id": "X"}), 0) == []


def test_updates_of_what_nobody_subscribed_to_are_dropped() -> None:
    client = session()
    client.subscribe("Y")
    client.connected(0)
    assert client.receive(json.dumps(UPDATE), 0) == []


def test_a_ping_is_answered_where_heartbeats_are_used_and_ignored_where_not() -> None:
    client = session()
    welcomed(client)
    assert sent(client.receive('{"type": "ping", "id": "s1"}', 0)) == [{"type": "pong", "id": "s1"}]
    assert client.receive('{"type": "pong", "id": "nobody asked"}', 0) == []
    core = session()
    core.connected(0)
    assert core.receive('{"type": "ping", "id": "s1"}', 0) == []


def test_a_silent_server_is_pinged_and_then_given_up_by_its_own_times() -> None:
    client = session()
    welcomed(client, now=100, heartbeat={"interval_ms": 1000, "timeout_ms": 500})
    assert client.deadline() == 101
    assert client.tick(100.9) == []
    [ping] = sent(client.tick(101))
    assert ping["type"] == "ping"
    assert client.deadline() == 101.5
    client.receive(json.dumps({"type": "pong", "id": ping["id"]}), 101.4)
    assert client.deadline() == 102.4
    assert len(sent(client.tick(102.4))) == 1
    assert client.tick(102.9) == [GiveUp()]


def test_a_core_server_is_probed_by_a_ping_frame_and_any_frame_is_life() -> None:
    client = session(interval=5, timeout=2)
    client.connected(0)
    assert client.tick(5) == [Probe()]
    client.heard(6)
    assert client.tick(7) == []
    assert client.tick(11) == [Probe()]
    assert client.tick(13) == [GiveUp()]
    client.connected(20)
    assert client.deadline() == 25


def test_what_may_be_carried_out_later_is_sent_again_then() -> None:
    client = session()
    client.subscribe("X", None, "t1")
    [_, asked] = welcomed(client)
    error = {"type": "error", "code": "rate_limited", "message": "slow down", "temporary": True}
    assert client.receive(json.dumps(error | {"ref": asked["ref"], "retry_after_ms": 800}), 10) == []
    assert client.deadline() == 10.8
    assert client.tick(10.7) == []
    [again] = sent(client.tick(10.8))
    assert again | {"ref": None} == asked | {"ref": None}
    assert client.receive(json.dumps(error | {"ref": again["ref"], "code": "of tomorrow"}), 20) == []
    assert client.deadline() == 21
    client.unsubscribe("X")
    assert client.tick(21) == []


def test_what_is_refused_for_good_is_told_and_not_asked_for_again() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    error = {"type": "error", "ref": asked["ref"], "code": "forbidden", "message": "no", "temporary": False}
    assert delivered(client.receive(json.dumps(error), 0)) == [Refused("X", "forbidden", "no")]
    assert client.last_error == "forbidden: no"
    assert [message["type"] for message in sent(client.connected(1))] == ["hello"]
    assert client.last_error is None


def test_an_error_about_nothing_in_particular_changes_nothing() -> None:
    client = session()
    client.subscribe("X")
    welcomed(client)
    error = {"type": "error", "code": "internal", "message": "", "temporary": True}
    assert client.receive(json.dumps(error), 0) == []
    assert client.receive(json.dumps(error | {"ref": "of somebody else"}), 0) == []


def test_an_unsubscribe_is_sent_where_it_is_used() -> None:
    client = session()
    client.subscribe("X")
    welcomed(client)
    [left] = sent(client.unsubscribe("X"))
    assert (left["type"], left["investigation_id"]) == ("unsubscribe_investigation", "X")
    assert client.unsubscribe("X") == []
    assert client.receive(json.dumps(UPDATE | position(1)), 0) == []
    unsubscribed = {"type": "unsubscribed", "investigation_id": "X", "ref": left["ref"]}
    assert client.receive(json.dumps(unsubscribed), 0) == []


def test_an_unsubscribe_before_the_welcome_is_sent_with_it() -> None:
    client = session()
    client.subscribe("X")
    client.connected(0)
    assert client.unsubscribe("X") == []
    [left] = sent(client.receive(json.dumps(WELCOME | {"features": ["unsubscribe"]}), 0))
    assert left["type"] == "unsubscribe_investigation"


def test_a_server_that_cannot_unsubscribe_is_not_listened_to() -> None:
    client = session()
    client.subscribe("X")
    client.connected(0)
    client.receive(json.dumps(CONFIRMED), 0)
    assert client.unsubscribe("X") == []
    assert client.receive(json.dumps(UPDATE), 0) == []


def test_a_scope_is_kept_to_where_the_server_has_none() -> None:
    client = session()
    client.subscribe("X", ["summary"])
    client.connected(0)
    client.receive(json.dumps(CONFIRMED), 0)
    assert delivered(client.receive(json.dumps(UPDATE), 0)) == []
    client.subscribe("X", ["tasks"])
    assert len(delivered(client.receive(json.dumps(UPDATE), 0))) == 1


def test_an_interruption_that_nobody_replays_is_told_once() -> None:
    client = session()
    client.subscribe("X")
    client.connected(0)
    client.disconnected()
    client.connected(1)
    assert delivered(client.receive(json.dumps(CONFIRMED), 1)) == []
    client.disconnected()
    client.connected(2)
    assert delivered(client.receive(json.dumps(CONFIRMED), 2)) == [Gap("X", "not_replayed")]
    assert delivered(client.receive(json.dumps(CONFIRMED), 3)) == []


def test_a_position_without_an_event_moves_the_token_on_and_never_back() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 5)
    moved = {"type": "position", "investigation_id": "X"}
    assert client.receive(json.dumps(moved | position(8)), 0) == [Deliver(Moved("X", "t8"))]
    assert client.receive(json.dumps(moved | position(6)), 0) == []
    assert delivered(update(client, 8, 5)) == []
    client.disconnected()
    assert sent(client.connected(0))[1]["replay_token"] == position(8)["token"]


def test_a_loss_is_recovered_before_anybody_notices() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 1)
    assert [event.seq for event in delivered(update(client, 2, 1))] == [2]
    recovery = update(client, 5, 4)
    [again] = sent(recovery)
    assert (delivered(recovery), again["replay_token"]) == ([], "t2")
    assert update(client, 6, 5) == []
    confirm(client, again["ref"], 2, replay={"status": "complete", "count": 3})
    replayed = [update(client, seq, prev, replayed=True) for seq, prev in [(4, 2), (5, 4), (6, 5)]]
    assert [event.seq for commands in replayed for event in delivered(commands)] == [4, 5, 6]


def test_a_loss_that_cannot_be_recovered_is_told_in_its_place() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 1)
    [again] = sent(update(client, 5, 4))
    update(client, 6, 5)
    items = delivered(confirm(client, again["ref"], 6, replay={"status": "failed", "reason": "expired"}))
    assert items[0] == Gap("X", "expired", after=1, until=4, token="t1")  # noqa: S106 -- no secret
    assert [event.seq for event in items[1:]] == [5, 6]


def test_what_may_be_missing_after_what_was_held_is_told_too() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 1)
    [again] = sent(update(client, 5, 4))
    items = delivered(confirm(client, again["ref"], 7, replay={"status": "failed", "reason": "expired"}))
    assert [type(item) for item in items] == [Gap, Event, Gap]
    assert (items[2].after, items[2].until) == (5, 7)
    assert delivered(update(client, 7, 5)) == []


def test_a_recovery_that_is_refused_leaves_a_gap_and_goes_on() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 1)
    [again] = sent(update(client, 5, 4))
    error = {"type": "error", "ref": again["ref"], "code": "forbidden", "message": "", "temporary": False}
    refused, gap, event = delivered(client.receive(json.dumps(error), 0))
    assert (refused.code, gap.reason, event.seq) == ("forbidden", "forbidden", 5)
    assert [event.seq for event in delivered(update(client, 6, 5))] == [6]


def test_a_loss_within_a_replay_is_told_at_once() -> None:
    client = session()
    client.subscribe("X", None, "t1")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 1, replay={"status": "complete", "count": 2})
    gap, event = delivered(update(client, 5, 3, replayed=True))
    assert (gap, event.seq) == (Gap("X", "lost", after=1, until=3, token="t1"), 5)  # noqa: S106 -- no secret


def test_a_replay_that_ends_early_is_a_loss() -> None:
    client = session()
    client.subscribe("X", None, "t1")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 1, replay={"status": "complete", "count": 2})
    assert len(delivered(update(client, 3, 1, replayed=True))) == 1
    complete = {"type": "replay_complete", "investigation_id": "X", **position(5)}
    [gap] = delivered(client.receive(json.dumps(complete), 0))
    assert (gap.reason, gap.after, gap.until) == ("lost", 3, 5)
    assert delivered(update(client, 5, 3)) == []


def test_an_announced_gap_is_recovered_unless_the_epoch_changed() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 3)
    announced = {"type": "gap", "investigation_id": "X", **position(9)}
    [again] = sent(client.receive(json.dumps(announced | {"reason": "unavailable", "epoch": "e"}), 0))
    assert again["replay_token"] == position(3)["token"]
    confirm(client, again["ref"], 3, replay={"status": "complete", "count": 0})
    [gap] = delivered(client.receive(json.dumps(announced | {"reason": "epoch_changed", "epoch": "f"}), 0))
    assert gap == Gap("X", "epoch_changed", after=3, until=9, token="t3")  # noqa: S106 -- no secret
    assert delivered(update(client, 9, 8)) == []
    assert len(delivered(update(client, 10, 9))) == 1


@pytest.mark.parametrize("reason", ["invalid", "expired", "unavailable", "epoch_changed"])
def test_another_epoch_says_that_the_history_is_gone_whatever_reason_the_server_gives(reason: str) -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 7)
    client.disconnected()
    [_, again] = welcomed(client)
    failed = {"status": "failed", "reason": reason}
    [gap] = delivered(confirm(client, again["ref"], 2, epoch="f", replay=failed))
    assert gap == Gap("X", "epoch_changed", after=7, until=2, token="t7")  # noqa: S106 -- no secret
    assert [event.seq for event in delivered(update(client, 3, 2))] == [3]
    client.disconnected()
    [_, third] = welcomed(client)
    [gap] = delivered(
        confirm(client, third["ref"], 3, epoch="f", replay={"status": "failed", "reason": "expired"})
    )
    assert gap.reason == "expired"


def test_another_epoch_while_connected_is_told_by_a_confirmation_and_by_a_gap() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 7)
    [again] = sent(client.subscribe("X", ["tasks"]))
    [gap] = delivered(confirm(client, again["ref"], 2, epoch="f"))
    assert (gap.reason, gap.after, gap.until) == ("epoch_changed", 7, 2)
    announced = {"type": "gap", "investigation_id": "X", "reason": "unavailable", "epoch": "g", **position(1)}
    [gap] = delivered(client.receive(json.dumps(announced), 0))
    assert (gap.reason, gap.after, gap.until) == ("epoch_changed", 2, 1)


def test_a_token_from_elsewhere_has_no_epoch_that_could_be_another_one() -> None:
    client = session()
    client.subscribe("X", None, "of another server")
    [_, asked] = welcomed(client)
    [gap] = delivered(confirm(client, asked["ref"], replay={"status": "failed", "reason": "invalid"}))
    assert gap.reason == "invalid"


def test_what_is_held_while_an_answer_is_awaited_is_bounded() -> None:
    client = session()
    client.subscribe("X")
    [_, asked] = welcomed(client)
    confirm(client, asked["ref"], 1)
    [again] = sent(update(client, 10, 9))
    for seq in range(11, 3000):
        assert update(client, seq, seq - 1) == []
    failed = {"status": "failed", "reason": "expired"}
    gap, *events = delivered(confirm(client, again["ref"], 2999, replay=failed))
    assert (gap.until, len(events), events[-1].seq) == (1999, 1000, 2999)


@pytest.mark.parametrize(
    ("investigation_id", "scope"), [("", None), ("i" * 256, None), ("X", []), ("X", ["nothing"])]
)
def test_what_breaks_the_protocol_is_refused_and_leaves_all_as_it_was(
    investigation_id: str, scope: Any
) -> None:
    client = session()
    client.subscribe("X", ["tasks"])
    with pytest.raises(ValueError, match=r"^(investigation_id|scope|scope\.0): "):
        client.subscribe(investigation_id, scope)
    [_, asked] = sent(client.connected(0))
    assert (asked["investigation_id"], asked["scope"]) == ("X", ["tasks"])
