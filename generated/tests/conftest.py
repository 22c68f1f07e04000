"""What several tests need: copies of the tree, the generator run in them, and one edit of the schemas."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Tree:
    """A copy of what is needed to generate, and to start the server."""

    root: Path

    def generate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the generator of this tree."""
        return subprocess.run(  # noqa: S603 -- our own script
            [sys.executable, "-B", "generated/generate.py", *arguments],
            cwd=self.root,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def run_python(self, code: str) -> str:
        """Run Python code with this tree's packages, and give what it prints."""
        done = subprocess.run(  # noqa: S603 -- our own code
            [sys.executable, "-B", "-c", code],
            cwd=self.root,
            env=self.environment(),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Give the environment in which this tree's packages are the ones that are imported."""
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(self.root / name) for name in ("generated", "server")),
        }


def copied(root: Path) -> Tree:
    """Copy what is needed to a directory."""
    for name in ("schemas", "generated", "server"):
        ignored = shutil.ignore_patterns("tests", "node_modules", "__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    return Tree(root)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Give a copy of the test's own."""
    return copied(tmp_path)


@pytest.fixture(scope="session")
def edited_tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Give a copy in which one file was edited, event.schema.json, and the generator was run.

    The edit adds a kind, task_queued, and a constrained field, queue_position, an integer from 1 to 1000.
    """
    made = copied(tmp_path_factory.mktemp("edited"))
    path = made.root / "schemas/v1/event.schema.json"
    schema = json.loads(path.read_text("utf-8"))
    schema["properties"]["queue_position"] = {
        "title": "Queue position",
        "description": "Place of the task among those that wait, from 1 (next) to 1000.",
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
    }
    [known] = [entry["if"]["anyOf"] for entry in schema["allOf"] if "anyOf" in entry["if"]]
    known.append(
        {
            "title": "Task queued",
            "description": "A task waits for its turn.",
            "properties": {"type": {"const": "task_queued"}},
            "required": ["type"],
        }
    )
    path.write_text(json.dumps(schema), "utf-8")
    done = made.generate()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return made
