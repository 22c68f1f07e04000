"""Trace files: a confirmed finding with the script that shows it, as NDJSON, to be run again elsewhere.

The first line is the header: `format`, `version`, clause, kind, message, target, seed, and the settings
without the values of headers. Then follow the script's steps, a line each (`{"step": …}`, see `script`),
and last, for readers only, what went over the wire when it was found (`{"wire": …}`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from osint_events_conformance import script as scripts
from osint_events_conformance.results import ConfirmedFinding, RunResult
from osint_events_conformance.settings import Settings

FORMAT: Final = 1
"""Changes when a reader of the file would have to."""


class TraceError(Exception):
    """A file is no trace that this version can read. Carries one clear line, with the line's number."""


class Header(BaseModel):
    """A trace's first line."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal[1]
    version: str
    clause: str
    level: Literal["MUST", "SHOULD"]
    kind: str
    message: str
    target: str
    seed: int
    reproduced: int
    attempts: int
    title: str
    check: str
    mode: Literal["beside", "alone", "long", "last"]
    salts: tuple[str, str]
    settings: dict[str, Any]

    @property
    def flaky(self) -> bool:
        """Whether it came only sometimes."""
        return self.reproduced < self.attempts


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace file that was read."""

    header: Header
    script: scripts.Script


def write_all(result: RunResult, settings: Settings) -> list[Path]:
    """Write each finding into the folder `settings.trace`, and note in it the command that repeats it.

    Traces that an earlier run left there are removed. Raises OSError.
    """
    folder = settings.trace
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*-[0-9]*.ndjson"):
        if _is_trace(old):
            old.unlink()
    paths: list[Path] = []
    for clause in result.clauses:
        kept = []
        for finding in clause.findings:
            stem = f"{finding.clause}-{finding.kind}"
            number = sum(path.name.startswith(f"{stem}-") for path in paths) + 1
            path = folder / f"{stem}-{number}.ndjson"
            lines = _lines(result, finding)
            path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="ascii")
            paths.append(path)
            kept.append(replace(finding, repeat=_command(path, result, settings)))
        clause.findings = kept
    return paths


def _is_trace(path: Path) -> bool:
    try:
        read(path)
    except TraceError:
        return False
    return True


def _lines(result: RunResult, finding: ConfirmedFinding) -> Iterator[dict[str, Any]]:
    yield {
        "format": FORMAT,
        "version": version("osint-events"),
        "clause": finding.clause,
        "level": finding.level,
        "kind": finding.kind,
        "message": finding.message,
        "target": result.target,
        "seed": result.seed,
        "reproduced": finding.reproduced,
        "attempts": finding.attempts,
        "title": finding.title,
        "check": finding.check,
        "mode": finding.mode,
        "salts": finding.salts,
        "settings": result.options,
    }
    yield from finding.script
    for entry in finding.wire:
        yield {"wire": entry.text, "at": round(entry.at, 6), "conn": entry.conn, "dir": entry.direction}


def _command(path: Path, result: RunResult, settings: Settings) -> str:
    """The command that repeats it; the trace's header has all settings but the values of headers."""
    words = ["osint-events-conformance", "replay", str(path), result.target]
    words += [f"--header={line.partition(':')[0]}: …" for line in settings.header]
    return shlex.join(words)


def read(path: Path) -> Trace:
    """Read a trace file. Raises `TraceError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: no UTF-8") from error
    header: Header | None = None
    steps: list[scripts.Step] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line)
            if header is None:
                header = _header(value)
            elif (step := _step(value)) is not None:
                steps.append(step)
        except (ValueError, RecursionError, TraceError) as error:
            detail = f"no JSON: {error}" if isinstance(error, json.JSONDecodeError) else error
            raise TraceError(f"{path}:{number}: {detail}") from error
    if header is None or not steps:
        raise TraceError(f"{path}: it holds no {'steps' if header else 'header'}")
    script = scripts.Script(
        header.title, tuple(steps), header.clause, header.check, header.mode, header.salts
    )
    return Trace(header, script)


def _header(value: Any) -> Header:
    if isinstance(value, dict) and value.get("format") not in {FORMAT, None}:
        raise TraceError(f"format {value['format']!r}; this version reads format {FORMAT}")
    try:
        return Header.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise TraceError(f"no header of a trace: {f'{field}: ' if field else ''}{first['msg']}") from error


def _step(value: Any) -> scripts.Step | None:
    """The step of a line, or None for an entry of the wire log, which is for readers."""
    if not isinstance(value, dict) or ("step" in value) == ("wire" in value):
        raise TraceError('neither a step nor a wire entry: {"step": …} or {"wire": …}')
    if "wire" in value:
        return None
    step = scripts.from_json(value)
    for inner in scripts.flat([step]):
        given = {field.name: getattr(inner, field.name) for field in fields(inner)}
        try:
            TypeAdapter(type(inner)).validate_python(given)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise TraceError(f"step {inner.kind}: {where}: {first['msg']}") from error
    return step
