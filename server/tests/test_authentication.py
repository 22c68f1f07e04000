"""Who may see and publish what, over real sockets: SEC-1 and SEC-2."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import jwt
import pytest
from osint_events_server.access import Access
from osint_events_server.auth import Authentication, Authenticator, Principal, Unauthorized
from osint_events_server.server import running
from osint_events_server.settings import Settings
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

Dial = Callable[..., AbstractAsyncContextManager[Any]]

SECRET = "s" * 32
EXPIRED, UNAUTHORIZED, TIMEOUT = 4005, 4501, 4504
EVERYTHING: dict[str, Any] = {"investigation_patterns": ["*"], "permissions": ["publish", "inject"]}
JSON = {"Content-Type": "application/json"}


def token(*, seconds: float = 3600, secret: str = SECRET, **claims: Any) -> str:
    return jwt.encode({"exp": time.time() + seconds, **claims}, secret, algorithm="HS256")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


ALLOWED = token(investigations=["allowed", "also allowed"])
PUBLISHER = token(**EVERYTHING)


@pytest.fixture
def settings() -> Settings:
    return Settings(port=0, enable_inject=True, auth_secret=SECRET, auth_leeway=0, auth_timeout=20)


@pytest.fixture
def publish(server: str, http: aiohttp.ClientSession) -> Callable[..., Any]:
    async def post(investigation_id: str, headers: dict[str, str], data: object = None) -> tuple[int, Any]:
        url = f"http://{server}/investigations/{investigation_id}/events"
        async with http.post(url, data=json.dumps(data or {}), headers=JSON | headers) as response:
            return response.status, await response.json()

    return post


async def silence(client: Any) -> None:
    """Nothing was sent until now: what the server answers to a Ping frame comes after it."""
    await (await client.ws.ping())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.ws.recv(), 0)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        "Bearer x",
        "Bearer a.b.c",
        f"Bearer {token(secret='o' * 32, **EVERYTHING)}",
        f"Bearer {token(seconds=-1, **EVERYTHING)}",
        f"Bearer {token(nbf=time.time() + 1000, **EVERYTHING)}",
        f"Bearer {token(investigations='allowed')}",
        f"Bearer {token(permissions=[1])}",
        f"Bearer {jwt.encode({'investigations': []}, SECRET)}",  # no exp
        f"Bearer {jwt.encode({'exp': time.time() + 3600}, '', algorithm='none')}",
    ],
    ids=range(12),  # tokens differ from run to run
)
async def test_a_bad_header_is_refused_with_401(
    server: str, publish: Callable[..., Any], header: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{server}/ws/a", additional_headers={"Authorization": header})
    assert refused.value.response.status_code == HTTPStatus.UNAUTHORIZED
    assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"
    status, answer = await publish("allowed", {"Authorization": header})
    assert (status, answer["code"]) == (HTTPStatus.UNAUTHORIZED, "unauthorized")


async def test_a_core_client_with_a_good_header_sees_what_it_may(
    dial: Dial, publish: Callable[..., Any]
) -> None:
    async with dial(additional_headers=bearer(ALLOWED)) as client:
        await client.send("subscribe_investigation", investigation_id="forbidden")  # and is never confirmed
        await client.subscribe("allowed")
        await publish("forbidden", bearer(PUBLISHER), {"message": "secret"})
        await publish("allowed", bearer(PUBLISHER), {"message": "seen"})
        assert (await client.receive())["data"] == {"message": "seen"}


async def test_the_fallback_sends_a_connection_only_what_it_may_see(
    dial: Dial, publish: Callable[..., Any]
) -> None:
    async with dial(additional_headers=bearer(ALLOWED)) as client, dial() as silent:
        await publish("forbidden", bearer(PUBLISHER), {"message": "secret"})
        await publish("allowed", bearer(PUBLISHER), {"message": "seen"})
        assert (await client.receive())["data"] == {"message": "seen"}
        await silence(silent)


async def test_a_hello_with_a_good_token_is_welcomed_and_what_was_pipelined_is_carried_out(
    dial: Dial,
) -> None:
    async with dial() as client:
        await client.send("hello", protocol=1, features=["errors"], auth={"token": ALLOWED})
        await client.send("subscribe_investigation", investigation_id="allowed")
        assert (await client.receive())["type"] == "welcome"
        assert (await client.receive())["type"] == "subscription_confirmed"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "subscribe_investigation", "investigation_id": "allowed"},
        {"type": "hello", "protocol": 1, "features": []},
        {"type": "hello", "protocol": 1, "features": [], "auth": {"token": token(secret="o" * 32)}},
        {"type": "hello", "protocol": 1, "features": [], "auth": {"token": token(seconds=-1)}},
        {"type": "hello", "protocol": 1, "features": [], "auth": {"token": 1}},
        {"type": "hello", "auth": {"token": ALLOWED}},
        {"type": "unknown"},
        ["hello"],
        b"binary",
    ],
)
async def test_any_other_first_message_is_closed_with_4501_and_answered_by_nothing(
    dial: Dial, message: Any
) -> None:
    async with dial() as client:
        await client.ws.send(message if isinstance(message, bytes) else json.dumps(message))
        assert await client.closed() == UNAUTHORIZED
        with pytest.raises(Exception, match="4501"):
            await client.ws.recv()


async def test_a_forbidden_investigation_is_refused_whatever_is_asked_of_it(
    dial: Dial, publish: Callable[..., Any]
) -> None:
    """Subscribe, an allowed principal's replay token, another scope, an unsubscribe."""
    features = ["errors", "replay", "scopes", "unsubscribe"]
    async with dial() as other:
        await other.hello(*features, auth={"token": PUBLISHER})
        replay_token = (await other.subscribe("forbidden"))["token"]
    await publish("forbidden", bearer(PUBLISHER), {"message": "secret"})
    async with dial() as client:
        await client.hello(*features, auth={"token": ALLOWED})
        for fields in ({}, {"replay_token": replay_token}, {"scope": ["tasks"]}, {"scope": ["all"]}):
            error = await client.ask(
                "subscribe_investigation", investigation_id="forbidden", ref="r", **fields
            )
            assert (error["type"], error["code"], error["ref"]) == ("error", "forbidden", "r")
            assert "forbidden" not in error["message"]  # the id is not told back, nor whether it exists
        assert (await client.ask("unsubscribe_investigation", investigation_id="forbidden"))["type"] == (
            "unsubscribed"
        )
        await client.subscribe("allowed", replay_token=replay_token)
        await publish("forbidden", bearer(PUBLISHER), {"message": "secret"})
        await publish("allowed", bearer(PUBLISHER), {"message": "seen"})
        assert (await client.receive())["data"] == {"message": "seen"}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"investigations": ["x"], "permissions": ["publish"]}, HTTPStatus.ACCEPTED),
        ({"investigation_patterns": ["x*"], "permissions": ["publish"]}, HTTPStatus.ACCEPTED),
        ({"investigations": ["x"], "permissions": ["inject"]}, HTTPStatus.FORBIDDEN),
        ({"investigations": ["x"]}, HTTPStatus.FORBIDDEN),
        ({"investigations": ["y"], "permissions": ["publish", "inject"]}, HTTPStatus.FORBIDDEN),
    ],
)
async def test_publishing_takes_the_permission_and_the_investigation(
    publish: Callable[..., Any], claims: dict[str, Any], expected: HTTPStatus
) -> None:
    assert (await publish("x", bearer(token(**claims))))[0] == expected
    assert (await publish("x", {}))[0] == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize(
    ("permissions", "ids", "expected"),
    [
        (["inject"], ["x"], HTTPStatus.ACCEPTED),
        (["inject"], ["y"], HTTPStatus.FORBIDDEN),
        (["publish"], ["x"], HTTPStatus.FORBIDDEN),
    ],
)
async def test_injecting_takes_a_permission_of_its_own(
    server: str, http: aiohttp.ClientSession, permissions: list[str], ids: list[str], expected: HTTPStatus
) -> None:
    body = {"investigation_id": "x", "data": {}}
    headers = bearer(token(investigations=ids, permissions=permissions))
    async with http.post(f"http://{server}/inject", json=body, headers=headers) as response:
        assert response.status == expected
    async with http.post(f"http://{server}/inject", json=body) as response:
        assert response.status == HTTPStatus.UNAUTHORIZED


async def test_when_the_token_expires_the_connection_closes_with_4005(dial: Dial) -> None:
    soon = token(seconds=4, investigations=["allowed"])
    async with dial(additional_headers=bearer(soon)) as header, dial() as hello:
        await hello.hello("errors", auth={"token": token(seconds=4, investigations=["allowed"])})
        await header.subscribe("allowed")
        assert await header.closed() == EXPIRED
        assert await hello.closed() == EXPIRED


class TestSilence:
    """A connection that does not say who it is."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            port=0, auth_secret=SECRET, auth_timeout=0.8, ping_interval=0.1, enable_inject=True, fallback="on"
        )

    async def test_silence_is_closed_with_4504_and_sent_nothing_not_even_pings(
        self, server: str, publish: Callable[..., Any]
    ) -> None:
        reader, writer = await asyncio.open_connection(*server.split(":"))
        writer.write(
            b"GET /ws/raw HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        await publish("x", bearer(PUBLISHER))
        async with asyncio.timeout(10):
            opcode, length = await reader.readexactly(2)
            assert (opcode, int.from_bytes(await reader.readexactly(2), "big")) == (0x88, TIMEOUT)
            assert length < 126
        writer.close()

    async def test_who_authenticated_in_time_stays(self, dial: Dial) -> None:
        async with dial() as client:
            await client.hello("errors", auth={"token": ALLOWED})
            await asyncio.sleep(1)
            await client.subscribe("allowed")


class _Team:
    """A team's own decision: the token is the only id that may be seen."""

    async def authenticate(self, token: str) -> Principal:
        if token == "broken":  # noqa: S105 - no secret
            raise OSError(f"database down while looking up {token}")
        if token == "nobody":  # noqa: S105 - no secret
            raise Unauthorized("not known")
        return _Member(token)


class _Member:
    expires_at = None

    def __init__(self, own: str) -> None:
        self._own = own

    def may_see(self, investigation_id: str) -> bool:
        return investigation_id == self._own

    may_publish = may_inject = may_see


def team() -> Authenticator:
    return _Team()


class TestHook:
    """A team's own authenticator."""

    @pytest.fixture
    def settings(self, monkeypatch: pytest.MonkeyPatch) -> Settings:
        module = type(pytest)("team_hook")
        module.factory = team  # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, "team_hook", module)
        return Settings(port=0, auth_hook="team_hook:factory")

    async def test_it_decides(self, dial: Dial, publish: Callable[..., Any]) -> None:
        async with dial() as client:
            await client.hello("errors", auth={"token": "mine"})
            await client.subscribe("mine")
            assert (await client.ask("subscribe_investigation", investigation_id="other"))["code"] == (
                "forbidden"
            )
        assert (await publish("mine", bearer("mine")))[0] == HTTPStatus.ACCEPTED
        assert (await publish("mine", bearer("nobody")))[0] == HTTPStatus.UNAUTHORIZED

    async def test_where_it_fails_nobody_is_let_in_and_may_come_back(
        self, dial: Dial, publish: Callable[..., Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert (await publish("mine", bearer("broken")))[0] == HTTPStatus.SERVICE_UNAVAILABLE
        async with dial() as client:
            await client.send("hello", protocol=1, features=[], auth={"token": "broken"})
            assert await client.closed() == 1011
        assert "OSError" in caplog.text
        assert "broken" not in caplog.text


async def test_an_authenticator_that_does_not_decide_is_given_up() -> None:
    class Hangs:
        async def authenticate(self, token: str) -> Principal:  # noqa: ARG002 - the protocol's
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(Exception, match="TimeoutError"):
        await Authentication(Hangs(), timeout=0.01).principal("x")


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[str]:
    async with running(Settings(port=0, **settings)) as url:
        yield url.removeprefix("http://")


async def test_without_authentication_tokens_are_not_looked_at() -> None:
    async with served() as server, connect(f"ws://{server}/ws/a", additional_headers=bearer("x")) as ws:
        await ws.send(json.dumps({"type": "hello", "protocol": 1, "features": [], "auth": {"token": 1}}))
        assert json.loads(await ws.recv())["type"] == "welcome"


async def test_two_nodes_share_the_rule_not_the_connection() -> None:
    """A replay token that one node issued opens nothing on another."""
    keys = {"auth_secret": SECRET, "token_keys": ["k" * 32]}
    async with served(**keys) as one, served(**keys) as two:
        async with connect(f"ws://{one}/ws/a", additional_headers=bearer(PUBLISHER)) as ws:
            await ws.send(json.dumps({"type": "hello", "protocol": 1, "features": ["replay"]}))
            await ws.recv()
            await ws.send(json.dumps({"type": "subscribe_investigation", "investigation_id": "forbidden"}))
            replay_token = json.loads(await ws.recv())["token"]
        async with connect(f"ws://{two}/ws/a", additional_headers=bearer(ALLOWED)) as ws:
            await ws.send(json.dumps({"type": "hello", "protocol": 1, "features": ["replay", "errors"]}))
            await ws.recv()
            subscribe = {"type": "subscribe_investigation", "investigation_id": "forbidden"}
            await ws.send(json.dumps({**subscribe, "replay_token": replay_token}))
            assert json.loads(await ws.recv())["code"] == "forbidden"


async def test_a_token_that_expires_within_the_handshake_ends_the_connection_in_order() -> None:
    class Passing:
        expires_at = time.time() - 1

        def may_see(self, investigation_id: str) -> bool:
            return bool(investigation_id)

        may_publish = may_inject = may_see

    class Accepts:
        async def authenticate(self, token: str) -> Principal:
            raise Unauthorized(token)

    began = False
    expired = asyncio.Event()

    def end() -> None:
        assert began
        expired.set()

    access = Access(Authentication(Accepts(), timeout=10), Passing())
    access.watch(silent=pytest.fail, expired=end)
    began = True
    async with asyncio.timeout(10):
        await expired.wait()
