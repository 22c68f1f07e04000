"""Experiments: which ingredient is taken away, and which clause is named if the failure goes with it."""

from __future__ import annotations

import pytest
from osint_events_conformance import script as s
from osint_events_conformance.attribute import Experiment, experiments
from osint_events_conformance.findings import BY_KIND, Finding

X = "inv-x"
CONNECT = s.Connect("a", "client-a")
OTHER = s.Connect("b", "client-b")
SUBSCRIBE = s.Subscribe("a", X)
PUBLISH = s.Publish(X, '{"type": "finding"}')
BAD = s.Say("b", b"{", "malformed")
UNKNOWN = s.Say("a", b'{"type": "x"}', "unknown")
PLAIN: tuple[s.Step, ...] = (CONNECT, SUBSCRIBE, s.Pause(0.1), PUBLISH)


def planned(kind: str, *steps: s.Step, conn: str = "a") -> list[Experiment]:
    script = s.Script("title", steps, "DEL-1", salts=("w", "1"))
    return list(experiments(script, Finding(kind, "message", conn, 0.0)))


def clauses(kind: str, *steps: s.Step, conn: str = "a") -> list[str]:
    return [one.clause for one in planned(kind, *steps, conn=conn)]


def without(clause: str, kind: str, *steps: s.Step, conn: str = "a") -> tuple[s.Step, ...]:
    """The steps of the first experiment for a clause."""
    return next(one for one in planned(kind, *steps, conn=conn) if one.clause == clause).scripts[0].steps


def test_a_plain_script_calls_for_no_experiment() -> None:
    assert clauses("lost", *PLAIN) == []


@pytest.mark.parametrize("kind", ["schema", "changed", "respelt", "bad_close", "older_ended"])
def test_kinds_that_name_their_clause_themselves_call_for_none(kind: str) -> None:
    assert clauses(kind, CONNECT, s.Stall("a"), s.Resume("a"), OTHER, BAD, s.Close("b"), PUBLISH) == []


def test_a_delay_is_laid_to_who_misbehaves_or_stalls_and_to_nothing_else() -> None:
    assert clauses("delayed", CONNECT, s.Stall("a"), s.Resume("a"), OTHER, s.Close("b"), PUBLISH) == ["ROB-5"]
    assert "CONN-6" not in clauses("delayed", CONNECT, OTHER, BAD, s.Close("b"), PUBLISH, conn="a")


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_no_experiment_is_the_script_itself_and_each_keeps_its_salts(kind: str) -> None:
    steps = (CONNECT, OTHER, SUBSCRIBE, SUBSCRIBE, UNKNOWN, BAD, s.Stall("a"), s.Resume("a"), PUBLISH)
    for one in planned(kind, *steps):
        assert one.scripts
        for script in one.scripts:
            assert script.steps != steps
            assert script.salts == ("w", "1")


def test_a_stall_is_taken_away_for_rob_5() -> None:
    steps = (*PLAIN, OTHER, s.Stall("b"), PUBLISH, s.Resume("b"))
    assert clauses("lost", *steps)[0] == "ROB-5"
    assert without("ROB-5", "lost", *steps) == (*PLAIN, OTHER, PUBLISH)


def test_what_the_sender_of_malformed_input_suffers_is_rob_2() -> None:
    steps = (OTHER, BAD, s.Subscribe("b", X), s.Pause(0.1), PUBLISH)
    assert "ROB-2" in clauses("lost", *steps, conn="b")
    assert "ROB-1" not in clauses("lost", *steps, conn="b")
    assert without("ROB-2", "lost", *steps, conn="b") == (OTHER, s.Subscribe("b", X), s.Pause(0.1), PUBLISH)


def test_what_others_suffer_from_malformed_input_is_rob_1_unless_a_mere_end_does_it_too() -> None:
    steps = (*PLAIN, OTHER, BAD, PUBLISH)
    assert "ROB-1" in clauses("lost", *steps)
    assert "ROB-2" not in clauses("lost", *steps)
    [experiment] = [one for one in planned("lost", *steps) if one.clause == "ROB-1"]
    ends = [
        step for script in experiment.scripts for step in script.steps if isinstance(step, s.Close | s.Abort)
    ]
    assert {type(step) for step in ends} == {s.Close, s.Abort}
    assert all(BAD not in script.steps for script in experiment.scripts)


def test_raw_bytes_count_as_malformed_input() -> None:
    steps = (*PLAIN, OTHER, s.Raw("b", b"\xff"), PUBLISH)
    assert "ROB-1" in clauses("lost", *steps)


def test_broken_handshakes_are_taken_away_for_rob_1() -> None:
    steps = (*PLAIN, s.Http(b"\x16\x03"), PUBLISH)
    assert "ROB-1" in clauses("lost", *steps)
    assert without("ROB-1", "lost", *steps) == (*PLAIN, PUBLISH)


def test_unknown_messages_are_taken_away_for_rob_3() -> None:
    assert clauses("lost", *PLAIN, UNKNOWN, PUBLISH) == ["ROB-3"]
    assert without("ROB-3", "lost", *PLAIN, UNKNOWN, PUBLISH) == (*PLAIN, PUBLISH)


def test_large_unknown_messages_are_rob_4_before_they_are_rob_3() -> None:
    large = s.Say("a", b'{"type": "x", "p": "' + b"x" * 20_000 + b'"}', "unknown")
    assert clauses("ended", *PLAIN, large)[:2] == ["ROB-4", "ROB-3"]


def test_a_large_subscribe_is_made_small_for_rob_4() -> None:
    big = s.Subscribe("a", X, s.subscribe_text(X) + " " * 20_000)
    assert "ROB-4" in clauses("unconfirmed", CONNECT, big)
    assert "SUB-5" not in clauses("unconfirmed", CONNECT, big)
    assert without("ROB-4", "unconfirmed", CONNECT, big) == (CONNECT, SUBSCRIBE)


def test_unknown_fields_of_a_subscribe_are_taken_away_for_sub_5() -> None:
    rich = s.Subscribe("a", X, s.subscribe_text(X, extra=1))
    assert clauses("unconfirmed", CONNECT, rich) == ["SUB-5"]
    assert without("SUB-5", "unconfirmed", CONNECT, rich) == (CONNECT, SUBSCRIBE)


def test_another_spelling_without_unknown_fields_is_not_sub_5() -> None:
    spelt = s.Subscribe("a", X, f' {{"investigation_id":"{X}","type":"subscribe_investigation"}}')
    assert clauses("unconfirmed", CONNECT, spelt) == []


def test_messages_of_one_segment_are_taken_apart_for_conn_7() -> None:
    together = s.Together((s.Subscribe("a", "1"), s.Subscribe("a", "2")))
    assert "CONN-7" in clauses("unconfirmed", CONNECT, together)
    made = without("CONN-7", "unconfirmed", CONNECT, together)
    assert made == (CONNECT, s.Subscribe("a", "1"), s.Subscribe("a", "2"))


@pytest.mark.parametrize("how", ["fragments", "interleaved", "segments"])
def test_a_message_in_pieces_is_sent_whole_for_conn_7(how: str) -> None:
    pieces = next(
        s.Pieces(SUBSCRIBE, (5,), one) for one in ("fragments", "interleaved", "segments") if one == how
    )
    assert clauses("unconfirmed", CONNECT, pieces) == ["CONN-7"]
    assert without("CONN-7", "unconfirmed", CONNECT, pieces) == (CONNECT, SUBSCRIBE)


def test_a_shared_client_id_is_told_apart_for_conn_5() -> None:
    steps = (CONNECT, SUBSCRIBE, s.Connect("b", "client-a"), s.Pause(0.1), PUBLISH)
    assert clauses("lost", *steps) == ["CONN-5"]
    ids = [step.client_id for step in without("CONN-5", "lost", *steps) if isinstance(step, s.Connect)]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(("kind", "clause"), [("stray", "SUB-8"), ("replayed", "DEL-5")])
def test_what_comes_of_an_earlier_connection_s_state_has_a_clause_of_its_own(kind: str, clause: str) -> None:
    assert clause in clauses(kind, CONNECT, SUBSCRIBE, s.Close("a"), s.Connect("b", "client-a"), PUBLISH)


def test_an_extraordinary_client_id_is_made_ordinary_for_conn_1() -> None:
    steps = (s.Connect("a", "__proto__"), SUBSCRIBE, s.Pause(0.1), PUBLISH)
    assert clauses("lost", *steps) == ["CONN-1"]


def test_the_end_of_a_connection_is_taken_away_for_conn_6() -> None:
    steps = (*PLAIN, OTHER, s.Close("b"), PUBLISH)
    assert "CONN-6" in clauses("lost", *steps)
    assert without("CONN-6", "lost", *steps) == (*PLAIN, OTHER, PUBLISH)


def test_a_second_subscribe_is_taken_away_for_sub_4() -> None:
    steps = (CONNECT, SUBSCRIBE, SUBSCRIBE, s.Pause(0.1), PUBLISH)
    assert clauses("duplicate", *steps) == ["SUB-4"]
    assert without("SUB-4", "duplicate", *steps) == (CONNECT, SUBSCRIBE, s.Pause(0.1), PUBLISH)


def test_a_pause_before_the_publish_is_tried_for_sub_2() -> None:
    steps = (CONNECT, SUBSCRIBE, PUBLISH)
    assert clauses("lost", *steps) == ["SUB-2"]
    made = without("SUB-2", "lost", *steps)
    assert isinstance(made[2], s.Pause)
    assert [step for step in made if not isinstance(step, s.Pause)] == list(steps)


def test_pings_are_taken_away_for_conn_3() -> None:
    assert clauses("lost", *PLAIN, s.Ping("a", b"x")) == ["CONN-3"]
    assert without("CONN-3", "lost", *PLAIN, s.Ping("a", b"x")) == PLAIN


def test_an_odd_payload_that_ends_a_connection_is_made_plain_for_evt_1() -> None:
    assert clauses("ended", *PLAIN) == ["EVT-1"]
    made = without("EVT-1", "ended", *PLAIN)
    assert made[-1] == s.Publish(X, '{"type": "investigation_started"}')


def test_a_flood_of_subscribes_is_slowed_for_rob_6() -> None:
    many = [s.Subscribe("a", f"{X}-{number % 100}", wait=False) for number in range(400)]
    assert "ROB-6" in clauses("unconfirmed", CONNECT, *many)
    made = without("ROB-6", "unconfirmed", CONNECT, *many)
    assert sum(isinstance(step, s.Pause) for step in made) > 50
    assert [step for step in made if not isinstance(step, s.Pause)] == [CONNECT, *many]


def test_the_most_special_experiment_comes_first() -> None:
    steps = (CONNECT, SUBSCRIBE, OTHER, s.Stall("b"), UNKNOWN, s.Resume("b"), SUBSCRIBE, PUBLISH)
    found = clauses("lost", *steps)
    assert found.index("ROB-5") < found.index("ROB-3") < found.index("SUB-4") < found.index("SUB-2")


def test_many_subscriptions_are_spread_over_connections_for_sub_3() -> None:
    many = [s.Subscribe("a", f"{X}-{number}") for number in range(40)]
    assert "SUB-3" in clauses("unconfirmed", CONNECT, *many)
    made = without("SUB-3", "unconfirmed", CONNECT, *many)
    per = [step.conn for step in made if isinstance(step, s.Subscribe)]
    assert len(per) == 40
    assert max(per.count(conn) for conn in per) <= 12
    opened = {step.conn for step in made if isinstance(step, s.Connect)}
    assert opened == set(per)
