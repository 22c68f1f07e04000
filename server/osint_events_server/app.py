"""The aiohttp shell: the routes, and what the connections of a node share."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from osint_events.close_codes import CloseCode

from osint_events_server import console, drain, handshake
from osint_events_server.arrival import arrived
from osint_events_server.auth import Authentication, AuthenticatorFailure
from osint_events_server.connections import Connections
from osint_events_server.counts import Counts
from osint_events_server.ingest import Refused
from osint_events_server.metrics import Metrics, State
from osint_events_server.operation import Operation
from osint_events_server.origin import Origins
from osint_events_server.peer import Proxies
from osint_events_server.publishing import Publishing
from osint_events_server.settings import Settings
from osint_events_server.simulate import Simulator
from osint_events_server.store import EventStore, Gap, IdempotencyConflict, StoreUnavailable

_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """What the routes share.

    Args:
        settings: the limits.
        store: where events go, and from where they are delivered.
        authentication: decides who may do what; None: everybody may do everything.
        simulate: whether there is a simulator, which the console may ask for investigations.

    """

    def __init__(
        self,
        settings: Settings,
        store: EventStore,
        authentication: Authentication | None = None,
        *,
        simulate: bool = False,
    ) -> None:
        self._settings = settings
        self._store = store
        self._authentication = authentication
        self._followed = store.follow()
        self._counts = Counts()
        self._proxies = Proxies(settings.trusted_proxies)
        self._origins = Origins(
            settings.allowed_origins, hosts=settings.allowed_hosts, listening_on=settings.host
        )
        self._connections = Connections(
            settings, store, authentication, position=self._followed.position, counts=self._counts
        )
        self._metrics = Metrics(self._counts, self._state, max_connections=settings.max_connections)
        self._publishing = Publishing(
            settings, store, authentication, counts=self._counts, metrics=self._metrics
        )
        self.simulator = Simulator(self._publishing.simulated, rng=random.Random()) if simulate else None

    def application(self) -> web.Application:
        """Return the routes."""
        # Inclusive or exclusive, as aiohttp's version has it: `Publishing` is exact.
        app = web.Application(client_max_size=self._settings.max_ingest_bytes + 1)
        app.on_response_prepare.extend((handshake.declare_extension, _arrived))
        operation = Operation(self._store, self._metrics, is_draining=lambda: self._connections.are_refused)
        add = app.router.add_route
        add("GET", "/ws/{client_id:[^/]+}", self._guard(self._websocket))
        add("POST", "/investigations/{investigation_id:[^/]+}/events", self._guard(self._publishing.publish))
        add("POST", "/inject", self._guard(self._publishing.inject))
        add("GET", "/healthz", operation.alive)
        add("GET", "/readyz", operation.ready)
        if self._settings.metrics:
            add("GET", "/metrics", self._guard(operation.expose))
        if self._settings.console:
            # Where authentication is on, nobody asks for investigations without a token.
            simulator = self.simulator if self._authentication is None else None
            for route in console.routes(simulator):
                add(route.method, route.path, self._guard(route.handler))
        return app

    async def deliver(self) -> None:
        """Deliver what the store takes, until cancelled."""
        hub = self._connections.hub
        try:
            async for due in self._followed:
                if isinstance(due, Gap):
                    self._counts.gaps[due.reason] += 1
                    hub.interrupt(due, epoch=self._store.epoch)
                else:
                    self._counts.followed += len(due)
                    hub.deliver(due)
                self._metrics.delivered(hub.position)
        finally:
            self._followed.close()

    async def keep_young(self) -> None:
        """Keep the tokens of idle subscriptions young, until cancelled (RPL-6)."""
        interval = self._settings.ping_interval
        while True:
            await asyncio.sleep(interval / 4)
            # Looked at four times an interval, so that none is idle for longer than one.
            self._connections.hub.keep_young(idle=interval * 3 / 4)

    async def drain(self, hurry: asyncio.Event) -> None:
        """Take no connections any more, and close those that are there with 1012, over the drain time.

        Args:
            hurry: when it is set, what is left is left at once.

        """
        self._connections.are_refused = True

        async def sleep(seconds: float) -> bool:
            try:
                async with asyncio.timeout(seconds):
                    await hurry.wait()
            except TimeoutError:
                return True
            return False

        await drain.spread(
            self._connections.hub.connections,
            lambda connection: connection.end(CloseCode.SERVICE_RESTART, "the server restarts", flush=True),
            seconds=self._settings.drain_time,
            clock=asyncio.get_running_loop().time,
            sleep=sleep,
        )

    async def close_connections(self) -> None:
        """Close all connections with 1001, after what waits for them; bounded in time."""
        await self._connections.close()

    def _state(self) -> State:
        hub = self._connections.hub
        return State(
            queues=hub.connections,
            subscriptions=hub.subscriptions,
            position=hub.position,
            deliveries=hub.deliveries,
            delivered_bytes=hub.delivered_bytes,
            writes=hub.writes,
            is_draining=self._connections.are_refused,
        )

    def _guard(self, handler: _Handler) -> _Handler:
        """Refuse pages of foreign origins (SEC-3), and answer what a handler raises."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            arrived(request.transport)  # its body may still be under way
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
        for origin in request.headers.getall("Origin", ()):
            if not self._origins.allow(origin, self._proxies.peer(request)):
                self._counts.refused["origin"] += 1
                raise Refused(HTTPStatus.FORBIDDEN, "forbidden", "this origin is not allowed")

    def _websocket(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        return self._connections.serve(request, address=self._proxies.address(request))


async def _arrived(request: web.BaseRequest, _response: web.StreamResponse) -> None:
    """Take note of requests that no route knows, too."""
    arrived(request.transport)


def _unavailable(message: str, *, retry_after: int) -> web.Response:
    return web.json_response(
        {"code": "unavailable", "message": message},
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Retry-After": str(retry_after)},
    )
