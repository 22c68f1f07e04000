"""The HTML report in a real browser, narrow and wide, light and dark."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from osint_events_conformance.report import html
from osint_events_conformance.results import RunResult

pytestmark = pytest.mark.browser

FRAME = """<!doctype html>
<body style="margin:0"><iframe src="report.html" style="width:{width}px;height:900px;border:0"></iframe>
<script>
onload = () => {{
  const page = frames[0].document;
  const measure = () => ({{
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    // Whatever is wider than the page must be inside a part that scrolls by itself.
    wide: [...page.body.querySelectorAll(":not(.scroll *)")]
      .filter(one => one.getBoundingClientRect().right > {width} + 1).map(one => one.outerHTML.slice(0, 80)),
  }});
  const folded = measure();
  page.querySelectorAll("details").forEach(one => one.open = true);
  const result = {{
    folded,
    unfolded: measure(),
    sections: [...page.querySelectorAll("section")].filter(one => one.offsetHeight > 0).map(one => one.id),
    drawn: [...page.querySelectorAll("svg g.row")]
      .filter(one => one.getBoundingClientRect().height > 0).length,
    background: getComputedStyle(page.body).backgroundColor,
    text: getComputedStyle(page.body).color,
    scrolling: [...page.querySelectorAll(".scroll:has(svg)")].some(one => one.scrollWidth > one.clientWidth),
    focusable: [...page.querySelectorAll("summary, a, .scroll")].every(one => one.tabIndex >= 0),
    hacked: window.hacked ?? null,
    foreign: page.querySelectorAll("script, img, iframe").length,
    title: page.title,
  }};
  const out = document.createElement("pre");
  out.textContent = JSON.stringify(result);
  document.body.append(out);
}};
</script>"""

DARK, LIGHT = 0, 1

Measure = Callable[..., dict[str, Any]]


@pytest.fixture
def measure(browser: str, tmp_path: Path) -> Measure:
    """Renders a result in a frame of a given width, and says what can be measured there."""

    def run(result: RunResult, width: int, scheme: int = LIGHT) -> dict[str, Any]:
        html.write(result, tmp_path / "report.html")
        (tmp_path / "frame.html").write_text(FRAME.format(width=width))
        done = subprocess.run(  # noqa: S603 - the browser that was found
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-dev-shm-usage", "--allow-file-access-from-files",
                f"--user-data-dir={tmp_path / 'profile'}",
                f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={max(width, 500)},900",
                "--dump-dom", (tmp_path / "frame.html").as_uri(),
            ],
            capture_output=True, text=True, timeout=90, check=True,
        )  # fmt: skip
        found = re.search(r"<pre>(.*)</pre>", done.stdout, re.DOTALL)
        assert found, done.stderr
        measured: dict[str, Any] = json.loads(unescape(found[1]))
        return measured

    return run


@pytest.mark.parametrize("width", [400, 1280])
def test_a_report_fits_the_width(measure: Measure, make_result: Any, make_finding: Any, width: int) -> None:
    finding = make_finding(
        message="x" * 500,
        title="y" * 500,
        got='{"investigation_id": "' + "z" * 500 + '"}',
        wire=make_finding().wire * 20,
    )
    found = measure(make_result(finding, target=f"ws://{'h' * 200}/ws", notes=["n" * 500]), width)
    for state in ("folded", "unfolded"):
        assert found[state] == {"overflow": 0, "wide": []}


def test_every_part_is_there_and_can_be_reached_by_keyboard(
    measure: Measure, make_result: Any, make_finding: Any
) -> None:
    found = measure(make_result(make_finding(), notes=["a note"]), 1280)
    assert found["sections"] == ["notes", "matrix", "untested", "findings", "run"]
    assert found["drawn"] == 7
    assert found["focusable"]


def test_a_drawing_of_one_connection_needs_no_scrolling_on_a_phone(
    measure: Measure, make_result: Any, make_finding: Any
) -> None:
    wire = [entry for entry in make_finding().wire if entry.conn != "a"]
    found = measure(make_result(make_finding(wire=tuple(wire))), 400)
    assert found["drawn"] == 5
    assert not found["scrolling"]


def test_light_is_light_and_dark_is_dark(measure: Measure, make_result: Any) -> None:
    def brightness(colour: str) -> int:
        return sum(map(int, re.findall(r"\d+", colour)))

    for scheme in (LIGHT, DARK):
        found = measure(make_result(), 1280, scheme)
        darker, brighter = sorted((found["background"], found["text"]), key=brightness)
        assert brightness(brighter) - brightness(darker) > 500
        assert (darker == found["background"]) == (scheme == DARK)


@pytest.mark.parametrize("width", [400, 1280])
def test_hostile_text_runs_nothing_and_fits_the_width(
    measure: Measure, hostile_result: RunResult, width: int
) -> None:
    found = measure(hostile_result, width)
    assert found["hacked"] is None
    assert found["foreign"] == 0
    assert "</script><script>parent.hacked = 1</script>" in found["title"]
    assert found["folded"] == found["unfolded"] == {"overflow": 0, "wide": []}
