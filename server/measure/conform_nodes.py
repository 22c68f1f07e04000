"""Does the protocol hold across nodes? The conformance runner, subscribing on one and injecting on another.

`python server/measure/conform_nodes.py [options of the runner]` starts a NATS server and two server nodes on
it, and judges them with every capability, restarts included (RPL-8, RPL-9). Its exit status is the runner's.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import shlex
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brokers import nats_server
from nodes import Node, running, shared

_RESTART_SECONDS = 50.0


def main() -> None:
    """Judge, or restart a node that is judged."""
    if sys.argv[1:2] == ["--restart"]:
        restart(sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as directory, nats_server() as broker:
        flags = (*shared(broker.url), "--enable-inject", "--compression")
        nodes = (Node(*flags), Node(*flags))
        with running(nodes), restarting(nodes[0], Path(directory) / "restart"):
            sys.exit(judge(nodes, Path(directory) / "restart", sys.argv[1:]))


def judge(nodes: tuple[Node, Node], restarter: Path, options: list[str]) -> int:
    """Run the runner; return its exit status."""
    command = shlex.join([sys.executable, __file__, "--restart", str(restarter)])
    return subprocess.run(  # noqa: S603 - our own runner
        [
            str(Path(sys.executable).with_name("osint-events-conformance")),
            "run",
            f"ws://{nodes[0].address}/ws",
            f"--inject=http://{nodes[1].address}/inject",
            "--fallback=off",
            f"--restart-command={command}",
            *options,
        ],
        check=False,
    ).returncode


@contextmanager
def restarting(node: Node, path: Path) -> Iterator[None]:
    """Restart a node whenever somebody connects to a socket, and answer when it listens again."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            node.stop()
            node.start()
            self.request.sendall(b".")

    with socketserver.UnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def restart(path: str) -> None:
    """Ask for a restart, and wait for its end."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_RESTART_SECONDS)
        asking.connect(path)
        if not asking.recv(1):
            sys.exit("the node was not restarted")


if __name__ == "__main__":
    main()
