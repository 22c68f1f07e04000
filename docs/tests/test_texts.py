"""What the hand-written pages show: commands that parse, JSON that is valid, CI templates that work."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import jsonschema
import pytest
import yaml
from osint_events import contract
from osint_events_client.cli import main as client
from osint_events_conformance.cli import main as runner
from osint_events_conformance.results import Outcome
from osint_events_server import settings
from osint_events_server.cli import main as server

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SAMPLES = DOCS / "samples"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not {"node_modules", "docs_generator"} & {*path.parts})
TOOLS = {"osint-events-client": client, "osint-events-conformance": runner, "osint-events-server": server}
BIN = Path(sys.executable).parent


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a language, each with its page; blocks within tabs too."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(rf"^( *)```{language}\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL):
            yield str(page.relative_to(DOCS)), found[2]


COMMANDS = sorted(
    {
        (page, line.strip())
        for page, block in blocks("sh")
        for line in block.splitlines()
        if line.split()[:1] and line.split()[0] in TOOLS
    }
)


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_each_command_is_one_that_the_tool_takes(page: str, command: str) -> None:
    # Without comments, redirections and the background's sign.
    words = [word for word in shlex.split(command.partition(" < ")[0], comments=True) if word != "&"]
    tool = TOOLS[words[0]]
    assert isinstance(tool, click.Group)
    name, subcommand, arguments = tool.resolve_command(click.Context(tool), words[1:])
    assert subcommand is not None
    # Parses every flag and value; a wrong one raises.
    subcommand.make_context(name, arguments, parent=click.Context(tool))
    assert page


def test_each_sample_is_included_as_the_site_does() -> None:
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.lstrip().startswith("--8"):
                assert re.fullmatch(r' *--8<-- "[\w./-]+(:\w+)?"', line), f"{page}: {line}"


def test_the_commands_of_the_pages_were_found() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize(("page", "block"), list(blocks("json")))
def test_each_json_block_is_json(page: str, block: str) -> None:
    if not block.lstrip().startswith("--8<--"):
        for line in block.splitlines():
            json.loads(line)
    assert page


def test_the_events_of_the_tutorial_are_valid() -> None:
    schema = contract.bundled("event")
    for line in (SAMPLES / "tutorial" / "events.ndjson").read_text().splitlines():
        jsonschema.validate(json.loads(line), schema)


@pytest.mark.parametrize(("page", "block"), list(blocks("toml")))
def test_each_configuration_is_one_that_the_server_takes(page: str, block: str) -> None:
    settings.load(tomllib.loads(block))
    assert page


def test_each_outcome_of_a_report_is_explained() -> None:
    text = (DOCS / "backends" / "reports.md").read_text()
    for outcome in get_args(Outcome):
        assert f"| `{outcome}` |" in text


@pytest.mark.parametrize(
    ("template", "schema"), [("github.yml", "vendor.github-workflows"), ("gitlab.yml", "vendor.gitlab-ci")]
)
def test_a_template_keeps_the_schema_of_its_ci_system(template: str, schema: str) -> None:
    command: list[str | Path] = [
        BIN / "check-jsonschema",
        "--builtin-schema",
        schema,
        SAMPLES / "ci" / template,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stdout


def github() -> str:
    workflow = yaml.safe_load((SAMPLES / "ci" / "github.yml").read_text())
    return "\n".join(step["run"] for step in workflow["jobs"]["conformance"]["steps"] if "run" in step)


def gitlab() -> str:
    return "\n".join(yaml.safe_load((SAMPLES / "ci" / "gitlab.yml").read_text())["conformance"]["script"])


@pytest.mark.parametrize("script", [github(), gitlab()], ids=["github", "gitlab"])
def test_the_job_of_a_template_judges_the_example_server(script: str, tmp_path: Path) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    # As it stands, but for the packages, which are here already, and the port, which may not be free.
    here = "\n".join(line for line in script.splitlines() if "pip install" not in line)
    here = here.replace("8000", str(port)).replace("runner/bin/", "")
    here = here.replace("--report-html", "--only SUB-1 --max-time 5 --report-html")
    assert "osint-events-conformance run" in here
    assert "venv" not in here
    (tmp_path / "aiohttp_server.py").write_text((SAMPLES / "backends" / "aiohttp_server.py").read_text())
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(  # noqa: S603 - our own template
        ["bash", "-e", "-c", f"trap 'kill %1' EXIT\n{here}"],  # noqa: S607
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CONFORMS" in done.stdout
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "report.xml").is_file()
