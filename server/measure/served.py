"""A reference server as a process of its own, for the runs that judge it from outside."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = Path(sys.executable).parent / "osint-events-server"


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs.

    Attributes:
        host: where it listens.
        port: where it listens.
        process: what runs.
        log: what it writes to standard error.

    """

    host: str
    port: int
    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self.process.pid

    def resident_mib(self) -> float:
        """Return its resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS: this runs on Linux only")

    def is_alive(self) -> bool:
        """Say whether the process still runs."""
        return self.process.poll() is None


@contextmanager
def served(*flags: str) -> Iterator[Served]:
    """Run a server on a free port while the context lasts."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "server.log"
        with (
            log.open("wb") as stderr,
            subprocess.Popen(  # noqa: S603 - our own command
                [COMMAND, "run", "--port", "0", "--enable-inject", *flags],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if "://" not in line:
                    raise SystemExit(f"the server did not start: {log.read_text().strip()}")
                host, port = line.split("://")[1].strip().rsplit(":", 1)
                yield Served(host, int(port), process, log)
            finally:
                process.terminate()
