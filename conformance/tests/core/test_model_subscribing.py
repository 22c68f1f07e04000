"""The oracle: confirmations, pings, closing, and how connections end."""

from __future__ import annotations

import pytest
from osint_events_conformance.findings import BY_KIND

from .world import World, X

Y = "inv-2"


# Confirmations, SUB


def test_a_subscribe_is_owed_one_confirmation() -> None:
    w = World()
    a = w.connect()
    w.ask(a)
    assert not w.case.settled
    assert [debt.kind for debt in w.case.owed] == ["unconfirmed"]
    w.confirm(a)
    assert w.case.settled
    assert w.case.cases["SUB-1"] == 1
    w.overdue()
    assert w.found == []


def test_a_confirmation_that_never_comes_is_a_finding() -> None:
    w = World()
    w.ask(w.connect())
    w.overdue()
    assert w.found == [("unconfirmed", "SUB-1")]
    assert '"inv-1"' in w.only.message
    assert w.case.settled
    assert w.case.cases["SUB-1"] == 0


@pytest.mark.parametrize("wrong", ["inv-1 ", "INV-1", "inv-10", "inv-", "inv\u20111"])
def test_a_confirmation_of_another_spelling_pays_nothing(wrong: str) -> None:
    w = World()
    a = w.connect()
    w.ask(a)
    w.confirm(a, wrong)
    w.overdue()
    assert w.found == [("confirmed_unasked", "SUB-1"), ("unconfirmed", "SUB-1")]


def test_a_second_confirmation_of_one_request_is_a_finding() -> None:
    w = World()
    w.confirm(w.subscriber())
    assert w.found == [("confirmed_unasked", "SUB-1")]


def test_each_of_two_requests_is_confirmed_once() -> None:
    w = World()
    a = w.connect()
    w.ask(a)
    w.ask(a)
    w.confirm(a)
    assert not w.case.settled
    w.confirm(a)
    assert w.case.settled
    assert w.found == []
    w.confirm(a)
    assert w.kinds == ["confirmed_unasked"]


def test_a_confirmation_on_another_connection_pays_nothing() -> None:
    w = World()
    a, b = w.connect("a"), w.connect("b")
    w.ask(a)
    w.confirm(b)
    w.overdue()
    assert w.found == [("confirmed_unasked", "SUB-1"), ("unconfirmed", "SUB-1")]
    assert [one.conn for one in w.case.findings] == ["b", "a"]


def test_confirmations_in_order_keep_sub_7() -> None:
    w = World()
    a = w.connect()
    for one in ("1", "2", "3"):
        w.ask(a, one)
    for one in ("1", "2", "3"):
        w.confirm(a, one)
    assert w.found == []
    assert w.case.cases["SUB-7"] == 3


def test_confirmations_out_of_order_break_a_should() -> None:
    w = World()
    a = w.connect()
    w.ask(a, X)
    w.ask(a, Y)
    w.confirm(a, Y)
    assert w.found == []  # the first may be lost instead, which is worse and said otherwise
    w.confirm(a, X)
    assert w.found == [("confirmed_out_of_order", "SUB-7")]
    assert w.only.level == "SHOULD"


def test_a_lost_confirmation_is_not_taken_for_one_out_of_order() -> None:
    w = World()
    a = w.connect()
    w.ask(a, X)
    w.ask(a, Y)
    w.confirm(a, Y)
    w.overdue()
    assert w.found == [("unconfirmed", "SUB-1")]


def test_a_confirmation_that_comes_after_its_deadline_is_not_forgotten_to_be_missing() -> None:
    w = World()
    a = w.connect()
    w.ask(a)
    w.overdue()
    w.confirm(a)
    assert w.kinds[0] == "unconfirmed"


def test_a_malformed_subscribe_that_is_confirmed_breaks_the_clause_of_its_sender() -> None:
    w = World()
    a = w.connect()
    w.malformed(a, "SUB-6")
    w.confirm(a, "1234")
    assert w.found == [("confirmed_malformed", "SUB-6")]


def test_who_misbehaved_may_still_have_its_own_requests_confirmed() -> None:
    w = World()
    a = w.connect()
    w.ask(a)
    w.malformed(a)
    w.confirm(a)
    assert w.found == []


def test_a_confirmation_of_a_known_subscription_is_not_laid_to_malformed_input() -> None:
    w = World()
    a = w.subscriber()
    w.malformed(a)
    w.confirm(a)
    assert w.found == [("confirmed_unasked", "SUB-1")]


def test_confirmations_on_the_way_when_the_client_closes_are_nobody_s_fault() -> None:
    w = World()
    a = w.connect()
    w.ask(a)
    w.leave(a)
    w.confirm(a)
    assert w.found == []


# Pings, CONN-3


def test_a_pong_with_the_same_payload_pays_its_ping() -> None:
    w = World()
    a = w.connect()
    w.model.pinging(a, b"1", w.tick())
    w.model.ponged(a, b"1")
    assert w.case.settled
    assert w.case.cases["CONN-3"] == 1


@pytest.mark.parametrize("payload", [b"", b"12", b"2"])
def test_a_pong_with_another_payload_pays_nothing(payload: bytes) -> None:
    w = World()
    a = w.connect()
    w.model.pinging(a, b"1", w.tick())
    w.model.ponged(a, payload)
    w.overdue()
    assert w.found == [("no_pong", "CONN-3")]
    assert "0x31" in w.only.message


def test_a_pong_may_answer_only_the_latest_of_several_pings() -> None:
    w = World()
    a = w.connect()
    for payload in (b"1", b"2", b"3"):
        w.model.pinging(a, payload, w.tick())
    w.model.ponged(a, b"2")
    assert len(w.case.owed) == 1
    w.model.ponged(a, b"3")
    assert w.case.settled
    assert w.case.cases["CONN-3"] == 3


def test_a_pong_that_nobody_asked_for_is_allowed() -> None:
    w = World()
    w.model.ponged(w.connect(), b"hello")
    assert w.found == []


# Closing, CONN-4


def test_a_close_is_finished_by_a_close_frame_and_the_end_of_tcp() -> None:
    w = World()
    a = w.connect()
    w.leave(a)
    w.close(a, 1000)
    assert not w.case.settled
    w.drop(a)
    assert w.case.settled
    assert w.case.cases["CONN-4"] == 1
    assert w.found == []


def test_a_close_without_an_answer_is_unfinished() -> None:
    w = World()
    w.leave(w.connect())
    w.overdue()
    assert w.found == [("unfinished_close", "CONN-4")]
    assert "not answered" in w.only.message


def test_a_close_answered_by_dropping_tcp_is_unfinished() -> None:
    w = World()
    a = w.connect()
    w.leave(a)
    w.drop(a)
    w.overdue()
    assert w.found == [("unfinished_close", "CONN-4")]
    assert "without a close frame" in w.only.message


def test_a_close_after_which_tcp_stays_is_unfinished() -> None:
    w = World()
    a = w.connect()
    w.leave(a)
    w.close(a, 1000)
    w.overdue()
    assert w.found == [("unfinished_close", "CONN-4")]
    assert "TCP was not closed" in w.only.message


def test_a_reset_is_owed_nothing() -> None:
    w = World()
    a = w.subscriber()
    w.publish()
    w.leave(a, handshake=False)
    assert w.case.settled
    w.drop(a)
    assert w.found == []


def test_closing_ends_all_other_debts() -> None:
    w = World()
    a = w.subscriber()
    w.publish()
    w.model.pinging(a, b"1", w.tick())
    w.ask(a, Y)
    w.leave(a)
    assert [debt.kind for debt in w.case.owed] == ["unfinished_close"]


# How the server may end a connection


def test_ending_a_healthy_connection_is_a_finding() -> None:
    w = World()
    w.close(w.connect(), 1000)
    assert w.found == [("ended", "LEG-5")]
    assert "code 1000" in w.only.message


@pytest.mark.parametrize(("code", "racy"), [(4002, True), (1011, False)])
def test_a_reader_that_is_called_slow_may_be_so_on_a_loaded_machine(code: int, racy: bool) -> None:
    w = World()
    w.close(w.subscriber(), code)
    assert w.only.racy is racy


def test_an_end_that_the_runner_may_have_brought_about_itself_is_doubtful() -> None:
    w = World()
    peer = w.connect()
    peer.was_mute = True
    w.close(peer, 1008)
    assert w.found == [("ended", "LEG-5")]
    assert w.only.doubtful


def test_dropping_a_healthy_connection_is_a_finding() -> None:
    w = World()
    w.drop(w.connect())
    assert w.found == [("ended", "LEG-5")]
    assert "dropping TCP" in w.only.message


def test_one_end_is_one_finding() -> None:
    w = World()
    a = w.connect()
    w.close(a, 1011)
    w.drop(a)
    assert w.kinds == ["ended"]


def test_what_an_ended_connection_was_owed_is_no_finding_of_its_own() -> None:
    w = World()
    a = w.subscriber()
    w.publish()
    w.ask(a, Y)
    w.close(a, 1011)
    w.overdue()
    assert w.kinds == ["ended"]


def test_broken_framing_is_a_finding_of_msg_1() -> None:
    w = World()
    w.break_frames(w.connect())
    assert w.found == [("broken_frame", "MSG-1")]
    assert "reserved bit" in w.only.message


def test_what_a_connection_with_broken_frames_was_owed_is_no_finding_of_its_own() -> None:
    w = World()
    a = w.subscriber()
    w.publish()
    w.break_frames(a)
    w.drop(a)
    w.overdue()
    assert w.kinds == ["broken_frame"]


def test_broken_frames_while_closing_are_one_finding() -> None:
    w = World()
    a = w.subscriber()
    w.leave(a)
    w.break_frames(a)
    w.drop(a)
    w.overdue()
    assert w.kinds == ["broken_frame"]


def test_who_sent_raw_bytes_may_be_answered_in_kind() -> None:
    w = World()
    a = w.connect()
    a.may_end = True
    w.break_frames(a)
    assert w.found == []


def test_an_older_connection_may_be_closed_before_the_newer_one_s_handshake_is_answered() -> None:
    w = World()
    old = w.connect("old", "c-1")
    w.model.connecting(w.case, "c-1")
    w.close(old, 1000)
    assert w.found == [("older_ended", "CONN-5")]


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 4000, 4400, 4999])
def test_malformed_input_may_be_answered_by_these_close_codes(code: int) -> None:
    w = World()
    a = w.connect()
    w.malformed(a)
    w.close(a, code)
    assert w.found == []
    assert w.case.cases["ROB-2"] == 1


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 3000, 3999])
def test_malformed_input_may_not_be_answered_by_other_close_codes(code: int) -> None:
    w = World()
    a = w.connect()
    w.malformed(a)
    w.close(a, code)
    assert w.found == [("bad_close", "ROB-2")]
    assert w.only.level == "MUST"


def test_a_close_without_a_code_says_no_more_than_none() -> None:
    w = World()
    a = w.connect()
    w.malformed(a)
    w.close(a, None)
    assert w.found == [("dropped", "ROB-2")]
    assert w.only.level == "SHOULD"


def test_dropping_tcp_on_malformed_input_breaks_a_should() -> None:
    w = World()
    a = w.connect()
    w.malformed(a)
    w.drop(a)
    assert w.found == [("dropped", "ROB-2")]
    assert w.only.level == "SHOULD"


def test_malformed_input_may_be_ignored() -> None:
    w = World()
    a = w.subscriber()
    w.malformed(a)
    w.publish()
    w.deliver(a)
    w.overdue()
    assert w.found == []


def test_an_older_connection_may_be_closed_which_a_should_forbids() -> None:
    w = World()
    old = w.connect("old", "c-1")
    w.connect("new", "c-1")
    w.close(old, 1000)
    assert w.found == [("older_ended", "CONN-5")]
    assert w.only.level == "SHOULD"


def test_an_older_connection_with_another_client_id_may_not_be_closed() -> None:
    w = World()
    old = w.connect("old", "c-1")
    w.connect("new", "c-10")
    w.close(old, 1000)
    assert w.found == [("ended", "LEG-5")]


def test_the_newer_of_two_connections_may_not_be_closed() -> None:
    w = World()
    w.connect("old", "c-1")
    new = w.connect("new", "c-1")
    w.close(new, 1000)
    assert w.found == [("ended", "LEG-5")]


def test_an_older_connection_that_stays_open_is_served_like_any_other() -> None:
    w = World()
    old = w.connect("old", "c-1")
    w.ask(old)
    w.confirm(old)
    w.connect("new", "c-1")
    w.publish()
    w.overdue()
    assert w.found == [("lost", "DEL-1")]
    assert w.only.conn == "old"


def test_an_older_connection_that_also_misbehaved_may_be_ended_in_any_way() -> None:
    w = World()
    old = w.connect("old", "c-1")
    w.malformed(old)
    w.connect("new", "c-1")
    w.close(old, 1000)
    assert w.found == []


def test_who_sent_raw_bytes_may_be_ended_in_any_way() -> None:
    w = World()
    a = w.connect()
    a.may_end = True
    w.drop(a)
    assert w.found == []


def test_a_connection_that_left_is_not_superseded() -> None:
    w = World()
    old = w.connect("old", "c-1")
    w.leave(old)
    w.connect("new", "c-1")
    assert not old.superseded


# Form, MSG


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"[]",
        b"17",
        b"null",
        b'"text"',
        b"{}",
        b'{"type": 5}',
        b'{"type": null}',
        b'{"type": "x", "n": NaN}',
        b'{"type": "x", "n": Infinity}',
        b'{"type": "x"} {}',
        b'{"type": "\xff"}',
        b'\xef\xbb\xbf{"type": "x"}',
        b"[" * 100_000,
    ],
)
def test_a_server_message_is_one_json_object_with_a_type(raw: bytes) -> None:
    w = World()
    w.send(w.connect(), raw)
    assert w.found == [("no_object", "MSG-1")]
    assert w.only.got is not None


def test_a_repeated_name_breaks_a_should_and_the_message_still_counts() -> None:
    w = World()
    a = w.connect()
    w.ask(a)
    w.send(a, '{"type": "x", "type": "subscription_confirmed", "investigation_id": "inv-1"}')
    assert w.found == [("repeated_names", "MSG-1")]
    assert w.only.level == "SHOULD"
    assert w.case.settled


@pytest.mark.parametrize(
    "message",
    [
        {"type": "subscription_confirmed"},
        {"type": "subscription_confirmed", "investigation_id": 7},
        {"type": "subscription_confirmed", "investigation_id": ""},
        {"type": "subscription_confirmed", "investigation_id": None},
        {"type": "investigation_update", "data": {}},
        {"type": "investigation_update", "investigation_id": "inv-1"},
        {"type": "investigation_update", "investigation_id": "inv-1", "data": []},
        {"type": "investigation_update", "investigation_id": "inv-1", "data": "{}"},
        {"type": "investigation_update", "investigation_id": "x" * 256, "data": {}},
    ],
)
def test_a_message_of_part_1_keeps_its_schema(message: object) -> None:
    w = World()
    w.send(w.connect(), message)
    assert w.found == [("schema", "MSG-2")]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "welcome", "protocol": "nonsense"},
        {"type": "ping"},
        {"type": "error", "code": 5},
        {"type": "gap", "seq": -1},
        {"type": ""},
        {"type": "Investigation_Update", "data": 1},
    ],
)
def test_unknown_messages_from_the_server_are_nobody_s_business(message: object) -> None:
    w = World()
    w.send(w.connect(), message)
    assert w.found == []
    assert w.case.cases["MSG-1"] == 1
    assert w.case.cases["MSG-2"] == 0


def test_unknown_fields_in_an_envelope_are_allowed() -> None:
    w = World()
    a = w.connect()
    w.ask(a)
    w.send(
        a,
        {"type": "subscription_confirmed", "investigation_id": X, "seq": "x", "token": 5, "status": "ok"},
    )
    w.publish("{}")
    w.send(a, {"type": "investigation_update", "investigation_id": X, "data": {}, "seq": -1, "prev": "p"})
    assert w.found == []
    assert w.case.settled


# The records


def test_every_finding_is_told_to_who_waits() -> None:
    w = World()
    before = w.changes
    w.send(w.connect(), b"hello")
    assert w.changes > before


def test_the_wire_log_keeps_the_latest_and_cuts_long_texts() -> None:
    w = World()
    for number in range(1500):
        w.case.log(float(number), "a", "<", f"{number} " + "x" * 5000)
    assert len(w.case.wire) <= 600
    assert w.case.wire[-1].at == 1499
    assert all(len(entry.text) <= 2000 for entry in w.case.wire)
    assert [entry.at for entry in w.case.wire] == sorted(entry.at for entry in w.case.wire)


def test_every_kind_of_finding_names_a_clause_of_the_catalogue(catalogue: dict[str, str]) -> None:
    for kind, (clause, level) in BY_KIND.items():
        assert clause in catalogue, kind
        if catalogue[clause] == "SHOULD":
            assert level == "SHOULD", kind
