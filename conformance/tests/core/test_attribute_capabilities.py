"""Which ingredient of Part 2 a failure is laid to."""

from __future__ import annotations

from osint_events.features import FEATURES
from osint_events_conformance.attribute import experiments
from osint_events_conformance.findings import Finding
from osint_events_conformance.script import (
    Connect,
    Follow,
    Hello,
    Mistake,
    Publish,
    Script,
    Step,
    Together,
    Unfollow,
    flat,
)

X = "inv-1"
GREETED: tuple[Step, ...] = (Connect("a", "client-1"), Hello("a", FEATURES))
TEXT = '{"type": "hello", "protocol": 99, "features": ["replay", "x"], "y": 1}'

MISSED_BY_B = "last:b"


def tried(kind: str, *steps: Step, conn: str = "a") -> dict[str, tuple[Step, ...]]:
    """The steps of each experiment, by the clause that it is about."""
    finding = Finding(kind, "", conn, 0.0)
    script = Script("a script", (*GREETED, *steps), "NEG-1")
    return {one.clause: one.scripts[0].steps for one in experiments(script, finding)}


def test_a_plain_negotiated_script_has_nothing_to_take_away() -> None:
    assert tried("lost", Follow("a", X), Publish(X, "{}")) == {}


def test_an_unusual_hello_is_made_plain() -> None:
    finding = Finding("ended", "", "a", 0.0)
    steps = (Connect("a", "client-1"), Hello("a", ("replay", "x"), TEXT), Follow("a", X))
    made = {one.clause: one.scripts[0].steps for one in experiments(Script("", steps, "NEG-1"), finding)}
    assert made["NEG-3"][1] == Hello("a", ("replay",))


def test_a_second_hello_is_left_out_whether_it_counts_as_one_or_not() -> None:
    again = Mistake("a", TEXT, ("already_initialized",))
    assert tried("ended", again)["NEG-2"] == GREETED
    assert tried("ended", Hello("a", ()))["NEG-2"] == GREETED


def test_a_bad_scope_is_left_out() -> None:
    bad = Mistake("a", "{}", ("invalid_scope",))
    follow = Follow("a", X, ("tasks",))
    assert tried("wrong_scope", follow, bad)["SCP-2"] == (*GREETED, follow)


def test_a_pong_that_nobody_asked_for_is_left_out() -> None:
    pong = Mistake("a", '{"type": "pong", "id": "x"}', ())
    other = Mistake("a", '["pong"]', ("invalid_message",))
    assert tried("ended", pong, other)["HB-3"] == (*GREETED, other)


def test_instead_of_a_switch_one_scope_stays_or_the_other() -> None:
    tasks, summary = Follow("a", X, ("tasks",)), Follow("a", X, ("summary",))
    steps = (*GREETED, Together((tasks, summary)), Publish(X, "{}"))
    finding = Finding("lost", "", "a", 0.0)
    [made] = [one for one in experiments(Script("", steps, "NEG-1"), finding) if one.clause == "SCP-3"]
    assert [script.steps[len(GREETED)] for script in made.scripts] == [
        Together((tasks, tasks)),
        Together((summary, summary)),
    ]


def test_what_is_missing_from_a_replay_may_be_a_matter_of_its_scope_alone() -> None:
    made = tried("not_replayed", Follow("a", X, ("tasks",), token=MISSED_BY_B))
    assert made == {"SCP-1": (*GREETED, Follow("a", X, token=MISSED_BY_B))}


def test_what_a_compressed_connection_suffers_is_tried_without_compression() -> None:
    steps = (Connect("z", "client-2", compress=True), Publish(X, "{}"))
    assert tried("changed", *steps)["CMP-1"] == (*GREETED, Connect("z", "client-2"), Publish(X, "{}"))


def test_subscribing_again_with_the_same_scope_is_no_switch() -> None:
    assert "SCP-3" not in tried("lost", Follow("a", X, ("tasks",)), Follow("a", X, ("tasks",)))


def test_an_end_may_be_laid_to_a_token() -> None:
    made = tried("ended", Follow("a", X, token="last:a|cut"))  # noqa: S106 - a reference
    assert [one.token for one in flat(made["RPL-3"]) if isinstance(one, Follow)] == [None]


def test_tokens_unsubscribes_and_scopes_are_left_out() -> None:
    made = tried("lost", Unfollow("a", X), Follow("a", X, ("tasks",), token="last:a"))  # noqa: S106 - a reference
    assert made["UNS-1"] == (*GREETED, Follow("a", X, ("tasks",), token="last:a"))  # noqa: S106 - a reference
    assert [one.token for one in flat(made["RPL-5"]) if isinstance(one, Follow)] == [None]
    assert [one.scope for one in flat(made["SCP-1"]) if isinstance(one, Follow)] == [None]


def test_what_names_its_clause_by_itself_is_not_tried() -> None:
    assert tried("wrong_prev", Follow("a", X, ("tasks",)), Unfollow("a", X)) == {}
