"""Does a correct server ever fail? Many full default runs against the reference server, several at a time.

`python conformance/measure/false_alarms.py`; ended and started again it goes on where it was.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import click
from servers import reference, run_command, serving

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--runs", default=200, show_default=True, help="Runs in all, those of FILE among them.")
@click.option("--jobs", default=4, show_default=True, help="Runs at a time: they are the load.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    default=ROOT / "reports" / "false_alarms.ndjson",
    help="Each run's outcome, appended as a line.  [default: reports/false_alarms.ndjson]",
)
@click.option("--apart", is_flag=True, help="Give each run a server of its own.  [default: all share one]")
@click.option("--again", is_flag=True, help="Begin anew: forget what FILE holds.")
def main(runs: int, jobs: int, file: Path, apart: bool, again: bool) -> None:
    """Judge the reference server again and again, and count the verdicts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if again:
        file.unlink(missing_ok=True)
    done = _read(file)
    lock = Lock()

    def one(_: int) -> None:
        with serving(*reference()) if apart else nullcontext(shared) as address:
            outcome = _judge(address)
        with lock:
            done.append(outcome)
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(outcome) + "\n")
            click.echo(
                f"{len(done)}/{runs}: {outcome['verdict']} in {outcome['seconds']:.1f} s{_alarm(outcome)}"
            )

    with serving(*reference()) as shared, ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(one, range(len(done), runs)):
            pass
    sys.exit(_summary(done, jobs))


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _judge(address: str) -> dict[str, Any]:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        ended = subprocess.run(  # noqa: S603 - our own runner
            run_command(address, f"--report-json={report}"), capture_output=True, text=True, check=False
        )
        seconds = round(time.monotonic() - began, 2)
        if not report.exists():
            return {"verdict": "crashed", "seconds": seconds, "found": [ended.stderr[-2000:]]}
        document = json.loads(report.read_text(encoding="utf-8"))
    found = [
        {"clause": clause["id"], "outcome": clause["outcome"], **finding}
        for clause in document["clauses"]
        for finding in clause["findings"]
    ]
    return {
        "verdict": document["verdict"],
        "summary": document["summary"],
        "seconds": seconds,
        "seed": document["seed"],
        "found": found,
    }


def _alarm(outcome: dict[str, Any]) -> str:
    return "".join(f"\n    {json.dumps(one)[:300]}" for one in outcome["found"])


def _summary(done: list[dict[str, Any]], jobs: int) -> int:
    verdicts = Counter(outcome["verdict"] for outcome in done)
    warned = sum(outcome["verdict"] == "conforms" and bool(outcome["found"]) for outcome in done)
    seconds = sorted(outcome["seconds"] for outcome in done)
    click.echo(
        f"{len(done)} runs, {jobs} at a time: {dict(verdicts)}, {warned} conforming ones with warnings; "
        f"seconds: median {seconds[len(seconds) // 2]:.1f}, longest {seconds[-1]:.1f}"
    )
    return 0 if set(verdicts) == {"conforms"} and not warned else 1


if __name__ == "__main__":
    main()
