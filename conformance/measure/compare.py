"""What a plain schema validation of the same traffic finds, beside what the runner finds, on the zoo.

The baseline does what Microcks-like tools do: connect, subscribe, have the schemas' own valid examples
injected, and validate every message that arrives against the schema of its type. It is given more than
those tools have: it does subscribe, and counts a missing answer as found. The runner's side is the kill
matrix of `osint-events-conformance selftest --json FILE`.

`python conformance/measure/compare.py FILE`
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import jsonschema
from osint_events import contract
from osint_events_conformance.faulty import FAULTS, ODDITIES, RunningServer, start
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "v1" / "examples" / "valid"
WAIT: Final = 1.0
"""Seconds of silence after which nothing more is expected. These servers answer within milliseconds."""
LONGEST: Final = 5.0
"""Seconds that it listens at most: some servers are never silent."""
ID: Final = "1234"


@click.command()
@click.argument("matrix", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all figures to this file.")
def main(matrix: Path, file: Path | None) -> None:
    """Compare a plain schema validation with the runner's MATRIX."""
    judged = {one["name"]: one for one in json.loads(matrix.read_text(encoding="utf-8"))["servers"]}
    names = [name for name in judged if name in FAULTS or name in ODDITIES]
    baseline = asyncio.run(_baseline(names))
    faults = [name for name in names if name in FAULTS]
    odd = [name for name in names if name in ODDITIES]
    groups = {
        "faults": faults,
        "plain faults": [name for name in faults if not FAULTS[name].subtle],
        "subtle faults": [name for name in faults if FAULTS[name].subtle],
        "correct but odd servers, alarmed by": odd,
    }
    figures: dict[str, Any] = {"baseline": baseline}
    click.echo(f"{'':38} {'schema validation':>20} {'the runner':>20}")
    for title, members in groups.items():
        plain = sum(baseline[name] is not None for name in members)
        if members is odd:
            # Warnings that the server deserves are no alarms.
            ours = sum(not judged[name]["passed"] for name in members)
        else:
            ours = sum(bool(judged[name]["found"]) for name in members)
        figures[title] = {"of": len(members), "baseline": plain, "runner": ours}
        click.echo(f"{title:38} {_share(plain, len(members)):>20} {_share(ours, len(members)):>20}")
    if file is not None:
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})" if whole else "-"


async def _baseline(names: list[str]) -> dict[str, str | None]:
    """What the plain validation says of each server; None where it is content."""
    slots = asyncio.Semaphore(4)

    async def one(name: str) -> str | None:
        async with slots, await start(name) as server:
            return await _validate(server, trigger=(FAULTS.get(name) or ODDITIES[name]).trigger)

    results = await asyncio.gather(*(one(name) for name in names))
    return dict(zip(names, results, strict=True))


def _payloads() -> list[Any]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(EXAMPLES.glob("event.*.json"))]


async def _validate(server: RunningServer, *, trigger: bool) -> str | None:
    """One conversation. The first thing that a schema says is wrong, or that did not come at all."""
    validators = {
        name: jsonschema.Draft202012Validator(contract.bundled(name))
        for name in ("subscription_confirmed", "investigation_update", "event")
    }
    counts = dict.fromkeys(validators, 0)
    payloads = _payloads()
    try:
        async with (
            connect(f"{server.ws_url}/checker", open_timeout=LONGEST, close_timeout=WAIT) as socket,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(LONGEST)) as http,
        ):
            await socket.send(json.dumps({"type": "subscribe_investigation", "investigation_id": ID}))
            async for problem in _problems(socket, validators, counts, until="subscription_confirmed"):
                return problem
            for payload in payloads:
                if trigger:
                    url, body = server.trigger_url.format(investigation_id=ID), None
                else:
                    url, body = server.inject_url, {"investigation_id": ID, "data": payload}
                async with http.post(url, json=body):
                    pass
            async for problem in _problems(socket, validators, counts):
                return problem
    except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, aiohttp.ClientError) as error:
        return f"the connection failed: {error}"
    missing = [name for name in ("subscription_confirmed", "investigation_update") if not counts[name]]
    return f"no {missing[0]} came" if missing else None


async def _problems(
    socket: Any, validators: dict[str, Any], counts: dict[str, int], until: str = ""
) -> AsyncIterator[str]:
    """Validate what comes until it has been silent for a while, or a message of type `until` came."""
    ends = asyncio.get_running_loop().time() + LONGEST
    while asyncio.get_running_loop().time() < ends:
        try:
            async with asyncio.timeout(WAIT):
                raw = await socket.recv()
        except TimeoutError:
            return
        try:
            message = json.loads(raw)
        except ValueError:
            yield f"no JSON: {raw[:80]!r}"
            continue
        kind = message.get("type") if isinstance(message, dict) else None
        if kind not in validators:
            if not isinstance(kind, str):
                yield f"no type: {raw[:80]!r}"
            continue
        counts[kind] += 1
        checks = [(validators[kind], message)]
        if kind == "investigation_update":
            checks.append((validators["event"], message.get("data")))
        for validator, value in checks:
            error = next(validator.iter_errors(value), None)
            if error is not None:
                yield f"{kind} {error.json_path}: {error.message[:100]}"
        if kind == until:
            return


if __name__ == "__main__":
    main()
