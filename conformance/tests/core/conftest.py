"""What the tests of the runner's core share."""

from __future__ import annotations

import pytest
from osint_events import contract


@pytest.fixture(scope="session")
def catalogue() -> dict[str, str]:
    """The level of each clause, by its id."""
    return {clause.id: clause.level for clause in contract.clauses()}
