"""The control of Part 2: the capable server keeps all of it, and the odd ones keep what they offer."""

from __future__ import annotations

import asyncio
import json

import pytest
from osint_events_conformance.faulty import ODDITIES
from osint_events_conformance.faulty.capable.negotiating import FEATURES
from osint_events_conformance.faulty.capable.server import CapableServer

from .capable_scenes import (
    announces_new_sequences,
    answers_a_ping_ahead_of_events,
    answers_pings,
    begins_another_epoch,
    echoes,
    ends_the_dead_in_time,
    filters,
    grants,
    ignores_a_second_hello,
    ignores_what_was_not_negotiated,
    keeps_errors_to_itself,
    limits_the_rate,
    never_falls_back,
    numbers,
    presses,
    refuses_token,
    refuses_what_inflates_to_too_much,
    replays,
    reports,
    resumes,
    resumes_after_a_restart,
    sends_positions,
    sends_the_same_compressed,
    speaks_by_the_schemas,
    switches_without_loss,
    understands_what_is_compressed,
    unsubscribes,
    welcomes,
    welcomes_first,
)
from .client import World, subscribe_text
from .scenes import (
    Scene,
    confirms,
    falls_back,
    fragments,
    in_order,
    keeps_apart,
    numbered,
    reads,
    survives_stall,
)
from .talk import ALL, NOTE, QUIET, SUMMARY, TASK, Talk, hello_text, invalid, published

CORE: dict[str, Scene] = {
    "SUB-1": confirms(" é"),
    "CONN-7": fragments("ä🦊", size=5, ping=True, empty=True),
    "ROB-4": reads(65_536),
    "ROB-5": survives_stall(patience=1),
    "DEL-2": keeps_apart("inv-*", "inv-1", crowd=3),
    "DEL-3": falls_back(),
    "DEL-4": in_order(*numbered(20)),
}
PROMISES: dict[str, tuple[set[str], Scene]] = {
    "NEG-1": (set(), grants(["x"], set())),
    "NEG-1 others": (set(), ignores_what_was_not_negotiated),
    "NEG-2": ({"replay"}, welcomes_first),
    "NEG-2 again": ({"scopes"}, ignores_a_second_hello),
    "NEG-3": (set(), welcomes(protocol=99, x=[1], auth={"token": "t"}, client={"name": "n"})),
    "NEG-4": (set(FEATURES), echoes("é" * 64)),
    "NEG-5": (set(), never_falls_back("i")),
    "HB-1": ({"heartbeat"}, answers_pings("A b", "")),
    "HB-1 ahead": ({"heartbeat", "unsubscribe"}, answers_a_ping_ahead_of_events),
    "HB-2": ({"heartbeat"}, ends_the_dead_in_time),
    "CMP-1": ({"compression"}, sends_the_same_compressed),
    "CMP-1 inbound": ({"compression"}, understands_what_is_compressed),
    "CMP-2": ({"compression"}, refuses_what_inflates_to_too_much),
    "RPL-2": ({"replay", "scopes"}, numbers(TASK, SUMMARY, NOTE, TASK, TASK, scope="tasks")),
    "RPL-3": ({"replay", "unsubscribe"}, refuses_token("foreign")),
    "RPL-4": ({"replay", "scopes"}, replays(NOTE, SUMMARY, scope="summary")),
    "RPL-5": ({"replay", "unsubscribe"}, resumes(30, times=2)),
    "RPL-6": ({"replay", "scopes"}, sends_positions),
    "RPL-8": ({"replay"}, begins_another_epoch),
    "SCP-1": ({"scopes"}, filters(["tasks"], [TASK, NOTE], [SUMMARY])),
    "SCP-3": ({"scopes"}, switches_without_loss),
    "UNS-1": ({"unsubscribe"}, unsubscribes),
    "FLW-1": ({"flow"}, presses(160)),
    "FLW-3": ({"flow"}, limits_the_rate),
    "ERR-1": ({"errors", "scopes"}, reports),
    "ERR-1 silent": ({"scopes"}, keeps_errors_to_itself),
    "MSG-2": ({"replay", "errors"}, speaks_by_the_schemas(replay_token="forged")),  # noqa: S106 - no password
}
CAPABLE_ODDITIES = {
    name: oddity.server for name, oddity in ODDITIES.items() if issubclass(oddity.server, CapableServer)
}
BY_NATURE = {
    "announces-gaps": set(),
    "never-replays": {"RPL-4", "RPL-5"},
    "always-expired": {"NEG-4", "RPL-4", "RPL-5", "RPL-2"},
    "keeps-history-over-restarts": {"RPL-8"},
    # The scenes count on numbers that are 1, 2, ..., and on messages that are carried out once they are read.
    "numbers-with-holes": {"RPL-6"},
    "negotiates-slowly": {"HB-1 ahead"},
}


@pytest.mark.parametrize("clause", CORE)
async def test_the_capable_server_keeps_part_1(clause: str) -> None:
    async with await World.of("capable") as world:
        assert await CORE[clause](world)


async def _broken(name: str, server: type[CapableServer], exempt: set[str]) -> list[str]:
    offered = {*server.features, *(["compression"] if server.extensions else [])}
    clauses = [c for c, (needed, _) in PROMISES.items() if needed <= offered and c not in exempt]
    beside = asyncio.Semaphore(4)

    async def kept(clause: str) -> bool:
        async with beside, await World.of(name) as world:
            return await PROMISES[clause][1](world)

    outcomes = await asyncio.gather(*map(kept, clauses))
    assert outcomes
    suspects = [clause for clause, outcome in zip(clauses, outcomes, strict=True) if not outcome]
    # Scenes with a short heartbeat can disturb one another: a suspect is tried once more, alone.
    return [clause for clause in suspects if not await kept(clause)]


async def test_the_capable_server_keeps_every_promise() -> None:
    assert await _broken("capable", CapableServer, set()) == []


@pytest.mark.parametrize("name", CAPABLE_ODDITIES)
async def test_the_odd_capable_server_keeps_every_promise(name: str) -> None:
    assert await _broken(name, CAPABLE_ODDITIES[name], BY_NATURE.get(name, set())) == []


async def test_a_durable_store_outlives_a_restart() -> None:
    async with await World.of("keeps-history-over-restarts") as world:
        assert await resumes_after_a_restart(world)


async def test_a_new_sequence_is_announced_to_who_is_connected() -> None:
    async with await World.of("begins-anew-with-gap") as world:
        assert await announces_new_sequences(world)


async def test_a_gap_is_announced_in_its_place_and_nothing_is_missing() -> None:
    async with await World.of("announces-gaps") as world:
        talk = await Talk.begin(world, *QUIET)
        await talk.subscribed()
        world.burst(*published(range(32)))
        await talk.gets("investigation_update", 32)
        types = [message["type"] for message in talk.client.messages[2:]]
        assert types == ["investigation_update"] * 29 + ["gap"] + ["investigation_update"] * 3
        assert not any(invalid(message) for message in talk.client.messages)


@pytest.mark.parametrize("name", ["never-replays", "always-expired"])
async def test_a_server_without_a_history_says_expired(name: str) -> None:
    async with await World.of(name) as world:
        talk = await Talk.begin(world, *QUIET)
        start = await talk.subscribed()
        world.burst(("i", NOTE))
        answer = await talk.subscribed(replay_token=start["token"])
        assert answer["replay"] == {"status": "failed", "reason": "expired"}


@pytest.mark.parametrize(
    "hello",
    [
        {"protocol": 0}, {"protocol": 1.5}, {"protocol": "1"}, {"protocol": True},
        {"features": "replay"}, {"features": [1]}, {"features": None},
        {"ref": 5}, {"ref": "x" * 65}, {"client": []}, {"client": {"name": 1}},
    ],
)  # fmt: skip
async def test_a_malformed_hello_is_none(hello: dict[str, object]) -> None:
    async with await World.of("capable", patience=0.1) as world:
        talk = await Talk.begin(world, hello=hello)
        assert await talk.works()
        assert not talk.of("welcome", "error")


async def test_a_core_client_sees_nothing_of_part_2() -> None:
    async with await World.of("capable") as world:
        client = await world.client("c", "i")
        client.say(json.dumps({"type": "ping", "id": "x"}))
        client.say(hello_text(*ALL))
        client.say(subscribe_text("i", scope=["tasks"], ref="r", replay_token="x"))  # noqa: S106 - no password
        world.burst(("i", SUMMARY))
        assert await client.works(world.patience)
        confirmed = {"type": "subscription_confirmed", "investigation_id": "i"}
        update = {"type": "investigation_update", "investigation_id": "i", "data": json.loads(SUMMARY)}
        seen = client.messages[:-1]
        assert sorted(map(json.dumps, seen)) == sorted(map(json.dumps, [confirmed, confirmed, update]))


async def test_nobody_else_waits_for_a_client_that_does_not_read_its_replay() -> None:
    async with await World.of("capable") as world:
        talk = await Talk.begin(world, *QUIET, receive_buffer=4096)
        start = await talk.subscribed()
        world.burst(*published(range(100), pad="x" * 1000))
        await talk.gets("investigation_update", 100)
        talk.stall()
        talk.subscribe(replay_token=start["token"])
        await talk.heard()
        other = await world.client("o", "i")
        world.burst(*published(range(100, 102)))
        assert await other.gets(2, "i", world.patience)
        talk.read_on()
        assert await talk.gets("investigation_update", 202)
        assert talk.numbers() == [*range(100), *range(102)]


async def test_a_restart_closes_every_connection() -> None:
    async with await World.of("capable") as world:
        talk = await Talk.begin(world, *QUIET)
        assert await world.restart() == 204
        assert await talk.client.ends(world.patience)
        assert talk.client.ended == 1012
