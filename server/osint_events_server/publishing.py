"""The routes by which events come in: ingest, and the inject hook."""

import asyncio
import time
from http import HTTPStatus

from aiohttp import web

from osint_events_server.auth import Authentication, Principal, Unauthorized, bearer
from osint_events_server.counts import Counts
from osint_events_server.handshake import segment
from osint_events_server.ingest import (
    JSON,
    Ingest,
    Limits,
    Refused,
    forbidden,
    too_large,
    unauthorized,
    unsupported_media_type,
)
from osint_events_server.metrics import Metrics
from osint_events_server.settings import Settings
from osint_events_server.store import EventStore

_MAX_IDEMPOTENCY_KEY = 255  # characters


class Publishing:
    """Handles requests that publish.

    Args:
        settings: the limits.
        store: where events go.
        authentication: decides who may publish; None: everybody.
        counts: what is published is counted there.
        metrics: is told how long it took.

    Raises, wherever it handles: `Refused`, `AuthenticatorFailure` and what `EventStore.append` does.

    """

    def __init__(
        self,
        settings: Settings,
        store: EventStore,
        authentication: Authentication | None,
        *,
        counts: Counts,
        metrics: Metrics,
    ) -> None:
        self._counts = counts
        self._metrics = metrics
        self._settings = settings
        self._store = store
        self._authentication = authentication
        self._ingest = Ingest(
            Limits(
                event_bytes=settings.max_event_bytes,
                events=settings.max_ingest_events,
                nesting=settings.max_nesting,
            )
        )

    async def publish(self, request: web.Request) -> web.Response:
        """Handle `POST /investigations/{investigation_id}/events`."""
        began = time.perf_counter()
        principal = await self._principal(request)
        investigation_id = segment(request, 2)
        if investigation_id is None:
            raise Refused(
                HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_message", "the id in the path is no UTF-8"
            )
        if principal is not None and not principal.may_publish(investigation_id):
            raise forbidden("this token may not publish to this investigation")
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (0 < len(key) <= _MAX_IDEMPOTENCY_KEY and key.isprintable()):
            message = f"an Idempotency-Key has 1 to {_MAX_IDEMPOTENCY_KEY} printable characters"
            raise Refused(HTTPStatus.BAD_REQUEST, "invalid_message", message)
        body = await self._read(request)
        payloads = self._ingest.events(investigation_id, body, content_type=request.content_type)
        seqs = await self._store.append(investigation_id, payloads, idempotency_key=key)
        self._counts.published["ingest"] += len(seqs)
        self._metrics.published(seqs[-1], began)
        if request.content_type == "application/json":
            return _accepted(b'{"seq":%d}' % seqs[0])
        return _accepted(b'{"seqs":[%b]}' % b",".join(b"%d" % seq for seq in seqs))

    async def inject(self, request: web.Request) -> web.Response:
        """Handle `POST /inject`."""
        began = time.perf_counter()
        if not self._settings.enable_inject:
            message = "the inject hook is off; --enable-inject turns it on"
            raise Refused(HTTPStatus.NOT_FOUND, "not_found", message)
        principal = await self._principal(request)
        body = await self._read(request)
        investigation_id, data = self._ingest.injection(body, content_type=request.content_type)
        if principal is not None and not principal.may_inject(investigation_id):
            raise forbidden("this token may not inject into this investigation")
        seqs = await self._store.append(investigation_id, (data,))
        self._counts.published["inject"] += 1
        self._metrics.published(seqs[-1], began)
        return _accepted(b'{"seq":%d}' % seqs[0])

    async def simulated(self, investigation_id: str, event: bytes) -> None:
        """Publish an event of nobody's investigation."""
        payloads = self._ingest.events(investigation_id, event, content_type=JSON)
        await self._store.append(investigation_id, payloads)
        self._counts.published["simulator"] += len(payloads)

    async def _principal(self, request: web.Request) -> Principal | None:
        """Return who publishes; None where authentication is off."""
        if self._authentication is None:
            return None
        header = request.headers.get("Authorization")
        if header is None:
            raise unauthorized("this needs a token: Authorization: Bearer …")
        return await principal_of(header, self._authentication)

    async def _read(self, request: web.Request) -> bytes:
        charset = request.charset
        if charset is not None and charset.lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise unsupported_media_type("application/json")
        limit = self._settings.max_ingest_bytes
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise too_large(f"a body may have {limit} bytes") from error
        except TimeoutError as error:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "timeout", "the body did not arrive in time") from error
        if len(body) > limit:
            raise too_large(f"a body may have {limit} bytes")
        return body


async def principal_of(header: str, authentication: Authentication) -> Principal:
    """Return whom an `Authorization` header stands for.

    Raises:
        Refused: it proves nothing.
        AuthenticatorFailure: nothing is known of it.

    """
    try:
        return await authentication.principal(bearer(header))
    except Unauthorized as error:
        raise unauthorized(str(error)) from None


def _accepted(body: bytes) -> web.Response:
    return web.Response(body=body, status=HTTPStatus.ACCEPTED, content_type="application/json")
