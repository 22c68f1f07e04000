"""What to do about tools that Python's installers cannot bring: the one place for that rule.

A test says what it needs with ``@pytest.mark.node("directory", ...)``: Node, and each directory's packages
(`npm ci`), relative to the repository. Missing ones are a skip that names them on a laptop, and a failure
where `CI` is set, so that no test is ever silently absent there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose tools are missing; under CI, fail it."""
    for marker in item.iter_markers("node"):
        missing = [f"{tool} is not installed" for tool in ("node", "npm") if shutil.which(tool) is None]
        missing += [
            f"{directory} has no node_modules (npm ci there, or nox -s node)"
            for directory in marker.args
            if not (ROOT / directory / "node_modules").is_dir()
        ]
        if missing:
            give_up = pytest.fail if os.environ.get("CI") else pytest.skip
            give_up("; ".join(missing))
