"""The command line: `osint-events-server run`, `osint-events-server demo`, `osint-events-server publish`."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic.fields import FieldInfo
from yarl import URL

from osint_events_server import logs
from osint_events_server import settings as configuration
from osint_events_server.ingest import JSON, NDJSON
from osint_events_server.publisher import PublishError, base_url, publish
from osint_events_server.server import Control, StartError, running
from osint_events_server.settings import Settings, SettingsError

_EXIT_STATUS = """\b
Exit status:
  0  all went well
  1  it could not be done: the port is in use, the server refused
  2  a wrong flag, environment variable or configuration file
"""


class _ConfigurationError(click.ClickException):
    exit_code = 2


@click.group(epilog=_EXIT_STATUS)
@click.version_option(package_name="osint-events")
def main() -> None:
    """Serve investigation events over WebSocket."""


def _settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --config, and a flag for each setting, in their order."""
    for name, field in reversed(Settings.model_fields.items()):
        command = _option(name, field)(command)
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="TOML file with settings at its top level, named as the flags are, with _ for -. "
        "Flags win over the environment, that over the file.",
    )(command)


def _option(name: str, field: FieldInfo) -> Callable[[Callable[..., None]], Callable[..., None]]:
    annotation = field.annotation
    if isinstance(annotation, UnionType):  # with None
        annotation = get_args(annotation)[0]
    flag = configuration.flag(name)
    kind: dict[str, Any] = {"type": annotation}
    if annotation is bool:
        flag, kind = f"{flag}/--no-{flag.removeprefix('--')}", {}
    elif get_origin(annotation) is Literal:
        kind = {"type": click.Choice(get_args(annotation))}
    elif get_origin(annotation) is tuple:
        kind = {"type": str, "multiple": True}
    shown = f"{field.description}  [default: {_shown(field.default)}; env: {configuration.env(name)}]"
    return click.option(flag, name, help=shown, default=None, **kind)


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return ",".join(default) or "none"
    return "none" if default is None else str(default)


@main.command(epilog=_EXIT_STATUS)
@_settings_options
@click.pass_context
def run(context: click.Context, /, config: Path | None, **values: Any) -> None:
    """Start the server, and print where it listens once it does.

    SIGTERM and SIGINT close all connections, over the drain time, and end it; a second one ends it at once.
    SIGHUP reads certificates and keys again.
    """
    _serve(_given(context, values), config)


@main.command(epilog=_EXIT_STATUS)
@_settings_options
@click.pass_context
def demo(context: click.Context, /, config: Path | None, **values: Any) -> None:
    """Start the server with its live console, and simulate investigations to watch there.

    Open the URL that it prints in a browser. Ctrl-C ends it.
    """
    _serve(_given(context, values) | {"console": True}, config, simulate=True)


def _given(context: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given as flags."""
    return {
        name: value
        for name, value in values.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def _serve(given: dict[str, Any], config: Path | None, *, simulate: bool = False) -> None:
    try:
        settings = configuration.load(given, config=config)
    except SettingsError as error:
        raise _ConfigurationError(str(error)) from error
    logs.configure(settings.log_level, settings.log_format)
    try:
        asyncio.run(_run(settings, simulate=simulate))
    except StartError as error:
        raise click.ClickException(str(error)) from error


async def _run(settings: Settings, *, simulate: bool) -> None:
    stop, control = asyncio.Event(), Control()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if stop.is_set():
            control.hurry.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, control.reload.set)
    async with running(settings, control=control, simulate=simulate) as url:
        click.echo(f"listening on {url}")  # flushed, so that whoever waits for the line sees it
        if settings.console:
            click.echo(f"the live console is at {url}/")
        await stop.wait()


def _server_url(_context: click.Context, _parameter: click.Parameter, value: str) -> URL:
    try:
        return base_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@main.command("publish", epilog=_EXIT_STATUS)
@click.argument("url", callback=_server_url)
@click.argument("investigation")
@click.option(
    "--data", default="-", show_default=True, help="The event, a JSON object; - reads standard input."
)
@click.option("--ndjson", is_flag=True, help="Take many events, one on each line: all or none is published.")
@click.option("--idempotency-key", help="With it the same command may be repeated and publishes once.")
@click.option(
    "--token",
    envvar="OSINT_EVENTS_TOKEN",
    help="Says who publishes, where the server asks for it.  [env: OSINT_EVENTS_TOKEN]",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=10, show_default=True, help="Seconds."
)
def publish_command(
    url: URL,
    investigation: str,
    data: str,
    *,
    ndjson: bool,
    idempotency_key: str | None,
    token: str | None,
    timeout: float,
) -> None:
    """Send events of INVESTIGATION to the server at URL, and print its answer.

    For instance: publish http://127.0.0.1:8000 1234 --data '{"type": "investigation_started"}'
    """
    body = sys.stdin.buffer.read() if data == "-" else data.encode()
    sending = publish(
        url,
        investigation,
        body,
        content_type=NDJSON if ndjson else JSON,
        idempotency_key=idempotency_key,
        token=token,
        seconds=timeout,
    )
    try:
        click.echo(asyncio.run(sending))
    except PublishError as error:
        raise click.ClickException(str(error)) from error
