"""Publishing, injecting and health over HTTP, as `openapi.yaml` describes them."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from osint_events_server.server import running
from osint_events_server.settings import Settings
from websockets.asyncio.client import ClientConnection, connect

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@asynccontextmanager
async def subscriber(server: str, investigation_id: str) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://{server}/ws/subscriber") as ws:
        await ws.send(json.dumps({"type": "subscribe_investigation", "investigation_id": investigation_id}))
        await ws.recv()
        yield ws


async def received(ws: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await ws.recv())["data"]


async def post(
    http: aiohttp.ClientSession, url: str, body: str, headers: dict[str, str] = JSON
) -> tuple[int, Any]:
    async with http.post(url, data=io.BytesIO(body.encode()), headers=headers) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def post_to(server: str, segment: str) -> int:
    """Publish an empty event to a path as it is written here: aiohttp's client would rewrite some."""
    reader, writer = await asyncio.open_connection(*server.split(":"))
    writer.write(
        f"POST /investigations/{segment}/events HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".encode()
    )
    status_line = await reader.readline()
    writer.close()
    return int(status_line.split()[1])


async def test_one_event_gets_its_number_and_is_delivered(server: str, http: aiohttp.ClientSession) -> None:
    async with subscriber(server, "x") as ws:
        status, answer = await post(http, f"http://{server}/investigations/x/events", '{"type": "a"}')
        assert (status, answer) == (HTTPStatus.ACCEPTED, {"seq": 1})
        assert await received(ws) == {"type": "a"}


async def test_many_events_get_their_numbers_and_are_delivered_in_order(
    server: str, http: aiohttp.ClientSession
) -> None:
    body = "".join(f'{{"n": {number}}}\n' for number in range(100))
    async with subscriber(server, "x") as ws:
        status, answer = await post(http, f"http://{server}/investigations/x/events", body, NDJSON)
        assert (status, answer) == (HTTPStatus.ACCEPTED, {"seqs": list(range(1, 101))})
        assert [(await received(ws))["n"] for _ in range(100)] == list(range(100))


async def test_of_many_events_with_a_bad_one_none_is_published(
    server: str, http: aiohttp.ClientSession
) -> None:
    url = f"http://{server}/investigations/x/events"
    async with subscriber(server, "x") as ws:
        status, answer = await post(http, url, '{"n": 1}\n{"progress": 2}\n', NDJSON)
        assert status == HTTPStatus.UNPROCESSABLE_ENTITY
        assert (answer["code"], answer["line"], answer["path"]) == ("invalid_message", 2, "/progress")
        await post(http, url, '{"n": "fence"}')
        assert await received(ws) == {"n": "fence"}


@pytest.mark.parametrize(
    "investigation_id", ["a/b", "..", ".", "é🦊", " ", "%2F", "a?b#c;d+e", "\x00", "🦊" * 255]
)
async def test_any_id_fits_into_the_path(server: str, investigation_id: str) -> None:
    async with subscriber(server, investigation_id) as ws:
        assert await post_to(server, quote(investigation_id, safe="")) == HTTPStatus.ACCEPTED
        assert await received(ws) == {}


@pytest.mark.parametrize("segment", ["%FF", "x" * 256])
async def test_what_is_no_id_is_422(server: str, segment: str) -> None:
    assert await post_to(server, segment) == HTTPStatus.UNPROCESSABLE_ENTITY


async def test_a_retry_with_an_idempotency_key_is_delivered_once(
    server: str, http: aiohttp.ClientSession
) -> None:
    url = f"http://{server}/investigations/x/events"
    headers = {**JSON, "Idempotency-Key": "k"}
    async with subscriber(server, "x") as ws:
        first = await post(http, url, '{"n": 1}', headers)
        again = await post(http, url, '{"n": 1}', headers)
        assert first == again == (HTTPStatus.ACCEPTED, {"seq": 1})
        status, answer = await post(http, url, '{"n": 2}', headers)
        assert (status, answer["code"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_message")
        assert await post(http, url, '{"n": 3}') == (HTTPStatus.ACCEPTED, {"seq": 2})
        assert [await received(ws), await received(ws)] == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("key", ["", "x" * 256, "\udcff"])
async def test_an_idempotency_key_has_1_to_255_characters(
    server: str, http: aiohttp.ClientSession, key: str
) -> None:
    headers = {**JSON, "Idempotency-Key": key}
    status, _ = await post(http, f"http://{server}/investigations/x/events", "{}", headers)
    assert status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("path", ["/inject", "/investigations/x/events"])
@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain", "{}", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("application/x-www-form-urlencoded", "{}", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("application/json; charset=utf-16", "{}", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("application/json; charset=UTF-8", "{", HTTPStatus.BAD_REQUEST),
        ("application/json", "", HTTPStatus.BAD_REQUEST),
        ("application/json", "{", HTTPStatus.BAD_REQUEST),
        ("application/json", '{"a": 1, "a": 2}', HTTPStatus.BAD_REQUEST),
        ("application/json", '{"a": NaN}', HTTPStatus.BAD_REQUEST),
        ("application/json", "[" * 1_000_000, HTTPStatus.BAD_REQUEST),
        ("application/json", "[]", HTTPStatus.UNPROCESSABLE_ENTITY),
        ("application/json", " " * (1 << 20) + "{}", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        ("application/json", " " * 30_000_000, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
async def test_a_bad_request_is_refused_for_what_it_is(
    server: str, path: str, content_type: str, body: str, expected: HTTPStatus
) -> None:
    async with aiohttp.ClientSession() as http:
        status, answer = await post(http, f"http://{server}{path}", body, {"Content-Type": content_type})
    assert status == expected
    assert set(answer) >= {"code", "message"}


@pytest.mark.parametrize(("size", "expected"), [(1 << 18, HTTPStatus.ACCEPTED), ((1 << 18) + 1, 413)])
async def test_an_event_of_256_kib_is_delivered_and_no_larger(
    server: str, http: aiohttp.ClientSession, size: int, expected: int
) -> None:
    around = len('{"type":"investigation_update","investigation_id":"x","data":{"pad":""}}')
    event = json.dumps({"pad": "x" * (size - around)}, separators=(",", ":"))
    async with subscriber(server, "x") as ws:
        status, _ = await post(http, f"http://{server}/investigations/x/events", event)
        assert status == expected
        if status == HTTPStatus.ACCEPTED:
            assert await received(ws) == json.loads(event)


async def test_the_largest_body_is_taken(server: str, http: aiohttp.ClientSession) -> None:
    status, _ = await post(http, f"http://{server}/investigations/x/events", " " * ((1 << 20) - 2) + "{}")
    assert status == HTTPStatus.ACCEPTED


async def test_an_injected_payload_need_not_keep_the_schema(server: str, http: aiohttp.ClientSession) -> None:
    data = {"type": "task_started", "progress": "much", "investigation_id": "y"}
    async with subscriber(server, "x") as ws:
        body = json.dumps({"investigation_id": "x", "data": data})
        assert await post(http, f"http://{server}/inject", body) == (HTTPStatus.ACCEPTED, {"seq": 1})
        assert await received(ws) == data


async def test_the_hook_is_off_unless_it_is_enabled(http: aiohttp.ClientSession) -> None:
    async with running(Settings(port=0)) as url:
        status, answer = await post(http, f"{url}/inject", '{"investigation_id": "x", "data": {}}')
        assert (status, answer["code"]) == (HTTPStatus.NOT_FOUND, "not_found")
        assert "--enable-inject" in answer["message"]


async def test_the_server_says_that_it_is_well(server: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"http://{server}/healthz") as response:
        assert (response.status, await response.json()) == (HTTPStatus.OK, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/inject"), ("PUT", "/investigations/x/events"), ("POST", "/ws/a")]
)
async def test_other_methods_are_405(
    server: str, http: aiohttp.ClientSession, method: str, path: str
) -> None:
    async with http.request(method, f"http://{server}{path}") as response:
        assert response.status == HTTPStatus.METHOD_NOT_ALLOWED
