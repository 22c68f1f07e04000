"""The aiohttp shell: routes, handshake, ingest, inject and health."""

import asyncio
import random
import secrets
import zlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from aiohttp import WSCloseCode, web

from osint_events_server import console, deflate
from osint_events_server.connection import Connection
from osint_events_server.hub import Hub
from osint_events_server.ingest import JSON, Ingest, Limits, Refused, too_large, unsupported_media_type
from osint_events_server.linger import Lingering
from osint_events_server.offer import Offer
from osint_events_server.positions import Positions
from osint_events_server.replay import Replayer
from osint_events_server.session import Session
from osint_events_server.settings import Settings
from osint_events_server.simulate import Simulator
from osint_events_server.store import EventStore, Gap, IdempotencyConflict, StoreUnavailable
from osint_events_server.tokens import MIN_KEY_BYTES, Tokens

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MAX_IDEMPOTENCY_KEY = 255  # characters


class Service:
    """What the routes share.

    Args:
        settings: the limits.
        store: where events go, and from where they are delivered.
        simulate: whether there is a simulator, which the console may ask for investigations.

    """

    def __init__(self, settings: Settings, store: EventStore, *, simulate: bool = False) -> None:
        self._settings = settings
        self._store = store
        self.simulator = Simulator(self._publish_simulated, rng=random.Random()) if simulate else None
        self._followed = store.follow()
        self._offer = Offer.of(settings)
        self._positions = Positions(_tokens(settings), lambda: store.epoch)
        self._replayer = Replayer(store, self._positions, max_events=settings.max_replay_events)
        self._hub: Hub[Connection] = Hub(
            fallback=settings.has_fallback,
            position=self._followed.position,
            issue=self._positions.issue,
            clock=asyncio.get_running_loop().time,
        )
        self._ingest = Ingest(
            Limits(
                event_bytes=settings.max_event_bytes,
                events=settings.max_ingest_events,
                nesting=settings.max_nesting,
            )
        )
        self._allowed_origins = frozenset(settings.allowed_origins)
        self._lingering = Lingering(seconds=settings.close_timeout)
        self._serving: dict[Connection, asyncio.Task[None]] = {}
        self._stopping = False

    def application(self) -> web.Application:
        """Return the routes."""
        # Inclusive or exclusive, as aiohttp's version has it: `_read` is exact.
        app = web.Application(client_max_size=self._settings.max_ingest_bytes + 1)
        app.on_response_prepare.append(_declare_extension)
        add = app.router.add_route
        add("GET", "/ws/{client_id:[^/]+}", self._guard(self._websocket))
        add("POST", "/investigations/{investigation_id:[^/]+}/events", self._guard(self._publish))
        add("GET", "/healthz", self._health)
        add("POST", "/inject", self._guard(self._inject))
        if self._settings.console:
            for route in console.routes(self.simulator):
                add(route.method, route.path, self._guard(route.handler))
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
                return web.json_response(refused.body(), status=refused.status)
            except IdempotencyConflict as conflict:
                status = HTTPStatus.UNPROCESSABLE_ENTITY
                return web.json_response({"code": "invalid_message", "message": str(conflict)}, status=status)
            except StoreUnavailable as unavailable:
                return web.json_response(
                    {"code": "unavailable", "message": str(unavailable)},
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    headers={"Retry-After": str(unavailable.retry_after)},
                )

        return guarded

    def _check_origin(self, request: web.Request) -> None:
        """Refuse a browser's request from an origin that is not allowed (SEC-3)."""
        for origin in request.headers.getall("Origin", ()):
            if origin != f"{request.scheme}://{request.host}" and origin not in self._allowed_origins:
                raise Refused(HTTPStatus.FORBIDDEN, "forbidden", "this origin is not allowed")

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        client_id = _segment(request, 2)
        if client_id is None or not self._is_client_id(client_id):
            raise Refused(
                HTTPStatus.BAD_REQUEST,
                "invalid_message",
                f"a client_id is 1 to {self._settings.max_client_id} characters of UTF-8, "
                "none of them a slash or a control character",
            )
        if request.headers.get("Upgrade", "").strip().lower() != "websocket":
            return _upgrade_required("this is a WebSocket endpoint")
        if request.headers.get("Sec-WebSocket-Version") != "13":
            return _upgrade_required("the WebSocket version is 13")
        if self._stopping:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the server stops")
        ws = self._response(request)
        try:
            writer = await ws.prepare(request)
        except ConnectionResetError:  # gone during the handshake, as many are after a pause of the process
            return web.Response(status=HTTPStatus.BAD_REQUEST)
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
            ),
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

    def _response(self, request: web.Request) -> "_Response":
        extension = None
        if self._settings.compression:
            extension = deflate.accept(request.headers.getall(_EXTENSIONS, ()))
        size = self._settings.max_message_bytes
        if extension is not None:
            size = deflate.max_deflated(size)
        return _Response(
            extension,
            timeout=self._settings.close_timeout,
            max_msg_size=size + 1,  # aiohttp's limit is exclusive
        )

    def _is_client_id(self, text: str) -> bool:
        """Say whether a client_id is one that is served (CONN-1)."""
        return (
            len(text) <= self._settings.max_client_id
            and text not in {".", ".."}
            and not any(character == "/" or _is_control(character) for character in text)
        )

    async def _publish(self, request: web.Request) -> web.Response:
        investigation_id = _segment(request, 2)
        if investigation_id is None:
            raise Refused(
                HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_message", "the id in the path is no UTF-8"
            )
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= _MAX_IDEMPOTENCY_KEY:
            message = f"an Idempotency-Key has 1 to {_MAX_IDEMPOTENCY_KEY} characters"
            raise Refused(HTTPStatus.BAD_REQUEST, "invalid_message", message)
        body = await self._read(request)
        payloads = self._ingest.events(investigation_id, body, content_type=request.content_type)
        seqs = await self._store.append(investigation_id, payloads, idempotency_key=key)
        if request.content_type == "application/json":
            return _accepted(b'{"seq":%d}' % seqs[0])
        return _accepted(b'{"seqs":[%b]}' % b",".join(b"%d" % seq for seq in seqs))

    async def _publish_simulated(self, investigation_id: str, event: bytes) -> None:
        payloads = self._ingest.events(investigation_id, event, content_type=JSON)
        await self._store.append(investigation_id, payloads)

    async def _inject(self, request: web.Request) -> web.Response:
        if not self._settings.enable_inject:
            message = "the inject hook is off; --enable-inject turns it on"
            raise Refused(HTTPStatus.NOT_FOUND, "not_found", message)
        body = await self._read(request)
        investigation_id, data = self._ingest.injection(body, content_type=request.content_type)
        seqs = await self._store.append(investigation_id, (data,))
        return _accepted(b'{"seq":%d}' % seqs[0])

    async def _read(self, request: web.Request) -> bytes:
        charset = request.charset
        if charset is not None and charset.lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise unsupported_media_type("application/json")
        limit = self._settings.max_ingest_bytes
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise too_large(f"a body may have {limit} bytes") from error
        if len(body) > limit:
            raise too_large(f"a body may have {limit} bytes")
        return body

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})


_EXTENSIONS = "Sec-WebSocket-Extensions"


class _Response(web.WebSocketResponse):
    """aiohttp's, with compression as the server does it.

    Args:
        extension: what is answered to the client's offer of permessage-deflate, None where it is not taken.
        timeout: seconds for the closing handshake.
        max_msg_size: above which bytes of a message it is closed with 1009.

    """

    def __init__(self, extension: str | None, *, timeout: float, max_msg_size: int) -> None:
        super().__init__(timeout=timeout, compress=extension is not None, max_msg_size=max_msg_size)
        self._extension = extension

    def declare(self) -> None:
        """Say what is true of the messages that the server deflates, where aiohttp took the offer.

        aiohttp would echo any window, and declare no context takeover only where the client asks for that.
        """
        if self._extension is not None and _EXTENSIONS in self.headers:
            self.headers[_EXTENSIONS] = self._extension

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        if isinstance(self.exception(), zlib.error):  # aiohttp would close with 1000 (ROB-2)
            code = WSCloseCode.INVALID_TEXT
        return await super().close(code=code, message=message, drain=drain)


async def _declare_extension(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    if isinstance(response, _Response):
        response.declare()


def _tokens(settings: Settings) -> Tokens:
    keys = [key.encode() for key in settings.token_keys]
    return Tokens(keys or [secrets.token_bytes(MIN_KEY_BYTES)])


def _segment(request: web.Request, number: int) -> str | None:
    """Return a segment of the path, percent-decoded, or None where it is no UTF-8.

    aiohttp's own decoding lets bytes that are no UTF-8 stand as they were written.
    """
    try:
        return unquote_to_bytes(request.rel_url.raw_path.split("/")[number]).decode()
    except UnicodeDecodeError:
        return None


def _is_control(character: str) -> bool:
    """Say whether a character is a control character (Unicode category Cc)."""
    return character < " " or "\x7f" <= character <= "\x9f"


def _upgrade_required(message: str) -> web.Response:
    """Return 426 (RFC 9110, section 15.5.22; RFC 6455, section 4.4)."""
    return web.json_response(
        {"code": "upgrade_required", "message": message},
        status=HTTPStatus.UPGRADE_REQUIRED,
        headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
    )


def _accepted(body: bytes) -> web.Response:
    return web.Response(body=body, status=HTTPStatus.ACCEPTED, content_type="application/json")
