"""The reference server with its own tokens, judged as its operator would: all of security is tested."""

from __future__ import annotations

import json
import os
import shutil
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from osint_events_conformance.settings import ENVIRONMENT

SECRET = "s" * 32
# --8<-- [start:claims]
FORBIDDEN_ID = "§"
RUNNER = {  # for OSINT_EVENTS_TOKEN
    "investigation_patterns": [f"*{character}*" for character in string.ascii_letters + string.digits],
    "investigations": ["*", ".*", "%", ">", "#", "é", "😀", " ", "   ", "\t", "\u3000"],
}
HOOK = {  # for OSINT_EVENTS_TRIGGER_TOKEN
    "investigation_patterns": ["*"],
    "permissions": ["inject"],
}
# --8<-- [end:claims]
RUN = (sys.executable, "-m", "osint_events_conformance.cli", "run")


def token(**claims: object) -> str:
    return jwt.encode({"exp": time.time() + 3600, **claims}, SECRET, algorithm="HS256")


@pytest.fixture
def server() -> Iterator[str]:
    """Give the `host:port` of a reference server that demands tokens."""
    found = shutil.which("osint-events-server", path=str(Path(sys.executable).parent))
    assert found, "the environment of the tests has the server too"
    settings = {"AUTH_SECRET": SECRET, "AUTH_TIMEOUT": "1", "ENABLE_INJECT": "1", "COMPRESSION": "1"}
    environment = os.environ | {f"OSINT_EVENTS_{name}": value for name, value in settings.items()}
    with subprocess.Popen(  # noqa: S603 - our own command
        [found, "run", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on http://"), line
            yield line.removeprefix("listening on http://").strip()
        finally:
            process.terminate()


def test_the_reference_server_keeps_its_investigations_apart(server: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    tokens = {"token": token(**RUNNER), "trigger_token": token(**HOOK)}
    run = subprocess.run(  # noqa: S603 - our own command
        [
            *RUN, f"ws://{server}/ws", f"--inject=http://{server}/inject", f"--forbidden-id={FORBIDDEN_ID}",
            f"--report-json={report}", "--examples=0", "--max-time=120",
            "--seed=7", "--fallback=on", "--skip=ROB-5", "--skip=FLW-*", "--skip=HB-*",
        ],
        env=os.environ | {ENVIRONMENT[name]: value for name, value in tokens.items()},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    document = json.loads(report.read_text(encoding="utf-8"))
    outcomes = {clause["id"]: clause["outcome"] for clause in document["clauses"]}
    assert {outcomes[one] for one in ("SEC-1", "SEC-2", "SEC-3")} == {"passed"}
    assert not [one for one in document["notes"] if "SEC" in one]
    assert not [value for value in tokens.values() if value in report.read_text() + run.stdout + run.stderr]
