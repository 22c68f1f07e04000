"""One edit of one schema file reaches everything that is made from it, and nothing else is touched.

The edit is made by the fixture edited_tree; what TypeScript makes of it is tested in test_typescript.py.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generated.tests.conftest import Tree

ROOT = Path(__file__).parents[2]

MODEL = """
import osint_events
from osint_events import TaskQueued, parse_event
assert osint_events.__file__.startswith({root!r})
event = parse_event({{"type": "task_queued", "task_id": "t", "queue_position": 7}})
assert isinstance(event, TaskQueued), event
position: int | None = event.queue_position
print(position)
try:
    parse_event({{"type": "task_queued", "task_id": "t", "queue_position": 0}})
except ValueError as error:
    print(error.errors()[0]["loc"], error.errors()[0]["type"])
"""

DRAW = """
from hypothesis import given, settings
from hypothesis_jsonschema import from_schema
from jsonschema import Draft202012Validator
from osint_events import contract

validator = Draft202012Validator(contract.schema("event"))
seen = set()

@settings(max_examples=400, database=None, deadline=None, derandomize=True)
@given(from_schema(contract.schema("event")))
def draw(event):
    validator.validate(event)
    if event.get("type") == "task_queued":
        seen.add("kind")
    if "queue_position" in event:
        assert 1 <= event["queue_position"] <= 1000
        seen.add("field")

draw()
print(sorted(seen))
"""


def written_by_hand(root: Path) -> dict[str, bytes]:
    """Give what people write below a tree's schemas, generated and server."""
    made = {root / "generated/osint_events", root / "generated/typescript"}
    ignored = {"tests", "node_modules", "__pycache__"}
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for name in ("schemas", "generated", "server")
        for path in sorted((root / name).rglob("*"))
        if path.is_file() and not made & set(path.parents) and not ignored & set(path.parts)
    }


@pytest.fixture(scope="module")
def server(edited_tree: Tree) -> Iterator[str]:
    """Give the host and port of a server that was started from the edited tree."""
    start = (
        "import osint_events_server\n"
        f"assert osint_events_server.__file__.startswith({str(edited_tree.root)!r})\n"
        "from osint_events_server.cli import main\n"
        "main(['run', '--port', '0'])\n"
    )
    command = [sys.executable, "-B", "-c", start]
    with subprocess.Popen(  # noqa: S603 -- our own server
        command, cwd=edited_tree.root, env=edited_tree.environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://"), line
            yield line.removeprefix("listening on http://").strip()
        finally:
            process.terminate()


def publish(server: str, event: dict[str, Any]) -> tuple[int, str]:
    """Publish an event, and give the status and the answer."""
    connection = http.client.HTTPConnection(server, timeout=10)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/investigations/1234/events", json.dumps(event), headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_no_other_file_was_touched(edited_tree: Tree) -> None:
    before, after = written_by_hand(ROOT), written_by_hand(edited_tree.root)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["schemas/v1/event.schema.json"]


def test_the_model_parses_the_new_kind_and_holds_its_field_to_its_range(edited_tree: Tree) -> None:
    printed = edited_tree.run_python(MODEL.format(root=str(edited_tree.root)))
    assert printed.splitlines() == ["7", "('task_queued', 'queue_position') greater_than_equal"]


def test_the_generator_of_test_data_draws_the_new_kind_and_field(edited_tree: Tree) -> None:
    assert edited_tree.run_python(DRAW) == "['field', 'kind']\n"


def test_the_bundles_have_the_new_kind_and_field(edited_tree: Tree) -> None:
    data = edited_tree.root / "generated/osint_events/schemas"
    asyncapi = json.loads((data / "asyncapi.bundled.json").read_text("utf-8"))
    bundled = json.loads((data / "bundled/event.schema.json").read_text("utf-8"))
    for event in (asyncapi["components"]["schemas"]["event"], bundled):
        assert event["properties"]["queue_position"]["maximum"] == 1000
        assert "task_queued" in json.dumps(event["allOf"])


def test_a_server_started_from_the_tree_takes_what_keeps_the_new_field(server: str) -> None:
    status, _ = publish(server, {"type": "task_queued", "task_id": "t", "queue_position": 1000})
    assert status == 202


@pytest.mark.parametrize("position", [0, 1001, "1", 1.5, None])
def test_a_server_started_from_the_tree_refuses_what_breaks_the_new_field(
    server: str, position: object
) -> None:
    status, answer = publish(server, {"type": "task_queued", "task_id": "t", "queue_position": position})
    assert status == 422
    assert "queue_position" in answer


def test_a_server_started_from_the_tree_holds_the_new_kind_to_the_rules_for_all(server: str) -> None:
    status, answer = publish(server, {"type": "task_queued", "queue_position": 1})
    assert status == 422
    assert "task_id" in answer
