"""What a hello changes, over real sockets: NEG-1 to NEG-5, ERR-1, UNS-1."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from osint_events_server.settings import Settings

Inject = Callable[[str, object], Awaitable[int]]
Dial = Callable[..., AbstractAsyncContextManager[Any]]

ALL = ("heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors")


async def test_a_welcome_grants_what_is_asked_for_and_known(dial: Dial) -> None:
    async with dial() as client:
        welcome = await client.hello("errors", "teleport", "replay", "errors", ref="r", extra={"a": 1})
        assert welcome == {
            "type": "welcome",
            "protocol": 1,
            "connection_id": welcome["connection_id"],
            "features": ["replay", "errors"],
            "ref": "r",
            "limits": {
                "max_message_bytes": 65536,
                "max_subscriptions": 128,
                "max_queue_bytes": 1048576,
                "max_replay_events": 1000,
                "history_ttl_ms": 300000,
                "messages_per_second": 100,
                "burst": 512,
            },
        }


async def test_the_heartbeats_times_are_told_where_it_is_negotiated(dial: Dial) -> None:
    async with dial() as client:
        welcome = await client.hello(*ALL)
        assert welcome["features"] == list(ALL)
        assert welcome["heartbeat"] == {"interval_ms": 25000, "timeout_ms": 10000}


async def test_no_two_connections_have_one_connection_id(dial: Dial) -> None:
    async with dial() as first, dial() as second:
        ids = {(await client.hello())["connection_id"] for client in (first, second)}
        assert len(ids) == 2


@pytest.mark.parametrize("protocol", [1, 2, 99, 10**15, 1.0])
async def test_a_newer_client_gets_the_protocol_that_both_know(dial: Dial, protocol: float) -> None:
    async with dial() as client:
        assert (await client.ask("hello", protocol=protocol, features=[]))["protocol"] == 1


@pytest.mark.parametrize("auth", [{"token": "x"}, {}, "x", None, 7])
async def test_authentication_is_not_read_where_it_is_off(dial: Dial, auth: object) -> None:
    async with dial() as client:
        assert (await client.hello(auth=auth))["type"] == "welcome"


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": 0, "features": []},
        {"protocol": "1", "features": []},
        {"protocol": True, "features": []},
        {"features": []},
        {"protocol": 1},
        {"protocol": 1, "features": "errors"},
        {"protocol": 1, "features": [1]},
        {"protocol": 1, "features": [], "ref": "x" * 65},
    ],
)
async def test_a_malformed_hello_is_none_and_a_later_one_is_not_the_first(
    dial: Dial, fields: dict[str, object]
) -> None:
    async with dial() as client:
        await client.send("hello", **fields)
        await client.send("hello", protocol=1, features=["errors"])
        assert await client.subscribe("x") == {"type": "subscription_confirmed", "investigation_id": "x"}


async def test_a_hello_after_another_message_is_ignored(dial: Dial, inject: Inject) -> None:
    async with dial() as client:
        await client.subscribe("x")
        await client.send("hello", protocol=1, features=["replay"])
        await client.subscribe("y")
        await inject("x", {"n": 1})
        assert await client.receive() == {
            "type": "investigation_update",
            "investigation_id": "x",
            "data": {"n": 1},
        }


async def test_a_second_hello_changes_nothing_and_says_so(dial: Dial) -> None:
    async with dial("errors") as client:
        error = await client.ask("hello", protocol=1, features=["replay"], ref="again")
        assert (error["code"], error["temporary"], error["ref"]) == ("already_initialized", False, "again")
        assert "token" not in await client.subscribe("x")


async def test_what_is_pipelined_behind_a_hello_is_answered_after_the_welcome(dial: Dial) -> None:
    async with dial() as client:
        await client.send("hello", protocol=1, features=["replay"])
        for number in range(20):
            await client.send("subscribe_investigation", investigation_id=str(number), ref=f"r{number}")
        assert (await client.receive())["type"] == "welcome"
        answers = [await client.receive() for _ in range(20)]
        assert [answer["ref"] for answer in answers] == [f"r{number}" for number in range(20)]


async def test_references_are_echoed_with_a_hello_alone(dial: Dial) -> None:
    longest = "🦊" * 64
    async with dial() as client:
        await client.hello()
        assert await client.subscribe("x", ref=longest) == {
            "type": "subscription_confirmed",
            "investigation_id": "x",
            "ref": longest,
        }


async def test_fields_of_features_that_were_not_negotiated_are_ignored_whatever_they_hold(dial: Dial) -> None:
    async with dial("errors", "unsubscribe") as client:
        confirmed = await client.subscribe("x", scope=7, replay_token=["no"])
        assert confirmed == {"type": "subscription_confirmed", "investigation_id": "x"}


@pytest.mark.parametrize(
    ("features", "fields", "code"),
    [
        ((), {"ref": 1}, "invalid_message"),
        ((), {"ref": "x" * 65}, "invalid_message"),
        (("replay",), {"replay_token": 1}, "invalid_message"),
        (("replay",), {"replay_token": None}, "invalid_message"),
        (("scopes",), {"scope": []}, "invalid_scope"),
        (("scopes",), {"scope": "tasks"}, "invalid_scope"),
        (("scopes",), {"scope": ["tasks", "everything"]}, "invalid_scope"),
        (("scopes",), {"scope": ["tasks", 1]}, "invalid_scope"),
        (("scopes",), {"scope": None}, "invalid_scope"),
        ((), {"investigation_id": ""}, "invalid_message"),
    ],
)
async def test_a_subscribe_that_is_wrong_is_an_error_and_not_carried_out(
    dial: Dial, features: tuple[str, ...], fields: dict[str, object], code: str
) -> None:
    message = {"investigation_id": "x", **fields}
    async with dial("errors", *features) as told, dial(*features, "flow") as silent:
        error = await told.ask("subscribe_investigation", **message)
        assert (error["type"], error["code"], error["temporary"]) == ("error", code, False)
        await silent.send("subscribe_investigation", **message)
        assert (await silent.subscribe("y"))["investigation_id"] == "y"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_message"),
        ('{"type": 1}', "invalid_message"),
        ('{"type": "nonsense", "ref": "r"}', "unknown_type"),
        ('{"type": "ping", "id": "no heartbeat"}', "unknown_type"),
        ('{"type": "unsubscribe_investigation", "investigation_id": "x"}', "unknown_type"),
    ],
)
async def test_what_is_malformed_or_unknown_is_an_error_for_those_who_are_told(
    dial: Dial, text: str, code: str
) -> None:
    async with dial("errors") as told, dial("replay") as silent:
        await told.ws.send(text)
        error = await told.receive()
        assert error["code"] == code
        assert error.get("ref") == ("r" if "ref" in text else None)
        await silent.ws.send(text)
        await silent.subscribe("y")


async def test_one_subscription_too_many_is_an_error(dial: Dial) -> None:
    async with dial("errors", "unsubscribe") as client:
        for number in range(128):
            await client.subscribe(str(number))
        error = await client.ask("subscribe_investigation", investigation_id="more", ref="r")
        assert (error["code"], error["ref"]) == ("subscription_limit", "r")
        await client.ask("unsubscribe_investigation", investigation_id="0")
        await client.subscribe("more")


async def test_who_said_hello_gets_no_fallback_broadcasts(dial: Dial, inject: Inject) -> None:
    async with dial("replay") as negotiated, dial() as core:
        await negotiated.subscribe("fence")
        await inject("nobody's", {"n": 1})
        await inject("fence", {"n": 2})
        assert (await negotiated.receive())["investigation_id"] == "fence"
        assert (await core.receive())["investigation_id"] == "nobody's"


async def test_after_unsubscribed_no_update_arrives(dial: Dial, inject: Inject) -> None:
    async with dial("unsubscribe") as client, dial() as other:
        await client.subscribe("x")
        await client.subscribe("fence")
        await other.subscribe("x")
        await inject("x", {"n": 1})
        assert (await client.receive())["data"] == {"n": 1}
        assert await client.ask("unsubscribe_investigation", investigation_id="x", ref="bye") == {
            "type": "unsubscribed",
            "investigation_id": "x",
            "ref": "bye",
        }
        await inject("x", {"n": 2})
        await inject("fence", {"n": 3})
        assert (await client.receive())["data"] == {"n": 3}
        assert [(await other.receive())["data"]["n"] for _ in range(2)] == [1, 2]
        await client.subscribe("x")
        await inject("x", {"n": 4})
        assert (await client.receive())["data"] == {"n": 4}


@pytest.mark.parametrize("times", [1, 3])
async def test_unsubscribing_again_is_answered_again(dial: Dial, times: int) -> None:
    async with dial("unsubscribe") as client:
        for _ in range(times):
            answer = await client.ask("unsubscribe_investigation", investigation_id="never")
            assert answer == {"type": "unsubscribed", "investigation_id": "never"}


async def test_when_the_last_subscriber_unsubscribes_the_fallback_returns(dial: Dial, inject: Inject) -> None:
    async with dial("unsubscribe") as client, dial() as core:
        await client.subscribe("x")
        await client.ask("unsubscribe_investigation", investigation_id="x")
        await inject("x", {"n": 1})
        assert (await core.receive())["data"] == {"n": 1}


async def test_what_one_client_gets_wrong_costs_others_nothing(dial: Dial, inject: Inject) -> None:
    async with dial("replay", "errors", "scopes", "heartbeat") as bad, dial("replay") as good:
        await good.subscribe("x")
        mistakes: list[tuple[str, dict[str, Any]]] = [
            ("subscribe_investigation", {"investigation_id": "x", "replay_token": "x" * 60_000}),
            ("subscribe_investigation", {"investigation_id": "x", "scope": {"tasks": True}}),
            ("subscribe_investigation", {"investigation_id": "x", "ref": "x" * 60_000}),
            ("hello", {"protocol": 99, "features": ["replay"] * 1000}),
            ("ping", {"id": "x" * 60_000}),
            ("pong", {"id": "x" * 60_000}),
            ("welcome", {}),
        ]
        for number, (type_, fields) in enumerate(mistakes):
            await bad.send(type_, **fields)
            await inject("x", {"n": number})
            assert (await good.receive())["data"] == {"n": number}


class TestFewerFeatures:
    """A server on which some capabilities are switched off."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(port=0, features=("errors", "heartbeat"))

    async def test_only_those_that_are_on_are_granted(self, dial: Dial) -> None:
        async with dial() as client:
            welcome = await client.hello("heartbeat", "replay", "errors")
            assert welcome["features"] == ["heartbeat", "errors"]
            assert "seq" not in await client.subscribe("x")
