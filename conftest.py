"""What to do about tools that Python's installers cannot bring: the one place for that rule.

A test says what it needs with ``@pytest.mark.node("directory", ...)``: Node, and each directory's packages
(`npm ci`), relative to the repository. Missing ones are a skip that names them on a laptop, and a failure
where `CI` is set, so that no test is ever silently absent there. ``@pytest.mark.browser`` says that it
needs Chromium: the fixture `tab` gives a page in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import chromium
import pytest

ROOT = Path(__file__).parent


_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose tools are missing; under CI, fail it."""
    missing = []
    for marker in item.iter_markers("node"):
        missing += [f"{tool} is not installed" for tool in ("node", "npm") if shutil.which(tool) is None]
        missing += [
            f"{directory} has no node_modules (npm ci there, or nox -s node)"
            for directory in marker.args
            if not (ROOT / directory / "node_modules").is_dir()
        ]
    if item.get_closest_marker("browser") and _browser() is None:
        missing.append(f"none of {', '.join(_BROWSERS)} is installed")
    if missing:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("; ".join(missing))


@pytest.fixture(scope="session")
def browser() -> str:
    """The path of Chromium, for tests that are marked `browser`."""
    path = _browser()
    assert path is not None, "a test that uses `browser` is marked so"
    return path


@pytest.fixture(scope="session")
def devtools(browser: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the DevTools of a browser that all tests share."""
    with chromium.started(browser, tmp_path_factory.mktemp("chromium")) as url:
        yield url


@pytest.fixture
async def tab(devtools: str) -> AsyncIterator[chromium.Page]:
    """Give a tab that shares nothing with other tests', for tests that are marked `browser`."""
    async with chromium.tab(devtools) as made:
        yield made


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, _BROWSERS)), None)
