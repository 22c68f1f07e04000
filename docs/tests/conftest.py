"""The generator, importable as MkDocs imports it: from its own folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here, so that they run on one interpreter."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("docs")
