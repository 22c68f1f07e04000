"""The selftest: a runner that judges the zoo rightly, and one that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from osint_events_conformance import selftest
from osint_events_conformance.faulty import FAULTS, ODDITIES
from osint_events_conformance.selftest import Entry, Judged, SelftestResult

if TYPE_CHECKING:
    from conformance.tests.conftest import Command

FAULT = Entry("never-pongs", "fault", frozenset({"CONN-3"}))
ODD = Entry("greets", "oddity", frozenset())


@pytest.mark.zoo
def test_a_fault_is_killed_and_a_correct_server_passes(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "matrix.json"
    result = command("selftest", "--only=confirms-missing-*", "--only=correct", "--jobs=2", f"--json={file}")
    assert result.exit_code == 0, result.output
    assert "PASSED: 1 of 1 faults killed for the right reason" in result.output.splitlines()[-1]
    matrix = json.loads(file.read_text(encoding="utf-8"))
    jsonschema.validate(matrix, json.loads(selftest.schema()))
    found = {server["name"]: server["found"] for server in matrix["servers"]}
    assert found == {"correct": {}, "confirms-missing-ids": {"SUB-6": "failed"}}


def test_the_whole_zoo_is_selected_unless_told_otherwise() -> None:
    assert {entry.name for entry in selftest.select()} == {*selftest.CORRECT, *ODDITIES, *FAULTS}


def test_a_sample_leaves_no_clause_out_and_is_subtle_for_the_most_part() -> None:
    sample = selftest.select(sample=75, profile="core")
    faults = [entry for entry in sample if entry.kind == "fault"]
    assert len(sample) == 75
    assert len(faults) >= 60
    assert sum(entry.subtle for entry in faults) * 2 >= len(faults)
    assert sum(entry.kind == "oddity" for entry in sample) >= 10
    declared = {clause for entry in faults for clause in entry.declared}
    every = {clause for fault in FAULTS.values() if not fault.capable for clause in fault.clauses}
    assert declared == every


def test_a_small_sample_is_small() -> None:
    kinds = [entry.kind for entry in selftest.select(sample=4)]
    assert kinds == ["correct", "correct", "oddity", "fault"]


def test_what_shows_after_a_restart_only_is_judged_with_one() -> None:
    restarts = {entry.name for entry in selftest.select() if entry.restart}
    faults = {fault.name for fault in FAULTS.values() if fault.restart}
    odd = {oddity.name for oddity in ODDITIES.values() if oddity.restart}
    assert restarts == faults | odd | {"capable"}


@pytest.mark.parametrize(
    ("entry", "found", "word"),
    [
        (FAULT, {"CONN-3": "failed"}, "ok"),
        (FAULT, {"CONN-3": "flaky"}, "ok"),
        (FAULT, {}, "MISS"),
        (FAULT, {"CONN-4": "failed"}, "WRONG"),
        (FAULT, {"CONN-3": "failed", "CONN-4": "failed"}, "WRONG"),
        (ODD, {}, "ok"),
        (ODD, {"SUB-7": "warned"}, "WRONG"),
    ],
)
def test_only_exactly_the_declared_clauses_are_right(entry: Entry, found: dict[str, str], word: str) -> None:
    judged = Judged(entry, found, 1.0)
    assert judged.line().split()[0] == word
    assert judged.passed == (word == "ok")


def test_a_server_that_was_not_judged_does_not_pass() -> None:
    judged = Judged(ODD, {}, 1.0, "the server did not start")
    assert not judged.passed
    result = SelftestResult([judged])
    *_, which, verdict = selftest.summary(result).splitlines()
    assert which == "not judged at all: greets"
    assert verdict.startswith(
        "FAILED: 0 of 0 faults killed for the right reason (0 detected), 0 of 1 correct"
    )


def test_nothing_judged_is_not_passed() -> None:
    assert not SelftestResult().passed


def test_the_matrix_marks_what_was_found_missed_and_found_wrongly() -> None:
    two = Entry("two", "fault", frozenset({"CONN-3", "SUB-1"}))
    result = SelftestResult([Judged(FAULT, {"CONN-3": "failed"}, 1), Judged(two, {"SUB-2": "failed"}, 1)])
    lines = [line for line in selftest.matrix(result).splitlines() if line.startswith(("never-pongs", "two"))]
    assert lines == ["never-pongs  # . .", "two          - - !   <"]


async def test_a_server_that_does_not_start_is_told() -> None:
    with pytest.raises(ChildProcessError, match="the server did not start: it said nothing"):
        async with selftest.serving(["false"]):
            pass


def test_the_profile_core_leaves_out_who_answers_hello() -> None:
    names = {entry.name for entry in selftest.select(profile="core")}
    assert "correct" in names
    assert "capable" not in names
    assert all(not FAULTS[name].capable for name in names & set(FAULTS))
    assert any(FAULTS[name].capable for name in set(FAULTS) - names)
