"""Is anything lost, given time? Clients come, resume, stall and vanish at random while events flow.

`python server/measure/soak.py` starts a server with small queues and short heartbeats, and at the end holds
what each client received against what the publishers know to be accepted (RPL-2). Exit status: 0 all equal;
1 not; 2 usage; 3 no run that means anything, since something that was to happen never did.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import json
import random
import sys
from base64 import b64encode
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click
from history import History, Published
from listener import Listener
from served import Served, served


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is published for an investigation.

    Attributes:
        pause: seconds from one request to the next, at least and at most.
        size: bytes of an event, at most.

    """

    pause: tuple[float, float]
    size: int


HOT = "hot"
TRAFFIC = {
    HOT: Traffic(pause=(0.02, 0.06), size=50_000),  # more than sockets hold of a client that stalls
    **{f"steady-{number}": Traffic(pause=(0.2, 1.0), size=300) for number in range(20)},
    **{f"quiet-{number}": Traffic(pause=(5.0, 20.0), size=300) for number in range(4)},
}
KINDS = {
    "task_started": frozenset({"tasks"}),
    "task_completed": frozenset({"tasks"}),
    "investigation_paused": frozenset({"summary"}),
    "note": frozenset({"tasks", "summary"}),
}
NEEDED = ("resumes", "stalls", "replays", "slow consumer ends")
"""What has to have happened, or the run says nothing."""
REPORT_SECONDS = 30.0

SETTINGS = {
    "max-queue-bytes": 262_144,
    "ping-interval": 4,
    "pong-timeout": 3,
    "history-events": 10_000,
    "history-ttl": 60,
    "max-replay-events": 10_000,
}


@click.command()
@click.option("--seconds", default=600.0, show_default=True, type=click.FloatRange(min=5), help="How long.")
@click.option("--clients", default=200, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--seed", type=int, help="Decides what the clients do; random without.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the summary to this file, too.")
def main(seconds: float, clients: int, seed: int | None, file: Path | None) -> None:
    """Soak the reference server."""
    flags = [f"--{name}={value}" for name, value in SETTINGS.items()]
    with served("--compression", *flags) as server:
        summary = asyncio.run(
            soak(server, seconds, clients, random.randrange(2**32) if seed is None else seed)
        )
    text = json.dumps(summary, indent=1)
    click.echo(text)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    for problem in summary["problems"]:
        click.echo(problem, err=True)
    if summary["problems"]:
        sys.exit(1)
    if missing := [name for name in NEEDED if not summary["counts"].get(name)]:
        click.echo(f"no run: {', '.join(missing)}: none; run longer, or with more clients", err=True)
        sys.exit(3)


async def soak(server: Served, seconds: float, clients: int, seed: int) -> dict[str, Any]:
    """Run against a server, and return the summary: the seed, what was counted, and what is wrong."""
    tally: Counter[str] = Counter()
    log: dict[str, list[Published]] = defaultdict(list)
    stop = asyncio.Event()
    address = (server.host, server.port)
    async with aiohttp.ClientSession() as http:
        listeners = [
            Listener(number, address=address, histories=histories(number, seed), tally=tally, seed=seed)
            for number in range(clients)
        ]
        url = f"http://{address[0]}:{address[1]}"
        async with asyncio.TaskGroup() as tasks:
            for name, traffic in TRAFFIC.items():
                publisher = Publisher(http, f"{url}/investigations/{name}/events", traffic, log[name])
                tasks.create_task(publisher.publish(random.Random(f"{seed}-{name}"), stop))
            for listener in listeners:
                tasks.create_task(listener.live(stop))
            reporting = tasks.create_task(report(tally, log))
            await asyncio.sleep(seconds)
            reporting.cancel()
            stop.set()
        heads = heads_of(log)
        await asyncio.gather(*(listener.catch_up(heads) for listener in listeners))
        problems = [problem for listener in listeners for problem in listener.broken]
        problems += [difference for listener in listeners for difference in differences(listener, log)]
        if not server.is_alive():
            problems.append(f"the server ended: {server.log.read_text()[-1000:].strip() or 'without a word'}")
        memory = peak_memory(server.pid)
    tally["published"] = sum(map(len, log.values()))
    return {
        "seed": seed,
        "seconds": seconds,
        "clients": clients,
        "histories": sum(len(listener.histories) for listener in listeners),
        "counts": dict(sorted(tally.items())),
        "server_peak_mib": memory,
        "equal": not problems,
        "problems": problems[:100],
    }


def histories(number: int, seed: int) -> list[History]:
    """Return what a client subscribes to: up to four investigations, and every tenth one to the hot one."""
    chance = random.Random(f"{seed}-histories-{number}")
    ids = chance.sample([name for name in TRAFFIC if name != HOT], chance.randint(1, 4))
    if number % 10 == 0:
        ids.append(HOT)
    return [History(investigation_id, chance.choice(("all", "tasks", "summary"))) for investigation_id in ids]


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes events of one investigation, alone and by the dozen, and keeps what was accepted.

    Attributes:
        http: an HTTP client.
        url: where the investigation's events are posted.
        traffic: how many, and how large.
        log: the accepted events.

    """

    http: aiohttp.ClientSession
    url: str
    traffic: Traffic
    log: list[Published]

    async def publish(self, chance: random.Random, stop: asyncio.Event) -> None:
        """Publish until told to stop."""
        number = 0
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(*self.traffic.pause)):
                    await stop.wait()
            events = []
            for kind in chance.choices(list(KINDS), k=chance.choice((1,) * 20 + (12,))):
                number += 1
                padding = b64encode(chance.randbytes(chance.randrange(self.traffic.size))).decode()
                event = {"type": kind, "number": number, "message": padding}
                events.append(event | ({"task_id": f"t{number}"} if kind.startswith("task_") else {}))
            await self._post(events)

    async def _post(self, events: list[dict[str, Any]]) -> None:
        body = "\n".join(map(json.dumps, events))
        headers = {"Content-Type": "application/json" if len(events) == 1 else "application/x-ndjson"}
        async with self.http.post(self.url, data=body, headers=headers) as response:
            response.raise_for_status()
            answer = await response.json()
        seqs = [answer["seq"]] if len(events) == 1 else answer["seqs"]
        for seq, event in zip(seqs, events, strict=True):
            self.log.append(Published(seq, event["number"], KINDS[event["type"]]))


def heads_of(log: dict[str, list[Published]]) -> dict[tuple[str, str], int]:
    """Return the last number of each investigation and scope."""
    heads: dict[tuple[str, str], int] = {}
    for investigation_id, events in log.items():
        for event in events:
            for scope in ("all", *event.scopes):
                heads[investigation_id, scope] = event.seq
    return heads


def differences(listener: Listener, log: dict[str, list[Published]]) -> list[str]:
    """Say where a client's history is not the publisher's."""
    found = []
    for history in listener.histories.values():
        expected = history.expected(log[history.investigation_id])
        if history.events != expected:
            lost, strange = (set(expected) - set(history.events), set(history.events) - set(expected))
            found.append(
                f"{history.investigation_id} ({history.scope}) from {history.first}: {len(history.events)} "
                f"events instead of {len(expected)}; lost {sorted(lost)[:5]}, strange {sorted(strange)[:5]}"
            )
    return found


async def report(tally: Counter[str], log: dict[str, list[Published]]) -> None:
    """Say how it goes."""
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        told = ", ".join(f"{tally[name]} {name}" for name in ("events", *NEEDED))
        click.echo(f"{sum(map(len, log.values()))} published; {told}", err=True)


def peak_memory(pid: int) -> float | None:
    """Return the most memory that a process ever held, in MiB, where the system tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return None
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    main()
