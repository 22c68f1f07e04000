"""The life of a server: it listens, delivers, and ends in order."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from osint_events_server.app import Service
from osint_events_server.arrival import arriving
from osint_events_server.auth.configure import configured
from osint_events_server.auth.hook import HookError
from osint_events_server.auth.jwt import KeysError
from osint_events_server.oserrors import reason
from osint_events_server.settings import Settings, flag
from osint_events_server.store import EventStore, StoreUnusable
from osint_events_server.store.memory import HistoryLimits, MemoryStore
from osint_events_server.tls import Tls, TlsError

_log = logging.getLogger(__name__)

_BACKLOG = 1024  # connections that the kernel may hold until they are accepted


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Control:
    """What may be asked of a running server.

    Attributes:
        reload: set it to have certificates and keys read again.
        hurry: set it to cut the drain short.

    """

    reload: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    store: EventStore | None = None,
    control: Control | None = None,
    simulate: bool = False,
) -> AsyncIterator[str]:
    """Serve while the context lasts; then drain, close connections, and release the port, in bounded time.

    Args:
        settings: the limits.
        store: where events go; None: the one that the settings name.
        control: how to ask something of it.
        simulate: whether investigations that nobody runs are published, to be watched.

    Yields the URL, with the port that was bound.

    Raises:
        StartError: the address cannot be listened on, or something that a setting names, as the
            store, cannot be used.

    """
    control = control or Control()
    try:
        authentication, reload_keys = configured(settings)
        tls = Tls(settings.tls_cert, settings.tls_key) if settings.tls_cert is not None else None
    except KeysError as error:
        raise StartError(f"{flag('auth_jwks')}: {error}") from error
    except HookError as error:
        raise StartError(f"{flag('auth_hook')}: {error}") from error
    except TlsError as error:
        raise StartError(f"{flag('tls_cert')}: {error}") from error
    reloads = (reload_keys, *(() if tls is None else (tls.reload,)))
    async with AsyncExitStack() as stack:
        if store is None:
            store = await stack.enter_async_context(_store(settings))
        service = Service(settings, store, authentication, simulate=simulate)
        serving = _serving(settings, service, control, tls, reloads)
        yield await stack.enter_async_context(serving)


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
async def _serving(
    settings: Settings,
    service: Service,
    control: Control,
    tls: Tls | None,
    reloads: tuple[Callable[[], None], ...],
) -> AsyncIterator[str]:
    runner = web.AppRunner(
        service.application(),
        access_log=None,
        shutdown_timeout=settings.shutdown_timeout,
        max_line_size=settings.max_header_bytes,
        max_field_size=settings.max_header_bytes,
    )
    await runner.setup()
    try:
        listener = await _listen(runner, settings, tls)
        async with asyncio.TaskGroup() as tasks:
            working = [
                tasks.create_task(service.deliver()),
                tasks.create_task(service.keep_young()),
                tasks.create_task(_reload(control.reload, reloads)),
            ]
            if service.simulator is not None:
                working.append(tasks.create_task(service.simulator.run()))
            try:
                yield _url(settings, listener)
            finally:
                if settings.drain_time:
                    await service.drain(control.hurry)
                listener.close()
                await service.close_connections()
                for task in working:
                    task.cancel()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: Settings, tls: Tls | None) -> asyncio.Server:
    accept = runner.server
    assert accept is not None
    try:
        return await asyncio.get_running_loop().create_server(
            lambda: arriving(accept(), seconds=settings.request_timeout),
            settings.host,
            settings.port,
            backlog=_BACKLOG,
            ssl=None if tls is None else tls.context,
            ssl_handshake_timeout=None if tls is None else settings.request_timeout,
        )
    except OSError as error:
        raise StartError(_cannot_listen(settings, error)) from error


async def _reload(asked: asyncio.Event, reloads: tuple[Callable[[], None], ...]) -> None:
    """Read files again whenever that is asked for; where one cannot be used, go on with what there is."""
    while True:
        await asked.wait()
        asked.clear()
        for reload in reloads:
            try:
                reload()
            except (KeysError, TlsError) as error:
                _log.error("not read again: %s", error)
        _log.info("certificates and keys were read again")


def _url(settings: Settings, listener: asyncio.Server) -> str:
    scheme = "http" if settings.tls_cert is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listener.sockets[0].getsockname()[1]}"


def _cannot_listen(settings: Settings, error: OSError) -> str:
    return f"cannot listen on {settings.host} port {settings.port}: {reason(error)}; see --host and --port"
