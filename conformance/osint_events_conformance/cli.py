"""The command line: `osint-events-conformance run | replay | selftest | list`."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
from osint_events import contract

from osint_events_conformance import launch, suite, trace
from osint_events_conformance import settings as configuration
from osint_events_conformance.launch import execute
from osint_events_conformance.options import given, settings_options
from osint_events_conformance.report import terminal
from osint_events_conformance.report.text import printable
from osint_events_conformance.results import ExitStatus
from osint_events_conformance.settings import Settings, SettingsError

__all__ = ["execute", "main"]

_INTERRUPTED = 130
"""What shells give a process that SIGINT ended: it is no verdict."""

_BROKEN_PIPE = 141
"""What shells give a process that SIGPIPE ended: it is no verdict either."""

_EXIT_STATUS = """\b
Exit status:
  0  the server conforms
  1  a violation was found (a flaky one too)
  2  a wrong flag or configuration file
  3  it could not be tested: unreachable, the trigger fails, nothing selected, no event seen,
     no time for most scripts
"""
_REPLAY_STATUS = """\b
Exit status:
  0  FIXED: it does not show any more
  1  STILL FAILING
  2  a wrong flag or configuration file, or no trace
  3  COULD NOT TEST: unreachable, the trigger fails, something else is broken first
"""
_SELFTEST_STATUS = """\b
Exit status:
  0  every fault is found and laid to its clauses, every correct server passes
  1  not so
  2  a wrong flag
"""

# What reports and drawing need is no part of a replay: it runs what was recorded.
_REPLAY_SETTINGS = (
    "inject", "trigger_url", "trigger_command", "restart_command", "fallback", "timeout_scale", "header",
    "token", "trigger_token", "forbidden_id", "subprotocol", "origin", "cacert", "cert", "key", "seed",
)  # fmt: skip

_REPLAYED = ("fallback", "timeout_scale", "subprotocol", "origin")
# Never the command: a file that came from elsewhere must not choose what runs here.
_REPLAYED_ON_SAME_SERVER = ("inject", "trigger_url", "forbidden_id", "cacert", "cert", "key")

_SELDOM = (50_000, 20, 20)
"""A run makes many objects and few circles: looking for these less often saves a tenth of its time."""

_Result = TypeVar("_Result")


class _UsageError(click.ClickException):
    exit_code = int(ExitStatus.USAGE)


class _Interrupted(click.ClickException):
    exit_code = _INTERRUPTED


def _run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run it to its end. Ctrl-C ends it with one line and no verdict."""
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    try:
        return asyncio.run(coroutine)
    except KeyboardInterrupt:
        raise _Interrupted("interrupted: there is no verdict") from None


class _Commands(click.Group):
    """Commands that end as a Unix tool does when nobody reads what they print (`run … | head`)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the last flush fails again
            sys.exit(_BROKEN_PIPE)


@click.group(cls=_Commands)
@click.version_option(package_name="osint-events", prog_name="osint-events-conformance")
def main() -> None:
    """Tell whether a WebSocket endpoint speaks the investigation-events protocol."""


def _list(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        _print_clauses()
        context.exit()


@main.command(epilog=_EXIT_STATUS)
@click.argument("url", required=False)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="List the clauses, and stop.",
)
@settings_options()
@click.pass_context
def run(context: click.Context, /, url: str | None, config: Path | None, **values: Any) -> None:
    """Judge the server at URL (ws://HOST:PORT/ws; a client_id is appended)."""
    try:
        settings = configuration.load(given(context, url, values), config)
        known = launch.prepare(settings)
    except SettingsError as error:
        raise _UsageError(str(error)) from error
    console = terminal.console()
    with terminal.LiveProgress(console) as progress:
        result = _run(execute(settings, progress, known))
    if result.runner_fault:
        click.echo(result.runner_fault, err=True)
    try:
        launch.write_files(result, settings)
    except SettingsError as error:
        raise _UsageError(str(error)) from error
    finally:
        terminal.report(result, console)
    sys.exit(int(result.exit_status))


@main.command(epilog=_REPLAY_STATUS)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("url", required=False)
@settings_options(_REPLAY_SETTINGS)
@click.pass_context
def replay(
    context: click.Context, /, file: Path, url: str | None, config: Path | None, **values: Any
) -> None:
    """Run the finding recorded in FILE again, on the server where it was found or at URL.

    Settings that are not given are the recorded ones, where the server is the same; the values of
    headers are not recorded.
    """
    from osint_events_conformance import replay as replaying  # noqa: PLC0415 - the command has the name

    try:
        recorded = trace.read(file)
        settings = _replay_settings(recorded, given(context, url, values), config)
        settings.tls()
    except (trace.TraceError, SettingsError) as error:
        raise _UsageError(str(error)) from error
    rng = random.Random(settings.seed)
    replayed = _run(replaying.replay(recorded, settings, rng))
    for entry in replayed.case.wire if replayed.case else ():
        shown = launch.without(settings.secrets, entry.text)
        click.echo(f"{entry.at:9.3f} s  {entry.conn} {entry.direction} {printable(shown)}")
    click.echo(printable(launch.without(settings.secrets, replayed.line(recorded))))
    sys.exit(int(replayed.state.exit_status))


def _replay_settings(recorded: trace.Trace, said: dict[str, Any], config: Path | None) -> Settings:
    header = recorded.header
    same_server = said.setdefault("url", header.target) == header.target
    kept = {
        name: value
        for name, value in header.settings.items()
        if name in _REPLAYED or (same_server and name in _REPLAYED_ON_SAME_SERVER)
    }
    if any(said.get(name) for name in ("inject", "trigger_url", "trigger_command")):
        kept = {name: value for name, value in kept.items() if not name.startswith(("inject", "trigger"))}
    missing = [line for line in header.settings.get("header", ()) if same_server and not said.get("header")]
    if missing:
        names = ", ".join(line.partition(":")[0] for line in missing)
        raise SettingsError(f"it was recorded with headers whose values are not kept: give --header {names}")
    secrets = [name for name in configuration.ENVIRONMENT if same_server and name in header.settings]
    settings = configuration.load({**kept, **said}, config)
    for name in secrets:
        if getattr(settings, name) is None:
            variable = configuration.ENVIRONMENT[name]
            raise SettingsError(f"it was recorded with a token, which is not kept: give {variable}")
    return settings


@main.command(epilog=_SELFTEST_STATUS)
@click.option("--jobs", type=click.IntRange(1, 64), help="Servers judged at once.  [default: 2 a core]")
@click.option("--only", multiple=True, metavar="NAME-OR-GLOB", help="Only these servers of the zoo.")
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="Only about N servers, always the same: faults of each clause in turn, subtle and plain, and "
    "correct ones.  [default: the whole zoo]",
)
@click.option(
    "--profile",
    type=click.Choice(["core", "full"]),
    default="full",
    show_default=True,
    help="Those of Part 1 only, or of both parts.",
)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the kill matrix to this file.")
def selftest(
    jobs: int | None,
    only: tuple[str, ...],
    sample: int | None,
    profile: Literal["core", "full"],
    file: Path | None,
) -> None:
    """Judge the zoo: faulty servers, whose faults must be found, and correct ones, which must pass."""
    from osint_events_conformance import selftest as testing  # noqa: PLC0415 - the zoo is its alone

    try:
        entries = testing.select(only, sample, profile)
        if file is not None:
            launch.try_writing("--json", file)
    except SettingsError as error:
        raise _UsageError(str(error)) from error
    result = _run(testing.test(entries, jobs or testing.default_jobs(), click.echo))
    click.echo(testing.matrix(result))
    if file is not None:
        file.write_text(testing.document(result), encoding="utf-8")
    click.echo(testing.summary(result))
    sys.exit(0 if result.passed else 1)


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
