"""The command line: `osint-events-client listen`."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, Self, get_args

import click
from osint_events.close_codes import CloseCode
from osint_events.scopes import ScopeValue
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from osint_events_client import terminal
from osint_events_client.client import Client, connect
from osint_events_client.errors import ClientError, Ended
from osint_events_client.items import Event, Item

_SIGNALLED: Final = 128
"""What shells add to the number of the signal that ended a process."""

_BARS: Final = 12
"""Tasks shown at a time: more would fill the screen."""

_OVER: Final = frozenset({"task_completed", "task_failed"})

_EXIT_STATUS = """\b
Exit status:
  0    the server closed normally, or --count was reached
  1    there is no connection, or it ended and is not to be made again
  2    a wrong flag
  130  ended by Ctrl-C (143: SIGTERM, 141: nobody reads the output any more)
"""


class _UsageError(click.ClickException):
    exit_code = 2


@click.group(epilog=_EXIT_STATUS)
@click.version_option(package_name="osint-events", prog_name="osint-events-client")
def main() -> None:
    """Receive investigation events over WebSocket."""


def _positions(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    positions = {}
    for value in values:
        investigation_id, found, token = value.rpartition("=")
        if not (investigation_id and found and token):
            raise click.BadParameter(f"{value}: give INVESTIGATION=TOKEN")
        positions[investigation_id] = token
    return positions


@main.command(epilog=_EXIT_STATUS)
@click.argument("url")
@click.option("--investigation", "investigations", multiple=True, required=True, help="Listen to this one.")
@click.option(
    "--scope",
    multiple=True,
    type=click.Choice(get_args(ScopeValue)),
    help="Only this part of the events.  [default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print each item as a line of JSON, with its token.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many events.")
@click.option(
    "--resume",
    "tokens",
    multiple=True,
    metavar="INVESTIGATION=TOKEN",
    callback=_positions,
    help="Begin after the event that had this token.",
)
@click.option(
    "--token",
    envvar="OSINT_EVENTS_TOKEN",
    help="Says who you are, where the server asks for it.  [env: OSINT_EVENTS_TOKEN]",
)
@click.option("--verbose", is_flag=True, help="Say more about the connection.")
def listen(
    url: str,
    investigations: tuple[str, ...],
    scope: tuple[ScopeValue, ...],
    tokens: dict[str, str],
    *,
    as_json: bool,
    count: int | None,
    token: str | None,
    verbose: bool,
) -> None:
    """Print the events of investigations from the server at URL (ws://HOST:PORT/ws), as they happen.

    A connection that ends is made again, and what was missed meanwhile is printed where the server replays
    it; else a line says that events may be missing. On a terminal, tasks have progress bars.
    """
    _log_to_stderr(verbose=verbose)
    try:
        client = connect(url, investigations, scope=scope or None, tokens=tokens, auth_token=token)
    except ValueError as error:
        raise _UsageError(terminal.printable(str(error))) from error
    with ExitStack() as stack:
        show = _shown_as_json if as_json else stack.enter_context(_Screen()).show
        try:
            status = asyncio.run(_listen(client, show, count))
        except ClientError as error:
            unknown = isinstance(error, Ended) and error.code == CloseCode.UNAUTHORIZED and token is None
            hint = "; --token says who you are" if unknown else ""
            raise click.ClickException(terminal.printable(f"{error}{hint}")) from error
        except BrokenPipeError:
            # So that nothing is written any more, neither now nor at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = _SIGNALLED + signal.SIGPIPE
    sys.exit(status)


async def _listen(client: Client, show: Callable[[Item], None], count: int | None) -> int:
    """Show what happens until the server, the user or the count ends it; give the exit status."""
    received: list[int] = []
    task = asyncio.current_task()
    assert task is not None

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        async with client:
            async for item in client:
                show(item)
                if count is not None and isinstance(item, Event):
                    count -= 1
                    if count == 0:
                        break
    except asyncio.CancelledError:
        if not received:
            raise
        return _SIGNALLED + received[0]
    return 0


def _shown_as_json(item: Item) -> None:
    # Python's own print, so that a pipe that nobody reads is noticed here.
    print(terminal.json_line(item), flush=True)  # noqa: T201 - this is the output


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let it through, as for JSON: rich would end the process in its own way."""
        raise BrokenPipeError


class _Screen:
    """Lines, and below them, on a terminal, a bar for each task that runs."""

    def __init__(self) -> None:
        console = _Console(highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bars: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, item: Item) -> None:
        """Print an item, and move its task's bar."""
        self._progress.console.print(terminal.line(item), markup=False)
        if isinstance(item, Event):
            self._move(item)

    def _move(self, event: Event) -> None:
        task_id = event.data.get("task_id")
        if not (isinstance(task_id, str) and task_id):
            return
        key = (event.investigation_id, task_id)
        if event.kind in _OVER:
            if key in self._bars:
                self._progress.remove_task(self._bars.pop(key))
            return
        if key not in self._bars:
            if len(self._bars) >= _BARS:
                return
            name = event.data.get("name")
            described = name if isinstance(name, str) and name else task_id
            self._bars[key] = self._progress.add_task(terminal.printable(described)[:40], total=1)
        done = terminal.progress(event)
        if done is not None:
            self._progress.update(self._bars[key], completed=done)


class _ToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Looked up at each call, since a screen with bars on it stands in for it.
        click.echo(f"osint-events-client: {terminal.printable(record.getMessage())}", err=True)


def _log_to_stderr(*, verbose: bool) -> None:
    logger = logging.getLogger("osint_events_client")
    logger.handlers = [_ToStderr()]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False


if __name__ == "__main__":
    main()
