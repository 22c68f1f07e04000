"""A client whose token expires, at the reference server."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import jwt
import pytest
from osint_events_client import CannotConnect, Ended, Event, connect

COMMAND = str(Path(sys.executable).parent / "osint-events-server")
SECRET = "s" * 32
pytestmark = pytest.mark.timeout(60)


def token(seconds: float) -> str:
    claims = {"investigations": ["x"], "permissions": ["publish"], "exp": time.time() + seconds}
    return jwt.encode(claims, SECRET)


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "run", "--port", "0", "--auth-secret", SECRET, "--auth-leeway", "0"),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().split("http://")[1].strip()
    finally:
        process.terminate()
        await process.communicate()


async def publish(address: str, number: int) -> None:
    headers = {"Authorization": f"Bearer {token(60)}", "Content-Type": "application/json"}
    url = f"http://{address}/investigations/x/events"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=json.dumps({"n": number}), headers=headers) as answer,
    ):
        assert answer.status == 202


@pytest.mark.parametrize("is_awaited", [False, True])
async def test_a_client_comes_back_with_a_new_token_and_misses_nothing(is_awaited: bool) -> None:
    given: list[str] = []

    def fresh() -> str:
        given.append(token(3 if len(given) < 2 else 60))
        return given[-1]

    async def fetched() -> str:
        return fresh()

    async with (
        server() as address,
        connect(
            f"ws://{address}/ws", ["x"], auth_token=fetched if is_awaited else fresh, rng=random.Random(1)
        ) as client,
        asyncio.timeout(30),
    ):
        while not client._session._subscriptions["x"].is_confirmed:  # noqa: ASYNC110 -- only it says so
            await asyncio.sleep(0.01)
        number = 0
        while len(given) < 3:
            await publish(address, number)
            item = await anext(client)
            assert isinstance(item, Event)
            assert item.data == {"n": number}
            number += 1
        assert client.features


async def test_a_token_that_nobody_replaces_ends_the_client() -> None:
    async with server() as address, connect(f"ws://{address}/ws", ["x"], auth_token=token(0.5)) as client:
        with pytest.raises(Ended) as ended:
            async with asyncio.timeout(30):
                await anext(client)
        assert ended.value.code == 4501


async def test_where_there_is_no_token_there_is_no_connection() -> None:
    def nowhere() -> str:
        raise ConnectionRefusedError("the issuer is down")

    with pytest.raises(CannotConnect, match="the issuer is down"):
        async with connect("ws://127.0.0.1:1/ws", auth_token=nowhere):
            pytest.fail("connected")


async def test_the_token_is_in_no_repr() -> None:
    client = connect("ws://127.0.0.1:1/ws", auth_token="secret")  # noqa: S106 -- no secret
    assert "secret" not in repr(client._endpoint)
