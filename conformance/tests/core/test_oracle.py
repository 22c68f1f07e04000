"""Which payloads nobody has a reason to refuse."""

from __future__ import annotations

import pytest
from osint_events_conformance.oracle import publishable

X = "inv-1"


@pytest.mark.parametrize(
    "data", ['{"type": "x"}', '{"type": "x", "investigation_id": "inv-1", "progress": 1}']
)
def test_a_payload_that_keeps_the_publishers_clauses_is_taken(data: str) -> None:
    assert publishable(data, X)


@pytest.mark.parametrize(
    "data",
    [
        '{"type": "x", "investigation_id": "inv-2"}',
        '{"type": "x", "progress": 2}',
        '{"type": "task_x"}',
        '{"status": "running"}',
        '{"type": ""}',
        '{"type": "x", "message": "' + "x" * 60_000 + '"}',
    ],
)
def test_a_payload_that_breaks_one_or_is_large_may_be_refused(data: str) -> None:
    assert not publishable(data, X)
