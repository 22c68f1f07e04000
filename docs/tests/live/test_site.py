"""The built site in a browser: nothing is wider than a narrow page, and both colour schemes are used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from check_site import problems
from chromium import Page

ROOT = Path(__file__).parents[3]
KINDS = (
    "index", "backends/index", "backends/options", "clients/index", "clients/recipes", "maintainers/index",
    "operators/index", "operators/settings", "protocol/close-codes", "protocol/evidence", "protocol/index",
    "protocol/legacy", "protocol/part-2", "reference/asyncapi", "reference/http", "reference/index",
    "reference/messages/negotiated_subscription_confirmed",
)  # fmt: skip
"""A page of each kind."""

MEASURE = """({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  background: getComputedStyle(document.body).backgroundColor,
  drawings: [...document.querySelectorAll("svg.sequence")].map((one) => one.getBoundingClientRect().width),
  title: document.title,
})"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as strictly as it is published."""
    folder = tmp_path_factory.mktemp("site")
    command = [str(Path(sys.executable).parent / "mkdocs"), "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_is_built_strictly_and_every_link_leads_somewhere(site: Path) -> None:
    assert problems(site) == []


async def measured(tab: Page, page: Path, width: int, *, dark: bool = False) -> dict[str, Any]:
    await tab.show(width, dark=dark)
    await tab.open(page.as_uri())
    found: dict[str, Any] = await tab.evaluate(MEASURE)
    return found


@pytest.mark.browser
async def test_each_kind_of_page_fits_a_narrow_screen(tab: Page, site: Path) -> None:
    for name in KINDS:
        found = await measured(tab, site / f"{name}.html", 400)
        assert found["overflow"] <= 0, name
        assert all(width <= 400 for width in found["drawings"]), name
        assert "osint-events" in found["title"]


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
async def test_the_colours_are_those_that_the_reader_prefers(tab: Page, site: Path, dark: bool) -> None:
    found = await measured(tab, site / "protocol" / "index.html", 1280, dark=dark)
    red = int(found["background"].removeprefix("rgb(").split(",")[0])
    assert (red < 100) is dark
    assert len(found["drawings"]) >= 5
