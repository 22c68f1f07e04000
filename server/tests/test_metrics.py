"""Metrics, health and readiness over HTTP."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from osint_events_server.app import Service
from osint_events_server.settings import Settings
from osint_events_server.store import StoreUnavailable
from osint_events_server.store.memory import MemoryStore
from prometheus_client.parser import text_string_to_metric_families

Dial = Callable[..., AbstractAsyncContextManager[Any]]
Inject = Callable[[str, object], Awaitable[int]]
Scrape = Callable[[], Awaitable[dict[str, float]]]


@pytest.fixture
def scrape(server: str, http: aiohttp.ClientSession) -> Scrape:
    async def scraped() -> dict[str, float]:
        async with http.get(f"http://{server}/metrics") as response:
            assert response.status == 200
            assert response.content_type == "text/plain"
            text = await response.text()
        samples: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            assert family.documentation.endswith(".") or not family.name.startswith("osint_events_")
            for sample in family.samples:
                labels = "".join(f"{{{name}={value}}}" for name, value in sorted(sample.labels.items()))
                samples[sample.name.removeprefix("osint_events_") + labels] = sample.value
        return samples

    return scraped


async def test_what_happens_is_counted(dial: Dial, inject: Inject, scrape: Scrape) -> None:
    async with dial("replay", "errors") as one, dial("replay") as two, dial() as core:
        token = (await one.subscribe("x"))["token"]
        await two.subscribe("x")
        await core.subscribe("x")
        await inject("x", {"message": "é"})
        sizes = [len(json.dumps(await c.receive(), ensure_ascii=False).encode()) for c in (one, two, core)]
        assert len(sizes) == 3
        await one.send("nonsense")
        await one.receive()
        await one.subscribe("x", replay_token=token)
        await one.receive()
        await one.receive()
        await one.subscribe("x", replay_token="wrong")  # noqa: S106 - no secret
        samples = await scrape()
    assert samples["connections"] == 3
    assert samples["connections_accepted_total"] == 3
    assert samples["subscriptions"] == 3
    assert samples["events_published_total{source=inject}"] == 1
    assert samples["events_followed_total"] == 1
    assert samples["deliveries_total"] == 3
    assert samples["delivered_bytes_total"] > 3 * 50
    assert samples["replays_total{status=complete}"] == 1
    assert samples["replays_total{status=invalid}"] == 1
    assert samples["replayed_events_total"] == 1
    assert samples["messages_received_total"] == 8
    assert samples["received_bytes_total"] > 8 * 20
    assert samples["messages_ignored_total{code=unknown_type}"] == 1
    assert samples["publish_duration_seconds_count"] == 1
    assert samples["delivery_latency_seconds_count"] == 1
    assert samples["store_up"] == 1
    assert samples["draining"] == 0
    assert samples["queue_bytes"] == 0
    assert samples["writes_total"] == 3
    assert (await scrape())["position"] == 1


async def test_ids_and_what_clients_say_never_become_labels(
    dial: Dial, inject: Inject, server: str, http: aiohttp.ClientSession
) -> None:
    async with dial("replay", "errors") as client:
        await client.subscribe("planted-id")
        await client.ask("planted-type")
        await inject("planted-id", {"type": "planted-kind"})
        await client.receive()
        async with http.get(f"http://{server}/metrics") as response:
            assert "planted" not in await response.text()


async def test_a_connection_that_the_server_ends_is_counted_by_its_code(dial: Dial, scrape: Scrape) -> None:
    async with dial() as client:
        await client.ws.send(b"binary")
        await client.closed()
    assert (await scrape())["connections_closed_total{code=1003}"] == 1


async def test_openmetrics_is_given_to_who_asks_for_it(server: str, http: aiohttp.ClientSession) -> None:
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with http.get(f"http://{server}/metrics", headers=headers) as response:
        assert response.content_type == "application/openmetrics-text"
        assert (await response.text()).endswith("# EOF\n")


class TestWithoutMetrics:
    """A server that shows none."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(port=0, metrics=False)

    async def test_there_are_none(self, server: str, http: aiohttp.ClientSession) -> None:
        async with http.get(f"http://{server}/metrics") as response:
            assert response.status == 404


async def test_a_server_is_alive_and_ready(server: str, http: aiohttp.ClientSession) -> None:
    for path, status in (("healthz", "ok"), ("readyz", "ready")):
        async with http.get(f"http://{server}/{path}") as response:
            assert (response.status, await response.json()) == (200, {"status": status})


class _Fickle(MemoryStore):
    """A store that is there only now and then."""

    is_there = True

    async def head(self) -> int:
        if not self.is_there:
            raise StoreUnavailable("gone", retry_after=1)
        return await super().head()


async def test_a_server_whose_store_is_gone_is_alive_but_not_ready() -> None:
    store = _Fickle(epoch="e", clock=asyncio.get_running_loop().time)
    service = Service(Settings(), store)
    async with TestClient(TestServer(service.application())) as client:
        for is_there, expected in ((True, 200), (False, 503), (True, 200)):
            store.is_there = is_there
            assert (await client.get("/readyz")).status == expected
            assert (await client.get("/healthz")).status == 200
            text = await (await client.get("/metrics")).text()
            assert f"\nosint_events_store_up {float(is_there)}\n" in text
