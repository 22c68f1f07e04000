"""The classifier, held against the vectors, the schemas of the legacy shapes, and the text of the rules."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from contract_generator.legacy import word_pattern
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from osint_events import classify, contract

VECTORS = json.loads((Path(__file__).parents[2] / "schemas/v1/examples/classify.json").read_text("utf-8"))[
    "vectors"
]
WORDS = ("start", "started", "starting", "startup")

# Payloads near the rules: their fields, with values of every JSON type and texts made of their words.
texts = st.lists(
    st.one_of(
        st.sampled_from([*WORDS, *(word.upper() for word in WORDS), "running"]),
        st.sampled_from([" ", "_", "-", "\u00e9", "\u017f", "\u212a", "\u0131", "\n", "0"]),
        st.text(max_size=2),
    ),
    max_size=5,
).map("".join)
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just("running"), texts, st.lists(texts, max_size=1)
)
payloads = st.dictionaries(st.sampled_from(["type", "event", "status", "message", "task_id", "x"]), values)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_is_classified_as_it_says(vector: dict[str, Any]) -> None:
    assert classify(vector["data"]) == (vector["kind"], vector["rule"])


def test_the_vectors_reach_every_rule_and_have_names_of_their_own() -> None:
    assert {vector["rule"] for vector in VECTORS} == {"LEG-1", "LEG-2", "LEG-3", "LEG-4"}
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)


@given(payloads)
@settings(max_examples=500, deadline=None)
def test_the_legacy_shapes_are_what_their_rules_apply_to(data: dict[str, Any]) -> None:
    rule = classify(data).rule
    for name, of_shape in (("legacy_event", "LEG-2"), ("legacy_startup", "LEG-3")):
        valid = Draft202012Validator(contract.schema(name)).is_valid(data)
        assert valid == (rule == of_shape)


@given(texts)
@settings(max_examples=500, deadline=None)
def test_a_startup_message_holds_a_whole_word(text: str) -> None:
    word_characters = set(string.ascii_letters + string.digits + "_")
    runs = "".join(character if character in word_characters else " " for character in text).split(" ")
    lowered = {"".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in run) for run in runs}
    expected = "LEG-3" if lowered & set(WORDS) else "LEG-4"
    assert classify({"status": "running", "message": text}).rule == expected


def test_the_schema_of_the_startup_shape_has_the_words_of_the_rule() -> None:
    assert contract.schema("legacy_startup")["properties"]["message"]["pattern"] == word_pattern(WORDS)
    rule = json.loads((Path(contract.__file__).parent / "schemas/legacy.json").read_text("utf-8"))["rules"][2]
    assert tuple(rule["has_word"]["message"]) == WORDS
