"""The contract as data: complete, the same as the sources, and nobody can spoil it for others."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract_generator import documents
from contract_generator.sources import Sources
from jsonschema import Draft202012Validator
from osint_events import contract

ROOT = Path(__file__).parents[2]
V1 = ROOT / "schemas/v1"


def without_comment(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "$comment"}


def test_every_schema_of_the_sources_is_there_unchanged() -> None:
    names = sorted(path.name.removesuffix(".schema.json") for path in V1.glob("*.schema.json"))
    assert contract.schema_names() == tuple(names)
    for name in names:
        source = json.loads((V1 / f"{name}.schema.json").read_text("utf-8"))
        assert without_comment(contract.schema(name)) == source


def test_every_clause_of_the_sources_is_there_in_its_order() -> None:
    source = yaml.safe_load((V1 / "clauses.yaml").read_text("utf-8"))["clauses"]
    assert [clause.id for clause in contract.clauses()] == [entry["id"] for entry in source]
    first = contract.clauses()[0]
    assert (first.id, first.level, first.feature, first.subject) == ("CONN-1", "MUST", "core", "server")
    assert first.text
    assert first.section == "Connection"


@pytest.mark.parametrize("give", [contract.schema, contract.bundled])
def test_an_unknown_schema_is_refused_with_the_names_that_there_are(give: Any) -> None:
    with pytest.raises(KeyError, match="event, gap, hello, investigation_update"):
        give("evnt")


@pytest.mark.parametrize("give", [contract.schema, contract.bundled])
def test_a_schema_is_the_callers_own(give: Any) -> None:
    give("event").clear()
    assert give("event")["title"] == "Event"


@pytest.mark.parametrize("name", contract.schema_names())
def test_a_bundled_schema_needs_no_other_file(name: str) -> None:
    bundled = contract.bundled(name)
    Draft202012Validator.check_schema(bundled)
    assert ".schema.json#" not in json.dumps(bundled)
    assert '"$ref": "' not in json.dumps(bundled).replace('"$ref": "#', "")


def test_bundling_follows_references_from_file_to_file_and_round_in_circles(tmp_path: Path) -> None:
    directory = tmp_path / "schemas/v1"
    directory.mkdir(parents=True)
    base = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
    schemas: dict[str, Any] = {
        "a": {**base, "properties": {"b": {"$ref": "b.schema.json"}, "$ref": {"const": {"$ref": "x"}}}},
        "b": {
            **base,
            "properties": {"c": {"$ref": "./c.schema.json#/$defs/n"}, "own": {"$ref": "#/$defs/m"}},
            "$defs": {"m": {"type": "null"}},
        },
        "c": {**base, "$defs": {"n": {"anyOf": [{"$ref": "a.schema.json"}, {"type": "integer"}]}}},
    }
    for name, schema in schemas.items():
        (directory / f"{name}.schema.json").write_text(json.dumps(schema), "utf-8")
    bundled = documents.bundled(Sources(tmp_path), "a")
    check = Draft202012Validator(bundled)
    assert check.is_valid({"b": {"c": 1, "own": None}, "$ref": {"$ref": "x"}})
    assert check.is_valid({"b": {"c": {"b": {"c": 2}}}})
    assert not check.is_valid({"b": {"c": "x"}})
    assert not check.is_valid({"b": {"c": {"b": {"c": "x"}}}})
    assert not check.is_valid({"b": {"own": 1}})


def test_the_bundled_asyncapi_document_holds_every_schema_and_points_to_nothing_outside() -> None:
    text = (Path(contract.__file__).parent / "schemas/asyncapi.bundled.json").read_text("utf-8")
    document = json.loads(text)
    assert document["components"]["schemas"].keys() == set(contract.schema_names())
    assert '"$ref": "' not in text.replace('"$ref": "#/', "")
    messages = document["channels"]["events"]["messages"]
    assert messages["subscribe_investigation"]["payload"] == {
        "$ref": "#/components/schemas/subscribe_investigation"
    }
    for name, schema in document["components"]["schemas"].items():
        source = json.loads(
            (V1 / f"{name}.schema.json")
            .read_text("utf-8")
            .replace('"#/$defs/', f'"#/components/schemas/{name}/$defs/')
        )
        assert schema == {key: value for key, value in source.items() if key not in {"$schema", "$id"}}


@pytest.mark.node("schemas/tests/node")
def test_the_official_parser_has_nothing_to_say_about_the_bundled_asyncapi_document() -> None:
    node = shutil.which("node")
    assert node is not None
    script = ROOT / "schemas/tests/node/diagnostics.mjs"
    command = [node, str(script), str(Path(contract.__file__).parent / "schemas/asyncapi.bundled.json")]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 -- our own script
    assert json.loads(done.stdout) == []
