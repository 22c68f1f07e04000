"""The life of a server: it listens, delivers, and ends in order."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from osint_events_server.app import Service
from osint_events_server.oserrors import reason
from osint_events_server.settings import Settings
from osint_events_server.store import EventStore, StoreUnusable
from osint_events_server.store.memory import HistoryLimits, MemoryStore


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


@asynccontextmanager
async def running(settings: Settings, *, simulate: bool = False) -> AsyncIterator[str]:
    """Serve while the context lasts; then close connections with 1001 and release the port, in bounded time.

    Yields the URL, with the port that was bound. With `simulate`, investigations that nobody runs are
    published, to be watched.

    Raises:
        StartError: the address cannot be listened on, or the store not be used.

    """
    async with _store(settings) as store:
        service = Service(settings, store, simulate=simulate)
        async with _serving(settings, service) as url:
            yield url


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[EventStore]:
    if not settings.nats_servers:
        limits = HistoryLimits(
            events=settings.history_events, seconds=settings.history_ttl, bytes=settings.history_bytes
        )
        yield MemoryStore(epoch=secrets.token_urlsafe(6), clock=time.monotonic, limits=limits)
        return
    try:
        # Comes with an extra of its own, which most do without.
        from osint_events_server.store import jetstream  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StartError(
            "--store at NATS needs the package nats-py: pip install 'osint-events[server,nats]'"
        ) from error
    try:
        store = await jetstream.JetStreamStore.open(
            jetstream.BrokerOptions(
                settings.nats_servers,
                credentials=settings.nats_credentials,
                ca=settings.nats_ca,
                timeout=settings.nats_timeout,
            ),
            jetstream.StreamOptions(
                name=settings.nats_stream,
                replicas=settings.nats_replicas,
                seconds=settings.history_ttl,
                bytes=settings.history_bytes,
            ),
            max_event_bytes=settings.max_event_bytes,
        )
    except StoreUnusable as error:
        raise StartError(str(error)) from error
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _serving(settings: Settings, service: Service) -> AsyncIterator[str]:
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
            if service.simulator is not None:
                working.append(tasks.create_task(service.simulator.run()))
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
