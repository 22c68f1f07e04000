"""Replay and scopes over real sockets: RPL-1 to RPL-9, SCP-1 to SCP-3."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest
from osint_events_server.server import running
from osint_events_server.settings import Settings
from osint_events_server.store.memory import MemoryStore
from osint_events_server.tokens import Position, Tokens
from websockets.asyncio.client import connect

Inject = Callable[[str, object], Awaitable[int]]
Dial = Callable[..., AbstractAsyncContextManager[Any]]

TASK = {"type": "task_started", "task_id": "t"}
SUMMARY = {"type": "investigation_paused"}
BOTH = {"type": "custom"}
KEY = "k" * 32


@pytest.fixture
def settings() -> Settings:
    return Settings(port=0, enable_inject=True, history_events=350, max_replay_events=300, token_keys=(KEY,))


class Reader:
    """Keeps what RPL-2 says a client keeps, and says what that proves."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.numbers: list[int] = []

    def take(self, message: Any) -> None:
        if message["type"] == "investigation_update":
            assert message["seq"] > self.last, f"a duplicate after {self.last}: {message}"
            assert message["prev"] <= self.last, f"a loss after {self.last}: {message}"
            self.numbers.append(message["data"]["n"])
        self.last = message["seq"]


async def replayed(client: Any) -> list[Any]:
    """The updates up to `replay_complete`, and that."""
    messages = [await client.receive()]
    while messages[-1]["type"] != "replay_complete":
        assert messages[-1]["replayed"] is True
        messages.append(await client.receive())
    return messages


async def test_a_confirmation_and_each_update_say_where_the_client_is(dial: Dial, inject: Inject) -> None:
    async with dial("replay") as client:
        confirmed = await client.subscribe("x", ref="r")
        assert list(confirmed) == ["type", "investigation_id", "ref", "epoch", "seq", "token"]
        assert confirmed["seq"] == 0
        first = await inject("x", {"n": 1})
        await inject("y", {})
        second = await inject("x", {"n": 2})
        updates = [await client.receive() for _ in range(2)]
        assert [(update["prev"], update["seq"]) for update in updates] == [(0, first), (first, second)]
        assert "replayed" not in updates[0]
        assert len({confirmed["token"], *(update["token"] for update in updates)}) == 3


async def test_what_was_missed_is_replayed_between_confirmation_and_completion(
    dial: Dial, inject: Inject
) -> None:
    async with dial("replay") as client:
        await client.subscribe("x")
        await inject("x", {"n": 0})
        token = (await client.receive())["token"]
    missed = [await inject("x", {"n": number}) for number in range(1, 4)]
    head = await inject("other", {})
    async with dial("replay") as client:
        confirmed = await client.subscribe("x", replay_token=token, ref="r")
        assert confirmed["replay"] == {"status": "complete", "count": 3}
        assert confirmed["token"] == token
        *updates, complete = await replayed(client)
        assert [update["seq"] for update in updates] == missed
        assert [update["data"]["n"] for update in updates] == [1, 2, 3]
        assert [update["prev"] for update in updates] == [confirmed["seq"], *missed[:2]]
        assert (complete["seq"], complete["ref"]) == (head, "r")
        live = await inject("x", {"n": 4})
        update = await client.receive()
        assert (update["seq"], update["data"]) == (live, {"n": 4})
        assert update["prev"] <= head


@pytest.mark.parametrize("kind", ["confirmation", "update", "replay_complete", "replayed"])
async def test_every_token_resumes_where_it_was_given(dial: Dial, inject: Inject, kind: str) -> None:
    async with dial("replay") as client:
        confirmed = await client.subscribe("x")
        tokens = {"confirmation": (confirmed["token"], [1, 2])}
        await inject("x", {"n": 1})
        tokens["update"] = ((await client.receive())["token"], [2])
        await inject("x", {"n": 2})
    async with dial("replay") as client:
        await client.subscribe("x", replay_token=confirmed["token"])
        first, _, complete = await replayed(client)
        tokens["replayed"] = (first["token"], [2])
        tokens["replay_complete"] = (complete["token"], [])
    token, expected = tokens[kind]
    async with dial("replay") as client:
        assert (await client.subscribe("x", replay_token=token))["replay"]["count"] == len(expected)
        *updates, _ = await replayed(client)
        assert [update["data"]["n"] for update in updates] == expected


async def test_the_same_token_may_be_used_by_several_and_survives_an_unsubscribe(
    dial: Dial, inject: Inject
) -> None:
    async with dial("replay", "unsubscribe") as client, dial("replay") as other:
        token = (await client.subscribe("x"))["token"]
        await client.ask("unsubscribe_investigation", investigation_id="x")
        await inject("x", {"n": 1})
        for resuming in (client, other, client):
            assert (await resuming.subscribe("x", replay_token=token))["replay"]["count"] == 1
            assert [message.get("data") for message in await replayed(resuming)] == [{"n": 1}, None]
        await inject("x", {"n": 2})
        for resuming in (client, other):
            assert (await resuming.receive())["data"] == {"n": 2}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda _: "AQ3",
        lambda _: "x" * 512,
        lambda _: "x" * 60_000,
        lambda _: "🦊",
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: ("B" if token[0] == "A" else "A") + token[1:],
        lambda token: token + "=",
        lambda token: f" {token}",
    ],
)
async def test_a_token_that_was_not_issued_replays_nothing(
    dial: Dial, inject: Inject, spoil: Callable[[str], str]
) -> None:
    async with dial("replay", "errors") as client:
        token = (await client.subscribe("x"))["token"]
        head = await inject("x", {"n": 1})
        await client.receive()
        confirmed = await client.subscribe("x", replay_token=spoil(token))
        assert confirmed["replay"] == {"status": "failed", "reason": "invalid"}
        assert confirmed["seq"] == head
        await inject("x", {"n": 2})
        assert (await client.receive())["data"] == {"n": 2}


async def test_a_token_of_another_investigation_replays_nothing(dial: Dial, inject: Inject) -> None:
    async with dial("replay") as client:
        token = (await client.subscribe("x"))["token"]
        await inject("y", {"n": 1})
        confirmed = await client.subscribe("y", replay_token=token)
        assert confirmed["replay"] == {"status": "failed", "reason": "invalid"}


@pytest.mark.parametrize(("missed", "reason"), [(300, None), (301, "expired"), (351, "expired")])
async def test_more_than_may_be_replayed_or_is_kept_is_expired(
    dial: Dial, inject: Inject, missed: int, reason: str | None
) -> None:
    async with dial("replay") as client:
        token = (await client.subscribe("x"))["token"]
    for number in range(missed):
        head = await inject("x", {"n": number})
    async with dial("replay") as client:
        confirmed = await client.subscribe("x", replay_token=token)
        if reason is None:
            assert confirmed["replay"] == {"status": "complete", "count": missed}
            assert len(await replayed(client)) == missed + 1
        else:
            assert confirmed["replay"] == {"status": "failed", "reason": reason}
            assert confirmed["seq"] == head
        await inject("x", {"n": "live"})
        assert (await client.receive())["data"] == {"n": "live"}


async def test_a_token_that_is_ahead_misses_nothing_and_is_sent_nothing_up_to_it(
    dial: Dial, inject: Inject
) -> None:
    async with dial("replay") as client:
        epoch = (await client.subscribe("x"))["epoch"]
        ahead = Tokens([KEY.encode()]).issue("x", Position(epoch, 3))
        for _ in range(2):
            confirmed = await client.subscribe("x", replay_token=ahead)
            assert confirmed["replay"] == {"status": "complete", "count": 0}
            assert (confirmed["seq"], (await client.receive())["seq"]) == (3, 3)
        for _ in range(5):
            await inject("x", {})
        assert [(await client.receive())["seq"] for _ in range(2)] == [4, 5]


async def test_what_another_node_may_have_delivered_already_is_not_delivered_again(
    dial: Dial, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def head(_store: MemoryStore) -> int:
        return 2  # where the other node is

    monkeypatch.setattr(MemoryStore, "head", head)
    async with dial("replay") as client, dial() as core:
        assert (await client.subscribe("x"))["seq"] == 2
        await core.subscribe("x")
        for number in range(1, 4):
            await inject("x", {"n": number})
        assert (await client.receive())["seq"] == 3
        assert (await core.receive())["data"] == {"n": 3}


async def test_after_a_restart_the_epoch_is_another_one() -> None:
    settings = Settings(port=0, token_keys=(KEY,))
    confirmations: list[Any] = []
    for _ in range(2):
        async with running(settings) as url, connect(f"ws{url.removeprefix('http')}/ws/a") as ws:
            subscribe = {"type": "subscribe_investigation", "investigation_id": "x"}
            if confirmations:
                subscribe["replay_token"] = confirmations[0]["token"]
            for message in ({"type": "hello", "protocol": 1, "features": ["replay"]}, subscribe):
                await ws.send(json.dumps(message))
                answer = json.loads(await ws.recv())
            confirmations.append(answer)
    first, second = confirmations
    assert second["replay"] == {"status": "failed", "reason": "epoch_changed"}
    assert first["epoch"] != second["epoch"]


@pytest.mark.parametrize("publishers", [1, 8])
async def test_nothing_is_lost_doubled_or_reordered_at_the_hand_over_while_many_publish(
    dial: Dial, http: aiohttp.ClientSession, server: str, publishers: int
) -> None:
    total = 300
    headers = {"Content-Type": "application/json"}
    numbers = iter(range(total))
    accepted: list[tuple[int, int]] = []

    async def publish() -> None:
        for number in numbers:
            url = f"http://{server}/investigations/x/events"
            async with http.post(url, data=b'{"n":%d}' % number, headers=headers) as response:
                accepted.append(((await response.json())["seq"], number))

    async with dial("replay") as client:
        confirmed = await client.subscribe("x")
    reader = Reader(confirmed["seq"])
    token = confirmed["token"]
    resumes = 0
    async with asyncio.TaskGroup() as tasks:
        for _ in range(publishers):
            tasks.create_task(publish())
        while len(reader.numbers) < total:
            async with dial("replay") as client:
                confirmed = await client.subscribe("x", replay_token=token)
                assert confirmed["replay"]["status"] == "complete"
                assert confirmed["seq"] == reader.last
                resumes += 1
                left = confirmed["replay"]["count"] + 1
                complete = False
                while len(reader.numbers) < total and (not complete or left):
                    message = await client.receive()
                    reader.take(message)
                    token = message["token"]
                    if complete:
                        left -= 1
                    complete = complete or message["type"] == "replay_complete"
    assert resumes > 1
    assert reader.numbers == [number for _, number in sorted(accepted)]


async def test_a_replay_of_a_live_subscription_comes_before_what_is_published_later(
    dial: Dial, inject: Inject
) -> None:
    async with dial("replay") as client:
        token = (await client.subscribe("x"))["token"]
        for number in range(3):
            await inject("x", {"n": number})
            await client.receive()
        await client.subscribe("x", replay_token=token)
        assert [m["data"]["n"] for m in (await replayed(client))[:-1]] == [0, 1, 2]
        await inject("x", {"n": 3})
        assert (await client.receive())["data"] == {"n": 3}


async def test_what_is_asked_during_a_replay_takes_effect_after_it(dial: Dial, inject: Inject) -> None:
    async with dial("replay") as client:
        token = (await client.subscribe("x"))["token"]
    for number in range(40):
        await inject("x", {"n": number, "pad": "x" * 20_000})
    async with dial("replay", "unsubscribe", "scopes") as client:
        await client.send("subscribe_investigation", investigation_id="x", replay_token=token, ref="1")
        await client.send("subscribe_investigation", investigation_id="x", ref="2", scope=["tasks"])
        await client.send("unsubscribe_investigation", investigation_id="x", ref="3")
        await client.send("subscribe_investigation", investigation_id="x", replay_token=token, ref="4")
        answers = [await client.receive() for _ in range(2 * 42 + 2)]
        order = [(m["type"], m["ref"]) for m in answers if "ref" in m]
        assert order == [
            ("subscription_confirmed", "1"),
            ("replay_complete", "1"),
            ("subscription_confirmed", "2"),
            ("unsubscribed", "3"),
            ("subscription_confirmed", "4"),
            ("replay_complete", "4"),
        ]
        assert [m["data"]["n"] for m in answers if "data" in m] == [*range(40)] * 2


async def test_a_scope_gets_its_part_and_says_what_came_before_in_it(dial: Dial, inject: Inject) -> None:
    async with dial("replay", "scopes") as tasks, dial("replay", "scopes") as summary, dial() as core:
        assert (await tasks.subscribe("x", scope=["tasks"]))["scope"] == ["tasks"]
        assert (await summary.subscribe("x", scope=["summary"]))["scope"] == ["summary"]
        await core.subscribe("x")
        seqs = [await inject("x", data) for data in (TASK, SUMMARY, BOTH, SUMMARY, TASK)]
        for client, wanted in ((tasks, (0, 2, 4)), (summary, (1, 2, 3))):
            updates = [await client.receive() for _ in wanted]
            assert [update["seq"] for update in updates] == [seqs[index] for index in wanted]
            assert [update["prev"] for update in updates] == [0, *(seqs[index] for index in wanted[:-1])]
        assert [(await core.receive())["data"]["type"] for _ in seqs] == [
            data["type"] for data in (TASK, SUMMARY, BOTH, SUMMARY, TASK)
        ]


async def test_a_scope_works_without_replay(dial: Dial, inject: Inject) -> None:
    async with dial("scopes") as client:
        assert await client.subscribe("x", scope=["summary", "summary"]) == {
            "type": "subscription_confirmed",
            "investigation_id": "x",
            "scope": ["summary", "summary"],
        }
        assert (await client.subscribe("y"))["scope"] == ["all"]
        await inject("x", TASK)
        await inject("x", SUMMARY)
        assert await client.receive() == {
            "type": "investigation_update",
            "investigation_id": "x",
            "data": SUMMARY,
        }


async def test_a_replay_keeps_to_the_scope(dial: Dial, inject: Inject) -> None:
    async with dial("replay", "scopes") as client:
        token = (await client.subscribe("x"))["token"]
    for data in (TASK, SUMMARY, BOTH):
        await inject("x", data)
    async with dial("replay", "scopes") as client:
        confirmed = await client.subscribe("x", replay_token=token, scope=["summary"])
        assert confirmed["replay"]["count"] == 2
        *updates, _ = await replayed(client)
        assert [update["data"] for update in updates] == [SUMMARY, BOTH]


async def test_a_bad_scope_leaves_the_subscription_as_it_was(dial: Dial, inject: Inject) -> None:
    async with dial("scopes", "errors") as client:
        await client.subscribe("x", scope=["tasks"])
        error = await client.ask("subscribe_investigation", investigation_id="x", scope=[], ref="r")
        assert (error["code"], error["ref"]) == ("invalid_scope", "r")
        await inject("x", SUMMARY)
        await inject("x", TASK)
        assert (await client.receive())["data"] == TASK


async def test_a_scope_is_switched_at_its_confirmation_while_events_flow(dial: Dial, inject: Inject) -> None:
    async with dial("replay", "scopes") as client:
        confirmed = await client.subscribe("x")
        last, scope = confirmed["seq"], "all"
        seqs: dict[int, str] = {}

        async def publish() -> None:
            for _ in range(60):
                for data in (TASK, SUMMARY):
                    seqs[await inject("x", data)] = "tasks" if data is TASK else "summary"

        publishing = asyncio.ensure_future(publish())
        received: list[int] = []
        expected: list[tuple[int, str]] = [(last, scope)]  # from which number on which scope
        for wanted in ("tasks", "summary", "all", "summary", "tasks", "all") * 2:
            await client.send("subscribe_investigation", investigation_id="x", scope=[wanted])
            message = await client.receive()
            while message["type"] != "subscription_confirmed":
                assert message["prev"] <= last < message["seq"]
                last = message["seq"]
                received.append(last)
                message = await client.receive()
            last = message["seq"]
            expected.append((last, wanted))
        await publishing
        end = await inject("x", {"type": "end"})
        while last < end:
            message = await client.receive()
            assert message["prev"] <= last < message["seq"]
            last = message["seq"]
            received.append(last)

        def in_scope(seq: int) -> bool:
            current = next(scope for start, scope in reversed(expected) if start < seq)
            return current in ("all", seqs[seq])

        assert received == [*(seq for seq in sorted(seqs) if in_scope(seq)), end]


class TestPosition:
    """A heartbeat interval that is short."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(port=0, enable_inject=True, ping_interval=0.2)

    async def test_an_idle_subscription_is_told_where_the_store_is(self, dial: Dial, inject: Inject) -> None:
        async with dial("replay") as client:
            token = (await client.subscribe("x"))["token"]
            seq = await inject("y", {})
            position = await client.receive()
            assert (position["type"], position["investigation_id"], position["seq"]) == ("position", "x", seq)
            assert position["token"] != token
            await client.subscribe("x", replay_token=position["token"])
            assert (await replayed(client))[-1]["seq"] == seq
