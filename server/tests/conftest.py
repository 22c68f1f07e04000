"""A running reference server, and how to make it emit."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import hypothesis
import jsonschema_rs
import pytest
from osint_events import contract
from osint_events_server.server import running
from osint_events_server.settings import ENV_PREFIX, Settings
from websockets.asyncio.client import ClientConnection, connect

# The machines that run the tests may be busy: how long an example takes says nothing.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

Inject = Callable[[str, object], Awaitable[int]]


class Client:
    """A client that speaks messages. What it gets is held against the schemas of what it negotiated."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.negotiated = False

    async def send(self, type_: str, **fields: object) -> None:
        await self.ws.send(json.dumps({"type": type_, **fields}))

    async def receive(self) -> Any:
        """The next message."""
        async with asyncio.timeout(10):
            message = json.loads(await self.ws.recv())
        self.negotiated = self.negotiated or message["type"] == "welcome"
        name = f"negotiated_{message['type']}"
        if not self.negotiated or name not in contract.schema_names():
            name = message["type"]
        error = next(jsonschema_rs.validator_for(contract.bundled(name)).iter_errors(message), None)
        assert error is None, f"{message}: {error}"
        return message

    async def ask(self, type_: str, **fields: object) -> Any:
        """Send a message, and return the next one that comes."""
        await self.send(type_, **fields)
        return await self.receive()

    async def hello(self, *features: str, **fields: object) -> Any:
        return await self.ask("hello", protocol=1, features=features, **fields)

    async def subscribe(self, investigation_id: str, **fields: object) -> Any:
        """Subscribe, and return the confirmation."""
        confirmed = await self.ask("subscribe_investigation", investigation_id=investigation_id, **fields)
        assert (confirmed["type"], confirmed["investigation_id"]) == (
            "subscription_confirmed",
            investigation_id,
        ), confirmed
        return confirmed

    async def closed(self) -> int:
        """Read on until the connection ends, and return the code of the server's close frame."""
        async with asyncio.timeout(10):
            await self.ws.wait_closed()
        assert self.ws.close_code is not None
        return self.ws.close_code


Dial = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def dial(server: str) -> Dial:
    """Connect to the test's server, and say hello where features are named."""

    @asynccontextmanager
    async def connected(*features: str, **options: Any) -> AsyncIterator[Client]:
        async with connect(f"ws://{server}/ws/a", **options) as ws:
            client = Client(ws)
            if features:
                message = await client.hello(*features)
                while message["type"] != "welcome":  # broadcasts, while it was still a core connection
                    message = await client.receive()
            yield client

    return connected


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
