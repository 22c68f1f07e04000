"""The JUnit report as CI systems read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from osint_events_conformance.report import junit
from osint_events_conformance.results import RunResult


def read(result: RunResult, folder: Path) -> ET.Element:
    junit.write(result, folder / "report.xml")
    return ET.parse(folder / "report.xml").getroot()  # noqa: S314 - we wrote it


def cases(root: ET.Element, clause: str) -> dict[str, ET.Element]:
    """The test cases of a clause by the suite they are in."""
    return {
        suite.attrib["name"]: case
        for suite in root.iter("testsuite")
        for case in suite.iter("testcase")
        if case.attrib["name"].startswith(f"{clause} ")
    }


def outcome(case: ET.Element) -> str:
    found = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
    assert len(found) <= 1
    return found[0] if found else "passed"


def test_a_clause_is_a_test_case_of_each_phase_that_judged_it(make_result: Any, tmp_path: Path) -> None:
    found = cases(read(make_result(), tmp_path), "SUB-1")
    assert {name: outcome(case) for name, case in found.items()} == {
        "osint-events.smoke": "passed",
        "osint-events.coverage": "passed",
    }
    assert found["osint-events.smoke"].attrib["classname"] == "osint-events.smoke.Subscribing"
    assert found["osint-events.smoke"].findtext("system-out") == "1 cases"


def test_a_broken_must_fails_in_the_phase_that_found_it(
    make_result: Any, make_finding: Any, tmp_path: Path
) -> None:
    found = cases(read(make_result(make_finding()), tmp_path), "DEL-1")
    assert outcome(found["osint-events.smoke"]) == "passed"
    failure = found["osint-events.coverage"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "failed"
    assert failure.attrib["message"].startswith('MUST not delivered: {"type": "task_started"}')
    text = failure.text or ""
    assert "An update MUST reach every connection subscribed" in text
    assert "b > " in text
    assert "connect a: client_id='c-1'" in text
    assert "repeat: osint-events-conformance run ws://127.0.0.1:8000/ws" in text


def test_a_finding_of_a_phase_that_counted_no_case_is_not_lost(
    make_result: Any, make_finding: Any, tmp_path: Path
) -> None:
    result = make_result(make_finding(clause="DEL-3", phase="smoke"))
    assert outcome(cases(read(result, tmp_path), "DEL-3")["osint-events.smoke"]) == "failure"


def test_a_flaky_finding_fails_and_says_how_often(
    make_result: Any, make_finding: Any, tmp_path: Path
) -> None:
    found = cases(read(make_result(make_finding(reproduced=1, attempts=4)), tmp_path), "DEL-1")
    failure = found["osint-events.coverage"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "flaky"
    assert "seen 1 of 4 times (flaky)" in failure.attrib["message"]


@pytest.mark.parametrize(("strict", "expected"), [(False, "passed"), (True, "failure")])
def test_a_broken_should_passes_with_its_text_unless_strict(
    make_result: Any, make_finding: Any, tmp_path: Path, strict: bool, expected: str
) -> None:
    finding = make_finding(clause="DEL-4", level="SHOULD", kind="out_of_order")
    case = cases(read(make_result(finding, strict=strict), tmp_path), "DEL-4")["osint-events.coverage"]
    assert outcome(case) == expected
    assert "not delivered" in "".join(case.itertext())


def test_a_clause_without_a_verdict_is_skipped_with_its_reason(make_result: Any, tmp_path: Path) -> None:
    found = cases(read(make_result(), tmp_path), "DEL-3")
    skipped = found["osint-events.verdict"].find("skipped")
    assert list(found) == ["osint-events.verdict"]
    assert skipped is not None
    assert skipped.attrib["message"] == "no case reached it"


def test_a_known_failure_is_skipped(make_result: Any, make_finding: Any, tmp_path: Path) -> None:
    found = cases(read(make_result(make_finding(), known=frozenset({"DEL-1"})), tmp_path), "DEL-1")
    skipped = found["osint-events.coverage"].find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"].startswith("known to fail: MUST not delivered")


def test_a_known_failure_that_passes_fails(make_result: Any, tmp_path: Path) -> None:
    found = cases(read(make_result(known=frozenset({"DEL-1"})), tmp_path), "DEL-1")
    failure = found["osint-events.verdict"].find("failure")
    assert failure is not None
    assert "passes now" in failure.attrib["message"]


def test_a_run_that_could_not_test_is_an_error_and_never_only_skipped(
    real_results: dict[str, RunResult], tmp_path: Path
) -> None:
    root = read(real_results["unreachable"], tmp_path)
    error = root.find(".//testcase[@name='verdict']/error")
    assert error is not None
    assert "is the server running" in error.attrib["message"]
    assert root.attrib["errors"] == "1"


def test_a_fault_of_the_runner_is_an_error(make_result: Any, tmp_path: Path) -> None:
    root = read(make_result(runner_fault="Traceback:\nKeyError: 'x'"), tmp_path)
    error = root.find(".//testcase[@name='verdict']/error")
    assert error is not None
    assert error.attrib["type"] == "runner-fault"
    assert "KeyError" in (error.text or "")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"could_not_test": "the server is gone"},
        {"usage": "a pattern matches nothing"},
        {"runner_fault": "Traceback"},
        {"known": frozenset({"SUB-1"})},
        {"strict": True},
    ],
)
@pytest.mark.parametrize("found", [(), ({},), ({"level": "SHOULD"},), ({"reproduced": 1},)])
def test_it_is_green_when_and_only_when_the_run_is(
    make_result: Any, make_finding: Any, tmp_path: Path, changes: dict[str, Any], found: Any
) -> None:
    result = make_result(*(make_finding(**one) for one in found), **changes)
    root = read(result, tmp_path)
    bad = int(root.attrib["failures"]) + int(root.attrib["errors"])
    assert (bad == 0) == (result.exit_status == 0)


def test_the_verdict_line_is_the_output_of_the_last_case(make_result: Any, tmp_path: Path) -> None:
    result = make_result()
    last = list(read(result, tmp_path).iter("testcase"))[-1]
    assert (last.attrib["name"], outcome(last)) == ("verdict", "passed")
    assert last.findtext("system-out") == result.summary()


def test_counts_are_those_of_the_cases(real_result: RunResult, tmp_path: Path) -> None:
    root = read(real_result, tmp_path)
    for element in [root, *root.iter("testsuite")]:
        found = [outcome(case) for case in element.iter("testcase")]
        assert int(element.attrib["tests"]) == len(found)
        for attribute, name in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib[attribute]) == found.count(name)


def test_a_suite_says_when_how_long_and_with_which_seed(make_result: Any, tmp_path: Path) -> None:
    suite = read(make_result(), tmp_path)[1]
    assert (suite.attrib["time"], suite.attrib["timestamp"]) == ("2.500", "2026-01-02T03:04:05+00:00")
    properties = {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")}
    assert properties == {"target": "ws://127.0.0.1:8000/ws", "seed": "7", "verdict": "conforms"}


def test_hostile_text_is_valid_xml_and_still_told(hostile_result: RunResult, tmp_path: Path) -> None:
    text = "".join(read(hostile_result, tmp_path).itertext())
    assert "</script><script>parent.hacked = 1</script>" in text
    assert "<U+202E>right to left<U+202C>" in text
    assert "<U+D83D><U+DD0D> \U0001f50d" in text
