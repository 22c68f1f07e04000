"""Whole runs by SEC-1 to SEC-3, against servers of the zoo that demand tokens or look at origins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from osint_events_conformance import faulty
from osint_events_conformance.faulty.capable.guarded import (
    FORBIDDEN_ID,
    TOKEN,
    TRIGGER_TOKEN,
    GuardedServer,
)
from osint_events_conformance.faulty.listener import HttpConnection
from osint_events_conformance.faulty.running import RunningServer
from osint_events_conformance.faulty.server import Reply
from osint_events_conformance.launch import execute
from osint_events_conformance.results import RunResult
from osint_events_conformance.settings import Settings

if TYPE_CHECKING:
    from osint_events_conformance.faulty.server import Answer, Event

TOLD = {"token": TOKEN, "trigger_token": TRIGGER_TOKEN, "forbidden_id": FORBIDDEN_ID}


async def judge(name: str | None, **changes: Any) -> RunResult:
    async with await faulty.start(name) as server:
        fields: dict[str, Any] = {"inject": server.inject_url, "seed": 7, "examples": 0, **changes}
        return await execute(Settings(url=server.ws_url, **fields), lambda _: None)


def outcomes(result: RunResult) -> dict[str, str]:
    return {one.clause.id: one.outcome for one in result.clauses}


def reasons(result: RunResult) -> dict[str, str | None]:
    return {one.clause.id: one.reason for one in result.clauses}


async def test_who_is_told_the_tokens_judges_all_of_it() -> None:
    result = await judge("asks-for-tokens", only=("SEC-*", "SUB-4"), **TOLD)
    assert outcomes(result) == {"SUB-4": "passed", "SEC-1": "passed", "SEC-2": "passed", "SEC-3": "passed"}
    assert result.notes == []


async def test_who_is_told_nothing_says_which_flag_is_missing() -> None:
    result = await judge("capable", only=("SEC-*",))
    assert outcomes(result) == {"SEC-1": "skipped", "SEC-2": "skipped", "SEC-3": "passed"}
    assert "--token" in str(reasons(result)["SEC-1"])
    assert "--forbidden-id" in str(reasons(result)["SEC-2"])


async def test_a_server_of_part_1_that_takes_any_origin_is_not_bound_to_refuse_some() -> None:
    result = await judge(None, only=("SEC-3", "SUB-4"))
    assert outcomes(result) == {"SUB-4": "passed", "SEC-3": "not_offered"}


async def test_a_server_that_takes_any_origin_may_have_been_told_to() -> None:
    result = await judge("takes-any-origin", only=("SEC-3", "SUB-4"))
    assert outcomes(result) == {"SUB-4": "passed", "SEC-3": "not_offered"}
    [note] = result.notes
    assert "--origin" in note


async def test_who_says_which_origin_is_allowed_has_the_others_tried() -> None:
    result = await judge("takes-any-origin", only=("SEC-3", "SUB-4"), origin="https://app.example")
    assert outcomes(result) == {"SUB-4": "passed", "SEC-3": "failed"}


async def test_the_core_profile_leaves_security_out() -> None:
    result = await judge("asks-for-tokens", only=("SEC-*", "SUB-4"), profile="core", **TOLD)
    assert outcomes(result)["SUB-4"] == "passed"
    assert {one for clause, one in outcomes(result).items() if clause != "SUB-4"} == {"not_offered"}


async def test_who_is_known_to_see_the_forbidden_is_missed() -> None:
    result = await judge("asks-for-tokens", only=("SEC-2",), token=TOKEN, forbidden_id=FORBIDDEN_ID)
    assert outcomes(result) == {"SEC-2": "passed"}
    [note] = result.notes
    assert "replay token" in note


@pytest.mark.parametrize("changes", [{}, {"token": f"{TOKEN}x"}])
async def test_a_server_whose_token_is_missing_or_bad_is_not_judged(changes: dict[str, str]) -> None:
    result = await judge("asks-for-tokens", only=("SEC-*", "SUB-4"), **changes)
    assert result.verdict == "could_not_test"
    assert "token" in str(result.could_not_test)


class _RefusesToEmit(GuardedServer):
    """Lets nobody make it emit what may not be seen."""

    def accept(self, event: Event) -> Answer:
        if event.investigation_id == FORBIDDEN_ID:
            return Reply(403, b"not yours")
        return super().accept(event)


async def test_a_forbidden_event_that_cannot_be_made_proves_nothing() -> None:
    loop, server = asyncio.get_running_loop(), _RefusesToEmit()
    listener = await loop.create_server(lambda: HttpConnection(server), "127.0.0.1", 0)
    async with RunningServer(server, listener) as running:
        settings = Settings(
            url=running.ws_url, inject=running.inject_url, seed=7, examples=0, only=("SEC-2",),
            token=TOKEN, forbidden_id=FORBIDDEN_ID,
        )  # fmt: skip
        result = await execute(settings, lambda _: None)
    assert outcomes(result) == {"SEC-2": "skipped"}
    assert "its events could not be made" in str(reasons(result)["SEC-2"])
    assert "403" in str(reasons(result)["SEC-2"])


@pytest.mark.parametrize(
    ("fault", "clause"),
    [
        ("knows-client-ids", "SEC-1"),
        ("broadcasts-forbidden-tasks", "SEC-2"),
        ("replays-forbidden", "SEC-2"),
        ("ignores-ports-of-origins", "SEC-3"),
    ],
)
async def test_a_fault_is_laid_to_its_clause_and_to_no_other(fault: str, clause: str) -> None:
    told = TOLD if faulty.FAULTS[fault].guarded else {}
    result = await judge(fault, only=(clause, "SUB-4"), max_time=20, **told)
    assert {one.clause.id for one in result.clauses if one.findings} == {clause}
