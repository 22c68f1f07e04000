"""Results to report on: made by hand where a case must be exact, from real runs against the zoo elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from osint_events import contract
from osint_events_conformance import cli, faulty
from osint_events_conformance.findings import WireEntry
from osint_events_conformance.results import ClauseResult, ConfirmedFinding, PhaseResult, RunResult
from osint_events_conformance.settings import Settings

SECRET = "tok3n-that-nobody-may-see"  # noqa: S105 - it is what must not be found

HOSTILE = (
    "</script><script>parent.hacked = 1</script>"
    '"><img src=x onerror="parent.hacked = 1"><svg onload="parent.hacked = 1">'
    "{{ 7 * 7 }}{% raw %}]]>&amp;--> \u202eright to left\u202c \u2066\u061c\x00\x07\x1b[31m\x7f\x85\u2028"
    "\ufeff\ufffe\ud83d\udd0d \U0001f50d e\u0301 [red]markup[/red] \r\n\t end"
)
"""What a server may send to whoever reads about it: markup, marks that reorder text, controls, surrogates."""

MakeFinding = Callable[..., ConfirmedFinding]
MakeResult = Callable[..., RunResult]


@pytest.fixture(scope="session")
def hostile() -> str:
    return HOSTILE


@pytest.fixture(scope="session")
def secret() -> str:
    return SECRET


@pytest.fixture
def make_finding() -> MakeFinding:
    """Makes a finding of DEL-1, "lost", with the given fields changed."""

    def make(**changes: Any) -> ConfirmedFinding:
        data = '{"type": "task_started"}'
        update = f'{{"type":"investigation_update","investigation_id":"inv-1","data":{data}}}'
        fields: dict[str, Any] = {
            "clause": "DEL-1",
            "level": "MUST",
            "kind": "lost",
            "phase": "coverage",
            "check": "many_subscribers",
            "title": "12 subscribers",
            "message": 'not delivered: {"type": "task_started"}',
            "conn": "b",
            "at": 12.5,
            "expected": f'{{"investigation_id": "inv-1", "data": {data}}}',
            "got": None,
            "reproduced": 3,
            "attempts": 3,
            "script": (
                {"step": "connect", "conn": "a", "client_id": "c-1"},
                {"step": "say", "conn": "a", "data": {"base64": "AAE="}, "role": "malformed"},
            ),
            "wire": (
                WireEntry(12.0, "a", "*", "connected as 'c-1'"),
                WireEntry(12.1, "b", ">", '{"type": "subscribe_investigation", "investigation_id": "inv-1"}'),
                WireEntry(12.2, "b", "<", '{"type":"subscription_confirmed","investigation_id":"inv-1"}'),
                WireEntry(12.3, "publisher", "*", 'publish "inv-1": {"type": "task_started"}'),
                WireEntry(12.4, "a", "<", update),
                WireEntry(12.6, "b", "<", "Close 1000 (OK)"),
            ),
        }
        return ConfirmedFinding(**{**fields, **changes})

    return make


@pytest.fixture
def make_result() -> MakeResult:
    """Makes a result over every clause: ten cases passed wherever it can be tested, but for the findings."""

    def make(*findings: ConfirmedFinding, known: frozenset[str] = frozenset(), **changes: Any) -> RunResult:
        clauses = []
        for clause in contract.clauses():
            one = ClauseResult(clause, known_failing=clause.id in known)
            if clause.untested is None and clause.id != "DEL-3":
                one.cases = Counter({"smoke": 1, "coverage": 9})
            one.findings = [finding for finding in findings if finding.clause == clause.id]
            clauses.append(one)
        fields: dict[str, Any] = {
            "target": "ws://127.0.0.1:8000/ws",
            "seed": 7,
            "started": "2026-01-02T03:04:05+00:00",
            "seconds": 12.5,
            "clauses": clauses,
            "phases": [PhaseResult("smoke", 30, 3, 0.5), PhaseResult("coverage", 5000, 300, 2.5)],
            "coverage": {"kinds_seen": {"task_started": 12, "task_failed": 0}},
            "options": {"inject": "http://127.0.0.1:8000/inject", "strict": True, "skip": ["NEG-*"]},
        }
        return RunResult(**{**fields, **changes})

    return make


@pytest.fixture
def hostile_result(make_result: MakeResult, make_finding: MakeFinding, hostile: str) -> RunResult:
    """A result in which every text that a server can have a say in is hostile."""
    finding = make_finding(
        kind="changed",
        message=hostile,
        title=hostile,
        conn=hostile,
        expected=hostile,
        got=f'{{"type": "{hostile}"}}',
        script=({"step": "publish", "data": hostile},),
        wire=tuple(WireEntry(float(number), hostile, "<", hostile * 3) for number in range(40)),
    )
    return make_result(
        finding,
        target=f"ws://127.0.0.1/{hostile}",
        notes=[hostile],
        could_not_test=hostile,
        coverage={hostile: {hostile: 3}, "list": [hostile], "text": hostile},
        options={"origin": hostile},
    )


@pytest.fixture(scope="session")
def real_results() -> dict[str, RunResult]:
    """Real runs: one that conforms, a broken MUST, a broken SHOULD, and a server that is not there."""
    return {
        "conforms": _judge(None, "SUB-4", "CONN-2"),
        "failed": _judge("closes-with1011-on-malformed", "ROB-2"),
        "warned": _judge("drops-trailing-zeros", "EVT-6"),
        "unreachable": _unreachable(),
    }


@pytest.fixture(params=["conforms", "failed", "warned", "unreachable"])
def real_result(request: pytest.FixtureRequest, real_results: dict[str, RunResult]) -> RunResult:
    """Each of the real results in turn."""
    return real_results[request.param]


def _judge(name: str | None, *only: str) -> RunResult:
    async def judge() -> RunResult:
        async with await faulty.start(name) as server:
            settings = _settings(server, only=only, header=(f"Authorization: Bearer {SECRET}",))
            return await cli.execute(settings, lambda _: None)

    return asyncio.run(judge())


def _unreachable() -> RunResult:
    async def judge() -> RunResult:
        server = await faulty.start(None)
        await server.close()
        return await cli.execute(_settings(server), lambda _: None)

    return asyncio.run(judge())


def _settings(server: faulty.RunningServer, **changes: Any) -> Settings:
    return Settings(url=server.ws_url, inject=server.inject_url, seed=7, examples=0, **changes)
