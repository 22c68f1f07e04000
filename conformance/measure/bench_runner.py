"""How fast is the runner? Cases a second by phase, the time to a full verdict, and to a first finding.

`python conformance/measure/bench_runner.py`, on a quiet machine.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from servers import faulty, reference, run_command, serving

PLAIN = ("confirms-twice", "delivers-twice", "confirms-missing-ids", "greets-without-type")
"""Faults that show in every conversation, or nearly."""


@click.command()
@click.option("--runs", default=3, show_default=True, help="Runs of each kind; medians are told.")
@click.option("--fault", "faults", multiple=True, default=PLAIN, help="Faults whose first finding is timed.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all figures to this file.")
def main(runs: int, faults: tuple[str, ...], file: Path | None) -> None:
    """Time the runner against the reference server, then against faults that are always visible."""
    verdicts = [_verdict() for _ in range(runs)]
    figures: dict[str, Any] = {"verdict_seconds": statistics.median(one["wall"] for one in verdicts)}
    click.echo(f"reference server: full verdict in {figures['verdict_seconds']:.1f} s (median of {runs})")
    phases = {}
    for number, phase in enumerate(verdicts[0]["phases"]):
        same = [one["phases"][number] for one in verdicts]
        phases[phase["name"]] = {
            key: statistics.median(one[key] for one in same)
            for key in ("cases", "scripts", "seconds", "rate")
        }
        shown = phases[phase["name"]]
        click.echo(
            f"  {phase['name']:9} {shown['cases']:7.0f} cases in {shown['scripts']:5.0f} scripts, "
            f"{shown['seconds']:5.2f} s: {shown['rate']:6.0f} cases/s"
        )
    figures["phases"] = phases
    figures["first_finding_seconds"] = {}
    for fault in faults:
        seconds = statistics.median(_first_finding(fault) for _ in range(runs))
        figures["first_finding_seconds"][fault] = seconds
        click.echo(f"{fault}: first finding {seconds:.2f} s after the process's start (median of {runs})")
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _verdict() -> dict[str, Any]:
    with serving(*reference()) as address, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        began = time.monotonic()
        ended = subprocess.run(  # noqa: S603 - our own runner
            run_command(address, f"--report-json={report}"), capture_output=True, text=True, check=False
        )
        wall = time.monotonic() - began
        if ended.returncode:
            raise SystemExit(
                f"the reference server did not conform: {ended.stdout[-300:]}{ended.stderr[-300:]}"
            )
        document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return {"wall": wall, "phases": document["phases"]}


def _first_finding(fault: str) -> float:
    """Seconds from the process's start to the first finding that it prints as confirmed."""
    with serving(*faulty(fault)) as address:
        began = time.monotonic()
        with subprocess.Popen(run_command(address), stdout=subprocess.PIPE, text=True) as runner:  # noqa: S603 - our own runner
            assert runner.stdout is not None
            for line in runner.stdout:
                if line.partition(":")[0].endswith((" MUST", " SHOULD")) and not line.startswith("suspected"):
                    seconds = time.monotonic() - began
                    runner.terminate()
                    return seconds
    raise SystemExit(f"{fault}: no finding was printed")


if __name__ == "__main__":
    main()
