"""The command line: `osint-events-conformance run | replay | selftest | list`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource
from osint_events import contract
from pydantic.fields import FieldInfo

from osint_events_conformance import settings as configuration
from osint_events_conformance import suite
from osint_events_conformance.patterns import Patterns
from osint_events_conformance.results import ExitStatus, RunResult
from osint_events_conformance.run import Run
from osint_events_conformance.settings import Settings, SettingsError
from osint_events_conformance.triggers import Inject, Observe, Trigger, TriggerCommand, TriggerUrl

_EXIT_STATUS = """\b
Exit status:
  0  the server conforms
  1  a violation was found (a flaky one too)
  2  a wrong flag or configuration file
  3  it could not be tested: unreachable, the trigger fails, nothing selected, no event seen
"""


class _UsageError(click.ClickException):
    exit_code = int(ExitStatus.USAGE)


@click.group(epilog=_EXIT_STATUS)
@click.version_option(package_name="osint-events")
def main() -> None:
    """Tell whether a WebSocket endpoint speaks the investigation-events protocol."""


def _settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a flag for each setting but the URL, in their order."""
    for name, field in reversed(Settings.model_fields.items()):
        if name != "url":
            command = _option(name, field)(command)
    return command


def _option(name: str, field: FieldInfo) -> Callable[[Callable[..., None]], Callable[..., None]]:
    annotation = field.annotation
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    kind: dict[str, Any] = {"type": annotation}
    if annotation is bool:
        kind = {"is_flag": True}
    elif get_origin(annotation) is Literal:
        kind = {"type": click.Choice(get_args(annotation))}
    elif get_origin(annotation) is tuple:
        kind = {"type": str, "multiple": True}
    elif kinds:
        kind = {"type": click.Path(path_type=Path) if kinds[0] is Path else kinds[0]}
    default = "" if field.default in {None, (), False} else f"  [default: {field.default}]"
    shown = f"{field.description}{default}"
    return click.option(configuration.flag(name), name, help=shown, default=None, **kind)


def _list(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        _print_clauses()
        _context.exit()


@main.command(epilog=_EXIT_STATUS)
@click.argument("url", required=False)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with a table [tool.osint-events.conformance]; flags win over it.",
)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="List the clauses, and stop.",
)
@_settings_options
@click.pass_context
def run(context: click.Context, /, url: str | None, config: Path | None, **values: Any) -> None:
    """Judge the server at URL (ws://HOST:PORT/ws; a client_id is appended)."""
    given = {
        name: value
        for name, value in values.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if url is not None:
        given["url"] = url
    try:
        settings = configuration.load(given, config)
        known = _known_failing(settings.known_failing)
        settings.tls()
    except SettingsError as error:
        raise _UsageError(str(error)) from error
    try:
        result = asyncio.run(execute(settings, click.echo, known))
    except KeyboardInterrupt:
        raise click.ClickException("interrupted: there is no verdict") from None
    _report(result, settings)
    sys.exit(int(result.exit_status))


async def execute(
    settings: Settings, progress: Callable[[str], None], known_failing: Patterns | None = None
) -> RunResult:
    """One run, in the running event loop."""
    return await Run(settings, trigger(settings), progress, known_failing).run()


def trigger(settings: Settings) -> Trigger:
    """What makes the server emit, as the settings say."""
    if settings.inject is not None:
        return Inject(settings.inject, settings.headers, settings.tls())
    if settings.trigger_url is not None:
        return TriggerUrl(settings.trigger_url, settings.headers, settings.tls())
    if settings.trigger_command is not None:
        return TriggerCommand(settings.trigger_command)
    return Observe()


def _known_failing(path: Path | None) -> Patterns:
    """The patterns of a known-failing file. One that matches no clause is an error: it hides a typing error."""
    if path is None:
        return Patterns(())
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        text = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise SettingsError(f"--known-failing {path}: {text}") from error
    patterns = Patterns(one for line in lines if (one := line.partition("#")[0].strip()))
    for pattern in patterns.unmatched(clause.id for clause in contract.clauses()):
        raise SettingsError(f"--known-failing {path}: {pattern!r} matches no clause")
    return patterns


def _report(result: RunResult, settings: Settings) -> None:
    click.echo(result.summary())
    _ = settings


@main.command("list")
def list_command() -> None:
    """List the clauses with their level and how each is checked."""
    _print_clauses()


def _print_clauses() -> None:
    checks: dict[str, list[str]] = {}
    for check in suite.checks():
        checks.setdefault(check.clause, []).append(check.name.replace("_", " "))
    for clause in contract.clauses():
        how = clause.untested or "; ".join(checks.get(clause.id, ["on everything that the server sends"]))
        click.echo(f"{clause.id:8} {clause.level:6} {clause.subject:9} {how}")


if __name__ == "__main__":
    main()
