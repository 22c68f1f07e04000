"""Whole runs against servers of the zoo, and against what is no server at all."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from osint_events_conformance import faulty
from osint_events_conformance.faulty.server import Reply
from osint_events_conformance.launch import execute
from osint_events_conformance.patterns import Patterns
from osint_events_conformance.results import ConfirmedFinding, ExitStatus, RunResult
from osint_events_conformance.script import from_json
from osint_events_conformance.settings import Settings
from osint_events_conformance.wire import Endpoint, Link


async def judge(name: str | None = None, **changes: Any) -> RunResult:
    """Run a few clauses against a server of the zoo; no drawn cases, unless a test asks for them."""
    async with await faulty.start(name) as server:
        return await _execute(server, **changes)


async def _execute(server: faulty.RunningServer, **changes: Any) -> RunResult:
    fields: dict[str, Any] = {"inject": server.inject_url, "seed": 7, "examples": 0, **changes}
    result = await execute(Settings(url=server.ws_url, **fields), lambda _: None)
    await _all_closed()
    return result


async def _all_closed() -> None:
    """Let the runner's ends of the connections close, which the server has ended."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined] # nothing public tells
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            # The loop's own wake-up socket and the listener stay. There is no event to wait for.
            while len(selector.get_map()) > 2:  # noqa: ASYNC110
                await asyncio.sleep(0)


def outcomes(result: RunResult) -> dict[str, str]:
    return {one.clause.id: one.outcome for one in result.clauses}


def findings(result: RunResult) -> list[ConfirmedFinding]:
    return [finding for one in result.clauses for finding in one.findings]


# The correct server


async def test_a_correct_server_conforms() -> None:
    result = await judge(only=("SUB-4", "CONN-2", "MSG-1"))
    assert result.verdict == "conforms", findings(result)
    assert result.exit_status is ExitStatus.CONFORMS
    assert outcomes(result) == {"CONN-2": "passed", "MSG-1": "passed", "SUB-4": "passed"}
    assert result.runner_fault is None
    assert result.summary().startswith("CONFORMS: 2 of 2 MUSTs tested, all kept")


async def test_drawn_cases_pass_at_a_correct_server_too() -> None:
    result = await judge(only=("SUB-5",), examples=6, fallback="on")
    assert result.verdict == "conforms", findings(result)
    assert [phase.name for phase in result.phases] == ["smoke", "coverage", "fuzz", "stateful"]
    assert all(phase.scripts for phase in result.phases)


async def test_a_skipped_clause_is_not_in_the_result() -> None:
    result = await judge(only=("SUB-4", "CONN-2"), skip=("CONN-*",))
    assert outcomes(result) == {"SUB-4": "passed"}


async def test_the_seed_is_said_and_one_is_drawn_where_none_is_given() -> None:
    assert (await judge(only=("CONN-2",))).seed == 7
    assert (await judge(only=("CONN-2",), seed=None)).seed >= 0


# Faults


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("fault", "clause", "outcome"),
    [
        ("refuses-underscores", "CONN-1", "failed"),
        ("closes-with1011-on-malformed", "ROB-2", "failed"),
        ("answers-plain-get-with-page", "CONN-2", "warned"),
    ],
)
async def test_a_plain_fault_is_confirmed_and_laid_to_its_clause(
    fault: str, clause: str, outcome: str
) -> None:
    result = await judge(fault, only=(clause,))
    assert outcomes(result) == {clause: outcome}
    finding = findings(result)[0]
    assert finding.reproduced == finding.attempts == 3
    assert finding.message
    assert finding.script
    assert result.verdict == ("violations" if outcome == "failed" else "conforms")


async def test_a_fault_is_reduced_to_few_steps_that_can_be_run_again() -> None:
    result = await judge("delivers-twice", only=("DEL-1",))
    assert outcomes(result) == {"DEL-1": "failed"}
    [finding] = findings(result)
    assert finding.kind == "duplicate"
    steps = [from_json(step) for step in finding.script]
    assert [step.kind for step in steps][:2] == ["connect", "subscribe"]
    assert len(steps) <= 3  # the fence behind a script is an event as well
    assert all(finding.salts[0] in repr(step) for step in steps)


async def test_a_broken_should_fails_a_strict_run_only() -> None:
    assert (await judge("answers-plain-get-with-page", only=("CONN-2",))).exit_status == 0
    strict = await judge("answers-plain-get-with-page", only=("CONN-2",), strict=True)
    assert strict.exit_status is ExitStatus.VIOLATION
    assert "1 not kept: CONN-2" in strict.summary()


async def test_a_fault_of_a_clause_that_is_not_selected_is_not_reported() -> None:
    result = await judge("never-pongs", only=("SUB-1",))
    assert outcomes(result) == {"SUB-1": "passed"}


async def test_a_should_that_broke_once_only_is_said_with_its_rate() -> None:
    async with await faulty.start() as server:
        answer, seen = server.server.plain_get, list[str]()

        def once(client_id: str) -> Any:
            seen.append(client_id)
            return Reply(200) if len(seen) == 1 else answer(client_id)

        server.server.plain_get = once  # type: ignore[method-assign] # a server that errs once
        result = await _execute(server, only=("CONN-2",))
    [finding] = findings(result)
    assert finding.flaky
    assert (finding.reproduced, finding.attempts) == (1, 3)
    assert len(seen) == 3


async def test_a_must_that_broke_once_only_is_flaky_with_its_rate_and_fails_the_run() -> None:
    async with await faulty.start() as server:
        deliver, seen = server.server.deliver, list[Any]()

        def twice_once(peer: Any, event: Any, message: bytes) -> None:
            deliver(peer, event, message)
            if event.data.get("message") == "2" and not seen:
                seen.append(event)
                deliver(peer, event, message)

        server.server.deliver = twice_once  # type: ignore[method-assign] # a server that errs once
        result = await _execute(server, only=("DEL-1",))
    assert outcomes(result) == {"DEL-1": "flaky"}
    assert result.exit_status is ExitStatus.VIOLATION
    [finding] = findings(result)
    assert (finding.kind, finding.reproduced, finding.attempts) == ("duplicate", 1, 3)


async def test_a_known_failure_does_not_fail_the_run_and_one_that_passes_does() -> None:
    for fault, expected in (("closes-with1011-on-malformed", "conforms"), (None, "violations")):
        async with await faulty.start(fault) as server:
            settings = Settings(url=server.ws_url, inject=server.inject_url, only=("ROB-2",), examples=0)
            result = await execute(settings, lambda _: None, Patterns(["ROB-2"]))
            assert result.verdict == expected, fault


# What cannot be tested


async def test_a_server_that_is_not_there_could_not_be_tested() -> None:
    server = await faulty.start()
    await server.close()
    result = await _execute(server)
    assert result.exit_status is ExitStatus.COULD_NOT_TEST
    assert "is the server running" in result.summary()
    assert set(outcomes(result).values()) <= {"skipped", "untestable", "not_offered"}


async def test_a_path_that_is_no_websocket_could_not_be_tested() -> None:
    async with await faulty.start() as server:
        settings = Settings(url=server.ws_url.replace("/ws", "/nothing"), inject=server.inject_url)
        result = await execute(settings, lambda _: None)
    assert result.exit_status is ExitStatus.COULD_NOT_TEST
    assert "404" in result.summary()


@pytest.mark.parametrize("status", [404, 500])
async def test_an_inject_hook_that_fails_could_not_be_tested_with(status: int) -> None:
    def failing(_: bytes, /) -> Reply:
        return Reply(status)

    async with await faulty.start() as server:
        server.server.inject = failing  # type: ignore[method-assign,assignment] # a hook that fails
        result = await _execute(server)
    assert result.exit_status is ExitStatus.COULD_NOT_TEST, findings(result)
    assert f"answered with {status}" in result.summary()
    assert findings(result) == []


async def test_nothing_selected_could_not_be_tested() -> None:
    result = await judge(only=("SUB-1",), skip=("SUB-*",))
    assert result.exit_status is ExitStatus.COULD_NOT_TEST
    assert "no clause is selected" in result.summary()


async def test_only_what_cannot_be_tested_could_not_be_tested() -> None:
    result = await judge(only=("LEG-1", "CLT-1"))
    assert result.exit_status is ExitStatus.COULD_NOT_TEST
    assert set(outcomes(result).values()) == {"untestable"}


async def test_a_fault_of_the_runner_is_never_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("a fault of the runner's own")

    monkeypatch.setattr("osint_events_conformance.verdicts.judge_end", fails)
    async with await faulty.start("closes-with1011-on-malformed") as server:
        settings = Settings(url=server.ws_url, inject=server.inject_url, only=("ROB-2",), examples=0)
        result = await execute(settings, lambda _: None)
    assert result.verdict == "could_not_test"
    assert result.exit_status is ExitStatus.COULD_NOT_TEST
    assert "a fault of the runner's own" in str(result.runner_fault)
    assert "the runner itself failed" in result.summary()


async def test_a_fault_in_a_step_is_a_fault_of_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault of the runner's own")

    monkeypatch.setattr("osint_events_conformance.model.Model.publishing", fails)
    result = await judge(only=("DEL-1",))
    assert result.exit_status is ExitStatus.COULD_NOT_TEST
    assert "ZeroDivisionError" in str(result.runner_fault)


# Triggers that choose their own payload


async def test_a_trigger_that_chooses_its_payload_leaves_what_needs_one_untested() -> None:
    async with await faulty.start() as server:
        trigger = server.trigger_url
        result = await _execute(server, inject=None, trigger_url=trigger, only=("EVT-6", "SUB-4"))
    assert outcomes(result) == {"EVT-6": "skipped", "SUB-4": "passed"}
    assert "--inject does" in str(next(one for one in result.clauses if one.clause.id == "EVT-6").reason)


async def test_without_a_trigger_what_needs_events_is_skipped() -> None:
    async with await faulty.start() as server:
        result = await _execute(server, inject=None, observe=0.2, only=("DEL-1", "SUB-7"))
    assert outcomes(result) == {"DEL-1": "skipped", "SUB-7": "passed"}


# Time


@contextlib.asynccontextmanager
async def _listening(serve: Any) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    server.close()


async def test_a_server_that_reads_nothing_and_answers_nothing_ends_the_run_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_ = Link.open

    async def impatient(endpoint: Endpoint, client_id: str, clock: Any, **_: Any) -> Link:
        return await open_(endpoint, client_id, clock, within=0.2)

    monkeypatch.setattr(Link, "open", impatient)
    came: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    before = time.monotonic()
    async with _listening(silent) as at:
        settings = Settings(url=f"ws://{at}/ws", observe=0.1, max_time=0.5)
        result = await execute(settings, lambda _: None)
    assert result.runner_fault is None
    assert result.verdict != "conforms"
    assert time.monotonic() - before < 8
    assert came


async def test_a_server_that_stops_confirming_ends_the_run_in_time() -> None:
    async with await faulty.start() as server:
        subscribe, seen = server.server.subscribe, list[Any]()

        def deaf(peer: Any, message: dict[str, Any]) -> None:
            seen.append(peer)
            if len(seen) < 20:
                subscribe(peer, message)

        server.server.subscribe = deaf  # type: ignore[method-assign] # a server that tires
        before = time.monotonic()
        result = await _execute(server, max_time=2.0)
        seconds = time.monotonic() - before
    assert seconds < 2.0 + 8
    assert result.verdict != "conforms"  # a violation, unless a busy machine leaves no time to repeat it
    assert len(seen) >= 20


async def test_a_run_that_had_no_time_for_most_of_its_scripts_is_not_green() -> None:
    result = await judge(max_time=0.01)
    assert result.exit_status is ExitStatus.COULD_NOT_TEST
    assert result.could_not_test == "most scripts were not begun in time: raise --max-time"
    reasons = {one.clause.id: one.reason for one in result.clauses}
    assert reasons["SUB-4"] == "the time was over before it was begun (--max-time)"


async def test_payloads_that_were_not_chosen_prove_nothing_of_evt_1() -> None:
    async with await faulty.start() as server:
        result = await _execute(server, inject=None, trigger_url=server.trigger_url, only=("EVT-1", "SUB-4"))
    assert outcomes(result) == {"EVT-1": "skipped", "SUB-4": "passed"}


async def test_a_refused_upgrade_is_told_with_its_wire() -> None:
    result = await judge("refuses-underscores", only=("CONN-1",))
    assert findings(result)[0].wire


async def test_a_server_that_never_answers_a_handshake_is_found_out_soon() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with _listening(silent) as at:
        result = await execute(Settings(url=f"ws://{at}/ws", observe=0.1, max_time=0.5), lambda _: None)
    assert [one for one, outcome in outcomes(result).items() if outcome == "passed"] == []
    assert outcomes(result)["CONN-1"] == "failed"
    assert result.seconds < 20


# Part 2


PART_2 = ("NEG-*", "RPL-*", "SCP-*", "UNS-1")


async def test_a_server_that_knows_only_part_1_is_offered_nothing_to_fail() -> None:
    result = await judge(only=("SUB-4", *PART_2))
    assert result.verdict == "conforms", findings(result)
    assert outcomes(result).pop("SUB-4") == "passed"
    assert {outcome for clause, outcome in outcomes(result).items() if clause != "SUB-4"} == {"not_offered"}
    assert {one.reason for one in result.clauses if one.clause.id == "NEG-1"} == {
        "the server does not answer hello: it knows only Part 1"
    }


async def test_a_server_that_speaks_part_2_conforms() -> None:
    result = await judge("capable", only=PART_2)
    assert result.verdict == "conforms", findings(result)
    untested = {one.clause.id: one.reason for one in result.clauses if one.outcome != "passed"}
    assert set(untested) == {"RPL-8", "RPL-9"}
    assert all("--restart-command does" in str(reason) for reason in untested.values())


async def test_the_core_profile_leaves_the_capabilities_out() -> None:
    result = await judge("capable", only=("SUB-4", "NEG-1"), profile="core")
    assert outcomes(result) == {"SUB-4": "passed", "NEG-1": "not_offered"}
    assert "--profile core" in str(result.clauses[-1].reason)


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("fault", "clause"),
    [
        ("grants-everything", "NEG-1"),
        ("closes-on-second-hello", "NEG-2"),
        ("cuts-long-refs", "NEG-4"),
        ("restarts-numbers-after-completion", "RPL-1"),
        ("takes-foreign-tokens", "RPL-3"),
        ("replays-nothing", "RPL-4"),
        ("completes-first", "RPL-5"),
        ("begins-anew-silently", "RPL-7"),
        ("never-filters", "SCP-1"),
        ("adds-scopes", "SCP-3"),
        ("unsubscribes-in-word-only", "UNS-1"),
    ],
)
async def test_a_fault_of_part_2_is_laid_to_its_clause_and_to_no_other(fault: str, clause: str) -> None:
    result = await judge(fault, only=PART_2)
    assert {one.clause.id for one in result.clauses if one.findings} == {clause}, findings(result)


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("fault", "clause"),
    [
        ("sends-first-position-only", "RPL-6"),
        ("applies-first-of-bad-scopes", "SCP-2"),
        ("never-says-backpressure", "FLW-1"),
        ("skips-when-queue-is-full", "FLW-2"),
        ("limits-without-retry-after", "FLW-3"),
        ("has-one-error-code", "ERR-1"),
    ],
)
async def test_a_fault_is_found_where_its_clause_alone_is_asked_for(fault: str, clause: str) -> None:
    result = await judge(fault, only=(clause, "NEG-2"))
    assert outcomes(result) == {"NEG-2": "passed", clause: "failed"}, findings(result)


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("capable", {"RPL-8": "passed", "RPL-9": "skipped"}),
        ("keeps-history-over-restarts", {"RPL-8": "passed", "RPL-9": "passed"}),
        ("keeps-epoch-over-restarts", {"RPL-8": "failed", "RPL-9": "passed"}),
        ("forgets-key-over-restarts", {"RPL-8": "passed", "RPL-9": "failed"}),
    ],
)
async def test_what_is_left_after_a_restart_is_judged(server: str, found: dict[str, str]) -> None:
    async with await faulty.start(server) as running:
        post = f"from urllib.request import *; urlopen(Request('{running.restart_url}', method='POST'))"
        command = shlex.join([sys.executable, "-c", post])
        result = await _execute(running, only=("RPL-8", "RPL-9"), restart_command=command)
    assert outcomes(result) == found, findings(result)


@pytest.mark.parametrize(
    ("fault", "only", "within", "reason"),
    [
        ("completes-first", ("RPL-5", "RPL-8", "RPL-9"), 50.0, "MUSTs are broken already"),
        ("capable", ("NEG-2", "RPL-8", "RPL-9"), 0.2, "the time was over"),
    ],
)
async def test_where_the_server_was_not_restarted_that_is_no_verdict(
    fault: str, only: tuple[str, ...], within: float, reason: str
) -> None:
    result = await judge(fault, only=only, restart_command="/no/such/command", max_time=within)
    of_restarts = [one for one in result.clauses if one.clause.id in {"RPL-8", "RPL-9"}]
    assert [one.outcome for one in of_restarts] == ["skipped", "skipped"]
    assert all(reason in str(one.reason) for one in of_restarts)


async def test_a_restart_that_fails_leaves_untested_what_needs_it() -> None:
    result = await judge("capable", only=("RPL-8", "NEG-4"), restart_command="/no/such/command")
    assert outcomes(result) == {"NEG-4": "passed", "RPL-8": "skipped"}
    assert "cannot run /no/such/command" in str(result.clauses[-1].reason)
