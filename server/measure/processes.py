"""The servers that are measured and the client that drains them, as processes of their own."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import IO, Any

HERE = Path(__file__).resolve().parent
BUILT = Path(tempfile.gettempdir()) / f"osint-events-bench-{os.getuid()}"
START_SECONDS = 20.0
STOP_SECONDS = 2.0
HELLO = json.dumps(
    {
        "type": "hello",
        "protocol": 1,
        "features": ["heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors"],
    },
    separators=(",", ":"),
)


class Unavailable(Exception):
    """Something that is measured against cannot be run here; the message says what is missing."""


class Failed(Exception):
    """A measurement that could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server, and how its clients speak to it.

    Attributes:
        name: how it is called in tables.
        command: starts it; raises `Unavailable`.
        http: whether it is published to by POST, as the reference server is; else over a WebSocket.
        hello: what clients say first, if anything.
        deflate: whether clients ask for compression.

    """

    name: str
    command: Callable[[], list[str]]
    http: bool = False
    hello: str | None = None
    deflate: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs.

    Attributes:
        contender: which.
        pid: its process.
        port: where it listens, on 127.0.0.1.

    """

    contender: Contender
    pid: int
    port: int

    def resident_kib(self) -> int:
        """Its resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time in which events are published in one way; see `drain.c`.

    Attributes:
        name: what its figures are kept under.
        options: publishers, batch, window, rate, warmup, seconds, grace, expect, stalled.

    """

    name: str
    options: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return ",".join([f"name={self.name}", *(f"{key}={value:g}" for key, value in self.options.items())])


def compiled(name: str, *sources: str) -> str:
    """Return the path of a C program, compiled where its sources have changed."""
    texts = [(HERE / "native" / source).read_bytes() for source in (*sources, "drain.h")]
    target = BUILT / f"{name}-{hashlib.sha256(b''.join(texts)).hexdigest()[:16]}"
    if not target.exists():
        compiler = shutil.which("cc")
        if compiler is None:
            raise Unavailable("a C compiler (cc) is not installed")
        BUILT.mkdir(mode=0o700, exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}")
        files = [str(HERE / "native" / source) for source in sources]
        subprocess.run([compiler, "-O2", "-o", str(unfinished), *files], check=True)  # noqa: S603 - our own sources
        unfinished.rename(target)
    return str(target)


def drain_program() -> str:
    """Return the path of the drain client."""
    return compiled("drain", "drain.c", "receivers.c", "publishers.c")


def reference(*flags: str) -> list[str]:
    """Return the command of the reference server, from this environment."""
    return [str(Path(sys.executable).with_name("osint-events-server")), "run", "--port=0", *flags]


def python_peer(script: str, *needed: str) -> list[str]:
    """Return the command of a peer in Python."""
    for name in needed:
        if importlib.util.find_spec(name) is None:
            raise Unavailable(f"the package {name} is not installed")
    return [sys.executable, str(HERE / "peers" / script)]


def node_peer() -> list[str]:
    """Return the command of the peer on Node."""
    node = shutil.which("node")
    if node is None:
        raise Unavailable("node is not installed")
    if not (HERE / "peers" / "node_modules").is_dir():
        raise Unavailable(f"{HERE / 'peers'} has no node_modules (npm ci there)")
    return [node, str(HERE / "peers" / "node_ws.mjs")]


def processors() -> tuple[set[int], set[int]]:
    """Return the processors of the server and of the drain: one each where there are two."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[1 % len(available)]}


@contextmanager
def serving(contender: Contender) -> Iterator[Running]:
    """Run a server; end it at the end.

    Raises:
        Unavailable: it cannot be run here.

    """
    command = contender.command()
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,  # noqa: S603 - our own servers
    ):
        try:
            os.sched_setaffinity(process.pid, processors()[0])
            line = _line(process, START_SECONDS)
            if not line.startswith("listening on http://"):
                log.seek(0)
                last = log.read().strip().splitlines()[-1:] or ["no word"]
                raise Unavailable(f"did not start: {last[0]}")
            yield Running(contender, process.pid, int(line.rpartition(":")[2]))
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def draining(
    server: Running, phases: list[Phase], options: Mapping[str, str | int], *, hold: bool = False
) -> Iterator[Drain]:
    """Run a drain client against a server; see `drain.c`. It ends by itself.

    Args:
        server: what it connects to.
        phases: what is published.
        options: of the drain: connections, topics, each, prefix, extra.
        hold: whether it stays at the end of the setup until it is ended.

    """
    contender = server.contender
    flags: dict[str, str | int] = {
        "port": server.port,
        "pid": server.pid,
        "http": int(contender.http),
        "deflate": int(contender.deflate),
        "hold": int(hold),
        **({} if contender.hello is None else {"hello": contender.hello}),
        **options,
    }
    command = [drain_program()]
    for key, value in flags.items():
        command += [f"--{key}", str(value)]
    for phase in phases:
        command += ["--phase", str(phase)]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        os.sched_setaffinity(process.pid, processors()[1])
        try:
            yield Drain(process, log)
        finally:
            process.kill()


class Drain:
    """A drain client that runs.

    Args:
        process: its process.
        log: where its standard error goes.

    """

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self._process = process
        self._log = log

    def next(self, *, seconds: float = 60.0) -> dict[str, Any]:
        """Return the figures of the setup, and then of each phase.

        Raises:
            Failed: it ended, or took longer than `seconds`.

        """
        line = _line(self._process, seconds)
        if not line:
            self._log.seek(0)
            raise Failed(self._log.read().strip() or f"nothing was measured in {seconds:g} s")
        figures: dict[str, Any] = json.loads(line)
        return figures


def measured(server: Running, phases: list[Phase], **options: str | int) -> dict[str, dict[str, Any]]:
    """Drain a server; return the figures of each phase by its name, `setup` among them."""
    with draining(server, phases, options) as drain:
        lines = [drain.next() for _ in range(1 + len(phases))]
    return {line["phase"]: line for line in lines}


def _line(process: subprocess.Popen[str], seconds: float) -> str:
    """Read a line that a process prints; where none comes in time, end the process and return nothing."""
    assert process.stdout is not None
    timer = Timer(seconds, process.kill)
    timer.start()
    try:
        return process.stdout.readline()
    finally:
        timer.cancel()
