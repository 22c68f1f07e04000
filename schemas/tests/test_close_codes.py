from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from osint_events import contract

CODES: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "v1" / "close_codes.yaml").read_text())


def test_each_code_stands_once_in_order_with_its_name_meaning_and_clauses() -> None:
    codes = [entry["code"] for entry in CODES["codes"]]
    assert codes == sorted(set(codes))
    ids = {clause.id for clause in contract.clauses()}
    for entry in CODES["codes"]:
        assert entry.keys() == {"code", "name", "meaning", "clauses"}
        assert entry["name"]
        assert entry["meaning"].endswith(".")
        assert ids >= set(entry["clauses"])


def test_every_code_that_a_clause_names_is_listed() -> None:
    listed = {entry["code"] for entry in CODES["codes"]}
    texts = " ".join(clause.text for clause in contract.clauses())
    named = {int(word) for word in texts.replace(",", " ").replace(".", " ").split() if word.isdigit()}
    assert {code for code in named if 1000 <= code <= 4999} - {1024} <= listed
