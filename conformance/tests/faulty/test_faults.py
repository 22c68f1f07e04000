"""Every fault breaks the promise that it names, where the correct server keeps it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from osint_events_conformance.faulty import FAULTS
from osint_events_conformance.faulty.capable.server import CapableServer
from websockets.frames import Opcode

from .client import World, masked, subscribe_text
from .scenes import (
    a_byte_at_a_time,
    a_slow_reader_loses_nothing,
    answers_400_messages_in_a_second,
    closes,
    confirms,
    confirms_in_order,
    delivers,
    delivers_after_an_abort,
    delivers_beside_a_subscribe,
    delivers_once_to_twins,
    effective,
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
    keeps_bursts_apart,
    keeps_idle_connections_out,
    keeps_shards_apart,
    keeps_twins_apart,
    leaves,
    mirrors_id,
    never_confirms,
    numbered,
    plain_get_is_refused,
    pongs,
    publishes,
    reacts,
    reads,
    reconnects,
    relays,
    replays_nothing,
    segment,
    serves_a_quiet_client,
    speaks,
    spells,
    starts_with_nothing,
    subscribes_again,
    survives_stall,
    tolerates,
    twins,
    two_confirmations_are_two_messages,
    upgrades,
)

if TYPE_CHECKING:
    from .scenes import Scene

LARGE = json.dumps({"pad": "y" * 40_000})
COMPLETED = '{"type": "investigation_completed"}'
JUNK = masked(b"{")

CONNECTION: dict[str, Scene] = {
    "refuses-underscores": upgrades("a_b"),
    "refuses-long-client-ids": upgrades("x" * 65),
    "refuses-leading-dashes": upgrades("-a"),
    "refuses-non-ascii-client-ids": upgrades("ä"),
    "answers-plain-get-with-page": plain_get_is_refused,
    "crashes-on-plain-get": plain_get_is_refused,
    "hangs-up-on-plain-get": plain_get_is_refused,
    "never-pongs": pongs(b""),
    "pongs-without-payload": pongs(b"x"),
    "cuts-long-pongs": pongs(b"x" * 65),
    "pongs-with-next-message": pongs(b""),
    "misses-pings-between-fragments": pongs(b"x", within_fragments=True),
    "never-answers-close": closes(1000),
    "drops-close-without-code": closes(None),
    "drops-application-close-codes": closes(3000),
    "drops-close-of-subscribers": closes(1000, "i"),
    "refuses-twins": twins(2),
    "forgets-older-twin": twins(2),
    "forgets-third-twin": twins(3),
    "confirms-to-newest-twin": twins(2),
    "delivers-to-one-twin": twins(2, same_investigation=True),
    "leaver-clears-investigation": leaves("a", ["b"]),
    "old-connection-takes-subscriptions-along": leaves("a", ["a"]),
    "cleans-up-late": leaves("a", ["a"], quick_return=True),
    "leaver-takes-prefixes-along": leaves("a", ["ab"]),
    "leaver-takes-last-subscriber-along": leaves("a", ["b", "c"]),
    "abort-clears-investigation": leaves("a", ["b"], abort=True),
    "reads-first-of-segment": segment("a", "b"),
    "reads-last-of-segment-twice": segment("a", "b"),
    "takes-fragments-for-messages": fragments("x", size=30),
    "decodes-fragments-apart": fragments("ä🦊", size=1),
    "ping-clears-fragments": fragments("x", size=30, ping=True),
    "stops-at-empty-fragment": fragments("x", size=30, empty=True),
    "joins-eight-fragments": fragments("x", size=4),
    "drops-lone-bytes": a_byte_at_a_time,
}

MESSAGES: dict[str, Scene] = {
    "sends-binary-frames": speaks(),
    "sends-large-messages-binary": speaks(LARGE),
    "ends-messages-with-nul": speaks(),
    "begins-messages-with-bom": speaks(),
    "cuts-messages-at16-k": speaks(LARGE),
    "encodes-as-cesu8": speaks('{"a": "🦊"}'),
    "writes-single-quotes": speaks('{"a": [1]}'),
    "sends-bare-keep-alive": speaks(idle=0.4),
    "greets-without-type": speaks(),
    "reports-errors-by-number": speaks(junk=b"{"),
    "repeats-names": speaks('{"investigation_id": "i"}'),
    "joins-due-messages": two_confirmations_are_two_messages,
    "lists-due-messages": two_confirmations_are_two_messages,
    "names-id-in-camel-case": speaks(),
    "encodes-payload-twice": speaks(),
    "spreads-payload": speaks(),
    "writes-empty-payload-as-list": speaks(),
    "leaves-empty-payload-out": speaks(),
    "writes-digits-as-number": speaks(investigation_id="1234"),
    "updates-without-id-in-bursts": speaks(burst=2),
}

SUBSCRIBING: dict[str, Scene] = {
    "confirms-twice": confirms("i"),
    "confirms-to-everyone": confirms("i"),
    "confirms-to-co-subscribers": confirms("i"),
    "trims-confirmed-ids": confirms(" a "),
    "folds-confirmed-ids": confirms("A"),
    "normalises-confirmed-ids": confirms("e\u0301"),
    "drops-leading-zeros": confirms("007"),
    "cuts-confirmed-ids": confirms("x" * 255),
    "confirms-non-bmp-as-replacement": confirms("🦊"),
    "drops-control-characters": confirms("a\tb"),
    "unquotes-confirmed-ids": confirms("a%20b"),
    "ignores-prototype-names": confirms("constructor"),
    "ignores-long-ids": confirms("x" * 129),
    "counts-ids-in-bytes": confirms("ä" * 128),
    "ignores-ids-with-slashes": confirms("a/b"),
    "ignores-falsy-ids": confirms("0"),
    "expects-type-first": confirms("i", '{"investigation_id": "i", "type": "subscribe_investigation"}'),
    "reads-ids-without-unescaping": confirms(
        "i", '{"type": "subscribe_investigation", "investigation_id": "\\u0069"}'
    ),
    "tires-of-reconnects": reconnects(3),
    "subscribes-late": effective("i"),
    "loses-non-bmp-subscriptions": effective("🦊"),
    "trims-stored-ids": effective(" i"),
    "cuts-stored-ids": effective("x" * 255),
    "loses-pipelined-subscriptions": effective("i", "j"),
    "keeps-one-subscription": holds(2),
    "holds-hundred-subscriptions": holds(101),
    "refuses-hundredth-subscription": holds(128),
    "closes-at127-subscriptions": holds(128),
    "confirms-once": subscribes_again(2),
    "debounces-subscribes": subscribes_again(2),
    "subscribes-again-twice": subscribes_again(2),
    "fourth-subscribe-doubles": subscribes_again(4),
    "subscribing-again-doubles-after-leave": subscribes_again(2, another_leaves=True),
    "subscribing-again-toggles": subscribes_again(2),
    "refuses-unknown-fields": ignores(a=1),
    "refuses-unknown-objects": ignores(a={}),
    "refuses-unknown-nulls": ignores(a=None),
    "reads-other-id-fields": ignores(id="j"),
    "reads-one-kilobyte-of-fields": ignores(a="y" * 1001),
    "obeys-scope-of-core-clients": ignores(scope=["tasks"]),
    "confirms-missing-ids": never_confirms('{"type": "subscribe_investigation"}'),
    "confirms-numbers": never_confirms(subscribe_text(7)),
    "confirms-listed-ids": never_confirms(subscribe_text(["i"])),
    "confirms-empty-ids": never_confirms(subscribe_text("")),
    "confirms-in-reverse": confirms_in_order,
    "confirms-as-workers-finish": confirms_in_order,
    "remembers-subscriptions": starts_with_nothing(abort=False),
    "remembers-after-abort": starts_with_nothing(abort=True),
    "remembers-many-subscriptions": starts_with_nothing(abort=False),
}

ROBUSTNESS: dict[str, Scene] = {
    "malformed-closes-everyone": harms_nobody(JUNK),
    "malformed-stops-deliveries": harms_nobody(JUNK),
    "non-objects-clear-subscriptions": harms_nobody(masked(b"[]")),
    "crashes-on-deep-nesting": harms_nobody(masked(b"[" * 501)),
    "binary-loses-next-event": harms_nobody(masked(b"x", Opcode.BINARY)),
    "oversize-closes-neighbour": harms_nobody(masked(b" " * 65_537)),
    "unfinished-message-blocks-others": harms_nobody(masked(b"{", fin=False), pause=0.01),
    "drops-tcp-on-malformed": reacts(b"{"),
    "closes-with1011-on-malformed": reacts(b"{"),
    "closes-with1000-on-binary": reacts(b"x", Opcode.BINARY),
    "drops-tcp-on-binary": reacts(b"x", Opcode.BINARY),
    "drops-tcp-on-invalid-utf8": reacts(b"\xff"),
    "goes-deaf-on-bad-json": reacts(b"{"),
    "goes-deaf-on-non-objects": reacts(b"null"),
    "confirms-binary": never_confirms(subscribe_text("i"), Opcode.BINARY),
    "confirms-nan": never_confirms('{"type": "subscribe_investigation", "investigation_id": "i", "a": NaN}'),
    "confirms-trailing-text": never_confirms(subscribe_text("i") + "}"),
    "confirms-trailing-commas": never_confirms(subscribe_text("i")[:-1] + ",}"),
    "confirms-invalid-utf8": never_confirms(subscribe_text("i").encode()[:-2] + b'\xff"}'),
    "confirms-batches": never_confirms(f"[{subscribe_text('i')}]"),
    "compares-types-loosely": never_confirms(
        '{"type": ["subscribe_investigation"], "investigation_id": "i"}'
    ),
    "closes-on-unknown-type": tolerates("x"),
    "closes-on-empty-type": tolerates(""),
    "closes-on-tenth-unknown": tolerates(*"abcdefghij"),
    "calls-methods-by-type": tolerates("close"),
    "goes-deaf-on-unknown-type": tolerates("x"),
    "unknown-type-ends-subscriptions": tolerates("x"),
    "folds-types": tolerates("Subscribe_Investigation"),
    "limits-messages-to32-k": reads(33_000),
    "limits-messages-one-byte-short": reads(65_536),
    "ignores-large-messages": reads(17_000),
    "counts-escaped-size": reads(60_000, "🦊"),
    "queues-without-bound": survives_stall(),
    "sends-from-one-loop": survives_stall(ends=False),
    "awaits-subscribers-in-turn": survives_stall(ends=False),
    "stalled-reader-ends-room": survives_stall(),
    "stalled-reader-slows-all": survives_stall(ends=False),
    "drops-messages-over-rate": answers_400_messages_in_a_second,
    "closes-over-rate": answers_400_messages_in_a_second,
    "wants-heartbeats": serves_a_quiet_client,
    "wants-hello": serves_a_quiet_client,
    "closes-quiet-connections": serves_a_quiet_client,
}

EVENTS: dict[str, Scene] = {
    "drops-nulls": relays('{"a": {"b": null}}'),
    "drops-empty-containers": relays('{"a": []}'),
    "drops-zeros": relays('{"progress": 0}'),
    "keeps-known-fields-only": relays('{"a": 1}'),
    "drops-proto-members": relays('{"__proto__": {"a": 1}}'),
    "drops-empty-names": relays('{"": 1}'),
    "drops-repeated-items": relays('{"a": [1, 1, "1"]}'),
    "flattens-deep-nesting": relays('{"a": ' + "[" * 11 + "]" * 11 + "}"),
    "adds-timestamp": relays("{}"),
    "fills-in-nulls": relays("{}"),
    "corrects-investigation-id": relays('{"investigation_id": null}'),
    "merges-with-last-event": relays('{"task_id": "t", "name": "n"}', '{"task_id": "t"}'),
    "turns-empty-objects-into-lists": relays('{"a": {}}'),
    "turns-numbered-objects-into-lists": relays('{"a": {"0": 1}}'),
    "splits-dotted-names": relays('{"a.b": 1}'),
    "camel-cases-names": relays('{"task_id": "t"}'),
    "writes-booleans-as-numbers": relays('{"a": true}'),
    "sorts-lists": relays('{"a": ["b", "a"]}'),
    "rounds-fractions": relays('{"progress": 0.33333}'),
    "passes-fractions-through-singles": relays('{"progress": 0.1}'),
    "wraps-integers": relays('{"a": 2147483648}'),
    "writes-big-integers-as-strings": relays('{"a": 9007199254740993}'),
    "clamps-progress": relays('{"progress": 1.5}'),
    "escapes-html": relays('{"a": "<b>&"}'),
    "replaces-non-bmp": relays('{"a": "🦊"}'),
    "normalises-text": relays('{"a": "e\u0301"}'),
    "trims-text": relays('{"a": " b "}'),
    "drops-nul-characters": relays('{"a": "b\\u0000"}'),
    "unescapes-twice": relays('{"a": "C:\\\\new"}'),
    "unifies-line-ends": relays('{"a": "b\\r\\n"}'),
    "cuts-long-text": relays(LARGE),
    "reads-numbers-in-text": relays('{"a": "12"}'),
    "reformats-dates": relays('{"a": "2026-11-22T12:00:00Z"}'),
    "reads-null-in-text": relays('{"a": "null"}'),
    "refuses-unknown-kinds": relays('{"type": "note"}'),
    "refuses-unknown-status": relays('{"status": "odd"}'),
    "rounds-big-integers": spells('{"a": 9007199254740993}'),
    "drops-trailing-zeros": spells('{"a": 1.0}'),
    "publishes-other-id": publishes(mirrors_id),
    "publishes-folded-id": publishes(mirrors_id),
    "publishes-null-id": publishes(mirrors_id),
    "publishes-percent": publishes(has_right_progress),
    "publishes-progress-as-text": publishes(has_right_progress),
    "publishes-null-progress": publishes(has_right_progress),
    "publishes-negative-progress": publishes(has_right_progress),
    "publishes-slightly-more": publishes(has_right_progress),
    "publishes-true-progress": publishes(has_right_progress),
    "third-trigger-publishes-percent": publishes(has_right_progress, triggers=3),
    "publishes-task-without-id": publishes(has_task_id),
    "publishes-empty-task-id": publishes(has_task_id),
    "publishes-null-task-id": publishes(has_task_id),
    "publishes-new-task-kind-without-id": publishes(has_task_id),
    "publishes-without-type": publishes(has_type),
    "publishes-empty-type": publishes(has_type),
}

DELIVERY: dict[str, Scene] = {
    "loses-large-events": delivers(LARGE),
    "loses-empty-events": delivers("{}"),
    "loses-unknown-kinds": delivers('{"type": "note"}'),
    "loses-typeless-events": delivers('{"a": 1}'),
    "ends-after-completion": delivers(COMPLETED, "{}"),
    "loses-falling-progress": delivers('{"progress": 0.5}', '{"progress": 0.4}'),
    "loses-fiftieth-event": delivers(*numbered(50)),
    "debounces-events": delivers(*numbered(2)),
    "loses-while-another-subscribes": delivers_beside_a_subscribe,
    "first-event-makes-topic": effective("i"),
    "coalesces-identical-events": delivers("{}", "{}"),
    "remembers-events-by-content": delivers('{"a": 1}', '{"a": 2}', '{"a": 1}'),
    "drops-beyond-burst": delivers(*numbered(65)),
    "sleeps-when-idle": delivers(*numbered(2), gap=0.35),
    "reconnects-to-broker": delivers(*numbered(202)),
    "serves-ten-subscribers": delivers("{}", subscribers=11),
    "shares-among-subscribers": delivers("{}", subscribers=2),
    "tires-of-connections": delivers(*numbered(101)),
    "skips-slow-readers": a_slow_reader_loses_nothing,
    "abort-loses-delivery": delivers_after_an_abort,
    "delivers-twice": delivers("{}"),
    "retries-large-deliveries": delivers(LARGE, after=0.05),
    "doubles-for-twins": delivers_once_to_twins,
    "sends-last-of-burst": delivers(*numbered(2)),
    "reverses-bursts": in_order(*numbered(3)),
    "completions-overtake": in_order('{"n": 1}', COMPLETED),
    "large-events-come-late": in_order(LARGE, "{}"),
    "every-second-worker-is-slow": in_order(*numbered(3)),
    "replays-last-event": replays_nothing("{}"),
    "replays-completion": replays_nothing(COMPLETED),
    "replays-recent-event": replays_nothing("{}"),
    "replays-to-returning-clients": replays_nothing("{}", returning=True),
}

RECEIVERS: dict[str, Scene] = {
    "matches-prefixes": keeps_apart("inv-1", "inv-10"),
    "matches-longer-ids": keeps_apart("inv-10", "inv-1"),
    "matches-shell-patterns": keeps_apart("inv-*", "inv-1"),
    "matches-sql-patterns": keeps_apart("inv_1", "inv-1"),
    "matches-regular-expressions": keeps_apart("inv.1", "inv-1"),
    "matches-subjects": keeps_apart("inv.>", "inv.1"),
    "matches-topics": keeps_apart("inv/+", "inv/1"),
    "matches-any-case": keeps_apart("INV", "inv"),
    "matches-normalised": keeps_apart("e\u0301", "\u00e9"),
    "matches-trimmed": keeps_apart("a ", "a"),
    "matches-numbers": keeps_apart("007", "7"),
    "matches-truncated": keeps_apart("x" * 65, "x" * 66),
    "matches-up-to-nul": keeps_apart("a\0b", "a\0c"),
    "matches-unquoted": keeps_apart("a%20b", "a b"),
    "matches-hashes": keeps_shards_apart,
    "broadcasts-everything": keeps_apart("i", "j"),
    "falls-back-by-connection": keeps_idle_connections_out,
    "delivers-to-twins": keeps_twins_apart,
    "broadcasts-to-crowds": keeps_apart("i", "j", crowd=8),
    "broadcasts-completions": keeps_apart("i", "j", COMPLETED),
    "delivers-by-payloads-id": keeps_apart("i", "j", '{"investigation_id": "i"}'),
    "mixes-receivers-in-bursts": keeps_bursts_apart,
    "never-falls-back": falls_back(),
    "falls-back-to-one": falls_back(),
    "fallback-skips-subscribers": falls_back(),
    "fallback-ends-with-first-subscriber": falls_back(ever_subscribed=True),
    "ghosts-keep-fallback-away": falls_back(ever_subscribed=True, abort=True),
    "falls-back-to-eight": falls_back(connections=9),
}

SCENES = CONNECTION | MESSAGES | SUBSCRIBING | ROBUSTNESS | EVENTS | DELIVERY | RECEIVERS


def test_every_fault_of_part_1_has_a_scene() -> None:
    assert set(SCENES) == {
        name for name, fault in FAULTS.items() if not issubclass(fault.server, CapableServer)
    }


async def _kept(server: str | None, scene: Scene, patience: float) -> bool:
    async with await World.of(server, patience) as world:
        return await scene(world)


async def _both(name: str) -> tuple[bool, bool]:
    """Play a fault's scene with the correct server and with the faulty one."""
    right = await _kept(None, SCENES[name], 2.0)
    return right, await _kept(name, SCENES[name], 0.3)


async def _all() -> dict[str, tuple[bool, bool]]:
    """Play all of them, a few at a time: most of the time is spent waiting for what never comes."""
    beside = asyncio.Semaphore(6)

    async def one(name: str) -> tuple[bool, bool]:
        async with beside:
            return await _both(name)

    return dict(zip(SCENES, await asyncio.gather(*map(one, SCENES)), strict=True))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[bool, bool]]:
    return asyncio.run(_all())


@pytest.mark.parametrize("name", SCENES)
def test_the_fault_breaks_a_promise_that_the_correct_server_keeps(
    name: str, outcomes: dict[str, tuple[bool, bool]]
) -> None:
    # A fault of a few milliseconds can hide behind the others: it is tried once more, alone.
    right, wrong = outcomes[name] if outcomes[name] == (True, False) else asyncio.run(_both(name))
    assert right
    assert not wrong
