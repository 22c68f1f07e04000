"""A running reference server, and how to make it emit."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import hypothesis
import pytest
from osint_events_server.server import running
from osint_events_server.settings import ENV_PREFIX, Settings

# The machines that run the tests may be busy: how long an example takes says nothing.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

Inject = Callable[[str, object], Awaitable[int]]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def settings() -> Settings:
    """What the server is started with; a test module that needs something else overrides this."""
    return Settings(port=0, enable_inject=True)


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[str]:
    """The URL of a server of the test's own, without the scheme: host and port."""
    async with running(settings) as url:
        yield url.removeprefix("http://")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def inject(server: str, http: aiohttp.ClientSession) -> Inject:
    """Make the server emit an event; gives the number that the event got."""

    async def post(investigation_id: str, data: object) -> int:
        body = {"investigation_id": investigation_id, "data": data}
        async with http.post(f"http://{server}/inject", json=body) as response:
            assert response.status == 202, await response.text()
            seq: int = (await response.json())["seq"]
            return seq

    return post
