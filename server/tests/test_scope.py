"""What part of an investigation an event belongs to (SCP-1)."""

import pytest
from osint_events.scopes import ScopeValue
from osint_events_server.scope import Scope


@pytest.mark.parametrize(
    ("data", "scope"),
    [
        ({"type": "task_started"}, Scope.TASKS),
        ({"type": "task_"}, Scope.TASKS),
        ({"event": "task_completed"}, Scope.TASKS),
        ({"type": "task"}, Scope.ALL),
        ({"type": "Task_started"}, Scope.ALL),
        ({"type": "subtask_started"}, Scope.ALL),
        ({"type": "investigation_paused"}, Scope.SUMMARY),
        ({"type": "investigation_started", "task_id": "t"}, Scope.SUMMARY),
        ({"status": "running", "message": "Starting up"}, Scope.SUMMARY),
        ({"status": "running", "message": "Starting up", "task_id": "t"}, Scope.TASKS),
        ({"type": "custom"}, Scope.ALL),
        ({"type": "custom", "task_id": "t"}, Scope.TASKS),
        ({"type": "custom", "task_id": ""}, Scope.ALL),
        ({"type": "custom", "task_id": None}, Scope.ALL),
        ({"type": 1, "task_id": "t"}, Scope.TASKS),
        ({}, Scope.ALL),
    ],
)
def test_an_event_belongs_to_tasks_to_the_summary_or_to_both(data: dict[str, object], scope: Scope) -> None:
    assert Scope.of_event(data) is scope


@pytest.mark.parametrize(
    ("values", "scope"),
    [
        (["all"], Scope.ALL),
        (["tasks"], Scope.TASKS),
        (["summary", "summary"], Scope.SUMMARY),
        (["tasks", "summary"], Scope.ALL),
        (["summary", "all"], Scope.ALL),
    ],
)
def test_the_union_of_the_values_counts(values: list[ScopeValue], scope: Scope) -> None:
    assert Scope.of_values(values) is scope
