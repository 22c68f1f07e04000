"""Which part of an investigation an event belongs to (SCP-1)."""

from __future__ import annotations

from typing import Any

import pytest
from osint_events.scopes import is_in_scope, scopes_of

TASKS, SUMMARY, BOTH = {"all", "tasks"}, {"all", "summary"}, {"all", "tasks", "summary"}


@pytest.mark.parametrize(
    ("data", "scopes"),
    [
        ({"type": "task_started", "task_id": "t"}, TASKS),
        ({"type": "task_", "task_id": ""}, TASKS),
        ({"event": "task_failed"}, TASKS),
        ({"type": "investigation_paused", "task_id": "t"}, SUMMARY),
        ({"status": "running", "message": "starting"}, SUMMARY),
        ({"type": "evidence_found", "task_id": "t"}, TASKS),
        ({"type": "evidence_found", "task_id": ""}, BOTH),
        ({"type": "evidence_found", "task_id": 5}, BOTH),
        ({"type": "Task_started"}, BOTH),
        ({"task_id": "t"}, TASKS),
        ({}, BOTH),
    ],
)
def test_an_event_belongs_to_tasks_to_the_summary_or_to_both(data: dict[str, Any], scopes: set[str]) -> None:
    assert scopes_of(data) == scopes
    for value in ("all", "tasks", "summary"):
        assert is_in_scope(data, [value]) == (value in scopes)


def test_the_union_of_a_scope_counts_and_none_is_the_whole() -> None:
    started = {"type": "task_started"}
    assert is_in_scope(started, ["summary", "tasks"])
    assert not is_in_scope(started, ["summary"])
    assert is_in_scope(started, None)
