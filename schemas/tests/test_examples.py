"""The examples: valid ones show every kind and field, invalid ones break every keyword at every path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator

V1 = Path(__file__).parent.parent / "v1"
SUFFIX = ".schema.json"
# Keywords that hold schemas and assert nothing of their own; conditions are not violated but met or not.
CONTAINERS = {"$defs", "$ref", "properties", "allOf", "if", "then", "else", "items"}
ANNOTATIONS = {"$schema", "$id", "title", "description", "x-feature", "x-error", "x-known"}


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


SCHEMAS: dict[str, Any] = {
    path.name.removesuffix(SUFFIX): read(path) for path in sorted(V1.glob(f"*{SUFFIX}"))
}
VALID: dict[str, Any] = {path.name: read(path) for path in sorted((V1 / "examples/valid").iterdir())}
INVALID: dict[str, Any] = {path.name: read(path) for path in sorted((V1 / "examples/invalid").iterdir())}


def of(name: str, examples: dict[str, Any]) -> list[Any]:
    return [example for file, example in examples.items() if file.split(".")[0] == name]


def assertions(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Give each keyword that can refuse an instance, with the JSON Pointer of the subschema that holds it."""
    for keyword, value in schema.items():
        if keyword not in CONTAINERS | ANNOTATIONS:
            yield keyword, path
        if keyword in {"then", "else", "items"}:
            yield from assertions(value, f"{path}/{keyword}")
        elif keyword == "allOf":
            for index, part in enumerate(value):
                yield from assertions(part, f"{path}/{keyword}/{index}")
        elif keyword in {"properties", "$defs"}:
            for name, part in value.items():
                yield from assertions(part, f"{path}/{keyword}/{name}")


def at(schema: Any, pointer: str) -> Any:
    """Give what a JSON Pointer points to."""
    for step in pointer.split("/")[1:]:
        schema = schema[int(step)] if isinstance(schema, list) else schema[step]
    return schema


def refusals(schema: Any, instance: Any) -> list[tuple[str, str]]:
    """Give the keywords that refuse an instance, and the paths of their subschemas, as jsonschema has it."""
    found = []
    for error in Draft202012Validator(schema).iter_errors(instance):
        steps = [str(step) for step in error.absolute_schema_path]
        # A path through a condition names "if" as well as the branch that it leads to.
        kept = [
            step
            for step, following in zip(steps, [*steps[1:], ""], strict=True)
            if not (step == "if" and following in {"then", "else"})
        ]
        found.append((kept[-1], within_the_file(schema, kept[:-1])))
    return found


def within_the_file(schema: Any, steps: list[str]) -> str:
    """Give the JSON Pointer of a subschema that jsonschema reached by these steps, references unnamed."""
    pointer = ""
    for step in steps:
        pointer = f"{pointer}/{step}"
        found = at(schema, pointer)
        if isinstance(found, dict) and "$ref" in found:
            pointer = found["$ref"].removeprefix("#")
    return pointer


def refusals_by_the_other(schema: Any, instance: Any) -> list[tuple[str, str]]:
    """Give the same as jsonschema-rs has it, which the reference server uses."""
    found = []
    for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(instance):
        steps = [str(step) for step in error.schema_path]
        kept = [step for step in steps if step != "if"]
        found.append((kept[-1], "".join(f"/{step}" for step in kept[:-1])))
    return found


@pytest.mark.parametrize("file", [*VALID, *INVALID])
def test_a_files_name_begins_with_its_schemas(file: str) -> None:
    schema, what, suffix = file.split(".")
    assert schema in SCHEMAS
    assert what
    assert suffix == "json"


@pytest.mark.parametrize("file", VALID)
def test_a_valid_example_is_valid(file: str) -> None:
    schema = SCHEMAS[file.split(".", maxsplit=1)[0]]
    assert refusals(schema, VALID[file]) == []
    assert refusals_by_the_other(schema, VALID[file]) == []


@pytest.mark.parametrize("file", INVALID)
def test_an_invalid_example_is_refused_by_the_keyword_that_it_names_and_by_no_other(file: str) -> None:
    schema, example = SCHEMAS[file.split(".", maxsplit=1)[0]], INVALID[file]
    assert example.keys() == {"keyword", "path", "instance"}
    assert refusals(schema, example["instance"]) == [(example["keyword"], example["path"])]
    assert refusals_by_the_other(schema, example["instance"]) == [(example["keyword"], example["path"])]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_keyword_at_every_path_is_violated_by_an_example(name: str) -> None:
    violated = {(example["keyword"], example["path"]) for example in of(name, INVALID)}
    assert set(assertions(SCHEMAS[name])) <= violated


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_required_field_is_missing_from_an_invalid_example(name: str) -> None:
    for keyword, path in assertions(SCHEMAS[name]):
        if keyword == "required":
            holder = at(SCHEMAS[name], path)
            lacking = [
                example["instance"]
                for example in of(name, INVALID)
                if (example["keyword"], example["path"]) == (keyword, path)
            ]
            for field in holder["required"]:
                assert any(field not in instance for instance in lacking), f"{path}: {field}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_and_an_unknown_one_occur_in_a_valid_example(name: str) -> None:
    fields = SCHEMAS[name].get("properties", {}).keys()
    shown = {field for example in of(name, VALID) for field in example}
    assert fields <= shown
    assert shown - fields, "an unknown field is missing"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_optional_field_is_absent_from_a_valid_example(name: str) -> None:
    optional = SCHEMAS[name].get("properties", {}).keys() - set(SCHEMAS[name].get("required", []))
    for field in optional:
        assert any(field not in example for example in of(name, VALID)), field


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_known_kind_and_an_unknown_one_occur_in_a_valid_example(name: str) -> None:
    conditions = [part.get("if", {}) for part in SCHEMAS[name].get("allOf", [])]
    alternatives = [kind["properties"] for condition in conditions for kind in condition.get("anyOf", [])]
    kinds = {alternative["type"]["const"] for alternative in alternatives}
    shown = {example["type"] for example in of(name, VALID) if isinstance(example.get("type"), str)}
    assert kinds <= shown
    assert not kinds or shown - kinds, "an unknown kind is missing"


def test_the_first_examples_of_the_protocol_are_here() -> None:
    started = VALID["investigation_update.investigation_started.json"]
    assert (started["investigation_id"], started["data"]["type"]) == ("1234", "investigation_started")
    completed = VALID["investigation_update.task_completed.json"]["data"]
    assert (completed["type"], completed["name"], completed["progress"]) == (
        "task_completed",
        "Primary domain_recon",
        1,
    )


def test_the_walk_finds_what_a_schema_asserts_and_nothing_else() -> None:
    schema = {
        "title": "T",
        "type": "object",
        "properties": {"required": {"minimum": 1}},
        "allOf": [{"if": {"required": ["a"]}, "then": {"required": ["b"]}}],
        "not": {"required": ["c"]},
    }
    assert set(assertions(schema)) == {
        ("type", ""),
        ("minimum", "/properties/required"),
        ("required", "/allOf/0/then"),
        ("not", ""),
    }
