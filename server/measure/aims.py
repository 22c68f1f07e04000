"""What the figures say: medians with their spread, ratios within a round, and the aims."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from measures import (
    AIOHTTP,
    AIOHTTP_DEFLATED,
    BARE_C,
    BUSY,
    DEFLATED,
    DRAIN_IS_IDLE,
    FASTAPI,
    FASTAPI_INGEST,
    REFERENCE,
    RESUMABLE,
    WEBSOCKETS,
    Samples,
)

Where = tuple[str, str, str]
"""Measure, server and figure."""


@dataclass(frozen=True, slots=True)
class Value:
    """The rounds of a figure in one.

    Attributes:
        median: of the rounds.
        low: the least.
        high: the greatest.

    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Value:
        """Return what rounds come to."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        spread = "" if self.low == self.high else f" ({_number(self.low)} to {_number(self.high)})"
        return f"{_number(self.median)}{spread}"


@dataclass(frozen=True, slots=True)
class Aim:
    """Something to reach.

    Attributes:
        number: in the list of aims.
        text: what is to be reached.
        values: the rounds that count; none where it was not measured.
        bound: what the median is held against.
        at_least: whether the bound is the least; else it is the most.

    """

    number: int
    text: str
    values: Callable[[Samples], list[float]]
    bound: float
    at_least: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """An aim and what was measured.

    Attributes:
        aim: the aim.
        value: what was measured.
        is_met: whether that reaches it.

    """

    aim: Aim
    value: Value
    is_met: bool


def judge(samples: Samples) -> Iterator[Judged]:
    """Hold the aims against what was measured; those that need more than that are left out."""
    for aim in AIMS:
        values = aim.values(samples)
        if values:
            value = Value.of(values)
            is_met = value.median >= aim.bound if aim.at_least else value.median <= aim.bound
            yield Judged(aim, value, is_met)


def lines(samples: Samples) -> Iterator[str]:
    """Say what was measured, a table for each measure."""
    measures = dict.fromkeys(measure for measure, _, _ in samples.values)
    for measure in measures:
        rows = [key for key in samples.values if key[0] == measure]
        figures = list(dict.fromkeys(figure for _, _, figure in rows if figure not in _HIDDEN))
        yield ""
        yield f"{measure:<28}" + "".join(f"{_TITLES.get(figure, figure):>26}" for figure in figures)
        for server in dict.fromkeys(server for _, server, _ in rows):
            cells = []
            for figure in figures:
                values = samples.rounds(measure, server, figure)
                cells.append(f"{Value.of(values)!s:>26}" if values else " " * 26)
            yield f"{server:<28}" + "".join(cells) + _doubt(samples, measure, server)


def busy_share(samples: Samples) -> float:
    """Return how many of all figures were measured while the machine was busy, from 0 to 1."""
    shares = [share for key in samples.values if key[2] == "waited" for share in samples.rounds(*key)]
    return sum(share > BUSY for share in shares) / len(shares) if shares else 0.0


def _doubt(samples: Samples, measure: str, server: str) -> str:
    """Say what speaks against a row."""
    found = ""
    idle = samples.rounds(measure, server, "idle")
    if idle and statistics.median(idle) < DRAIN_IS_IDLE:
        found += "  the drain was never idle"
    waited = samples.rounds(measure, server, "waited")
    if waited and statistics.median(waited) > BUSY:
        found += f"  no processor for {statistics.median(waited):.0%} of the time"
    return found


def series(samples: Samples, figure: str) -> dict[str, list[tuple[float, float]]]:
    """Return a figure's medians over the offered rates, by server."""
    found: dict[str, list[tuple[float, float]]] = {}
    for measure, server, name in samples.values:
        if measure.startswith("offered ") and name == figure:
            rate = float(measure.removeprefix("offered "))
            found.setdefault(server, []).append(
                (rate, statistics.median(samples.rounds(measure, server, name)))
            )
    return {server: sorted(points) for server, points in found.items()}


def figure(measure: str, server: str, name: str) -> Callable[[Samples], list[float]]:
    """Return the rounds of a figure."""
    return lambda samples: samples.rounds(measure, server, name)


def ratio(above: Where, below: Where) -> Callable[[Samples], list[float]]:
    """Return the rounds of a ratio: each is of two figures of one round, since the machine changes."""

    def values(samples: Samples) -> list[float]:
        ones, others = samples.values.get(above, {}), samples.values.get(below, {})
        return [ones[number] / other for number, other in others.items() if other and number in ones]

    return values


_SENT = "deliveries_per_second"


def _fan_out(server: str) -> list[Aim]:
    return [
        Aim(
            1,
            f"{server}: one event at a time, times bare C",
            ratio(("single", server, _SENT), ("single", BARE_C.name, _SENT)),
            0.8,
        ),
        Aim(
            1,
            f"{server}: one event at a time, times FastAPI",
            ratio(("single", server, _SENT), ("single", FASTAPI.name, _SENT)),
            3.5,
        ),
        Aim(
            1,
            f"{server}: user CPU per delivery, µs",
            figure("single", server, "user_us_per_delivery"),
            2,
            at_least=False,
        ),
        Aim(2, f"{server}: burst, deliveries/s", figure("burst", server, _SENT), 1e6),
        Aim(
            2,
            f"{server}: burst, times its own single events",
            ratio(("burst", server, _SENT), ("single", server, _SENT)),
            10,
        ),
        Aim(
            2,
            f"{server}: burst, times websockets.broadcast",
            ratio(("burst", server, _SENT), ("burst", WEBSOCKETS.name, _SENT)),
            7,
        ),
        Aim(
            3,
            f"{server}: p99 at 400 events/s, ms",
            figure("offered 400", server, "p99_ms"),
            50,
            at_least=False,
        ),
        Aim(
            3,
            f"{server}: events that did not arrive at 400 events/s",
            figure("offered 400", server, "missing"),
            0,
            at_least=False,
        ),
        Aim(
            3,
            f"{server}: p99 at 50 events/s, times aiohttp's, which joins nothing",
            ratio(("offered 50", server, "p99_ms"), ("offered 50", AIOHTTP.name, "p99_ms")),
            1.5,  # what this benchmark resolves
            at_least=False,
        ),
        Aim(
            5,
            f"{server}: idle connection, kB",
            figure("idle", server, "kilobytes_per_connection"),
            20,
            at_least=False,
        ),
        Aim(5, f"{server}: handshakes/s", figure("idle", server, "handshakes_per_second"), 2000),
        Aim(5, f"{server}: connections held", figure("held", server, "connections"), 10_000),
    ]


def _many(wide: str, narrow: str, text: str) -> list[Aim]:
    name = REFERENCE.name
    return [
        Aim(
            4,
            f"{text}, {how}: CPU per delivery, times that of one topic",
            ratio(
                (f"{wide}, {phase}", name, "cpu_us_per_delivery"),
                (f"{narrow}, {phase}", name, "cpu_us_per_delivery"),
            ),
            1.5,
            at_least=False,
        )
        for phase, how in (("one", "one event at a time"), ("burst", "bursts"))
    ]


AIMS = (
    *_fan_out(REFERENCE.name),
    *_fan_out(RESUMABLE.name),
    *_many("many topics", "1 topic", "1,000 investigations of 5 subscribers"),
    *_many("128 subscriptions", "1 subscription", "128 subscriptions of one connection"),
    Aim(
        6,
        "compressed: deliveries/s, times aiohttp's own",
        ratio(
            ("compressed single", DEFLATED.name, _SENT), ("compressed single", AIOHTTP_DEFLATED.name, _SENT)
        ),
        3,
    ),
    Aim(
        7,
        "p99 beside a stalled client, times without",
        ratio(
            ("beside a stalled client", REFERENCE.name, "p99_ms"),
            ("alone", REFERENCE.name, "p99_ms"),
        ),
        1.2,
        at_least=False,
    ),
    Aim(8, "replay from memory, events/s", figure("replay, short history", REFERENCE.name, _SENT), 100_000),
    Aim(
        8,
        "replay with a long history, times a short one's events/s",
        ratio(
            ("replay, long history", REFERENCE.name, _SENT),
            ("replay, short history", REFERENCE.name, _SENT),
        ),
        1 / 1.5,  # what this benchmark resolves
    ),
)

COMPARED = (
    *(
        (
            f"ingest {text}: CPU per event, times FastAPI's with pydantic",
            ratio(
                (f"ingest {kind}", REFERENCE.name, "cpu_us_per_event"),
                (f"ingest {kind}", FASTAPI_INGEST.name, "cpu_us_per_event"),
            ),
        )
        for kind, text in (("single", "one a request"), ("ndjson", "100 a request"))
    ),
    *(
        (
            f"one event at a time: CPU per delivery, times that of {peer.name}",
            ratio(
                ("single", REFERENCE.name, "cpu_us_per_delivery"),
                ("single", peer.name, "cpu_us_per_delivery"),
            ),
        )
        for peer in (BARE_C, AIOHTTP, WEBSOCKETS, FASTAPI)
    ),
    (
        "p99 without a stalled client, times the one a moment before: what is not resolved",
        ratio(("alone again", REFERENCE.name, "p99_ms"), ("alone", REFERENCE.name, "p99_ms")),
    ),
    (
        "one event at a time: bare C's deliveries/s, times FastAPI's",
        ratio(
            ("single", BARE_C.name, "deliveries_per_second"),
            ("single", FASTAPI.name, "deliveries_per_second"),
        ),
    ),
)
"""Ratios that there is no aim for."""

_TITLES = {
    "deliveries_per_second": "deliveries/s",
    "user_us_per_delivery": "user µs/delivery",
    "cpu_us_per_delivery": "CPU µs/delivery",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "deliveries_per_read": "deliveries/read",
    "events_per_second": "events/s",
    "cpu_us_per_event": "CPU µs/event",
    "kilobytes_per_connection": "kB/connection",
    "handshakes_per_second": "handshakes/s",
}
_HIDDEN = {"idle", "waited"}
_WHOLE = 100
_THOUSANDS = 100_000


def _number(value: float) -> str:
    if value >= _THOUSANDS:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= _WHOLE else f"{value:.3g}"
