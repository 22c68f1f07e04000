"""The WebSocket connections of a node: from the handshake to the end."""

import asyncio
import secrets
from http import HTTPStatus

from aiohttp import web
from osint_events.close_codes import CloseCode

from osint_events_server import handshake
from osint_events_server.access import Access
from osint_events_server.admission import Admission, TooManyConnections
from osint_events_server.auth import Authentication, Principal
from osint_events_server.connection import Connection, Node
from osint_events_server.counts import Counts
from osint_events_server.hub import Hub
from osint_events_server.ingest import Refused
from osint_events_server.linger import Lingering
from osint_events_server.offer import Offer
from osint_events_server.positions import Positions
from osint_events_server.publishing import principal_of
from osint_events_server.replay import Replayer
from osint_events_server.session import Session
from osint_events_server.settings import Settings
from osint_events_server.sockets import Sockets
from osint_events_server.store import EventStore
from osint_events_server.tokens import MIN_KEY_BYTES, Tokens


class Connections:
    """Accepts connections, and ends them.

    Args:
        settings: the limits.
        store: says where subscriptions begin.
        authentication: decides who may connect; None: everybody.
        position: the number after which events are delivered.
        counts: what happens is counted there.

    Attributes:
        hub: who is subscribed to what.
        are_refused: whether no more connections are taken.

    """

    def __init__(
        self,
        settings: Settings,
        store: EventStore,
        authentication: Authentication | None,
        *,
        position: int,
        counts: Counts,
    ) -> None:
        self._settings = settings
        self._authentication = authentication
        self._counts = counts
        self._offer = Offer.of(settings)
        self._positions = Positions(_tokens(settings), lambda: store.epoch)
        clock = asyncio.get_running_loop().time
        sockets = Sockets()
        self.hub: Hub[Connection] = Hub(
            sockets.send,
            fallback=settings.has_fallback,
            position=position,
            issue=self._positions.issue,
            clock=clock,
        )
        self._node = Node(
            settings=settings,
            hub=self.hub,
            sockets=sockets,
            store=store,
            positions=self._positions,
            replayer=Replayer(store, self._positions, max_events=settings.max_replay_events, counts=counts),
            lingering=Lingering(seconds=settings.close_timeout),
            counts=counts,
            clock=clock,
        )
        self._admission = Admission(
            total=settings.max_connections, per_address=settings.max_connections_per_address
        )
        self._serving: dict[Connection, asyncio.Task[None]] = {}
        self.are_refused = False

    async def serve(self, request: web.Request, *, address: str) -> web.StreamResponse:
        """Handle `GET /ws/{client_id}`, until the connection has ended.

        Args:
            request: the opening handshake.
            address: the client's.

        Raises:
            Refused: the handshake is refused.
            AuthenticatorFailure: it is not known who this is.

        """
        client_id = handshake.client_id(request, max_characters=self._settings.max_client_id)
        if (refusal := handshake.upgrade_required(request)) is not None:
            return refusal
        handshake.check_key(request)
        access = Access(self._authentication, await self._principal(request))
        if self.are_refused:
            self._counts.refused["draining"] += 1
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the server stops")
        try:
            self._admission.enter(address)
        except TooManyConnections as error:
            self._counts.refused[error.reason] += 1
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", str(error)) from None
        connection = None
        try:
            ws = handshake.Response.to(request, self._settings)
            connection = await self._open(request, ws, client_id, access)
            if connection is None:
                return ws if ws.prepared else web.Response(status=HTTPStatus.BAD_REQUEST)
            self._counts.accepted += 1
            task = asyncio.current_task()
            assert task is not None
            self._serving[connection] = task
            await connection.serve()
        finally:
            if connection is not None:
                self._serving.pop(connection, None)
            self._admission.leave(address)
        return ws

    async def _open(
        self, request: web.Request, ws: handshake.Response, client_id: str, access: Access
    ) -> Connection | None:
        """Complete the handshake; None where the client is gone, as many are after a pause of the process."""
        try:
            writer = await ws.prepare(request)
        except ConnectionResetError:
            return None
        transport = request.transport
        if transport is None:
            return None
        ws.headers.clear()  # they are sent, and there are many connections
        connection_id = secrets.token_urlsafe(9)
        return Connection(
            self._node,
            connection_id=connection_id,
            client_id=client_id,
            ws=ws,
            transport=transport,
            drain=writer.drain,
            session=Session(
                max_subscriptions=self._settings.max_subscriptions,
                offer=self._offer,
                positions=self._positions,
                connection_id=connection_id,
                may_see=access.may_see,
                awaits_token=access.is_awaited,
            ),
            access=access,
        )

    async def close(self) -> None:
        """Close all connections with 1001, after what waits for them; bounded in time."""
        self.are_refused = True
        for connection in self.hub.connections:
            connection.end(CloseCode.GOING_AWAY, "the server stops", flush=True)
        if self._serving:
            await asyncio.wait(self._serving.values(), timeout=self._settings.shutdown_timeout)
        for connection in self._serving:
            connection.abort()

    async def _principal(self, request: web.Request) -> Principal | None:
        """Return whom the handshake's header stands for, where it has one that counts (SEC-1)."""
        header = request.headers.get("Authorization")
        if self._authentication is None or header is None:
            return None
        try:
            return await principal_of(header, self._authentication)
        except Refused:
            self._counts.refused["unauthorized"] += 1
            raise


def _tokens(settings: Settings) -> Tokens:
    keys = [key.encode() for key in settings.token_keys]
    return Tokens(keys or [secrets.token_bytes(MIN_KEY_BYTES)])
