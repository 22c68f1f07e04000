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
    assert schema["properties"]["type"]["const"] == MESSAGES[name]["name"]
    assert MESSAGES[name]["name"] in {name, name.removeprefix("negotiated_")}
    assert MESSAGES[name]["title"] == schema["title"]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_has_examples_that_are_valid(name: str) -> None:
    validator = Draft202012Validator(payload_schema(MESSAGES[name]))
    examples = MESSAGES[name]["examples"]
    assert examples
    for example in examples:
        validator.validate(example["payload"])


def test_every_message_goes_in_one_direction_and_signs_of_life_in_both() -> None:
    sent: dict[str, list[str]] = {"receive": [], "send": []}
    for operation in DOCUMENT["operations"].values():
        sent[operation["action"]] += [message["$ref"] for message in operation["messages"]]
    names = {
        action: [reference.removeprefix("#/channels/events/messages/") for reference in references]
        for action, references in sent.items()
    }
    assert set(names["receive"]) & set(names["send"]) == {"ping", "pong"}
    assert sorted([*names["receive"], *names["send"]]) == sorted([*MESSAGES, "ping", "pong"])


def test_every_schema_of_a_message_is_one_of_the_channels() -> None:
    files = {file.name.removesuffix(".schema.json") for file in V1.glob("*.schema.json")}
    assert files - MESSAGES.keys() == {"event", "legacy_event", "legacy_startup"}


def test_a_connection_that_did_not_say_hello_sees_part_1_alone() -> None:
    unions = {
        operation["x-union"]: [message["$ref"].rsplit("/", 1)[1] for message in operation["messages"]]
        for operation in DOCUMENT["operations"].values()
    }
    assert unions["ClientMessage"] == ["subscribe_investigation"]
    assert unions["ServerMessage"] == ["subscription_confirmed", "investigation_update"]
    assert unions.keys() == {
        "ClientMessage",
        "ServerMessage",
        "NegotiatedClientMessage",
        "NegotiatedServerMessage",
    }
