"""What is measured, and how. Each measure adds figures of one round; they mean something beside each other.

How it is made fair:

- The reference server is published to by POST, as in life: events are parsed, validated, numbered, kept, and
  delivered to who is subscribed. Peers take them as WebSocket messages `{"type": "publish", …}` which they
  parse and pass on, which is less than any of them would have to do. So every comparison of fan-out is
  between less work there and all the work here; with 1,000 receivers of an event it hardly matters, and
  `ingest` measures by itself what it costs.
- "One event at a time": the next event is published when all have received the one before, so each leaves
  by itself, and no server can join anything. A burst: up to 64 events are under way; of the reference server
  64 publishers ask for one each and wait for the answer, to peers they come 16 at a time. What a server makes
  of it is its own.
- At an offered rate events are due at fixed times, whatever the server does; latency counts from then.
- The server has a processor for itself, the drain client has another one. The drain says what share of its
  time it had nothing to do: below `DRAIN_IS_IDLE` it may be what was measured.
- Where either of them was ready and had no processor for more than `BUSY` of the time, others are busy on
  this machine. Rates and latencies then say little; processor time per delivery still says something.
- The messages of events differ, as messages do, so that compressing them with a context gains what it would.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import http.client
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from processes import (
    HELLO,
    Contender,
    Failed,
    Phase,
    Running,
    Unavailable,
    compiled,
    draining,
    measured,
    node_peer,
    python_peer,
    reference,
    serving,
)
from websockets.sync.client import connect

BATCH = 16
WINDOW = 64
RATES = (25, 50, 100, 200, 400, 800)
AIM_RATES = (50, 400)
OF_EACH = 5  # subscribers of each of as many investigations as there are receivers elsewhere
SUBSCRIPTIONS = 128
IDLE = 5  # times the receivers, that is 5,000 connections
HELD = 10
REPLAYED = 5000
REPLAYERS = 20
LONG_HISTORY = 100_000
DRAIN_IS_IDLE = 0.05
BUSY = 0.1

REFERENCE = Contender("reference", reference, http=True)
RESUMABLE = Contender("reference, replay", reference, http=True, hello=HELLO)
DEFLATED = Contender("reference, deflate", lambda: reference("--compression"), http=True, deflate=True)
KEEPING = Contender(
    "reference, long history",
    lambda: reference("--history-events=200000", "--max-replay-events=10000", "--history-ttl=3600"),
    http=True,
    hello=HELLO,
)
BARE_C = Contender("bare C", lambda: [compiled("broadcast", "broadcast.c")])
FASTAPI = Contender(
    "FastAPI send_json", lambda: python_peer("fastapi_send_json.py", "fastapi", "uvicorn", "uvloop")
)
FASTAPI_INGEST = Contender("FastAPI ingest", FASTAPI.command, http=True)
AIOHTTP = Contender("aiohttp send_str", lambda: python_peer("aiohttp_send_str.py", "aiohttp", "uvloop"))
AIOHTTP_DEFLATED = Contender("aiohttp deflate", lambda: [*AIOHTTP.command(), "--compress"], deflate=True)
WEBSOCKETS = Contender(
    "websockets.broadcast", lambda: python_peer("websockets_broadcast.py", "websockets", "uvloop")
)
PICOWS = Contender("picows", lambda: python_peer("picows_send.py", "picows", "uvloop"))
SOCKETIFY = Contender("socketify", lambda: python_peer("socketify_publish.py", "socketify"))
NODE = Contender("Node ws", node_peer)

CONTENDERS = (
    REFERENCE,
    RESUMABLE,
    BARE_C,
    SOCKETIFY,
    PICOWS,
    NODE,
    AIOHTTP,
    WEBSOCKETS,
    FASTAPI,
)


@dataclass(slots=True)
class Samples:
    """What was measured.

    Attributes:
        round: the one that figures are added to.
        values: each round's value, by measure, server and figure.

    """

    round: int = 0
    values: dict[tuple[str, str, str], dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, measure: str, server: str, **figures: float) -> None:
        """Add the round's figures of a server."""
        for name, value in figures.items():
            self.values[measure, server, name][self.round] = value

    def rounds(self, measure: str, server: str, figure: str) -> list[float]:
        """Return a figure's values, those that there are."""
        return list(self.values.get((measure, server, figure), {}).values())


@dataclass(slots=True)
class Bench:
    """A run: the servers that are up, the samples so far.

    Attributes:
        receivers: of an event; other numbers of connections are multiples of it.
        seconds: that a phase takes.
        stack: ends the servers.
        tell: says what happens, to people.

    """

    receivers: int
    seconds: float
    stack: ExitStack
    tell: Callable[[str], None]
    samples: Samples = field(default_factory=Samples)
    skipped: dict[str, str] = field(default_factory=dict)
    _running: dict[str, Running] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)

    def phase(self, name: str, **options: float) -> Phase:
        """Return a phase of the usual length, unless it says otherwise."""
        return Phase(name, {"seconds": self.seconds, "warmup": self.seconds / 4, **options})

    def server(self, contender: Contender) -> Running | None:
        """Return a server, started where it does not run yet; None where it cannot be."""
        if contender.name in self.skipped:
            return None
        # One process serves those clients that say hello, and the others.
        name = "reference" if contender is RESUMABLE else contender.name
        if name not in self._running:
            try:
                self._running[name] = self.stack.enter_context(serving(contender))
            except Unavailable as missing:
                self.skipped[contender.name] = str(missing)
                self.tell(f"skipped {contender.name}: {missing}")
                return None
        running = self._running[name]
        return Running(contender, running.pid, running.port)

    def token(self, server: Running, prefix: str, *, before: int) -> str:
        """Return a token from which `REPLAYED` events are to be replayed, published once, after others."""
        if prefix not in self._tokens:
            _publish(server, f"{prefix}-0", before)
            with connect(f"ws://127.0.0.1:{server.port}/ws/token", compression=None) as ws:
                ws.send(HELLO)
                ws.send(json.dumps({"type": "subscribe_investigation", "investigation_id": f"{prefix}-0"}))
                while (message := json.loads(ws.recv(timeout=10)))["type"] != "subscription_confirmed":
                    pass
            _publish(server, f"{prefix}-0", REPLAYED)
            self._tokens[prefix] = message["token"]
        return self._tokens[prefix]


def fan_out(bench: Bench) -> None:
    """One event at a time, and bursts, to 1,000 receivers, by every server."""
    for contender in CONTENDERS:
        if (server := bench.server(contender)) is not None:
            phases = [bench.phase("single", window=1), _burst(bench, server)]
            figures = measured(server, phases, connections=bench.receivers)
            for phase in phases:
                bench.samples.add(phase.name, contender.name, **_figures(figures[phase.name]))


def offered(bench: Bench) -> None:
    """Rates that rise until the server does not keep up, by the servers that are drawn."""
    for contender in (REFERENCE, RESUMABLE, AIOHTTP, WEBSOCKETS, FASTAPI):
        if (server := bench.server(contender)) is None:
            continue
        phases = [
            bench.phase(f"offered {rate}", rate=rate, publishers=BATCH if contender.http else 1)
            for rate in RATES
        ]
        with draining(server, phases, {"connections": bench.receivers}) as drain:
            drain.next()
            for phase in phases:
                figures = drain.next()
                bench.samples.add(
                    phase.name, contender.name, **_figures(figures), missing=figures["under_way"]
                )
                if figures["under_way"]:
                    break


def many(bench: Bench) -> None:
    """Many investigations beside one, and one connection with many subscriptions beside one."""
    server = bench.server(REFERENCE)
    assert server is not None
    phases = [bench.phase("one", window=1), _burst(bench, server)]
    shapes: Mapping[str, Mapping[str, int]] = {
        "1 topic": {"connections": OF_EACH},
        "many topics": {"connections": bench.receivers * OF_EACH, "topics": bench.receivers},
        "1 subscription": {"connections": 1},
        "128 subscriptions": {"connections": 1, "topics": SUBSCRIPTIONS, "each": SUBSCRIPTIONS},
    }
    for shape, options in shapes.items():
        figures = measured(server, phases, **options)
        for phase in phases:
            bench.samples.add(
                f"{shape}, {phase.name}", server.contender.name, **_figures(figures[phase.name])
            )


def compression(bench: Bench) -> None:
    """Compressed fan-out beside aiohttp's own."""
    for contender in (DEFLATED, AIOHTTP_DEFLATED):
        if (server := bench.server(contender)) is not None:
            phases = [bench.phase("single", window=1), _burst(bench, server)]
            figures = measured(server, phases, connections=bench.receivers)
            for phase in phases:
                bench.samples.add(f"compressed {phase.name}", contender.name, **_figures(figures[phase.name]))


def stalled(bench: Bench) -> None:
    """A client that reads nothing, with full buffers, beside 1,000 that do; without it before and after."""
    server = bench.server(REFERENCE)
    assert server is not None
    options = {"rate": 50, "publishers": 2, "seconds": max(1.5, bench.seconds)}
    phases = [
        bench.phase("alone", **options),
        bench.phase("beside a stalled client", stalled=1, **options),
        bench.phase("alone again", **options),
    ]
    figures = measured(server, phases, connections=bench.receivers)
    for phase in phases:
        one = figures[phase.name]
        if one["stalled_ended"]:
            raise Failed("the stalled client was ended before the measurement was")
        bench.samples.add(phase.name, server.contender.name, **_figures(one))


def replay(bench: Bench) -> None:
    """20 clients resume, 5,000 events back, with a short history and with a long one."""
    server = bench.server(KEEPING)
    assert server is not None
    for prefix, before in (("short", 1), ("long", LONG_HISTORY)):
        token = bench.token(server, prefix, before=before)
        phase = Phase("replay", {"expect": REPLAYED, "seconds": 20})
        figures = measured(
            server,
            [phase],
            connections=REPLAYERS,
            prefix=prefix,
            extra=f',"replay_token":"{token}"',
        )["replay"]
        if figures["deliveries"] < REPLAYED * REPLAYERS:
            raise Failed(f"replayed {figures['deliveries']} of {REPLAYED * REPLAYERS} events")
        bench.samples.add(f"replay, {prefix} history", "reference", **_figures(figures))


def ingest(bench: Bench) -> None:
    """Events that are accepted, one a request and 100 a request, while nobody is connected."""
    phases = [
        bench.phase("ingest single", publishers=BATCH),
        bench.phase("ingest ndjson", publishers=4, batch=100),
    ]
    for contender in (REFERENCE, FASTAPI_INGEST):
        if (server := bench.server(contender)) is not None:
            figures = measured(server, phases, connections=0, topics=BATCH)
            for phase in phases:
                one = figures[phase.name]
                bench.samples.add(
                    phase.name,
                    contender.name,
                    events_per_second=one["accepted"] / one["seconds"],
                    cpu_us_per_event=1e6 * (one["user"] + one["system"]) / max(1, one["accepted"]),
                )


def idle(bench: Bench) -> None:
    """Memory of 5,000 idle connections, handshakes, and 10,000 connections served; fresh servers."""
    count = IDLE * bench.receivers
    for contender in CONTENDERS:
        if contender.name in bench.skipped:
            continue
        try:
            with serving(contender) as server:
                # What the first connection brings along belongs to no connection.
                measured(server, [], connections=10)
                before = server.resident_kib()
                with draining(server, [], {"connections": count}, hold=True) as drain:
                    setup = drain.next()
                    kib = (server.resident_kib() - before) / count
                bench.samples.add(
                    "idle",
                    contender.name,
                    kilobytes_per_connection=kib * 1.024,
                    handshakes_per_second=count / setup["seconds"],
                )
                if contender in (REFERENCE, RESUMABLE):
                    phase = Phase("held", {"rate": 4, "seconds": 0.5, "warmup": 0, "grace": 5})
                    held = measured(server, [phase], connections=HELD * bench.receivers)["held"]
                    lost = held["under_way"] + held["ended"]
                    bench.samples.add(
                        "held", contender.name, connections=0 if lost else HELD * bench.receivers
                    )
        except Unavailable as missing:
            bench.skipped[contender.name] = str(missing)
            bench.tell(f"skipped {contender.name}: {missing}")


@dataclass(frozen=True, slots=True)
class Measure:
    """One part of the benchmark.

    Attributes:
        name: by which it is selected.
        run: adds a round's figures.
        rounds: how many at most.

    """

    name: str
    run: Callable[[Bench], None]
    rounds: int


MEASURES = (
    Measure("fan-out", fan_out, 5),
    Measure("offered", offered, 3),
    Measure("many", many, 3),
    Measure("compression", compression, 3),
    Measure("stalled", stalled, 3),
    Measure("replay", replay, 3),
    Measure("ingest", ingest, 3),
    Measure("idle", idle, 1),
)


def _burst(bench: Bench, server: Running) -> Phase:
    shape = {"publishers": WINDOW} if server.contender.http else {"batch": BATCH}
    return bench.phase("burst", window=WINDOW, **shape)


def _figures(phase: Mapping[str, Any]) -> dict[str, float]:
    """Return what a phase says of a server; what nothing was measured of is left out."""
    deliveries, seconds = phase["deliveries"], phase["seconds"]
    figures = {
        "deliveries_per_second": deliveries / seconds,
        "idle": phase["idle"],
        "waited": max(phase["waited"], phase["drain_waited"]) / seconds,
    }
    if deliveries:
        figures["user_us_per_delivery"] = 1e6 * phase["user"] / deliveries
        figures["cpu_us_per_delivery"] = 1e6 * (phase["user"] + phase["system"]) / deliveries
        figures["deliveries_per_read"] = deliveries / phase["reads"]
    if phase["p99_us"]:
        figures["p50_ms"] = phase["p50_us"] / 1000
        figures["p99_ms"] = phase["p99_us"] / 1000
    return figures


def _publish(server: Running, investigation_id: str, count: int) -> None:
    """Publish numbered events."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    for first in range(0, count, 1000):
        lines = [
            json.dumps(
                {
                    "type": "task_started",
                    "task_id": f"t{number}",
                    "status": "running",
                    "message": "x" * 150,
                    "at": f"{number:019}",
                }
            )
            for number in range(first, min(count, first + 1000))
        ]
        connection.request(
            "POST",
            f"/investigations/{investigation_id}/events",
            body="\n".join(lines),
            headers={"Content-Type": "application/x-ndjson"},
        )
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != http.HTTPStatus.ACCEPTED:
            raise Failed(f"publishing failed with {answer.status}: {text.decode()}")
    connection.close()
