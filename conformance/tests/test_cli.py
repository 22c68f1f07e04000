"""The command line, as a shell sees it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from osint_events import contract
from osint_events_conformance import settings

if TYPE_CHECKING:
    from click.testing import Result

    from conformance.tests.conftest import Command, Serve, ZooServer

UNREACHABLE = "ws://127.0.0.1:1/ws"
QUICK = ("--max-time=15", "--examples=5")


def one_line(result: Result) -> str:
    assert result.output.count("\n") == 1, result.output
    return result.output.removeprefix("Error: ").rstrip()


def test_a_correct_server_conforms_and_all_reports_are_written(
    correct: ZooServer, command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "reports"
    reports = [
        f"--report-json={folder}/r.json",
        f"--report-junit={folder}/r.xml",
        f"--report-html={folder}/r.html",
    ]
    result = command("run", correct.url, correct.inject, "--only=SUB-*", *QUICK, *reports)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("CONFORMS: ")
    assert json.loads((folder / "r.json").read_text(encoding="utf-8"))["verdict"] == "conforms"
    assert ET.parse(folder / "r.xml").getroot().get("failures") == "0"  # noqa: S314 - our own file
    assert (folder / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_violation_is_status_1_and_named_last(serve: Serve, command: Command) -> None:
    server = serve("--fault", "confirms-missing-ids")
    result = command("run", server.url, server.inject, "--only=SUB-6", *QUICK)
    assert result.exit_code == 1, result.output
    assert "1 not kept: SUB-6" in result.output.splitlines()[-1]


def test_a_should_that_is_not_kept_fails_only_strict_runs(serve: Serve, command: Command) -> None:
    server = serve("--fault", "answers-plain-get-with-page")
    arguments = ("run", server.url, server.inject, "--only=CONN-2", *QUICK)
    assert command(*arguments).exit_code == 0
    assert command(*arguments, "--strict").exit_code == 1


def test_a_known_failure_is_no_violation_until_it_passes(
    serve: Serve, correct: ZooServer, command: Command, tmp_path: Path
) -> None:
    known = tmp_path / "known.txt"
    known.write_text("# ours\n\nSUB-6  # ids are numbers here\n", encoding="utf-8")
    faulty = serve("--fault", "confirms-missing-ids")
    arguments = (f"--known-failing={known}", "--only=SUB-6", *QUICK)
    assert command("run", faulty.url, faulty.inject, *arguments).exit_code == 0
    mended = command("run", correct.url, correct.inject, *arguments)
    assert mended.exit_code == 1
    assert "known to fail, but passed: SUB-6" in mended.output.splitlines()[-1]


def test_a_known_failing_pattern_that_matches_nothing_is_an_error(command: Command, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_text("SUB-6\nSUB-66\n", encoding="utf-8")
    result = command("run", UNREACHABLE, f"--known-failing={known}")
    assert result.exit_code == 2
    assert one_line(result) == f"--known-failing {known}:2: 'SUB-66' matches no clause"


def test_an_unreachable_server_could_not_be_tested(command: Command) -> None:
    result = command("run", UNREACHABLE)
    assert result.exit_code == 3
    last = result.output.splitlines()[-1]
    assert last.startswith("COULD NOT TEST: ")
    assert "cannot connect to 127.0.0.1:1" in last


def test_a_trigger_that_does_not_work_could_not_test(correct: ZooServer, command: Command) -> None:
    result = command("run", correct.url, f"{correct.inject}-elsewhere", *QUICK)
    assert result.exit_code == 3
    assert "404" in result.output.splitlines()[-1]


@pytest.mark.parametrize("selection", [("--only=SUB-1", "--skip=SUB-1"), ("--only=CLT-1",)])
def test_a_run_that_tests_nothing_is_not_green(
    correct: ZooServer, command: Command, selection: tuple[str, ...]
) -> None:
    result = command("run", correct.url, correct.inject, *selection, *QUICK)
    assert result.exit_code == 3, result.output


@pytest.mark.parametrize("flag", ["--report-json", "--report-junit", "--report-html", "--trace"])
def test_a_report_that_cannot_be_written_is_told_before_the_run(
    command: Command, tmp_path: Path, flag: str
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "report"
    result = command("run", UNREACHABLE, f"{flag}={path}")
    assert result.exit_code == 2
    assert one_line(result).startswith(f"{flag} {path}: cannot be written: ")


def test_trying_whether_a_report_can_be_written_leaves_nothing_behind(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    assert command("run", UNREACHABLE, f"--report-json={path}", "--known-failing=none").exit_code == 2
    assert not path.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "http://h/ws"),
        ("run", UNREACHABLE, "--max-time=0"),
        ("run", UNREACHABLE, "--only=SUB-99"),
        ("run", UNREACHABLE, "--config=/no/such.toml"),
        ("replay", "/no/such.ndjson"),
        ("selftest", "--only=no-such-server"),
    ],
)
def test_a_user_error_is_one_line_and_status_2(command: Command, arguments: tuple[str, ...]) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert one_line(result)


def test_an_unknown_flag_is_status_2(command: Command) -> None:
    result = command("run", UNREACHABLE, "--no-such-flag")
    assert result.exit_code == 2
    assert "No such option" in result.output


def test_ctrl_c_is_one_line_and_no_verdict(correct: ZooServer, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    runner = [sys.executable, "-m", "osint_events_conformance.cli", "run", correct.url, correct.inject]
    with subprocess.Popen(  # noqa: S603 - our own command
        [*runner, f"--report-json={report}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would all that it starts itself.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread here
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("coverage"):
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "Error: interrupted: there is no verdict\n"
    assert not report.exists()


def test_list_shows_every_clause_and_how_it_is_checked(command: Command) -> None:
    shown = command("list").output
    assert [line.split()[0] for line in shown.splitlines()] == [clause.id for clause in contract.clauses()]
    assert command("run", "--list").output == shown


def test_the_help_has_every_setting(command: Command) -> None:
    shown = command("run", "--help").output
    for name in settings.Settings.model_fields:
        assert name == "url" or settings.flag(name) in shown


def test_the_version_is_the_packages(command: Command) -> None:
    assert command("--version").output == f"osint-events-conformance, version {version('osint-events')}\n"
