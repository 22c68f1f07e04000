import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from osint_events_server.scope import Scope
from osint_events_server.store.jetstream import subjects
from osint_events_server.store.jetstream.subjects import ForeignSubject

IDS = st.text(min_size=1, max_size=255)


@given(IDS)
@example("a.b")
@example("*")
@example(">")
@example("=41")
@example(" \t\r\n\0")
@example("\N{GRINNING FACE}" * 255)
def test_any_id_is_one_token_of_safe_characters_and_comes_back(investigation_id: str) -> None:
    token = subjects.token(investigation_id)
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", token)
    assert len(token) <= 3060
    assert subjects.investigation(token) == investigation_id


@given(IDS, IDS)
def test_two_ids_have_two_tokens(one: str, other: str) -> None:
    assert (subjects.token(one) == subjects.token(other)) == (one == other)


def test_an_ordinary_id_stands_for_itself() -> None:
    assert subjects.token("inv-2024_001") == "inv-2024_001"


def test_a_lone_surrogate_has_a_token_too_since_a_subscribe_may_name_one() -> None:
    assert subjects.token("\ud800") == "=ED=A0=80"


@pytest.mark.parametrize("scope", Scope)
def test_an_event_says_its_investigation_and_scope_by_its_subject(scope: Scope) -> None:
    assert subjects.parse(subjects.of_event("S", "a.b", scope)) == ("a.b", scope)
    assert subjects.parse(subjects.of_event("S", "a.b", scope, "key")) == ("a.b", scope)


@pytest.mark.parametrize(
    ("scope", "classes"),
    [(Scope.ALL, {"*"}), (Scope.TASKS, {"tasks", "other"}), (Scope.SUMMARY, {"summary", "other"})],
)
def test_a_scope_is_what_belongs_to_it_and_what_belongs_to_both(scope: Scope, classes: set[str]) -> None:
    assert {subject.split(".")[2] for subject in subjects.of_scope("S", "x", scope)} == classes


@pytest.mark.parametrize(
    "subject",
    [
        "S.x.tasks",
        "S.x.tasks.-.more",
        "S.x.nothing.-",
        "S.=4.tasks.-",
        "S.=41.tasks.-",
        "S.=FF.tasks.-",
        "S.é.tasks.-",
    ],
)
def test_what_somebody_else_publishes_is_noticed(subject: str) -> None:
    with pytest.raises(ForeignSubject):
        subjects.parse(subject)
