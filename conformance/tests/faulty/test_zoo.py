"""The zoo as a whole: what it holds, and how it is started."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import pytest
from click.testing import CliRunner
from osint_events import contract
from osint_events_conformance.faulty import FAULTS, ODDITIES, Fault, start
from osint_events_conformance.faulty.__main__ import main
from osint_events_conformance.faulty.capable.server import CapableServer

SERVER_CLAUSES = {
    clause.id: clause for clause in contract.clauses() if clause.subject in ("server", "publisher")
}
PART_1 = {clause.id for clause in SERVER_CLAUSES.values() if clause.feature == "core" and not clause.untested}
PART_2 = {clause.id for clause in SERVER_CLAUSES.values() if clause.feature != "core"}
PART_2 -= {"CMP-3"}  # what it costs a server to compress cannot be seen


def _of(*, capable: bool) -> list[Fault]:
    return [fault for fault in FAULTS.values() if issubclass(fault.server, CapableServer) == capable]


def test_faults_and_oddities_name_clauses_of_the_catalogue() -> None:
    named = {clause for fault in FAULTS.values() for clause in fault.clauses}
    warned = {clause for oddity in ODDITIES.values() for clause in oddity.warns}
    assert named | warned <= set(SERVER_CLAUSES)


def test_every_clause_of_part_1_that_binds_a_server_has_a_fault() -> None:
    broken = {clause for fault in _of(capable=False) for clause in fault.clauses}
    assert broken == PART_1


def test_every_clause_of_part_2_that_binds_a_server_has_a_fault() -> None:
    broken = {clause for fault in _of(capable=True) for clause in fault.clauses}
    assert broken - PART_1 == PART_2


def test_every_fault_names_a_clause_and_says_what_it_does() -> None:
    for fault in FAULTS.values():
        assert fault.clauses, fault.name
        assert fault.summary.endswith("."), fault.name


def test_oddities_warn_of_shoulds_only() -> None:
    for oddity in ODDITIES.values():
        for clause in oddity.warns:
            assert "SHOULD" in SERVER_CLAUSES[clause].text, oddity.name


def test_at_least_half_of_the_faults_are_subtle() -> None:
    for faults, least in ((_of(capable=False), 70), (_of(capable=True), 45)):
        assert sum(fault.subtle for fault in faults) * 2 >= len(faults) >= least


def test_no_two_are_called_the_same() -> None:
    assert not set(FAULTS) & set(ODDITIES)


async def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        await start("no-such-fault")


def test_the_list_names_all_of_them() -> None:
    lines = CliRunner().invoke(main, ["--list"]).output.splitlines()
    assert {line.split()[0] for line in lines} == set(FAULTS) | set(ODDITIES)


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(main, ["--port", str(taken.getsockname()[1])])
    assert result.exit_code == 1
    assert result.output.startswith("Error: cannot listen on 127.0.0.1:")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("other", [["--oddity", "greets"], ["--capable"]])
def test_two_servers_at_once_are_refused(other: list[str]) -> None:
    result = CliRunner().invoke(main, ["--fault", "never-pongs", *other])
    assert result.exit_code == 2


@pytest.mark.parametrize("which", [["--fault", "never-pongs"], ["--capable"], []])
async def test_the_command_serves_until_sigterm(which: list[str]) -> None:
    command = (sys.executable, "-m", "osint_events_conformance.faulty", *which)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("listening on http://127.0.0.1:")
    host, port = line.split("http://")[1].strip().split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    await writer.wait_closed()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
