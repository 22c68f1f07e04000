"""How fast is the reference server, beside its peers? Fan-out, latency, memory, replay and ingest.

`python server/measure/bench_server.py`, on a quiet machine with two processors. Every round measures all
servers one after the other, and only ratios within a round count; `measures.py` says what is compared with
what, and why that is fair. The default set takes under five minutes, `--quick` under one.

Exit status: 0 measured, whatever the figures; 1 with `--strict`, where an aim is missed; 2 usage; 3 nothing
could be measured.
"""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import json
import platform
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import aims
import chart
import click
from measures import HELD, MEASURES, RATES, Bench, Measure, Samples
from processes import Failed, Unavailable, drain_program

QUICK = ("fan-out", "offered", "compression", "replay", "ingest")


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1), help="Rounds at most.")
@click.option(
    "--seconds", default=0.4, show_default=True, type=click.FloatRange(min=0.1), help="Length of a phase."
)
@click.option(
    "--receivers",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1, max=1000),
    help="Receivers of an event; up to ten times as many connections are made. The aims are for the default.",
)
@click.option(
    "--minutes", default=4.5, show_default=True, help="After which no part is begun; figures are of what was."
)
@click.option("--quick", is_flag=True, help="One short round of the parts that take little time.")
@click.option(
    "--only", multiple=True, type=click.Choice([measure.name for measure in MEASURES]), help="Measure this."
)
@click.option("--strict", is_flag=True, help="Exit with 1 where an aim is missed.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all figures to this file.")
@click.option("--svg", "plot", type=click.Path(path_type=Path), help="Draw the offered rates to this file.")
def main(
    *,
    rounds: int,
    seconds: float,
    receivers: int,
    minutes: float,
    quick: bool,
    only: Sequence[str],
    strict: bool,
    file: Path | None,
    plot: Path | None,
) -> None:
    """Measure the reference server beside its peers."""
    if quick:
        rounds, seconds, minutes = 1, min(seconds, 0.3), min(minutes, 0.75)
    names = only or (QUICK if quick else [measure.name for measure in MEASURES])
    began = time.monotonic()
    try:
        _allow_files(receivers * HELD + 500)
        drain_program()
        with ExitStack() as stack:
            bench = Bench(receivers, seconds, stack, lambda text: click.echo(text, err=True))
            _run(bench, [one for one in MEASURES if one.name in names], rounds, began + minutes * 60)
    except Unavailable as missing:
        click.echo(f"could not measure: {missing}", err=True)
        sys.exit(3)
    samples, skipped = bench.samples, bench.skipped
    if not samples.values:
        click.echo("could not measure anything", err=True)
        sys.exit(3)
    judged = list(aims.judge(samples))
    _tell(samples, judged)
    took = time.monotonic() - began
    click.echo(f"\nmedians, with the least and the greatest, of {rounds} rounds at most; {took:.0f} s")
    if file is not None:
        _write(
            file, json.dumps(_document(samples, judged, skipped, took), indent=1, ensure_ascii=False) + "\n"
        )
    if plot is not None and any(measure.startswith("offered ") for measure, _, _ in samples.values):
        _write(plot, _plot(samples))
    if strict and not all(one.is_met for one in judged):
        sys.exit(1)


def _tell(samples: Samples, judged: Sequence[aims.Judged]) -> None:
    for line in aims.lines(samples):
        click.echo(line)
    click.echo("")
    for one in judged:
        sign = ">=" if one.aim.at_least else "<="
        click.echo(
            f"aim {one.aim.number} {'met   ' if one.is_met else 'missed'} {one.aim.text}: "
            f"{one.value}, aim {sign} {one.aim.bound:.3g}"
        )
    for text, ratio in aims.COMPARED:
        if values := ratio(samples):
            click.echo(f"beside the aims: {text}: {aims.Value.of(values)}")
    if share := aims.busy_share(samples):
        click.echo(
            f"{share:.0%} of this was measured while others used the processors: repeat it on a quiet machine"
        )


def _run(bench: Bench, measures: Sequence[Measure], rounds: int, until: float) -> None:
    """Measure round by round, until told to stop or out of time: what there is then is told."""
    for number in range(rounds):
        bench.samples.round = number
        for measure in measures:
            if number >= measure.rounds:
                continue
            began = time.monotonic()
            if began >= until:
                bench.tell(f"out of time: round {number + 1} ends before {measure.name}")
                return
            try:
                measure.run(bench)
            except Failed as failed:
                bench.tell(f"round {number + 1}, {measure.name}: {failed}")
            except KeyboardInterrupt:
                bench.tell("interrupted")
                return
            bench.tell(f"round {number + 1}, {measure.name}: {time.monotonic() - began:.1f} s")


def _allow_files(count: int) -> None:
    """Allow as many open files as the connections need, here and in the servers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise Unavailable(f"{hard} open files are allowed, {count} are needed: see ulimit -n")
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _document(
    samples: Samples, judged: Sequence[aims.Judged], skipped: dict[str, str], took: float
) -> dict[str, object]:
    return {
        "format": 1,
        "python": platform.python_version(),
        "system": platform.platform(),
        "seconds": round(took, 1),
        "busy_share": round(aims.busy_share(samples), 3),
        "skipped": skipped,
        "aims": [
            {
                "number": one.aim.number,
                "text": one.aim.text,
                "bound": one.aim.bound,
                "at_least": one.aim.at_least,
                "median": one.value.median,
                "low": one.value.low,
                "high": one.value.high,
                "is_met": one.is_met,
            }
            for one in judged
        ],
        "figures": [
            {"measure": measure, "server": server, "figure": figure, "rounds": values}
            for (measure, server, figure), values in samples.values.items()
        ],
    }


def _plot(samples: Samples) -> str:
    return chart.svg(
        ("deliveries/s", aims.series(samples, "deliveries_per_second")),
        ("p99 latency, ms", aims.series(samples, "p99_ms")),
        f"Rates of {RATES[0]} to {RATES[-1]} events/s; a line ends where its server no longer kept up.",
    )


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
