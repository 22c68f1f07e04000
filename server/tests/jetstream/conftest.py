"""A real NATS server for each test module, and a stream of its own for each test."""

import importlib.util
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from osint_events_server.store.jetstream import BrokerOptions, JetStreamStore, StreamOptions

Open = Callable[..., AbstractAsyncContextManager[JetStreamStore]]


def script(name: str) -> Any:
    """A module of server/measure, which starts NATS servers for measurements too."""
    path = Path(__file__).parents[2] / "measure" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


brokers = script("brokers")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def nats() -> Iterator[Any]:
    """A NATS server; a test that ends it starts it again."""
    with brokers.nats_server() as server:
        yield server


@pytest.fixture
def stream() -> str:
    """The name of a stream that no other test uses."""
    return f"TEST_{next(_numbers)}"


@pytest.fixture
def open_store(nats: Any, stream: str) -> Open:
    """Open the test's stream, as another node would."""

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[JetStreamStore]:
        store = await JetStreamStore.open(
            BrokerOptions((nats.url,), timeout=30), StreamOptions(name=stream, **options)
        )
        try:
            yield store
        finally:
            await store.close()

    return opened


@pytest.fixture
async def store(open_store: Open) -> AsyncIterator[JetStreamStore]:
    async with open_store() as opened:
        yield opened
