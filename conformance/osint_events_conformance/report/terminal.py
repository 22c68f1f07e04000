"""What a person reads in a terminal: live progress, clauses by section, findings, and the verdict last."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from osint_events_conformance.progress import (
    Confirmed,
    Event,
    PhaseBegan,
    PhaseEnded,
    ScriptEnded,
    Suspected,
)
from osint_events_conformance.report import view
from osint_events_conformance.report.difference import difference
from osint_events_conformance.report.sequence import Gap, Row, excerpt, sequence
from osint_events_conformance.report.text import clip, printable
from osint_events_conformance.results import NOT_TESTED, ClauseResult, ConfirmedFinding, Outcome, RunResult

_WIDTH = 110
"""Columns where the output is no terminal, unless COLUMNS says otherwise."""
_SUSPICIONS = 8
"""Suspicions that are told one by one in a phase; more are only counted."""
_ROWS = 16
_STEPS = 14
_DIFFERENCE = 30
_LONG = 600
"""Characters that are shown of a long line that matters."""

_STYLES: dict[Outcome, str] = {
    "passed": "green",
    "failed": "bold red",
    "flaky": "bold magenta",
    "warned": "yellow",
    "skipped": "dim",
    "not_offered": "dim",
    "untestable": "dim",
}
_VERDICTS = {"conforms": "bold green", "violations": "bold red", "could_not_test": "bold yellow"}
_ARROWS = {"sent": "→", "received": "←", "act": "•", "absent": "✗"}
_MARKS = {"-": "red", "+": "green", "…": "dim", " ": ""}


def console(file: TextIO | None = None) -> Console:
    """A console on `file` (standard output by default) that shows any text, whatever its encoding."""
    file = file or sys.stdout
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="backslashreplace")
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    width = None if file.isatty() or "COLUMNS" in os.environ else _WIDTH
    return Console(file=file, color_system=colours, width=width, highlight=False, markup=False, emoji=False)


class LiveProgress:
    """Shows a run while it goes on: lines, and on a terminal with colours a status line below them.

    Call it with what happens; use it as a context manager around the run. `clock` gives seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._began = clock()
        self._phase = ""
        self._scripts = self._scripts_run = 0
        self._cases = 0
        self._suspected = self._suspected_before = self._confirmed = 0
        lively = console.is_interactive and console.color_system is not None and console.file.isatty()
        self._live = Live(self, console=console, refresh_per_second=4, transient=True) if lively else None

    def __enter__(self) -> Self:
        """Show the status line."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the status line away."""
        if self._live is not None:
            self._live.stop()

    def __rich__(self) -> Text:
        """The status line."""
        status = Text(f"{self._phase or 'running'}  {self._clock() - self._began:.0f} s", "bold cyan")
        if self._scripts:
            status.append(f"  {self._scripts_run}/{self._scripts} scripts", "default")
        if self._cases:
            status.append(f"  {self._cases} cases", "default")
        if self._suspected:
            status.append(f"  {self._suspected} suspected", "yellow")
        if self._confirmed:
            status.append(f"  {self._confirmed} confirmed", "bold red")
        return status

    def __call__(self, event: Event) -> None:
        """Take what happens."""
        match event:
            case PhaseBegan(name, scripts):
                self._phase, self._scripts, self._scripts_run = name, scripts, 0
                self._suspected_before = self._suspected
                self._line(f"{name}: {scripts} scripts" if scripts else name, "bold")
            case ScriptEnded(cases):
                self._scripts_run += 1
                self._cases += cases
            case Suspected(message, title):
                self._suspected += 1
                told = self._suspected - self._suspected_before
                if told <= _SUSPICIONS:
                    self._line(f"  suspected: {message} ({title})", "yellow")
                elif told == _SUSPICIONS + 1:
                    self._line("  more is suspected; all of it will be examined", "yellow")
            case Confirmed(finding):
                self._confirmed += 1
                rate = f", {view.rate(finding)}" if finding.flaky else ""
                style = "bold red" if finding.level == "MUST" else "yellow"
                self._line(f"  {finding.clause} {finding.level}: {finding.message}{rate}", style)
            case PhaseEnded(phase):
                self._line(
                    f"{phase.name}: {phase.cases} cases in {phase.seconds:.1f} s ({phase.rate:.0f} a second)"
                )
            case _:
                self._line(event)

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(printable(text), style), soft_wrap=True)


def report(result: RunResult, console: Console) -> None:
    """Print the clauses by section, what was not tested, the findings, and the verdict line last."""
    _clauses(console, result)
    _untested(console, result)
    for note in result.notes:
        _wrapped(console, f"note: {printable(note)}", indent=0)
    for number, (clause, finding) in enumerate(view.findings(result), 1):
        console.print()
        _finding(console, result, clause, finding, number)
    console.print()
    console.print(Text(printable(result.summary()), _VERDICTS[result.verdict]), soft_wrap=True)


def _clauses(console: Console, result: RunResult) -> None:
    """Every clause that was tested, by section."""
    tested = [one for one in result.clauses if one.outcome not in NOT_TESTED]
    if not tested:
        return
    console.print()
    console.print(Text(f"{'clause':10}{'level':8}{'outcome':24}{'cases':>8}", "bold"))
    for section, members in view.sections(tested):
        console.print(Text(section, "bold"))
        for one in members:
            line = Text(f"  {one.clause.id:8}{one.clause.level:8}")
            line.append(f"{view.OUTCOMES[one.outcome]} {view.label(one):22}", _STYLES[one.outcome])
            line.append(f"{one.cases.total():8}  ")
            line.append(view.short(one.clause.text, max(console.width - line.cell_len, 0)), "dim")
            console.print(line, no_wrap=True, crop=True, overflow="ignore")


def _untested(console: Console, result: RunResult) -> None:
    groups = view.untested(result.clauses)
    if groups:
        console.print()
        console.print(Text("not tested", "bold"))
    for group in groups:
        outcome = f"{view.OUTCOMES[group.outcome]} {group.outcome.replace('_', ' ')}"
        _wrapped(console, f"{outcome}: {group.ids}: {printable(group.reason)}")


def _finding(
    console: Console, result: RunResult, clause: ClauseResult, finding: ConfirmedFinding, number: int
) -> None:
    style = "bold red" if finding.level == "MUST" else "bold yellow"
    console.print(Text(f"{number}. {finding.clause} {finding.level} {view.severity(finding)}", style))
    _wrapped(console, printable(clause.clause.text), "italic")
    _wrapped(console, printable(finding.message), "bold")
    _wrapped(console, f"in phase {finding.phase}: {printable(finding.title)}; {view.rate(finding)}")
    _wire(console, excerpt(sequence(finding), _ROWS))
    compared = difference(finding) if finding.expected is not None else []  # what was got stands above
    if compared:
        _wrapped(console, "expected (-), got (+):", "bold")
    for line in compared[:_DIFFERENCE]:
        _line(console, f"    {line.mark} {line.text}", _MARKS[line.mark])
    if len(compared) > _DIFFERENCE:
        _line(console, f"    … {len(compared) - _DIFFERENCE} more lines", "dim")
    script = [view.step(made) for made in finding.script]
    _wrapped(console, "smallest script:", "bold")
    for step in script[:_STEPS]:
        _line(console, f"    {step}", long=True)
    if len(script) > _STEPS:
        _line(console, f"    … {len(script) - _STEPS} more steps", "dim")
    _wrapped(console, "repeat:", "bold")
    console.print(Text(f"    {printable(view.repeat(result, finding))}"), soft_wrap=True)


def _wire(console: Console, rows: list[Row | Gap]) -> None:
    _wrapped(console, "on the wire (→ to the server, ← from it, ▶ what matters):", "bold")
    width = max((len(row.conn) for row in rows if isinstance(row, Row)), default=0)
    for row in rows:
        if isinstance(row, Gap):
            _line(console, f"    … {row.rows} more", "dim")
            continue
        mark = "▶" if row.matters else " "
        style = "bold red" if row.direction == "absent" else "bold" if row.matters else ""
        line = f"  {mark} {row.at * 1000:8.1f} ms  {row.conn:{width}} {_ARROWS[row.direction]} {row.text}"
        _line(console, line, style, long=row.matters)


def _wrapped(console: Console, text: str, style: str = "", indent: int = 2) -> None:
    """A paragraph, wrapped between words at the console's width."""
    for line in Text(text, style).wrap(console, console.width - indent):
        line.rstrip()
        console.print(Text(" " * indent).append_text(line), soft_wrap=True)


def _line(console: Console, text: str, style: str = "", *, long: bool = False) -> None:
    """One line, cut at the console's width, or where it is `long` after a few of its lines."""
    text = clip(printable(text), _LONG if long else console.width)
    console.print(Text(text, style), soft_wrap=True)
