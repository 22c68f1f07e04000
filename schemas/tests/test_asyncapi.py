"""The description of the WebSocket channel, held against the official parser and the schema files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
V1 = HERE.parent / "v1"
PARSER = HERE / "node"
DOCUMENT: dict[str, Any] = yaml.safe_load((V1 / "asyncapi.yaml").read_text("utf-8"))
MESSAGES: dict[str, dict[str, Any]] = DOCUMENT["channels"]["events"]["messages"]


def diagnostics(file: Path) -> list[dict[str, Any]]:
    """Return what the official parser has to say about a document, hints and warnings included."""
    node = shutil.which("node")
    assert node is not None
    command = [node, str(PARSER / "diagnostics.mjs"), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 -- our own script
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def payload_schema(message: dict[str, Any]) -> Any:
    return json.loads((V1 / message["payload"]["$ref"]).read_text("utf-8"))


@pytest.mark.node("schemas/tests/node")
def test_the_official_parser_has_nothing_to_say() -> None:
    assert diagnostics(V1 / "asyncapi.yaml") == []


@pytest.mark.node("schemas/tests/node")
def test_the_official_parser_would_tell_of_a_message_without_its_schema_file(tmp_path: Path) -> None:
    copy = tmp_path / "asyncapi.yaml"
    copy.write_text((V1 / "asyncapi.yaml").read_text("utf-8"), "utf-8")
    assert {found["code"] for found in diagnostics(copy)} == {"invalid-ref"}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_named_after_its_type_and_its_schema_file(name: str) -> None:
    schema = payload_schema(MESSAGES[name])
    assert MESSAGES[name]["payload"]["$ref"] == f"./{name}.schema.json"
    assert schema["properties"]["type"]["const"] == name
    assert MESSAGES[name]["title"] == schema["title"]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_has_examples_that_are_valid(name: str) -> None:
    validator = Draft202012Validator(payload_schema(MESSAGES[name]))
    examples = MESSAGES[name]["examples"]
    assert examples
    for example in examples:
        validator.validate(example["payload"])


def test_every_message_goes_in_exactly_one_direction() -> None:
    operations = DOCUMENT["operations"].values()
    assert sorted(operation["action"] for operation in operations) == ["receive", "send"]
    sent = [message["$ref"] for operation in operations for message in operation["messages"]]
    assert sorted(sent) == sorted(f"#/channels/events/messages/{name}" for name in MESSAGES)
