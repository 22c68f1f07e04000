"""Fresh ids, and scripts that are run again with other ones."""

from __future__ import annotations

import random

import pytest
from osint_events_conformance import script as s
from osint_events_conformance.names import WORD, Names, renamed

N = Names(random.Random(1))
UNKNOWN = f'{{"type": "x-{N.word}"}}'.encode()
STEPS: tuple[s.Step, ...] = (
    s.Connect("a", N.client("a")),
    s.Subscribe("a", N.id("é")),
    s.Together((s.Subscribe("a", N.digits), s.Say("a", UNKNOWN, "unknown"), s.Ping("a", b"\xff"))),
    s.Pieces(s.Subscribe("a", N.id("1"), s.subscribe_text(N.id("1"), x=1)), (5, 9), "interleaved"),
    s.Say("a", b"\xff" + N.word.encode(), "malformed"),
    s.Publish(N.id("é"), f'{{"investigation_id": "{N.id("é")}", "progress": 1.0}}', exact=True),
    s.Close("a", 4000, "bye", wait=False),
    s.Settle(fence=False),
)
SCRIPT = s.Script("a title", STEPS, "SUB-1", "check", "alone", (N.word, N.digits))


def test_salts_have_one_length_and_their_own_alphabets() -> None:
    for number in range(200):
        names = Names(random.Random(number))
        assert len(names.word) == len(names.digits) == WORD
        assert names.word.isascii()
        assert names.word.isalnum()
        assert names.word[0].isalpha()
        assert names.word == names.word.lower()
        assert names.digits.isdecimal()
        assert names.digits[0] != "0"


def test_names_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    assert Names(random.Random(3)).word == Names(random.Random(3)).word
    assert len({Names(random.Random(number)).word for number in range(100)}) == 100


def test_an_id_holds_the_salt_and_the_label() -> None:
    assert N.id("x") == f"inv-{N.word}-x"
    assert N.id() == f"inv-{N.word}"
    assert N.client("x") == f"c-{N.word}-x"
    assert N.client() == f"c-{N.word}"


def test_a_renamed_script_shares_no_id_with_the_first() -> None:
    again = renamed(SCRIPT, random.Random(2))
    assert N.word not in repr(again.steps[:4])
    assert N.digits not in repr(again)
    assert again.salts != SCRIPT.salts
    assert again.salts[0] in repr(again.steps[0])


def test_a_renamed_script_keeps_its_shape() -> None:
    again = renamed(SCRIPT, random.Random(2))
    word, digits = again.salts
    back = repr(again).replace(word, N.word).replace(digits, N.digits)
    assert back == repr(SCRIPT)


def test_renaming_reaches_nested_steps_texts_payloads_and_bytes() -> None:
    again = renamed(SCRIPT, random.Random(2))
    word, digits = again.salts
    together, pieces, publish = again.steps[2], again.steps[3], again.steps[5]
    assert isinstance(together, s.Together)
    assert isinstance(pieces, s.Pieces)
    assert isinstance(publish, s.Publish)
    assert together.steps[0] == s.Subscribe("a", digits)
    assert together.steps[1] == s.Say("a", f'{{"type": "x-{word}"}}'.encode(), "unknown")
    assert word.encode() in pieces.step.payload()
    assert publish.data == f'{{"investigation_id": "inv-{word}-é", "progress": 1.0}}'


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    assert renamed(SCRIPT, random.Random(2)).steps[4] == SCRIPT.steps[4]


def test_each_renaming_is_another_one() -> None:
    rng = random.Random(5)
    assert renamed(SCRIPT, rng).salts != renamed(SCRIPT, rng).salts


def test_a_script_without_salts_is_left_alone() -> None:
    bare = s.Script("title", (s.Connect("a", "c-1"),), "SUB-1")
    assert renamed(bare, random.Random(1)) is bare


@pytest.mark.parametrize("seed", range(20))
def test_a_renamed_script_s_messages_keep_their_length(seed: int) -> None:
    again = renamed(SCRIPT, random.Random(seed))
    for step, other in zip(s.flat(SCRIPT.steps), s.flat(again.steps), strict=True):
        if isinstance(step, s.Subscribe | s.Say):
            assert isinstance(other, s.Subscribe | s.Say)
            assert len(step.payload()) == len(other.payload())
