"""The clause catalogue: well formed, complete, and consistent with itself."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
CATALOGUE: dict[str, Any] = yaml.safe_load((HERE.parent / "v1" / "clauses.yaml").read_text("utf-8"))
CLAUSES: list[dict[str, str]] = CATALOGUE["clauses"]
IDS = [clause["id"] for clause in CLAUSES]

# How many ids the protocol has given in each group. Ids are for ever, so a number here only grows.
GIVEN = {
    "CONN": 7,
    "MSG": 2,
    "SUB": 8,
    "ROB": 6,
    "EVT": 6,
    "DEL": 5,
    "LEG": 5,
    "CLT": 6,
    "NEG": 5,
    "HB": 3,
    "CMP": 3,
    "RPL": 9,
    "SCP": 3,
    "UNS": 1,
    "FLW": 3,
    "ERR": 1,
    "SEC": 3,
}


def strongest_word(text: str) -> str:
    """Return the strongest RFC 2119 word of a clause; a plain statement binds like a MUST."""
    return next((word for word in ("MUST", "SHOULD", "MAY") if re.search(rf"\b{word}\b", text)), "MUST")


def test_the_catalogue_has_the_shape_that_its_schema_describes() -> None:
    schema = json.loads((HERE / "clauses.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    errors = [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema).iter_errors(CATALOGUE)]
    assert errors == []


def test_every_id_that_was_ever_given_is_there_once_and_in_order() -> None:
    given = [f"{group}-{n}" for group, count in GIVEN.items() for n in range(1, count + 1)]
    assert given == IDS


@pytest.mark.parametrize("clause", CLAUSES, ids=IDS)
def test_the_level_is_the_strongest_word_of_the_text(clause: dict[str, str]) -> None:
    assert clause["level"] == strongest_word(clause["text"])


def test_the_sections_are_those_of_the_clauses_in_the_same_order() -> None:
    used = [title for title, _ in itertools.groupby(clause["section"] for clause in CLAUSES)]
    assert used == [section["title"] for section in CATALOGUE["sections"]]


def test_the_features_of_part_1_are_core_and_those_of_part_2_are_not() -> None:
    part = {section["title"]: section["part"] for section in CATALOGUE["sections"]}
    assert [c["id"] for c in CLAUSES if (c["feature"] == "core") != (part[c["section"]] == 1)] == []


def test_what_binds_clients_says_why_no_check_of_a_server_covers_it() -> None:
    assert [c["id"] for c in CLAUSES if c["subject"] == "client" and "untested" not in c] == []


def test_every_clause_that_another_one_names_exists() -> None:
    texts = [text for entry in (*CLAUSES, *CATALOGUE["sections"]) for text in entry.values()]
    named = {name for text in texts for name in re.findall(r"\b[A-Z]+-\d+\b", str(text))}
    # Names of the same shape that are no clauses.
    assert named - {"UTF-8"} <= set(IDS)
