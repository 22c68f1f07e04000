"""The command that restarts a server."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

import pytest
from osint_events_conformance.restarts import RestartCommand, RestartFailed


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


async def test_the_command_is_run_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "restarted"
    await RestartCommand(python(f"open({str(path)!r}, 'w').write('yes')"))()
    assert path.read_text() == "yes"


async def test_a_server_that_the_command_leaves_behind_is_not_waited_for() -> None:
    stays = f"subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(3)'])"
    began = time.monotonic()
    await RestartCommand(python(f"import subprocess; {stays}"))()
    assert time.monotonic() - began < 2.5


async def test_a_command_that_fails_says_what_it_said_last() -> None:
    command = RestartCommand(python("import sys; sys.exit('no such service')"))
    with pytest.raises(RestartFailed, match="ended with status 1: no such service"):
        await command()


async def test_a_command_that_is_not_there_says_so() -> None:
    with pytest.raises(RestartFailed, match="cannot run /no/such/command: No such file"):
        await RestartCommand("/no/such/command now")()
