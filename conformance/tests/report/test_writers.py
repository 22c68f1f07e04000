"""What all report files have in common."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from osint_events_conformance.report import WRITERS, terminal
from osint_events_conformance.results import RunResult
from osint_events_conformance.settings import Settings

every_writer = pytest.mark.parametrize("name", WRITERS)


def test_there_is_a_writer_for_each_setting_that_names_a_report() -> None:
    assert set(WRITERS) == {name for name in Settings.model_fields if name.startswith("report_")}


@every_writer
def test_the_folders_above_a_report_are_made(name: str, make_result: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "report"
    WRITERS[name](make_result(), path)
    assert path.read_bytes().endswith(b"\n")


@every_writer
def test_a_path_that_cannot_be_written_raises_oserror(name: str, make_result: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        WRITERS[name](make_result(), tmp_path / "file" / "report")
    with pytest.raises(OSError, match=str(tmp_path)):
        WRITERS[name](make_result(), tmp_path)


@every_writer
def test_a_header_is_in_no_report(
    name: str, real_results: dict[str, RunResult], secret: str, tmp_path: Path
) -> None:
    WRITERS[name](real_results["failed"], tmp_path / "report")
    text = (tmp_path / "report").read_text()
    assert secret not in text
    assert "Authorization: (redacted)" in text


def test_a_header_is_not_shown_in_the_terminal(real_results: dict[str, RunResult], secret: str) -> None:
    out = io.StringIO()
    terminal.report(real_results["failed"], terminal.console(out))
    assert secret not in out.getvalue()
    assert "Authorization: (redacted)" in out.getvalue()


@every_writer
def test_a_report_of_hostile_text_is_valid_utf_8(
    name: str, hostile_result: RunResult, tmp_path: Path
) -> None:
    WRITERS[name](hostile_result, tmp_path / "report")
    text = (tmp_path / "report").read_bytes().decode()
    assert not any(char in text for char in "\u202e\u2066\x00\x07\x1b\x7f\x85\u2028\ufeff\ufffe")
