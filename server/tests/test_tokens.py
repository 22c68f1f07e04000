"""Replay tokens: what is made is understood, what is not made is refused, and nothing is said about why."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events_server.tokens import MAX_TOKEN_LENGTH, InvalidToken, Position, Tokens

OLD = b"o" * 32
NEW = b"n" * 32
POSITION = Position("9f2cAb-_", 42)

ids = st.text(min_size=1, max_size=255)  # lone surrogates included: JSON has a spelling for them
positions = st.builds(Position, st.text(st.characters(codec="utf-8"), max_size=60), st.integers(0, 2**53 - 1))


@given(ids, positions)
def test_a_token_gives_back_its_position(investigation_id: str, position: Position) -> None:
    tokens = Tokens([NEW])
    assert tokens.verify(investigation_id, tokens.issue(investigation_id, position)) == position


@given(ids, positions)
def test_a_token_is_url_safe(investigation_id: str, position: Position) -> None:
    assert re.fullmatch("[A-Za-z0-9_-]+", Tokens([NEW]).issue(investigation_id, position))


def test_the_longest_epoch_and_id_make_a_token_within_its_limit() -> None:
    tokens = Tokens([NEW])
    position = Position("\N{GRINNING FACE}" * 63 + "abc", 2**53 - 1)
    token = tokens.issue("\N{GRINNING FACE}" * 255, position)
    assert len(token) <= MAX_TOKEN_LENGTH
    assert tokens.verify("\N{GRINNING FACE}" * 255, token) == position


@pytest.mark.parametrize("position", [Position("e" * 256, 1), Position("e", -1), Position("e", 2**53)])
def test_what_no_token_can_hold_is_refused_when_it_is_made(position: Position) -> None:
    with pytest.raises(ValueError, match="no position"):
        Tokens([NEW]).issue("X", position)


def test_the_length_of_the_id_does_not_show() -> None:
    tokens = Tokens([NEW])
    assert len(tokens.issue("X", POSITION)) == len(tokens.issue("X" * 255, POSITION))


@given(ids, ids)
def test_a_token_of_another_investigation_is_invalid(one: str, other: str) -> None:
    tokens = Tokens([NEW])
    token = tokens.issue(one, POSITION)
    if one != other:
        with pytest.raises(InvalidToken):
            tokens.verify(other, token)


def test_the_end_of_the_epoch_cannot_become_the_beginning_of_the_id() -> None:
    tokens = Tokens([NEW])
    raw = tokens.issue("bX", Position("a", 1))
    assert tokens.issue("X", Position("ab", 1))[-22:] != raw[-22:]


def test_an_old_key_still_verifies_and_the_first_one_signs() -> None:
    rotated = Tokens([NEW, OLD])
    assert rotated.verify("X", Tokens([OLD]).issue("X", POSITION)) == POSITION
    assert rotated.issue("X", POSITION) == Tokens([NEW]).issue("X", POSITION)


def test_a_key_that_was_dropped_verifies_no_more() -> None:
    with pytest.raises(InvalidToken):
        Tokens([NEW]).verify("X", Tokens([OLD]).issue("X", POSITION))


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b"n" * 31]])
def test_weak_keys_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        Tokens(keys)


def test_every_truncation_is_invalid() -> None:
    tokens = Tokens([NEW])
    token = tokens.issue("X", POSITION)
    for length in range(len(token)):
        for part in (token[:length], token[-length:] if length else ""):
            with pytest.raises(InvalidToken):
                tokens.verify("X", part)


def test_every_change_of_one_character_is_invalid() -> None:
    tokens = Tokens([NEW])
    token = tokens.issue("X", POSITION)
    alphabet = string.ascii_letters + string.digits + "-_=+/ \n\0\N{GREEK SMALL LETTER ALPHA}"
    for index, character in enumerate(token):
        for other in alphabet.replace(character, ""):
            with pytest.raises(InvalidToken):
                tokens.verify("X", token[:index] + other + token[index + 1 :])


@pytest.mark.parametrize(
    "suffix", ["=", "==", "A", " ", "\n", "A" * 512, "\ud800", "\N{GREEK SMALL LETTER ALPHA}"]
)
def test_anything_appended_is_invalid(suffix: str) -> None:
    tokens = Tokens([NEW])
    with pytest.raises(InvalidToken):
        tokens.verify("X", tokens.issue("X", POSITION) + suffix)


@given(st.text())
def test_any_text_is_invalid_and_nothing_else_goes_wrong(text: str) -> None:
    with pytest.raises(InvalidToken):
        Tokens([NEW]).verify("X", text)


def test_a_refusal_says_nothing() -> None:
    with pytest.raises(InvalidToken) as refusal:
        Tokens([NEW]).verify("X", "AAAA*")
    assert refusal.value.args == ()
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
