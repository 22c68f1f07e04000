"""Servers of the zoo as processes, and the command line in this one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from click.testing import CliRunner, Result
from osint_events_conformance.cli import main
from osint_events_conformance.settings import ENVIRONMENT

STOP_SECONDS = 10


@dataclass(frozen=True)
class ZooServer:
    """A server that listens."""

    address: str

    @property
    def url(self) -> str:
        return f"ws://{self.address}/ws"

    @property
    def inject(self) -> str:
        return f"--inject=http://{self.address}/inject"


Serve = Callable[..., ZooServer]
Command = Callable[..., Result]


@contextmanager
def _serving(*arguments: str) -> Iterator[ZooServer]:
    command = [sys.executable, "-m", "osint_events_conformance.faulty", *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own servers
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on http://"), f"{command} did not start"
            yield ZooServer(line.removeprefix("listening on http://").strip())
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(autouse=True)
def _no_tokens_of_the_developer_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers of the zoo: `serve()` the correct one, `serve("--fault", "never-pongs")` another."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(_serving(*arguments))


@pytest.fixture(scope="module")
def correct() -> Iterator[ZooServer]:
    """The zoo's correct server."""
    with _serving() as server:
        yield server


@pytest.fixture
def command() -> Command:
    """Runs `osint-events-conformance` in this process. An exception that it lets out is an error."""
    return lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)
