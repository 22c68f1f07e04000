"""Servers to measure against, as processes of their own."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STOP_SECONDS = 10.0


@contextmanager
def serving(*command: str) -> Iterator[str]:
    """Run a server that says where it listens, on standard output; give its `host:port`."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:  # noqa: S603 - our own servers
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line.startswith("listening on http://"):
                raise SystemExit(
                    f"{' '.join(command)}: the server did not start: {line.strip() or 'no word'}"
                )
            yield line.removeprefix("listening on http://").strip()
        finally:
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


def reference() -> tuple[str, ...]:
    """The command of the reference server, from this environment, with all that it can."""
    command = Path(sys.executable).with_name("osint-events-server")
    return (str(command), "run", "--port", "0", "--enable-inject", "--compression")


def faulty(name: str) -> tuple[str, ...]:
    """The command of a fault of the zoo."""
    return (sys.executable, "-m", "osint_events_conformance.faulty", "--fault", name, "--port", "0")


def run_command(address: str, *options: str) -> list[str]:
    """The runner's command against a server, by its defaults."""
    runner = [sys.executable, "-m", "osint_events_conformance.cli", "run"]
    return [*runner, f"ws://{address}/ws", f"--inject=http://{address}/inject", *options]
