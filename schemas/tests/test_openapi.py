"""The description of the HTTP side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).parents[1] / "v1" / "openapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))


def examples(node: object, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the JSON Pointer of each schema that stands beside examples, with each of these."""
    if isinstance(node, dict):
        if "schema" in node:
            if "example" in node:
                yield f"{pointer}/schema", node["example"]
            for example in node.get("examples", {}).values():
                yield f"{pointer}/schema", example["value"]
        for name, child in node.items():
            yield from examples(child, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")


EXAMPLES = list(examples(DOCUMENT))


REGISTRY: Registry[Any] = Registry().with_resources(
    [(FILE.as_uri(), DRAFT202012.create_resource(DOCUMENT))]
    + [
        (file.as_uri(), DRAFT202012.create_resource(json.loads(file.read_text("utf-8"))))
        for file in FILE.parent.glob("*.schema.json")
    ],
)


def test_the_document_is_valid_and_every_reference_resolves() -> None:
    errors = OpenAPIV31SpecValidator(DOCUMENT, base_uri=FILE.as_uri()).iter_errors()
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize(("pointer", "example"), EXAMPLES, ids=[pointer for pointer, _ in EXAMPLES])
def test_an_example_is_valid(pointer: str, example: object) -> None:
    Draft202012Validator({"$ref": f"{FILE.as_uri()}#{pointer}"}, registry=REGISTRY).validate(example)


def test_every_answer_has_an_example() -> None:
    without = [
        (path, status)
        for path, methods in DOCUMENT["paths"].items()
        for method in methods.values()
        for status, response in method["responses"].items()
        if "$ref" not in response
        for media in response.get("content", {}).values()
        if not {"example", "examples"} & set(media)
    ]
    assert without == []


def test_publishing_takes_what_event_schema_json_describes() -> None:
    content = DOCUMENT["paths"]["/investigations/{investigation_id}/events"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/x-ndjson"}
    assert content["application/json"]["schema"] == {"$ref": "./event.schema.json"}
