"""The checks, checked: every faulty server of the zoo must be found out, every correct one must pass.

Each server and each run is a process of its own, started as a user would. A fault is killed when the
clauses with findings are exactly those that it declares: more is a wrong accusation, fewer a miss.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Final, Literal

from osint_events import contract

from osint_events_conformance.faulty import FAULTS, ODDITIES, Fault
from osint_events_conformance.faulty.capable.guarded import FORBIDDEN_ID, TOKEN, TRIGGER_TOKEN
from osint_events_conformance.patterns import Patterns
from osint_events_conformance.settings import ENVIRONMENT, SettingsError

FORMAT: Final = 1
"""Changes when a reader of the JSON matrix would have to."""

_RUN_WITHIN = 180.0
"""Seconds after which a run counts as hung; its own --max-time is far below."""
_STOP_WITHIN = 10.0
_ODD_SHARE = 6
"""One in so many servers of a sample is odd, the others are faulty."""
_MOST_ODD = 10
"""Odd servers of a sample: they are right, so each takes a whole run."""

Kind = Literal["fault", "oddity", "correct"]

CORRECT: Final[Mapping[str, list[str]]] = {"correct": [], "capable": ["--capable"]}
"""The servers without a fault, and how each is asked for: one knows Part 1 only, one speaks all of Part 2."""

_RESTARTED: Final = frozenset({"capable"})
"""Correct servers that are restarted too, so that what holds after that is judged on a right one (RPL-8)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One server of the zoo, and the clauses with findings of a right judge."""

    name: str
    kind: Kind
    declared: frozenset[str]
    subtle: bool = False
    trigger: bool = False
    fallback: str = "any"
    restart: bool = False
    guarded: bool = False
    capable: bool = False

    @property
    def is_short(self) -> bool:
        """Whether it is judged soon. Such servers come last, so that all cores are busy to the end."""
        return self.kind == "fault" and not self.capable

    @property
    def command(self) -> list[str]:
        """The command that starts it."""
        which = CORRECT[self.name] if self.kind == "correct" else [f"--{self.kind}", self.name]
        return [sys.executable, "-m", "osint_events_conformance.faulty", *which, "--port", "0"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the runner said of a server: the outcome of each clause with findings."""

    entry: Entry
    found: dict[str, str]
    seconds: float
    error: str | None = None
    """Why there is no judgement at all: the server or the runner did not work."""
    details: tuple[str, ...] = ()
    """The findings in words."""

    @property
    def missed(self) -> list[str]:
        """Declared clauses without a finding."""
        return sorted(self.entry.declared - set(self.found))

    @property
    def wrong(self) -> list[str]:
        """Clauses with findings that are not declared."""
        return sorted(set(self.found) - self.entry.declared)

    @property
    def passed(self) -> bool:
        """Whether the runner judged rightly."""
        return self.error is None and not self.missed and not self.wrong

    def line(self) -> str:
        """The outcome as one line, and what was found where it was not right."""
        found = ", ".join(f"{clause} {outcome}" for clause, outcome in sorted(self.found.items()))
        line = (
            f"{self._word():5}  {self.entry.name}: {self.error or found or 'conforms'} ({self.seconds:.1f} s)"
        )
        if self.passed:
            return line
        declared = ", ".join(sorted(self.entry.declared)) or "nothing"
        return "\n".join([line, f"       declared: {declared}", *(f"       {one}" for one in self.details)])

    def _word(self) -> str:
        if self.passed:
            return "ok"
        if self.error:
            return "ERROR"
        return "WRONG" if self.wrong else "MISS"


@dataclass(slots=True)
class SelftestResult:
    """All judgements."""

    judged: list[Judged] = field(default_factory=list)
    seconds: float = 0.0
    jobs: int = 1

    @property
    def passed(self) -> bool:
        """Whether all were judged rightly."""
        return bool(self.judged) and all(one.passed for one in self.judged)


def default_jobs() -> int:
    """As many servers at once as keep the cores busy: a run waits for answers most of its time."""
    return 2 * (os.cpu_count() or 1)


def select(
    only: Iterable[str] = (), sample: int | None = None, profile: Literal["core", "full"] = "full"
) -> list[Entry]:
    """The servers to judge: the correct ones, the odd ones, the faulty ones.

    `only` are names and globs; `sample` takes about so many servers; of the profile `core` are those that
    know Part 1 only. Raises `SettingsError` for a pattern that matches none.
    """
    odd = [one for one in ODDITIES.values() if profile == "full" or not one.capable]
    faults = [one for one in FAULTS.values() if profile == "full" or not one.capable]
    correct = [name for name in CORRECT if profile == "full" or name != "capable"]
    if sample is not None:
        count = min(math.ceil(sample / _ODD_SHARE), _MOST_ODD, len(odd))
        odd = [odd[number * len(odd) // count] for number in range(count)]
        chosen = set(_dealt(faults)[: max(sample - len(odd) - len(correct), 0)])
        faults = [fault for fault in faults if fault.name in chosen]
    entries = [
        *(Entry(name, "correct", frozenset(), restart=name in _RESTARTED) for name in correct),
        *(
            Entry(
                one.name, "oddity", one.warns, trigger=one.trigger, restart=one.restart,
                guarded=one.guarded, capable=one.capable,
            )
            for one in odd
        ),
        *(
            Entry(
                one.name, "fault", one.clauses, one.subtle, one.trigger, one.fallback, one.restart,
                one.guarded, one.capable,
            )
            for one in faults
        ),
    ]  # fmt: skip
    patterns = Patterns(only)
    for pattern in patterns.unmatched(entry.name for entry in entries):
        raise SettingsError(f"--only: {pattern!r} matches no server of the zoo")
    return [entry for entry in entries if not patterns or patterns.match(entry.name)]


def _dealt(faults: Iterable[Fault]) -> list[str]:
    """The faults' names, one of each clause in turn, and of each clause subtle and plain ones in turn."""
    rounds = []
    for clause in contract.clauses():
        broken = [fault for fault in faults if clause.id in fault.clauses]
        plain = [fault.name for fault in broken if not fault.subtle]
        subtle = [fault.name for fault in broken if fault.subtle]
        turns = chain.from_iterable(zip_longest(subtle, plain))
        rounds.append([name for name in turns if name is not None])
    dealt = chain.from_iterable(zip_longest(*rounds))
    return [name for name in dict.fromkeys(dealt) if name is not None]


async def test(entries: list[Entry], jobs: int, progress: Callable[[str], None]) -> SelftestResult:
    """Judge every server, `jobs` at once; `progress` gets a line for each."""
    began = time.monotonic()
    slots = asyncio.Semaphore(jobs)
    result = SelftestResult(jobs=jobs)

    async def one(entry: Entry) -> None:
        async with slots:
            judged = await _judge(entry)
        result.judged.append(judged)
        progress(f"{len(result.judged):3}/{len(entries)}  {judged.line()}")

    async with asyncio.TaskGroup() as group:
        for entry in sorted(entries, key=lambda entry: entry.is_short):
            group.create_task(one(entry))
    order = {entry.name: number for number, entry in enumerate(entries)}
    result.judged.sort(key=lambda judged: order[judged.entry.name])
    result.seconds = time.monotonic() - began
    return result


async def _judge(entry: Entry) -> Judged:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        try:
            async with serving(entry.command) as base:
                status, output = await _run(_run_command(entry, base, report), _environment(entry))
            document = json.loads(report.read_text(encoding="utf-8"))
        except (ChildProcessError, TimeoutError) as error:
            return Judged(entry, {}, time.monotonic() - began, str(error))
        except OSError:  # no report
            last = output.strip().rpartition("\n")[2]
            return Judged(entry, {}, time.monotonic() - began, f"the run ended with {status}: {last}")
    seconds = time.monotonic() - began
    if document["verdict"] == "could_not_test" or status != document["exit_status"]:
        return Judged(entry, {}, seconds, f"status {status}: {document['summary']}")
    clauses = [clause for clause in document["clauses"] if clause["findings"]]
    found = {clause["id"]: clause["outcome"] for clause in clauses}
    details = tuple(
        f"{clause['id']} {finding['kind']}: {finding['message']} "
        f"({finding['title']}; {finding['reproduced']} of {finding['attempts']})"[:300]
        for clause in clauses
        for finding in clause["findings"]
    )
    return Judged(entry, found, seconds, details=details)


def _run_command(entry: Entry, base: str, report: Path) -> list[str]:
    """The command that judges it: the defaults, and what the server's owner would know and say."""
    hook = (
        f"--trigger-url={base}/trigger/{{investigation_id}}" if entry.trigger else f"--inject={base}/inject"
    )
    told = [f"--fallback={entry.fallback}"] if entry.fallback != "any" else []
    url = f"{base.replace('http', 'ws', 1)}/ws"
    runner = [sys.executable, "-m", "osint_events_conformance.cli", "run", url]
    if entry.restart:
        told.append(f"--restart-command={_restart_command(base)}")
    if entry.guarded:
        told.append(f"--forbidden-id={FORBIDDEN_ID}")
    return [*runner, hook, *told, f"--report-json={report}"]


def _environment(entry: Entry) -> dict[str, str]:
    """The environment of a run: the tokens, where the server demands them, and no others."""
    tokens = {"token": TOKEN, "trigger_token": TRIGGER_TOKEN} if entry.guarded else {}
    given = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT.values()}
    return given | {ENVIRONMENT[name]: token for name, token in tokens.items()}


def _restart_command(base: str) -> str:
    """The command that makes a server of the zoo start anew."""
    post = f"from urllib.request import Request, urlopen; urlopen(Request('{base}/restart', method='POST'))"
    return shlex.join([sys.executable, "-c", post])


@asynccontextmanager
async def serving(command: list[str]) -> AsyncIterator[str]:
    """Run a server that says where it listens; give its `http://host:port`.

    Raises ChildProcessError where it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode().strip()
        if not line.startswith("listening on "):
            raise ChildProcessError(f"the server did not start: {line or 'it said nothing'}")
        yield line.removeprefix("listening on ")
    finally:
        await _stop(process)


async def _run(command: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command to its end; its status and output."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    try:
        async with asyncio.timeout(_RUN_WITHIN):
            output, _ = await process.communicate()
    except TimeoutError:
        raise TimeoutError(f"the run did not end within {_RUN_WITHIN:.0f} s") from None
    finally:
        await _stop(process)
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()


def matrix(result: SelftestResult) -> str:
    """The kill matrix: servers down, clauses across."""
    clauses = _columns(result)
    width = max((len(one.entry.name) for one in result.judged), default=0)
    height = max((len(clause) for clause in clauses), default=0)
    lines = ["", "#: a finding as declared   -: declared, not found   !: found, not declared", ""]
    lines += [
        (" " * (width + 2) + " ".join(clause.ljust(height)[row] for clause in clauses)).rstrip()
        for row in range(height)
    ]
    for one in result.judged:
        marks = " ".join(_mark(one, clause) for clause in clauses)
        lines.append(f"{one.entry.name:{width}}  {marks}{'' if one.passed else '   <'}")
    return "\n".join(lines)


def _columns(result: SelftestResult) -> list[str]:
    seen = {clause for one in result.judged for clause in (*one.entry.declared, *one.found)}
    return [clause.id for clause in contract.clauses() if clause.id in seen]


def _mark(judged: Judged, clause: str) -> str:
    if clause in judged.entry.declared:
        return "#" if clause in judged.found else "-"
    return "!" if clause in judged.found else "."


def summary(result: SelftestResult) -> str:
    """The last lines: what was missed, what was accused wrongly, and the verdict."""
    faults = [one for one in result.judged if one.entry.kind == "fault"]
    correct = [one for one in result.judged if one.entry.kind != "fault"]
    detected = sum(bool(one.found) for one in faults)
    lines = [""]
    for title, members in (
        ("missed", [one for one in faults if not one.error and one.missed and not one.wrong]),
        ("found for the wrong reason", [one for one in faults if not one.error and one.wrong]),
        ("correct, but not judged so", [one for one in correct if not one.error and not one.passed]),
        ("not judged at all", [one for one in result.judged if one.error]),
    ):
        if members:
            lines.append(f"{title}: {', '.join(one.entry.name for one in members)}")
    lines.append(
        f"{'PASSED' if result.passed else 'FAILED'}: "
        f"{sum(one.passed for one in faults)} of {len(faults)} faults killed for the right reason "
        f"({detected} detected), {sum(one.passed for one in correct)} of {len(correct)} correct servers "
        f"passed; {result.seconds:.0f} s, {result.jobs} at once"
    )
    return "\n".join(lines)


def document(result: SelftestResult) -> str:
    """The kill matrix as JSON, as `selftest.schema.json` beside this file describes it."""
    return json.dumps(
        {
            "format": FORMAT,
            "passed": result.passed,
            "seconds": round(result.seconds, 1),
            "jobs": result.jobs,
            "clauses": _columns(result),
            "servers": [_server(one) for one in result.judged],
        },
        indent=1,
    ) + "\n"  # fmt: skip


def _server(judged: Judged) -> dict[str, Any]:
    return {
        "name": judged.entry.name,
        "kind": judged.entry.kind,
        "subtle": judged.entry.subtle,
        "declared": sorted(judged.entry.declared),
        "found": judged.found,
        "passed": judged.passed,
        "seconds": round(judged.seconds, 1),
        "error": judged.error,
        "details": list(judged.details),
    }


def schema() -> str:
    """The JSON Schema of the JSON matrix, as text."""
    return (files("osint_events_conformance") / "selftest.schema.json").read_text(encoding="utf-8")
