"""The control: the server without a fault keeps Part 1."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from websockets.frames import Opcode

from .client import World, masked, subscribe_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 2.0


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with await World.of(None) as world:
        yield world


@pytest.mark.parametrize("client_id", ["a", "0", "_-_", "x" * 128, "ä b", "%", "🦊"])
async def test_any_client_id_is_accepted(world: World, client_id: str) -> None:
    assert (await world.knock(client_id)).status == 101


@pytest.mark.parametrize("client_id", ["", ".", "..", "a/b", "a\x00b"])
async def test_a_client_id_that_cannot_be_one_is_refused(world: World, client_id: str) -> None:
    assert (await world.knock(client_id)).status == 404


async def test_a_plain_get_is_told_to_upgrade(world: World) -> None:
    assert await world.plain_get() == 426


async def test_a_ping_is_answered_with_its_payload(world: World) -> None:
    client = await world.client()
    client.write(masked(b"\0" * 125, Opcode.PING))
    assert await client.waits(lambda: client.pongs == [b"\0" * 125], PATIENCE)


@pytest.mark.parametrize("code", [None, 1000, 1001, 3000, 4999])
async def test_a_close_is_answered(world: World, code: int | None) -> None:
    client = await world.client("c", "x")
    client.close(code)
    assert await client.waits(lambda: client.ended is not None, PATIENCE)
    assert client.ended == (code or 1005)
    await world.until(lambda: not world.server.peers)
    assert not world.server.subscribers


async def test_what_came_before_a_close_in_the_same_segment_is_answered_before_it(world: World) -> None:
    client = await world.client()
    client.write(masked(subscribe_text("x").encode()), masked(b"\x03\xe8", Opcode.CLOSE))
    assert await client.waits(lambda: client.ended == 1000, PATIENCE)
    assert client.confirmed() == ["x"]


async def test_a_reset_connection_is_forgotten(world: World) -> None:
    client = await world.client("c", "x")
    client.abort()
    await world.until(lambda: not world.server.peers)
    assert not world.server.subscribers


async def test_a_message_may_come_in_pieces_with_pings_between(world: World) -> None:
    client = await world.client()
    text = subscribe_text("ä🦊").encode()
    parts = [text[index : index + 1] for index in range(len(text))]
    frames = [masked(parts[0], fin=False)]
    frames += [masked(part, Opcode.CONT, fin=False) + masked(b"p", Opcode.PING) for part in parts[1:]]
    client.write(*frames, masked(b"", Opcode.CONT))
    assert await client.waits(lambda: client.confirmed() == ["ä🦊"], PATIENCE)
    assert await client.waits(lambda: client.pongs == [b"p"] * (len(parts) - 1), PATIENCE)


@pytest.mark.parametrize(
    "investigation_id", ["1234", "007", " a ", "é", "e\u0301", "\0", "*", "__proto__", "🦊" * 255]
)
async def test_an_id_is_confirmed_code_point_for_code_point(world: World, investigation_id: str) -> None:
    client = await world.client("c", investigation_id)
    assert client.confirmed() == [investigation_id]


async def test_a_lone_surrogate_is_confirmed_by_its_escape(world: World) -> None:
    client = await world.client()
    client.say('{"type": "subscribe_investigation", "investigation_id": "\\ud800"}')
    assert await client.waits(lambda: client.confirmed() == ["\ud800"], PATIENCE)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{", '"x"', "{}", '{"type": 5}',
        '{"type": "subscribe_investigation"}',
        subscribe_text(""), subscribe_text(7), subscribe_text(None), subscribe_text(["x"]),
        subscribe_text("x" * 256),
        '{"type": "subscribe_investigation", "investigation_id": "x", "y": NaN}',
        subscribe_text("x") + "{}", "[" * 30_000,
    ],
)  # fmt: skip
async def test_malformed_input_is_ignored(world: World, text: str) -> None:
    client = await world.client()
    client.say(text)
    assert await client.works(PATIENCE)
    assert len(client.frames) == 1


async def test_invalid_utf8_closes_with_1007(world: World) -> None:
    client = await world.client()
    client.write(masked(b'{"type": "\xff"}'))
    assert await client.waits(lambda: client.ended == 1007, PATIENCE)


async def test_64_kib_are_read_and_more_closes_with_1009(world: World) -> None:
    client = await world.client()
    text = subscribe_text("x", pad="")
    client.say(text.replace('""', f'"{"y" * (64 * 1024 - len(text))}"'))
    assert await client.waits(lambda: client.confirmed() == ["x"], PATIENCE)
    client.say(" " * (64 * 1024 + 1))
    assert await client.waits(lambda: client.ended == 1009, PATIENCE)


async def test_the_payload_is_relayed_byte_for_byte(world: World) -> None:
    client = await world.client("c", "x")
    text = (
        '{ "a":1.0,"b" : 12345678901234567890, "c":-0.0,"d":1E5,"e":"\\u00e9\\/é🦊", "f":{},"g":[], "":null}'
    )
    assert await world.inject("x", text) == 202
    assert await client.waits(lambda: len(client.frames) == 2, PATIENCE)
    expected = f'{{"type":"investigation_update","investigation_id":"x","data":{text}}}'
    assert client.frames[1][1].decode() == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400), ("[]", 400), ('{"investigation_id": "x", "data": {"a": NaN}}', 400), ("{} {}", 400),
        ('{"investigation_id": "x", "investigation_id": "x", "data": {}}', 400),
        ('{"investigation_id": "x"}', 422), ('{"investigation_id": "", "data": {}}', 422),
        ('{"investigation_id": 5, "data": {}}', 422), ('{"investigation_id": "x", "data": []}', 422),
        (' {"data" : {} , "other": [1, {"a": "}"}], "investigation_id":"x" } ', 202),
    ],
)  # fmt: skip
async def test_what_cannot_be_injected_is_refused(world: World, body: str, status: int) -> None:
    reader, writer = await asyncio.open_connection(*world.running.http_url.removeprefix("http://").split(":"))
    head = f"POST /inject HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: {len(body)}\n\n"
    writer.write((head.replace("\n", "\r\n") + body).encode())
    assert (await reader.readline()).split()[1] == str(status).encode()
    writer.close()
    await writer.wait_closed()


async def test_an_update_reaches_its_subscribers_once_and_nobody_else(world: World) -> None:
    clients = [await world.client("same", "x", "x") for _ in range(20)]
    other = await world.client("same", "X", "x ", "y")
    await world.inject("x")
    for client in (*clients, other):
        assert await client.works(PATIENCE)
        assert client.payloads("x") == ([] if client is other else [{}])


async def test_without_subscribers_everyone_gets_the_update(world: World) -> None:
    clients = [await world.client("a", "y"), await world.client("b")]
    await world.inject("x")
    for client in clients:
        assert await client.waits(lambda client=client: client.payloads("x") == [{}], PATIENCE)  # type: ignore[misc]


async def test_128_subscriptions_are_held_and_no_more(world: World) -> None:
    client = await world.client("c", *(f"i{number}" for number in range(128)))
    client.say(subscribe_text("one too many"))
    assert await client.subscribe("i0", PATIENCE)
    assert len(client.confirmed()) == 129


async def test_the_end_of_a_connection_leaves_its_twin_alone(world: World) -> None:
    older, newer = await world.client("same", "x"), await world.client("same", "x")
    older.close()
    assert await older.waits(lambda: older.ended == 1000, PATIENCE)
    await world.inject("x")
    assert await newer.waits(lambda: newer.payloads("x") == [{}], PATIENCE)


async def test_a_client_that_does_not_read_is_ended_and_nobody_waits_for_it(world: World) -> None:
    stalled = await world.knock("s", receive_buffer=4096)
    assert await stalled.subscribe("x", PATIENCE)
    stalled.transport.pause_reading()
    other = await world.client("o", "x")
    payload = json.dumps({"pad": "y" * 60_000})
    for number in range(1, 201):
        world.burst(("x", payload))
        assert await other.waits(lambda number=number: len(other.frames) > number, PATIENCE)  # type: ignore[misc]
        if len(world.server.peers) == 1:
            break
    await world.until(lambda: len(world.server.peers) == 1)


async def test_a_trigger_emits_well_formed_events_of_its_own(world: World) -> None:
    client = await world.client("c", "x")
    assert await world.trigger("x") == 202
    assert await client.waits(lambda: len(client.payloads("x")) == 2, PATIENCE)
    for data in client.payloads("x"):
        assert data["investigation_id"] == "x"
        assert data["type"].startswith("task_")
        assert data["task_id"]
        assert 0 <= data["progress"] <= 1


async def test_closing_the_server_says_good_bye(world: World) -> None:
    client = await world.client()
    await world.running.close()
    assert await client.waits(lambda: client.ended == 1001, PATIENCE)
