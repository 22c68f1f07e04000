"""The HTML report's content; how it looks is test_browser's."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from osint_events_conformance.report import html, view
from osint_events_conformance.results import RunResult

_VOID = {"meta", "line", "rect", "circle", "path"}


class Page(HTMLParser):
    """A page's elements and texts; fails where elements are not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _VOID
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def page(result: RunResult) -> Page:
    return Page(html.render(result))


def test_the_verdict_comes_first_then_clauses_what_was_not_tested_and_findings(
    make_result: Any, make_finding: Any
) -> None:
    found = page(make_result(make_finding()))
    ids = [attrs["id"] for tag, attrs in found.elements if tag == "section"]
    assert ids == ["matrix", "untested", "findings", "run"]
    assert found.text.index("Violations") < found.text.index("Clauses") < found.text.index("Not tested")


def test_every_clause_is_in_the_matrix_with_its_outcome_in_words(make_result: Any, make_finding: Any) -> None:
    result = make_result(make_finding())
    chips = re.findall(
        r'class="chip (\w+)"[^>]*>.*?</span>([A-Z]+-\d+)<span class="unseen"> ([^<]*)<',
        html.render(result),
        re.DOTALL,
    )
    assert chips == [(one.outcome, one.clause.id, view.label(one)) for one in result.clauses]


def test_a_clause_in_the_matrix_leads_to_its_first_finding(make_result: Any, make_finding: Any) -> None:
    found = page(make_result(make_finding(), make_finding(kind="duplicate")))
    assert [attrs["href"] for tag, attrs in found.elements if tag == "a"] == ["#DEL-1"]
    assert [attrs.get("id") for tag, attrs in found.elements if tag == "article"] == ["DEL-1", None]


def test_a_finding_has_the_clause_the_sequence_the_difference_the_script_and_the_command(
    make_result: Any, make_finding: Any
) -> None:
    text = page(make_result(make_finding(got='{"investigation_id": "inv-2", "data": {}}'))).text
    for part in (
        "An update MUST reach every connection subscribed to its investigation",
        "seen 3 of 3 times",
        'subscribe "inv-1"',
        'publish "inv-1"',
        '"investigation_id": "inv-2"',
        "connect a: client_id='c-1'",
        "osint-events-conformance run ws://127.0.0.1:8000/ws",
    ):
        assert part in text


def test_the_drawing_has_a_lane_for_the_server_and_each_connection(
    make_result: Any, make_finding: Any
) -> None:
    source = html.render(make_result(make_finding()))
    assert re.findall(r'<text class="name"[^>]*>([^<]*)<', source) == ["server", "a", "b"]
    assert source.count('<g class="row') == 7
    assert len(re.findall(r'<g class="row absent matters">', source)) == 1


def test_a_long_log_is_folded_but_whole(make_result: Any, make_finding: Any) -> None:
    finding = make_finding()
    source = html.render(make_result(make_finding(wire=finding.wire[:1] * 300 + finding.wire[1:])))
    assert "more in the log" in source
    assert source.count('<g class="row') < 40
    assert "The whole log, 306 entries" in source


def test_what_was_not_tested_is_said_with_its_reason(make_result: Any) -> None:
    text = page(make_result()).text
    assert "DEL-3: no case reached it" in text
    assert "LEG-1 to LEG-4" in text


def test_an_entry_of_the_coverage_that_was_never_seen_is_said(make_result: Any) -> None:
    assert re.search(r"task_failed\s+never", page(make_result()).text)


@pytest.mark.parametrize("name", ["conforms", "failed", "warned", "unreachable"])
def test_a_page_needs_nothing_else(real_results: dict[str, RunResult], name: str) -> None:
    found = page(real_results[name])
    for tag, attrs in found.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        assert not {"src", "xlink:href", "style"} & attrs.keys()
        assert not any(attribute.startswith("on") for attribute in attrs)
        assert (attrs.get("href") or "#").startswith("#")
    assert (
        "meta",
        {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"},
    ) in found.elements


def test_the_style_loads_nothing(make_result: Any) -> None:
    assert not re.search(r"url\(|@import|https?:", html.render(make_result()).partition("</style>")[0])


def test_hostile_text_stays_text(hostile_result: RunResult, make_result: Any, make_finding: Any) -> None:
    found = page(hostile_result)
    assert found.count("script") == found.count("img") == 0
    assert found.count("svg") == 1
    assert "</script><script>parent.hacked = 1</script>" in found.text
    assert "{{ 7 * 7 }}" in found.text
    assert "<U+202E>right to left<U+202C>" in found.text
    got = '{"investigation_id": "inv-1", "data": {"type": "task_ended"}}'
    harmless = page(make_result(make_finding(got=got), notes=["a note"]))
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in harmless.elements}


def test_a_fault_of_the_runner_is_shown_first(make_result: Any) -> None:
    text = page(make_result(runner_fault="Traceback:\nKeyError: 'x'")).text
    assert text.index("The runner itself failed") < text.index("Traceback:") < text.index("Clauses")


def test_a_report_is_written_as_it_is_rendered(make_result: Any, tmp_path: Path) -> None:
    html.write(make_result(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html.render(make_result())
