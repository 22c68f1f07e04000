"""The aiohttp shell: routes, the handshake, and the life of connections."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import WSCloseCode, web

from osint_events_server import handshake
from osint_events_server.access import Access
from osint_events_server.auth import Authentication, AuthenticatorFailure, Principal
from osint_events_server.connection import Connection
from osint_events_server.hub import Hub
from osint_events_server.ingest import Refused
from osint_events_server.linger import Lingering
from osint_events_server.offer import Offer
from osint_events_server.positions import Positions
from osint_events_server.publishing import Publishing, principal_of
from osint_events_server.replay import Replayer
from osint_events_server.session import Session
from osint_events_server.settings import Settings
from osint_events_server.store import EventStore, Gap, IdempotencyConflict, StoreUnavailable
from osint_events_server.tokens import MIN_KEY_BYTES, Tokens

_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """What the routes share.

    Args:
        settings: the limits.
        store: where events go, and from where they are delivered.
        authentication: decides who may do what; None: everybody may do everything.

    """

    def __init__(
        self, settings: Settings, store: EventStore, authentication: Authentication | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._followed = store.follow()
        self._offer = Offer.of(settings)
        self._positions = Positions(_tokens(settings), lambda: store.epoch)
        self._replayer = Replayer(store, self._positions, max_events=settings.max_replay_events)
        self._hub: Hub[Connection] = Hub(
            fallback=settings.fallback == "on",
            position=self._followed.position,
            issue=self._positions.issue,
            clock=asyncio.get_running_loop().time,
        )
        self._authentication = authentication
        self._publishing = Publishing(settings, store, authentication)
        self._allowed_origins = frozenset(settings.allowed_origins)
        self._lingering = Lingering(seconds=settings.close_timeout)
        self._serving: dict[Connection, asyncio.Task[None]] = {}
        self._stopping = False

    def application(self) -> web.Application:
        """Return the routes."""
        # Inclusive or exclusive, as aiohttp's version has it: `_read` is exact.
        app = web.Application(client_max_size=self._settings.max_ingest_bytes + 1)
        app.on_response_prepare.append(handshake.declare_extension)
        add = app.router.add_route
        add("GET", "/ws/{client_id:[^/]+}", self._guard(self._websocket))
        add("POST", "/investigations/{investigation_id:[^/]+}/events", self._guard(self._publishing.publish))
        add("GET", "/healthz", self._health)
        add("POST", "/inject", self._guard(self._publishing.inject))
        return app

    async def deliver(self) -> None:
        """Deliver what the store takes, until cancelled."""
        try:
            async for due in self._followed:
                if isinstance(due, Gap):
                    self._hub.interrupt(due, epoch=self._store.epoch)
                else:
                    self._hub.deliver(due)
        finally:
            self._followed.close()

    async def keep_young(self) -> None:
        """Keep the tokens of idle subscriptions young, until cancelled (RPL-6)."""
        interval = self._settings.ping_interval
        while True:
            await asyncio.sleep(interval / 4)
            # Looked at four times an interval, so that none is idle for longer than one.
            self._hub.keep_young(idle=interval * 3 / 4)

    async def close_connections(self) -> None:
        """Close all connections with 1001, after what waits for them; bounded in time."""
        self._stopping = True
        for connection in self._hub.connections:
            connection.end(WSCloseCode.GOING_AWAY, "the server stops", flush=True)
        if self._serving:
            await asyncio.wait(self._serving.values(), timeout=self._settings.shutdown_timeout)
        for connection in self._serving:
            connection.abort()

    def _guard(self, handler: _Handler) -> _Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._check_origin(request)
                return await handler(request)
            except Refused as refused:
                headers = {}
                if refused.status == HTTPStatus.UNAUTHORIZED:
                    headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 11.6.1
                return web.json_response(refused.body(), status=refused.status, headers=headers)
            except AuthenticatorFailure as failure:
                _log.error("the authenticator failed: %s", failure)
                return _unavailable("tokens cannot be verified now", retry_after=5)
            except IdempotencyConflict as conflict:
                status = HTTPStatus.UNPROCESSABLE_ENTITY
                return web.json_response({"code": "invalid_message", "message": str(conflict)}, status=status)
            except StoreUnavailable as unavailable:
                return _unavailable(str(unavailable), retry_after=unavailable.retry_after)

        return guarded

    def _check_origin(self, request: web.Request) -> None:
        """Refuse a browser's request from an origin that is not allowed (SEC-3)."""
        for origin in request.headers.getall("Origin", ()):
            if origin != f"{request.scheme}://{request.host}" and origin not in self._allowed_origins:
                raise Refused(HTTPStatus.FORBIDDEN, "forbidden", "this origin is not allowed")

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        client_id = handshake.client_id(request, max_characters=self._settings.max_client_id)
        if (refusal := handshake.upgrade_required(request)) is not None:
            return refusal
        if self._stopping:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the server stops")
        access = Access(self._authentication, await self._principal(request))
        ws = handshake.Response.to(request, self._settings)
        writer = await ws.prepare(request)
        transport = request.transport
        if transport is None:  # gone during the handshake
            return ws
        connection = Connection(
            client_id,
            ws=ws,
            transport=transport,
            is_lost=lambda: request.transport is None,
            drain=writer.drain,
            session=Session(
                max_subscriptions=self._settings.max_subscriptions,
                offer=self._offer,
                positions=self._positions,
                connection_id=secrets.token_urlsafe(9),
                may_see=access.may_see,
                awaits_token=access.is_awaited,
            ),
            access=access,
            hub=self._hub,
            store=self._store,
            positions=self._positions,
            replayer=self._replayer,
            lingering=self._lingering,
            settings=self._settings,
        )
        task = asyncio.current_task()
        assert task is not None
        self._serving[connection] = task
        try:
            await connection.serve()
        finally:
            del self._serving[connection]
        return ws

    async def _principal(self, request: web.Request) -> Principal | None:
        """Return whom the handshake's header stands for, where it has one that counts (SEC-1)."""
        header = request.headers.get("Authorization")
        if self._authentication is None or header is None:
            return None
        return await principal_of(header, self._authentication)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})


def _tokens(settings: Settings) -> Tokens:
    keys = [key.encode() for key in settings.token_keys]
    return Tokens(keys or [secrets.token_bytes(MIN_KEY_BYTES)])


def _unavailable(message: str, *, retry_after: int) -> web.Response:
    return web.json_response(
        {"code": "unavailable", "message": message},
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Retry-After": str(retry_after)},
    )
