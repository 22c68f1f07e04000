"""The routes for whoever runs the server: is it alive, is it ready, and what does it do."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from osint_events_server.metrics import Metrics
from osint_events_server.store import EventStore, StoreUnavailable

_STORE_TIMEOUT = 2.0  # seconds: below those that a prober usually waits


class Operation:
    """Handles these requests.

    Args:
        store: is asked whether it can be reached.
        metrics: what is shown.
        is_draining: whether no connections are taken any more.

    """

    def __init__(self, store: EventStore, metrics: Metrics, *, is_draining: Callable[[], bool]) -> None:
        self._store = store
        self._metrics = metrics
        self._is_draining = is_draining

    async def alive(self, _request: web.Request) -> web.Response:
        """Handle `GET /healthz`: whoever is answered knows."""
        return web.json_response({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.Response:
        """Handle `GET /readyz`: 200 where connections are taken and events can be stored, else 503."""
        if self._is_draining():
            return _not_ready("draining")
        if not await self._can_reach_store():
            return _not_ready("store unavailable")
        return web.json_response({"status": "ready"})

    async def expose(self, request: web.Request) -> web.Response:
        """Handle `GET /metrics`."""
        await self._can_reach_store()
        text, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def _can_reach_store(self) -> bool:
        try:
            async with asyncio.timeout(_STORE_TIMEOUT):
                await self._store.head()
        except (StoreUnavailable, TimeoutError):
            self._metrics.store_is_up = False
        else:
            self._metrics.store_is_up = True
        return self._metrics.store_is_up


def _not_ready(status: str) -> web.Response:
    return web.json_response({"status": status}, status=HTTPStatus.SERVICE_UNAVAILABLE)
