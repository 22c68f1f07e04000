"""`python -m osint_events_conformance.faulty`: one server of the zoo, to try a judge on by hand."""

from __future__ import annotations

import asyncio
import signal

import click

from . import FAULTS, ODDITIES, start
from .capable.guarded import FORBIDDEN_ID, TOKEN, TRIGGER_TOKEN


def _list(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    del parameter
    if wanted:
        for fault in FAULTS.values():
            kind = "subtle" if fault.subtle else "plain"
            click.echo(f"{fault.name}  [{', '.join(sorted(fault.clauses))}; {kind}]  {fault.summary}")
        for oddity in ODDITIES.values():
            warns = f"; warns {', '.join(sorted(oddity.warns))}" if oddity.warns else ""
            click.echo(f"{oddity.name}  [correct{warns}]  {oddity.summary}")
        context.exit()


@click.command()
@click.option("--fault", type=click.Choice(sorted(FAULTS)), metavar="NAME", help="Be wrong in this way.")
@click.option(
    "--oddity", type=click.Choice(sorted(ODDITIES)), metavar="NAME", help="Be right in this odd way."
)
@click.option("--capable", is_flag=True, help="Be right, and speak Part 2 as well.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=0, show_default=True, help="The port to listen on; 0 takes a free one.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List the zoo.")
def main(fault: str | None, oddity: str | None, capable: bool, host: str, port: int) -> None:
    """Serve one server of the zoo until SIGTERM; without a name the correct one that knows Part 1 only."""
    if sum((fault is not None, oddity is not None, capable)) > 1:
        raise click.UsageError("--fault, --oddity and --capable exclude one another")
    try:
        asyncio.run(_serve(fault or oddity or ("capable" if capable else None), host, port))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


async def _serve(name: str | None, host: str, port: int) -> None:
    server = await start(name, host=host, port=port)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    click.echo(f"listening on {server.http_url}")
    if server.server.guarded:
        click.echo(f"OSINT_EVENTS_TOKEN={TOKEN} OSINT_EVENTS_TRIGGER_TOKEN={TRIGGER_TOKEN}")
        click.echo(f"--forbidden-id={FORBIDDEN_ID}")
    await ended.wait()
    await server.close()


if __name__ == "__main__":
    main(prog_name="python -m osint_events_conformance.faulty")
