"""The life of a server: it listens, delivers, and ends in order."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from osint_events_server.app import Service
from osint_events_server.auth.configure import configured
from osint_events_server.auth.hook import HookError
from osint_events_server.auth.jwt import KeysError
from osint_events_server.oserrors import reason
from osint_events_server.settings import Settings
from osint_events_server.store.memory import HistoryLimits, MemoryStore


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """Serve while the context lasts; then close connections with 1001 and release the port, in bounded time.

    Yields the URL, with the port that was bound.

    Raises:
        StartError: the address cannot be listened on, or something that a setting names cannot be used.

    """
    limits = HistoryLimits(
        events=settings.history_events, seconds=settings.history_ttl, bytes=settings.history_bytes
    )
    store = MemoryStore(epoch=secrets.token_urlsafe(6), clock=time.monotonic, limits=limits)
    try:
        authentication, _ = configured(settings)
    except (KeysError, HookError) as error:
        raise StartError(str(error)) from error
    service = Service(settings, store, authentication)
    runner = web.AppRunner(service.application(), access_log=None, shutdown_timeout=settings.shutdown_timeout)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise StartError(_cannot_listen(settings, error)) from error
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(service.deliver()), tasks.create_task(service.keep_young())]
            try:
                yield _url(settings, runner)
            finally:
                await site.stop()
                await service.close_connections()
                for task in working:
                    task.cancel()
    finally:
        await runner.cleanup()


def _url(settings: Settings, runner: web.AppRunner) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{runner.addresses[0][1]}"


def _cannot_listen(settings: Settings, error: OSError) -> str:
    return f"cannot listen on {settings.host} port {settings.port}: {reason(error)}; see --host and --port"
