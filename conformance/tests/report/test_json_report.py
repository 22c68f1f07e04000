"""The JSON report against its published schema."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from osint_events_conformance.report import json_report
from osint_events_conformance.results import RunResult


def read(result: RunResult, folder: Path) -> dict[str, Any]:
    path = folder / "report.json"
    json_report.write(result, path)
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def closed(schema: Any) -> Any:
    """The schema with every object of named properties closed, to find what it does not describe."""
    if isinstance(schema, dict):
        made = {name: closed(value) for name, value in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            made.setdefault("additionalProperties", False)
        return made
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


SCHEMA = json.loads(json_report.schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_real_report_is_valid_against_the_published_schema(real_result: RunResult, tmp_path: Path) -> None:
    jsonschema.validate(read(real_result, tmp_path), SCHEMA, jsonschema.Draft202012Validator)


def test_the_schema_describes_every_field_that_is_written(real_result: RunResult, tmp_path: Path) -> None:
    jsonschema.validate(read(real_result, tmp_path), closed(SCHEMA), jsonschema.Draft202012Validator)


def test_the_schema_refuses_a_report_whose_verdict_is_none_of_the_three(
    make_result: Any, tmp_path: Path
) -> None:
    document = read(make_result(), tmp_path) | {"verdict": "fine"}
    with pytest.raises(jsonschema.ValidationError, match="fine"):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize(
    ("name", "verdict", "status"),
    [
        ("conforms", "conforms", 0),
        ("failed", "violations", 1),
        ("warned", "conforms", 0),
        ("unreachable", "could_not_test", 3),
    ],
)
def test_a_real_report_tells_the_verdict(
    real_results: dict[str, RunResult], tmp_path: Path, name: str, verdict: str, status: int
) -> None:
    document = read(real_results[name], tmp_path)
    assert (document["format"], document["verdict"], document["exit_status"]) == (1, verdict, status)
    assert document["seed"] == 7
    assert document["summary"] == real_results[name].summary()


def test_a_real_finding_tells_what_was_sent_and_how_to_repeat_it(
    real_results: dict[str, RunResult], tmp_path: Path
) -> None:
    document = read(real_results["failed"], tmp_path)
    clause = next(one for one in document["clauses"] if one["id"] == "ROB-2")
    assert clause["outcome"] == "failed"
    finding = clause["findings"][0]
    assert [entry["direction"] for entry in finding["wire"]][:2] == ["*", ">"]
    assert any("Close 1011" in entry["text"] for entry in finding["wire"])
    assert [step["step"] for step in finding["script"]] == ["connect", "say"]
    assert finding["repeat"].startswith(f"osint-events-conformance run {document['target']} ")
    assert "--seed=7 --only=ROB-2" in finding["repeat"]


def test_a_clause_without_a_verdict_has_a_reason(make_result: Any, tmp_path: Path) -> None:
    clauses = {one["id"]: one for one in read(make_result(), tmp_path)["clauses"]}
    assert clauses["SUB-1"]["reason"] is None
    assert clauses["DEL-3"]["reason"] == "no case reached it"
    assert clauses["CLT-1"]["outcome"] == "untestable"
    assert clauses["CLT-1"]["reason"]


def test_cases_are_counted_by_phase(make_result: Any, tmp_path: Path) -> None:
    clause = next(one for one in read(make_result(), tmp_path)["clauses"] if one["id"] == "SUB-1")
    assert (clause["cases"], clause["cases_by_phase"]) == (10, {"smoke": 1, "coverage": 9})


def test_what_a_server_sent_comes_back_as_it_was(
    hostile_result: RunResult, hostile: str, tmp_path: Path
) -> None:
    document = read(hostile_result, tmp_path)
    assert (tmp_path / "report.json").read_bytes().isascii()
    clause = next(one for one in document["clauses"] if one["id"] == "DEL-1")
    # JSON's escapes of two surrogates in a row are one character beyond the BMP.
    assert clause["findings"][0]["message"] == hostile.replace("\ud83d\udd0d", "\U0001f50d")


def test_no_report_holds_what_is_no_json(make_result: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_report.write(make_result(coverage={"rate": math.nan}), tmp_path / "report.json")
    assert not (tmp_path / "report.json").exists()
