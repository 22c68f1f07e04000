"""Traces of findings, and running them again."""

from __future__ import annotations

import json
import random
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from osint_events_conformance import launch, script, suite, trace
from osint_events_conformance.findings import WireEntry
from osint_events_conformance.results import ConfirmedFinding

if TYPE_CHECKING:
    from conformance.tests.conftest import Command, Serve, ZooServer

FAULT = ("--fault", "delivers-twice")
SCRIPT = (
    {"step": "connect", "conn": "a", "client_id": "c-qabcdez"},
    {"step": "subscribe", "conn": "a", "investigation_id": "inv-qabcdez"},
    {"step": "publish", "investigation_id": "inv-qabcdez", "data": '{"type": "x"}'},
)
HEADER: dict[str, Any] = {
    "format": 1, "version": "0.1.0", "clause": "DEL-1", "level": "MUST", "kind": "duplicate",
    "message": "delivered again", "target": "ws://127.0.0.1:1/ws", "seed": 1, "reproduced": 3, "attempts": 3,
    "title": "a title", "check": "a_check", "mode": "beside", "salts": ["qabcdez", "1234567"],
    "settings": {"inject": "http://127.0.0.1:1/inject"},
}  # fmt: skip


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write(tmp_path / "DEL-1-duplicate-1.ndjson", HEADER, *SCRIPT)


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def test_a_finding_is_traced_and_the_command_in_the_report_repeats_it(
    serve: Serve, command: Command, tmp_path: Path
) -> None:
    server = serve(*FAULT)
    report, folder = tmp_path / "report.json", tmp_path / "traces"
    options = (f"--report-json={report}", f"--trace={folder}", "--only=DEL-1", "--max-time=15")
    run = command("run", server.url, server.inject, "--header=Authorization: Bearer sekret", *options)
    assert run.exit_code == 1, run.output
    clauses = json.loads(report.read_text(encoding="utf-8"))["clauses"]
    finding = next(clause for clause in clauses if clause["findings"])["findings"][0]
    [path] = folder.iterdir()
    assert path.name == "DEL-1-duplicate-1.ndjson"
    assert "sekret" not in path.read_text(encoding="utf-8") + report.read_text(encoding="utf-8")
    words = shlex.split(finding["repeat"].replace("…", "Bearer sekret"))
    assert words[:4] == ["osint-events-conformance", "replay", str(path), server.url]
    again = command(*words[1:])
    assert again.exit_code == 1, again.output
    assert again.output.splitlines()[-1].startswith("STILL FAILING: DEL-1 MUST: delivered again")


def test_traces_of_an_earlier_run_do_not_stay(recorded: Path, serve: Serve, command: Command) -> None:
    other = recorded.with_name("notes-1.ndjson")
    other.write_text("mine\n", encoding="utf-8")
    server = serve()
    options = (f"--trace={recorded.parent}", "--only=CONN-2", "--max-time=15", "--examples=0")
    assert command("run", server.url, server.inject, *options).exit_code == 0
    assert [path.name for path in recorded.parent.iterdir()] == ["notes-1.ndjson"]


def test_a_fault_still_fails_where_it_is_and_is_fixed_where_it_is_not(
    recorded: Path, serve: Serve, correct: ZooServer, command: Command
) -> None:
    faulty = serve(*FAULT)
    still = command("replay", str(recorded), faulty.url, faulty.inject)
    assert (still.exit_code, still.output.splitlines()[-1].split(":")[0]) == (1, "STILL FAILING")
    mended = command("replay", str(recorded), correct.url, correct.inject)
    assert (mended.exit_code, mended.output.splitlines()[-1].split(":")[0]) == (0, "FIXED")


def test_a_replay_uses_fresh_ids(recorded: Path, correct: ZooServer, command: Command) -> None:
    shown = command("replay", str(recorded), correct.url, correct.inject).output
    assert "subscription_confirmed" in shown
    assert "qabcdez" not in shown


@pytest.mark.parametrize(
    "case",
    [
        (None, (), "it was found with --inject: give one that reaches the server here"),
        (None, ("--trigger-url=http://127.0.0.1:1/{investigation_id}",), "it was found with --inject"),
        (None, ("--inject=http://127.0.0.1:1/inject",), "a publish was not accepted"),
        ("ignores-ids-with-slashes", None, "something else is broken first: SUB-1"),
    ],
)
def test_what_could_not_show_is_not_fixed(
    recorded: Path, serve: Serve, command: Command, case: tuple[str | None, Any, str]
) -> None:
    fault, options, said = case
    server = serve(*(("--fault", fault) if fault else ()))
    if options is None:
        options = (server.inject,)
        text = recorded.read_text(encoding="utf-8").replace("inv-qabcdez", "inv/qabcdez")
        recorded.write_text(text, encoding="utf-8")
    result = command("replay", str(recorded), server.url, *options)
    assert result.exit_code == 3, result.output
    assert result.output.splitlines()[-1].startswith(f"COULD NOT TEST: DEL-1 MUST: {said}")


def test_a_fault_of_a_capability_is_not_fixed_where_the_server_does_not_offer_it(
    tmp_path: Path, correct: ZooServer, serve: Serve, command: Command
) -> None:
    hello = {"step": "hello", "conn": "a", "features": ["replay"]}
    follow = {"step": "follow", "conn": "a", "investigation_id": "inv-qabcdez", "ref": "r"}
    header = {**HEADER, "clause": "RPL-1", "kind": "not_increasing"}
    path = write(tmp_path / "t.ndjson", header, SCRIPT[0], hello, follow)
    without = command("replay", str(path), correct.url, correct.inject)
    assert without.exit_code == 3, without.output
    assert "the server does not answer hello" in without.output
    capable = serve("--capable")
    assert command("replay", str(path), capable.url, capable.inject).exit_code == 0
    other = serve("--oddity", "offers-scopes-only")
    assert "the server does not offer replay" in command("replay", str(path), other.url, other.inject).output


def test_a_server_that_is_gone_could_not_be_tested(recorded: Path, command: Command) -> None:
    result = command("replay", str(recorded))
    assert result.exit_code == 3
    assert "cannot connect to 127.0.0.1:1" in result.output


def test_headers_that_were_recorded_must_be_given_again(tmp_path: Path, command: Command) -> None:
    kept = {**HEADER["settings"], "header": ["Authorization: (redacted)"]}
    path = write(tmp_path / "t.ndjson", {**HEADER, "settings": kept}, *SCRIPT)
    result = command("replay", str(path))
    assert result.exit_code == 2
    assert "give --header Authorization" in result.output


def test_a_file_chooses_no_command_to_run(tmp_path: Path, command: Command) -> None:
    witness = tmp_path / "witness"
    kept = {"trigger_command": f"touch {witness} {{investigation_id}}"}
    path = write(tmp_path / "t.ndjson", {**HEADER, "settings": kept}, *SCRIPT)
    assert command("replay", str(path)).exit_code == 3
    assert not witness.exists()


STEP = json.dumps(SCRIPT[0])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], ": it holds no header"),
        (["{"], ":1: no JSON: "),
        (["[]"], ":1: no header of a trace: "),
        ([json.dumps({**HEADER, "format": 2})], ":1: format 2; this version reads format 1"),
        ([json.dumps({**HEADER, "salts": ["x"]})], ":1: no header of a trace: salts.1: "),
        ([json.dumps(HEADER)], ": it holds no steps"),
        ([json.dumps(HEADER), STEP, "no"], ":3: no JSON: "),
        ([json.dumps(HEADER), STEP, '{"x": 1}'], ":3: neither a step nor a wire entry"),
        ([json.dumps(HEADER), '{"step": "jump"}'], ":2: no step: "),
        ([json.dumps(HEADER), '{"step": "connect", "conn": "a"}'], ":2: no step: "),
        (
            [json.dumps(HEADER), '{"step": "connect", "conn": 3, "client_id": "c"}'],
            ":2: step connect: conn: ",
        ),
        ([json.dumps(HEADER), '{"step": "pause", "seconds": "long"}'], ":2: step pause: seconds: "),
        ([json.dumps(HEADER), '{"step": "ping", "conn": "a", "data": {"base64": "é"}}'], ":2: no step: "),
    ],
)
def test_a_broken_file_is_one_line_with_the_lines_number(
    tmp_path: Path, command: Command, lines: list[str], said: str
) -> None:
    path = tmp_path / "t.ndjson"
    path.write_text("\n".join(lines), encoding="utf-8")
    result = command("replay", str(path), "ws://127.0.0.1:1/ws")
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {path}{said}")
    assert result.output.count("\n") == 1


def test_every_step_of_every_check_survives_its_trace(tmp_path: Path) -> None:
    limits = {
        "max_message_bytes": 65_536,
        "max_queue_bytes": 1_048_576,
        "messages_per_second": 100,
        "burst": 512,
    }
    welcome = {"heartbeat": {"interval_ms": 1000, "timeout_ms": 1000}, "limits": limits}
    kit = suite.Kit(random.Random(1), "any", welcome=welcome, forbidden_id="x")
    steps = [step for check in suite.checks() for made in check.scripts(kit) for step in made.steps]
    kinds = {type(step) for step in steps}
    assert {script.Pieces, script.Together, script.Raw, script.Http, script.Resume} <= kinds
    path = write(tmp_path / "t.ndjson", HEADER, *(script.to_json(step) for step in steps))
    assert list(trace.read(path).script.steps) == steps


def test_what_a_server_echoes_of_a_header_is_redacted() -> None:
    wire = (WireEntry(0.0, "a", "<", '{"type": "hi", "you": "Bearer sekret"}'),)
    finding = ConfirmedFinding(
        "SUB-1", "MUST", "unconfirmed", "smoke", "c", "t", "sekret", "a", 0.0, None, "sekret", 1, 1, (), wire
    )
    clean = launch._redacted(finding, ("Bearer sekret", "sekret"))
    assert "sekret" not in repr(clean)
    assert replace(clean, wire=(), message="", got=None) == replace(finding, wire=(), message="", got=None)
