"""Server nodes on a shared store, as processes of their own."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Final

KEY: Final = "for-measurements-of-no-other-value"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0


class Node:
    """One node, which keeps its port when it is started again.

    Args:
        flags: of `osint-events-server run`.

    Attributes:
        port: where it listens, on 127.0.0.1; 0 before the first start.

    """

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; return when it listens."""
        command = str(Path(sys.executable).with_name("osint-events-server"))
        self._process = subprocess.Popen(  # noqa: S603 - our own server
            [command, "run", f"--port={self.port}", *self._flags], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        timer = Timer(_START_SECONDS, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line.startswith("listening on http://"):
            raise SystemExit(f"the server did not start: {line.strip() or 'see above'}")
        self.port = int(line.rpartition(":")[2])

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator does, if it runs."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def resident_kib(self) -> int:
        """Its resident memory."""
        return resident_kib(self.pid)


def resident_kib(pid: int) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def shared(*stores: str) -> tuple[str, ...]:
    """Return the flags of a node on a store at these URLs."""
    return (f"--store={','.join(stores)}", f"--token-keys={KEY}")


@contextmanager
def running(nodes: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """Run nodes; end them at the end."""
    try:
        for node in nodes:
            node.start()
        yield nodes
    finally:
        for node in nodes:
            node.kill()
