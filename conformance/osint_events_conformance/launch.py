"""From settings to a finished run and its files: what the command line and the pytest plugin share."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from osint_events import contract

from osint_events_conformance import trace
from osint_events_conformance.findings import WireEntry
from osint_events_conformance.patterns import Patterns
from osint_events_conformance.progress import Confirmed, Event, Progress, Suspected
from osint_events_conformance.report import WRITERS
from osint_events_conformance.results import ConfirmedFinding, RunResult
from osint_events_conformance.run import Run
from osint_events_conformance.settings import Settings, SettingsError, flag
from osint_events_conformance.triggers import Inject, Observe, Trigger, TriggerCommand, TriggerUrl

_REDACTED = "(redacted)"


def prepare(settings: Settings) -> Patterns:
    """See before a run whether its files can be read and written; give the known-failing patterns.

    Raises `SettingsError`.
    """
    settings.tls()
    known = _known_failing(settings.known_failing)
    for name in WRITERS:
        path: Path | None = getattr(settings, name)
        if path is not None:
            try_writing(flag(name), path)
    if settings.trace is not None:
        try_writing(flag("trace"), settings.trace, folder=True)
    return known


async def execute(settings: Settings, progress: Progress, known_failing: Patterns | None = None) -> RunResult:
    """One run, in the running event loop. Tokens and values of headers are not in what it gives."""

    def told(what: Event) -> None:
        match what:
            case Suspected(message, title):
                progress(Suspected(without(settings.secrets, message), title))
            case Confirmed(finding):
                progress(Confirmed(_redacted(finding, settings.secrets)))
            case _:
                progress(what)

    result = await Run(settings, trigger(settings), told, known_failing).run()
    if settings.secrets:
        redact(result, settings.secrets)
    return result


def redact(result: RunResult, secrets: tuple[str, ...]) -> None:
    """Take secrets out of a result: a server may echo what it was sent, wherever that leads."""
    for clause in result.clauses:
        clause.findings = [_redacted(finding, secrets) for finding in clause.findings]
        clause.not_tested = clause.not_tested and without(secrets, clause.not_tested)
    result.could_not_test = result.could_not_test and without(secrets, result.could_not_test)
    result.runner_fault = result.runner_fault and without(secrets, result.runner_fault)
    result.notes = [without(secrets, note) for note in result.notes]
    result.coverage = _clean(result.coverage, secrets)


def without(secrets: tuple[str, ...], text: str) -> str:
    """A text as anybody may read it."""
    for secret in secrets:
        text = text.replace(secret, _REDACTED)
    return text


def _clean(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return without(secrets, value)
    if isinstance(value, dict):
        return {_clean(name, secrets): _clean(one, secrets) for name, one in value.items()}
    return [_clean(one, secrets) for one in value] if isinstance(value, list) else value


def write_files(result: RunResult, settings: Settings) -> None:
    """Write traces and reports, traces first, since reports name them. Raises `SettingsError`."""
    try:
        if settings.trace is not None:
            trace.write_all(result, settings)
        for name, write in WRITERS.items():
            path: Path | None = getattr(settings, name)
            if path is not None:
                write(result, path)
    except OSError as error:
        raise SettingsError(f"cannot write {error.filename}: {error.strerror}") from error


def try_writing(name: str, path: Path, *, folder: bool = False) -> None:
    """See whether a file, or one in a folder, can be written, before long work. Raises `SettingsError`."""
    try:
        (path if folder else path.parent).mkdir(parents=True, exist_ok=True)
        if folder:
            with tempfile.TemporaryFile(dir=path):
                return
        new = not path.exists()
        with path.open("ab"):
            pass
        if new:
            path.unlink()  # an empty report after an interrupted run would look like one
    except OSError as error:
        raise SettingsError(f"{name} {path}: cannot be written: {error.strerror}") from error


def trigger(settings: Settings) -> Trigger:
    """What makes the server emit, as the settings say."""
    if settings.inject is not None:
        return Inject(settings.inject, settings.trigger_headers, settings.tls())
    if settings.trigger_url is not None:
        return TriggerUrl(settings.trigger_url, settings.trigger_headers, settings.tls())
    if settings.trigger_command is not None:
        return TriggerCommand(settings.trigger_command)
    return Observe()


def _known_failing(path: Path | None) -> Patterns:
    """The patterns of a known-failing file. One that matches no clause is a typing error, and told."""
    if path is None:
        return Patterns(())
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        text = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise SettingsError(f"{flag('known_failing')} {path}: {text}") from error
    ids = [clause.id for clause in contract.clauses()]
    listed = [(number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1)]
    for number, pattern in listed:
        if pattern and Patterns((pattern,)).unmatched(ids):
            raise SettingsError(f"{flag('known_failing')} {path}:{number}: {pattern!r} matches no clause")
    return Patterns(pattern for _, pattern in listed if pattern)


def _redacted(finding: ConfirmedFinding, secrets: tuple[str, ...]) -> ConfirmedFinding:
    """The finding as files may have it: a server may echo what it was sent."""

    def clean(text: str) -> str:
        return without(secrets, text)

    return replace(
        finding,
        message=clean(finding.message),
        got=None if finding.got is None else clean(finding.got),
        expected=None if finding.expected is None else clean(finding.expected),
        wire=tuple(
            WireEntry(entry.at, entry.conn, entry.direction, clean(entry.text)) for entry in finding.wire
        ),
    )
