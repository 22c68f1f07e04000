"""The tests of the zoo's servers are marked, so that they can be left out."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this folder; the hook is given the items of all others too."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.zoo)
