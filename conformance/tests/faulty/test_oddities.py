"""The odd servers keep the promises all the same."""

from __future__ import annotations

import asyncio

import pytest
from osint_events_conformance.faulty import ODDITIES
from osint_events_conformance.faulty.capable.server import CapableServer

from .client import World, masked
from .scenes import (
    Scene,
    closes,
    confirms,
    confirms_in_order,
    falls_back,
    fragments,
    harms_nobody,
    has_right_progress,
    has_task_id,
    has_type,
    holds,
    ignores,
    in_order,
    keeps_apart,
    leaves,
    mirrors_id,
    numbered,
    plain_get_is_refused,
    pongs,
    publishes,
    reacts,
    reads,
    relays,
    replays_nothing,
    segment,
    speaks,
    spells,
    starts_with_nothing,
    subscribes_again,
    survives_stall,
    tolerates,
    twins,
    upgrades,
)

NASTY = (
    '{"a": [1.5, "<ä🦊\\\\n\\u0000/", {}, [], null, true, {"": -0.5}], "investigation_id": "i", "é.": 1e5}'
)

PROMISES: dict[str, Scene] = {
    "CONN-1": upgrades("ä b"),
    "CONN-1 plain": upgrades("-_x9"),
    "CONN-2": plain_get_is_refused,
    "CONN-3": pongs(b"x" * 125, within_fragments=True),
    "CONN-4": closes(4000, "i"),
    "CONN-5": twins(3),
    "CONN-6": leaves("a", ["ab"], abort=True),
    "CONN-7": segment("a", "b", "c"),
    "CONN-7 fragments": fragments("ä🦊", size=5, ping=True, empty=True),
    "MSG": speaks(NASTY, burst=3),
    "SUB-1": confirms(' ä/🦊\\"\n'),
    "SUB-3": holds(20),
    "SUB-4": subscribes_again(3),
    "SUB-5": ignores(a={"b": None}),
    "SUB-7": confirms_in_order,
    "SUB-8": starts_with_nothing(abort=True),
    "ROB-1": harms_nobody(masked(b"[]")),
    "ROB-2": reacts(b"nonsense"),
    "ROB-3": tolerates("x", ""),
    "ROB-4": reads(65_536),
    "ROB-5": survives_stall(patience=1),
    "EVT-1": relays("{}", NASTY),
    "EVT-2": publishes(mirrors_id),
    "EVT-3": publishes(has_right_progress),
    "EVT-4": publishes(has_task_id),
    "EVT-5": publishes(has_type),
    "EVT-6": spells('{"a": 9007199254740993, "b": 1.0}'),
    "DEL-1": in_order('{"n": 0}'),
    "DEL-2": keeps_apart("inv-*", "inv-1", crowd=3),
    "DEL-3": falls_back(),
    "DEL-4": in_order(*numbered(20)),
    "DEL-5": replays_nothing("{}"),
}
BY_NATURE = {"no-fallback": {"DEL-3"}}
CORE_ODDITIES = {
    name: oddity for name, oddity in ODDITIES.items() if not issubclass(oddity.server, CapableServer)
}


async def _kept(name: str, clause: str, beside: asyncio.Semaphore) -> bool:
    async with beside, await World.of(name) as world:
        return await PROMISES[clause](world)


@pytest.mark.parametrize("name", CORE_ODDITIES)
async def test_the_odd_server_keeps_every_must(name: str) -> None:
    exempt = ODDITIES[name].warns | BY_NATURE.get(name, frozenset())
    clauses = [clause for clause in PROMISES if clause not in exempt]
    beside = asyncio.Semaphore(4)
    kept = await asyncio.gather(*(_kept(name, clause, beside) for clause in clauses))
    assert [clause for clause, promise in zip(clauses, kept, strict=True) if not promise] == []


@pytest.mark.parametrize("name", [name for name, oddity in ODDITIES.items() if oddity.warns])
async def test_the_odd_server_leaves_the_should_that_it_declares(name: str) -> None:
    (clause,) = ODDITIES[name].warns
    async with await World.of(name, patience=0.5) as world:
        assert not await PROMISES[clause](world)
