"""The example server on aiohttp keeps the contract. Those on FastAPI and Node: conformance/tests/targets."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[1] / "samples"


@contextmanager
def example(*, hook: bool) -> Iterator[int]:
    """Run the server on aiohttp, and give its port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command: list[str | Path] = [sys.executable, "-u", SAMPLES / "backends" / "aiohttp_server.py", str(port)]
    environment = os.environ | {"ENABLE_INJECT": str(int(hook))}
    with subprocess.Popen(  # noqa: S603 - our own server
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert "Running on" in process.stdout.readline()
            yield port
        finally:
            process.terminate()


def judged(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the conformance runner against it."""
    command: list[str | Path] = [
        Path(sys.executable).parent / "osint-events-conformance", "run", f"ws://127.0.0.1:{port}/ws",
        f"--inject=http://127.0.0.1:{port}/inject", "--profile=core", "--fallback=on", *options,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)  # noqa: S603 - our own


@pytest.mark.timeout(120)
def test_the_server_on_aiohttp_keeps_every_must() -> None:
    with example(hook=True) as port:
        done = judged(port, "--examples=20", "--max-time=20")
    assert done.returncode == 0, done.stdout
    assert re.search(r"CONFORMS: \d+ of \d+ MUSTs tested, all kept", done.stdout), done.stdout


def test_the_hook_is_not_there_unless_it_is_asked_for() -> None:
    with example(hook=False) as port:
        done = judged(port)
    assert done.returncode == 3, done.stdout
