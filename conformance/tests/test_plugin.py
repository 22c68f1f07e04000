"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from osint_events_conformance import settings

if TYPE_CHECKING:
    from conformance.tests.conftest import Serve, ZooServer

HEAVY = ("hypothesis", "pydantic", "aiohttp", "websockets", "rich", "jinja2", "jsonschema", "osint_events")
UNREACHABLE = "--osint-events-url=ws://127.0.0.1:1/ws"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a test of the user's own."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="ascii")  # no other is looked for further up
    (tmp_path / "test_own.py").write_text("def test_own(): pass\n", encoding="ascii")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "osint_events_conformance.plugin", *arguments]
    # Without other plugins, and whether or not this one is installed.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
    return subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


def options(server: ZooServer, *more: str) -> list[str]:
    given = [f"--url={server.url}", server.inject, "--max-time=15", "--examples=5", *more]
    return [one.replace("--", "--osint-events-", 1) for one in given]


def test_each_clause_is_a_test_beside_the_users_own(folder: Path, correct: ZooServer) -> None:
    ended = run(folder, "-v", *options(correct, "--only=SUB-[1-3]", "--only=CLT-1"))
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    assert [line.split()[0:2] for line in lines if line.startswith("osint-events::")] == [
        ["osint-events::SUB-1", "PASSED"],
        ["osint-events::SUB-2", "PASSED"],
        ["osint-events::SUB-3", "PASSED"],
        ["osint-events::CLT-1", "SKIPPED"],
    ]
    assert "4 passed, 1 skipped" in lines[-1]
    assert "CONFORMS: 3 of 3 MUSTs tested, all kept" in ended.stdout


def test_a_violation_fails_its_clauses_test_and_tells_all(folder: Path, serve: Serve) -> None:
    server = serve("--fault", "confirms-missing-ids")
    report = folder / "report.json"
    ended = run(folder, *options(server, "--only=SUB-6", "--only=CONN-2", f"--report-json={report}"))
    assert ended.returncode == 1, ended.stdout
    assert "1 failed, 2 passed" in ended.stdout.splitlines()[-1]
    assert "SUB-6 MUST: A subscribe whose `investigation_id` is missing" in ended.stdout
    assert "smallest script:" in ended.stdout
    assert "Traceback" not in ended.stdout
    assert report.exists()


def test_a_known_failure_is_expected(folder: Path, serve: Serve) -> None:
    (folder / "known.txt").write_text("SUB-6\n", encoding="ascii")
    server = serve("--fault", "confirms-missing-ids")
    ended = run(folder, *options(server, "--only=SUB-6", "--known-failing=known.txt"))
    assert ended.returncode == 0, ended.stdout
    assert "1 passed, 1 xfailed" in ended.stdout.splitlines()[-1]


def test_what_could_not_be_tested_is_not_green(folder: Path) -> None:
    ended = run(folder, UNREACHABLE, "--osint-events-only=SUB-1")
    assert ended.returncode == 1
    assert "could not test: cannot connect to 127.0.0.1:1" in ended.stdout


def test_k_selects_clauses_too(folder: Path) -> None:
    ended = run(folder, UNREACHABLE, "-k", "own")
    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--osint-events-url=http://h"], "URL: 'http://h' is no ws:// or wss:// URL"),
        (
            [UNREACHABLE, "--osint-events-max-time=0"],
            "--osint-events-max-time: Input should be greater than 0",
        ),
        (
            ["--osint-events-strict"],
            "--osint-events-strict: which server? Give --osint-events-url ws://HOST:PORT/ws",
        ),
    ],
)
def test_a_wrong_setting_is_a_usage_error_of_one_line(folder: Path, arguments: list[str], said: str) -> None:
    ended = run(folder, *arguments)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert ended.stderr.strip() == f"ERROR: {said}"


def test_every_setting_is_an_option(folder: Path) -> None:
    shown = run(folder, "--help").stdout
    for name in settings.Settings.model_fields:
        assert f"--osint-events-{settings.toml_key(name)}" in shown


def test_who_does_not_use_it_pays_nothing_and_sees_nothing(folder: Path) -> None:
    (folder / "test_own.py").write_text(
        f"import sys\ndef test_own():\n    assert not set({HEAVY}) & set(sys.modules)\n", encoding="ascii"
    )
    with_it, without = run(folder), run(folder, "-p", "no:osint_events_conformance.plugin")
    assert with_it.returncode == 0, with_it.stdout
    for ended in (with_it, without):
        assert "1 passed" in ended.stdout.splitlines()[-1]
    assert _body(with_it) == _body(without)


def _body(ended: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in ended.stdout.splitlines() if " in " not in line]
