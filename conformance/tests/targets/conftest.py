"""The foreign targets as processes: correct servers of Part 1, without a line of the reference server."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
STOP_SECONDS = 10


@contextmanager
def running(*command: str | Path) -> Iterator[str]:
    """Start a server on a free port and give its base URL, ``http://127.0.0.1:PORT``."""
    process = subprocess.Popen(  # noqa: S603 - our own servers
        [*command, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"ENABLE_INJECT": "1"},
    )
    assert process.stdout is not None
    try:
        announcement = process.stdout.readline()
        assert announcement.startswith("listening on http://"), f"{command} did not start"
        yield announcement.removeprefix("listening on ").strip()
        assert process.poll() is None, "the server ended during the test"
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def fastapi_server() -> Iterator[str]:
    """The base URL of the FastAPI target."""
    with running(sys.executable, HERE / "fastapi_server.py") as url:
        yield url


@pytest.fixture(scope="session")
def node_server() -> Iterator[str]:
    """The base URL of the Node target."""
    with running("node", HERE / "node_ws" / "server.mjs") as url:
        yield url


@pytest.fixture(
    params=[
        "fastapi_server",
        pytest.param("node_server", marks=pytest.mark.node("conformance/tests/targets/node_ws")),
    ],
    ids=["fastapi", "node"],
)
def target(request: pytest.FixtureRequest) -> str:
    """The base URL of each target in turn."""
    url = request.getfixturevalue(request.param)
    assert isinstance(url, str)
    return url
