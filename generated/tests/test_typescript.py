"""The npm package: a strict compiler accepts it and refuses misuse; its classifier keeps to the vectors."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from generated.tests.conftest import Tree

pytestmark = pytest.mark.node("generated/tests/node")

ROOT = Path(__file__).parents[2]
NODE = ROOT / "generated/tests/node"
PACKAGE = ROOT / "generated/typescript"
VECTORS = ROOT / "schemas/v1/examples/classify.json"

USE = """
import {
  classify, isInvestigationUpdate, isTaskCompleted,
  type ClientMessage, type Event, type ServerMessage,
} from "osint-events";
import { CLOSE_CODES, reconnectsAfter } from "osint-events/close-codes";
import { FEATURES, isUsed, used } from "osint-events/features";
import { SCHEMA_OF, validate, type Failure } from "osint-events/validate";

const subscribe: ClientMessage = { type: "subscribe_investigation", investigation_id: "1234" };
const later: ClientMessage = { type: "a_type_of_tomorrow", anything: [1] };
const started: Event = { type: "task_started", task_id: "t", progress: 0.5, more: { of: "it" } };
const other: Event = { type: "evidence_found" };
const legacy: Event = { event: "task_started" };

function summary(message: ServerMessage): string {
  if (!isInvestigationUpdate(message)) return message.type;
  const { kind, rule } = classify(message.data);
  const label: string = kind ?? "unknown";
  if (rule === "LEG-4") return label;
  if (isTaskCompleted(message.data)) {
    const id: string = message.data.task_id;
    const progress: number | undefined = message.data.progress;
    return `${id} ${progress}`;
  }
  return label;
}
function problems(message: ServerMessage): string[] {
  const schema = SCHEMA_OF.ServerMessage[message.type];
  if (schema === undefined || !isUsed(message.type, new Set(FEATURES))) return [];
  const failures: Failure[] = validate(schema, used(message, new Set()));
  return failures.map(({ path, keyword, message }) => `${path} ${keyword} ${message}`);
}
const slow: 4002 = CLOSE_CODES.SLOW_CONSUMER;
const back: boolean = reconnectsAfter(slow);
export { back, legacy, later, other, problems, started, subscribe, summary };
"""


def compiled(directory: Path, package: Path, code: str) -> str:
    """Give what a strict tsc says about code that uses a package, nothing where it accepts it."""
    (directory / "node_modules").mkdir(exist_ok=True)
    shutil.copytree(package, directory / "node_modules/osint-events", dirs_exist_ok=True)
    (directory / "use.ts").write_text(code, "utf-8")
    (directory / "package.json").write_text('{"type": "module"}', "utf-8")
    node = shutil.which("node")
    assert node is not None
    options = ("--strict", "--noEmit", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess")
    done = subprocess.run(  # noqa: S603 -- the compiler, on our own code
        [node, str(NODE / "node_modules/typescript/bin/tsc"), *options, "--module", "nodenext", "use.ts"],
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode == 0) == (done.stdout == "")
    return done.stdout


def test_a_strict_compiler_accepts_the_package_and_a_use_of_it(tmp_path: Path) -> None:
    assert compiled(tmp_path, PACKAGE, USE) == ""


WRONG_USES = {
    'const e: TaskStarted = { type: "task_started" }': "Property 'task_id' is missing",
    'const e: TaskStarted = { type: "task_failed", task_id: "t" }': "'\"task_failed\"' is not assignable",
    'const e: Event = { type: "evidence", progress: "1" }': "'string' is not assignable to type 'number'",
    "const m: ServerMessage = { investigation_id: '1' }": "Property 'type' is missing",
    "const kind: string = classify({}).kind": "'string | null' is not assignable to type 'string'",
    "classify(null)": "'null' is not assignable to parameter",
    "validate('evnt', {})": "'\"evnt\"' is not assignable to parameter of type 'SchemaName'",
}


def test_a_strict_compiler_refuses_each_wrong_use(tmp_path: Path) -> None:
    names = (
        "import { classify, type Event, type ServerMessage, type TaskStarted } from 'osint-events'; "
        "import { validate } from 'osint-events/validate';\n"
    )
    said = compiled(tmp_path, PACKAGE, names + "".join(f"{{ {use}; }}\n" for use in WRONG_USES))
    errors = re.split(r"^use\.ts\(", said, flags=re.MULTILINE)[1:]
    assert [int(error.split(",", 1)[0]) for error in errors] == list(range(2, 2 + len(WRONG_USES)))
    for error, expected in zip(errors, WRONG_USES.values(), strict=True):
        assert expected in error


def test_the_classifier_and_the_guards_do_as_the_vectors_say() -> None:
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(  # noqa: S603 -- our own test
        [node, "--test", "--test-reporter=tap", str(NODE / "classify.test.mjs")],
        env={**os.environ, "OSINT_EVENTS_PACKAGE": str(PACKAGE), "OSINT_EVENTS_VECTORS": str(VECTORS)},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    vectors = json.loads(VECTORS.read_text("utf-8"))["vectors"]
    for vector in vectors:
        assert f"- {vector['name']}\n" in done.stdout
    assert "\n# fail 0\n" in done.stdout


def test_the_package_can_be_packed_and_holds_what_it_needs(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm is not None
    done = subprocess.run(  # noqa: S603 -- packs our own package
        [npm, "pack", "--json", "--pack-destination", str(tmp_path)],
        cwd=PACKAGE,
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    [packed] = json.loads(done.stdout)
    names = ("index", "validate", "features", "close-codes")
    modules = {f"{name}{suffix}" for name in names for suffix in (".d.ts", ".js")}
    assert {file["path"] for file in packed["files"]} == {"README.md", "package.json", *modules}
    assert packed["name"] == "osint-events"


def test_one_edit_reaches_the_types(tmp_path: Path, edited_tree: Tree) -> None:
    code = """
import { isTaskQueued, type Event, type TaskQueued } from "osint-events";
const queued: TaskQueued = { type: "task_queued", task_id: "t", queue_position: 7 };
export function position(event: Event): number | undefined {
  return isTaskQueued(event) ? event.queue_position : undefined;
}
export const found: number | undefined = position(queued);
"""
    package = edited_tree.root / "generated/typescript"
    assert compiled(tmp_path, package, code) == ""
    assert "error TS" in compiled(tmp_path, package, code.replace("queue_position: 7", 'queue_position: "7"'))
    assert "has no exported member" in compiled(tmp_path, PACKAGE, code)
