"""The schemas themselves: well formed, told to people, and such that test data can be drawn for them."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator

V1 = Path(__file__).parent.parent / "v1"
SUFFIX = ".schema.json"
SCHEMAS: dict[str, dict[str, Any]] = {
    path.name: json.loads(path.read_text("utf-8")) for path in sorted(V1.glob(f"*{SUFFIX}"))
}

# What hypothesis-jsonschema draws correctly, and the contract has a use for. It draws wrong values for
# unevaluatedProperties, dependentRequired, minContains and prefixItems; $dynamicRef it does not know.
ASSERTIONS = {
    *("type", "const", "enum"),
    *("minLength", "maxLength", "pattern"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("items", "minItems", "maxItems", "uniqueItems"),
    *("properties", "required", "minProperties", "maxProperties"),
    *("allOf", "anyOf", "not", "if", "then", "else", "$ref"),
}
ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "x-feature", "x-error", "x-known"}
# Of copies: references are resolved in place.
STRATEGIES = {name: from_schema(deepcopy(schema)) for name, schema in SCHEMAS.items()}
LIMITS = {"minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}

Place = tuple[str, ...]


def subschemas(schema: Any, place: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Give each subschema and where it stands, the whole first."""
    assert isinstance(schema, dict), f"{place}: true and false are no schemas that people are told about"
    yield place, schema
    for keyword in ("if", "then", "else", "not", "items"):
        if keyword in schema:
            yield from subschemas(schema[keyword], (*place, keyword))
    for keyword in ("allOf", "anyOf"):
        for index, part in enumerate(schema.get(keyword, [])):
            yield from subschemas(part, (*place, keyword, str(index)))
    for keyword in ("properties", "$defs"):
        for name, part in schema.get(keyword, {}).items():
            yield from subschemas(part, (*place, keyword, name))


def known_kinds(schema: dict[str, Any]) -> list[dict[str, Any]]:
    conditions = [part.get("if", {}) for part in schema.get("allOf", [])]
    return [kind for condition in conditions for kind in condition.get("anyOf", [])]


def is_condition(place: Place) -> bool:
    return "if" in place or "not" in place


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_by_its_metaschema(name: str) -> None:
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_id_ends_with_the_files_name(name: str) -> None:
    assert SCHEMAS[name]["$id"] == f"https://osint-events.example/v1/{name}"
    assert [place for place, part in subschemas(SCHEMAS[name]) if "$id" in part] == [()]


@pytest.mark.parametrize("name", SCHEMAS)
def test_only_keywords_occur_that_test_data_can_be_drawn_for(name: str) -> None:
    for place, part in subschemas(SCHEMAS[name]):
        assert part.keys() <= ASSERTIONS | ANNOTATIONS, place


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_reference_resolves(name: str) -> None:
    for place, part in subschemas(SCHEMAS[name]):
        if "$ref" in part:
            file, _, pointer = part["$ref"].removeprefix("./").partition("#")
            target = SCHEMAS[file or name]
            if pointer:
                root, defs, entry = pointer.split("/")
                assert (root, defs) == ("", "$defs"), f"{place}: refer to a schema or an entry of its $defs"
                assert entry in target["$defs"], place


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_property_and_kind_is_told_to_people(name: str) -> None:
    known = SCHEMAS[name].get("properties", {})
    for place, part in subschemas(SCHEMAS[name]):
        refines = place[-2:-1] == ("properties",) and len(place) > 2 and place[-1] in known
        told = place == () or place[-1] == "then" or place[-2:-1] in {("properties",), ("$defs",)}
        if told and not refines and not is_condition(place):
            assert part.get("title"), f"{place}: a title is missing"
            assert len(part.get("description", "")) > len("Any text."), f"{place}: a description is missing"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_description_says_the_limits(name: str) -> None:
    for place, part in subschemas(SCHEMAS[name]):
        for limit in LIMITS & part.keys() if "description" in part else ():
            assert str(part[limit]) in part["description"].replace(".", " ").split(), f"{place}: {limit}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_known_kind_is_listed_once(name: str) -> None:
    kinds = [kind["properties"]["type"]["const"] for kind in known_kinds(SCHEMAS[name])]
    assert len(kinds) == len(set(kinds))


def test_every_known_kind_is_told_to_people() -> None:
    kinds = known_kinds(SCHEMAS["event.schema.json"])
    assert kinds
    assert all(kind["title"] and kind["description"] for kind in kinds)


@pytest.mark.parametrize("name", SCHEMAS)
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_drawn_for_a_schema_is_valid_by_an_independent_validator(
    name: str, data: st.DataObject
) -> None:
    assert Draft202012Validator(SCHEMAS[name]).is_valid(data.draw(STRATEGIES[name]))


def asserted(schema: Any) -> Any:
    """Give what a schema asserts, without what it only tells people."""
    if isinstance(schema, list):
        return [asserted(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: asserted(part) for key, part in schema.items() if key not in ANNOTATIONS}


def known(name: str, *place: str) -> list[str]:
    """Give the known values of an open set."""
    part: Any = SCHEMAS[f"{name}.schema.json"]
    for step in place:
        part = part[step]
    assert all(value["const"] and value["description"] for value in part["x-known"])
    return [value["const"] for value in part["x-known"]]


NEGOTIATED = [name for name in SCHEMAS if name.startswith("negotiated_")]


@pytest.mark.parametrize("name", NEGOTIATED)
def test_a_negotiated_message_is_its_core_message_with_further_fields(name: str) -> None:
    negotiated, core = SCHEMAS[name], SCHEMAS[name.removeprefix("negotiated_")]
    assert negotiated["required"] == core["required"]
    further = negotiated["properties"].keys() - core["properties"].keys()
    assert further
    assert {field for field, part in negotiated["properties"].items() if "x-feature" in part} == further
    for field, part in core["properties"].items():
        assert asserted(negotiated["properties"][field]) == asserted(part)


@pytest.mark.parametrize("field", ["epoch", "investigation_id", "prev", "ref", "scope", "seq", "token"])
def test_a_field_is_the_same_in_every_message(field: str) -> None:
    found = [schema["properties"][field] for schema in SCHEMAS.values() if field in schema["properties"]]
    assert found
    assert all(asserted(part) == asserted(found[0]) for part in found)


def test_only_known_features_and_error_codes_are_named() -> None:
    features = known("hello", "properties", "features", "items")
    codes = known("error", "properties", "code")
    assert known("gap", "properties", "reason")
    assert features == ["heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors"]
    parts = [part for schema in SCHEMAS.values() for _, part in subschemas(schema)]
    assert {part["x-feature"] for part in parts if "x-feature" in part} <= {*features, "hello", "auth"}
    assert {part["x-error"] for part in parts if "x-error" in part} <= set(codes)


def test_an_error_code_is_temporary_or_lasting() -> None:
    codes = SCHEMAS["error.schema.json"]["properties"]["code"]["x-known"]
    temporary = [value["const"] for value in codes if value["temporary"]]
    assert temporary == ["rate_limited", "unavailable", "internal"]


def test_every_known_kind_is_drawn_and_unknown_ones_too() -> None:
    drawn: set[str | None] = set()

    @given(STRATEGIES["event.schema.json"])
    @settings(max_examples=400, database=None, deadline=None, derandomize=True)
    def collect(event: dict[str, Any]) -> None:
        drawn.add(event.get("type"))

    collect()
    kinds = {kind["properties"]["type"]["const"] for kind in known_kinds(SCHEMAS["event.schema.json"])}
    assert kinds <= drawn
    assert None in drawn
    assert any(kind is not None and kind.startswith("task_") for kind in drawn - kinds)
