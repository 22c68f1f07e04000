"""Scenes of Part 2: each asks one capable server to keep one promise, and says whether it did."""

from __future__ import annotations

import asyncio
import json
import re
import time
import zlib
from typing import TYPE_CHECKING, Any

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode

from .client import World, masked
from .talk import ALL, NOTE, QUIET, SUMMARY, TASK, Talk, hasten, hello_text, invalid, published

if TYPE_CHECKING:
    from .client import Client
    from .scenes import Scene

# Negotiation.


def grants(asked: list[str], granted: set[str]) -> Scene:
    """A welcome lists what was asked for and is there."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *asked)
        return [set(message["features"]) for message in talk.of("welcome")] == [granted]

    return scene


def welcomes(**fields: object) -> Scene:
    """A hello is welcomed, with protocol 1."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, "scopes", hello=fields)
        return [message["protocol"] for message in talk.of("welcome")] == [1] and await talk.works()

    return scene


async def leaves_numbers_out(world: World) -> bool:
    talk = await Talk.begin(world, "scopes")
    await talk.subscribed()
    await world.inject("i")
    await talk.gets("investigation_update")
    return [set(message) for message in talk.of("investigation_update")] == [
        {"type", "investigation_id", "data"}
    ]


async def keeps_features_of_twins_apart(world: World) -> bool:
    older = await Talk.begin(world, "replay", client_id="twin")
    await Talk.begin(world, client_id="twin")
    return "token" in await older.subscribed()


async def ignores_what_was_not_negotiated(world: World) -> bool:
    talk = await Talk.begin(world)
    await talk.subscribed(scope=["tasks"], replay_token="x", ref="r")  # noqa: S106 - no password
    talk.unsubscribe()
    talk.say(type="ping", id="x")
    world.burst(("i", SUMMARY))
    delivered = await talk.gets("investigation_update")
    await talk.heard()
    world.burst(("i", SUMMARY))
    return delivered and await talk.gets("investigation_update", 2) and not talk.of("pong", "unsubscribed")


async def negotiates_nothing_without_a_hello(world: World) -> bool:
    _, token = await _left_behind(world)
    core = Talk(world, await world.client("core"))
    await core.subscribed(replay_token=token)
    core.unsubscribe()
    await core.subscribed("heard")
    world.burst(("i", SUMMARY))
    return await core.gets("investigation_update") and len(core.of("investigation_update")) == 1


async def ignores_a_second_hello(world: World) -> bool:
    talk = await Talk.begin(world, "scopes")
    talk.say(type="hello", protocol=1, features=["replay"])
    confirmation = await talk.subscribed()
    return len(talk.of("welcome")) == 1 and "seq" not in confirmation and "scope" in confirmation


async def welcomes_first(world: World) -> bool:
    client = await world.knock("c")
    subscribe = json.dumps({"type": "subscribe_investigation", "investigation_id": "i"})
    client.write(masked(hello_text("replay").encode()), masked(subscribe.encode()))
    await client.waits(lambda: len(client.messages) == 2, world.patience)
    return [message["type"] for message in client.messages] == ["welcome", "subscription_confirmed"]


async def ignores_a_late_hello(world: World) -> bool:
    talk = Talk(world, await world.client("c", "i"))
    talk.say(type="hello", protocol=1, features=["replay"])
    return await talk.works() and not talk.of("welcome")


async def ignores_a_hello_after_unknown(world: World) -> bool:
    talk = Talk(world, await world.client("c"))
    talk.say(type="odd")
    talk.say(type="hello", protocol=1, features=["replay"])
    return await talk.works() and not talk.of("welcome")


def echoes(ref: str) -> Scene:
    """Every answer has the reference of what it answers."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *ALL, hello={"ref": ref})
        token = (await talk.subscribed(ref=ref)).get("token")
        await talk.subscribed(ref=ref, replay_token=token)
        await talk.gets("replay_complete")
        talk.say(type="ping", id="p", ref=ref)
        talk.say(type="odd", ref=ref)
        talk.unsubscribe(ref=ref)
        await talk.gets("unsubscribed")
        return [message.get("ref") for message in talk.client.messages] == [ref] * 7

    return scene


async def makes_no_refs_up(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET, hello={"ref": "first"})
    return "ref" not in await talk.subscribed()


def never_falls_back(*subscriptions: str) -> Scene:
    """A connection that said hello gets nothing of what it is not subscribed to."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world)
        for investigation_id in subscriptions:
            await talk.subscribed(investigation_id)
        core = await world.client()
        await world.inject("other")
        falls_back = await core.gets(1, "other", world.patience)
        return falls_back and await talk.works() and not talk.of("investigation_update")

    return scene


# Heartbeat.


def answers_pings(*ids: str) -> Scene:
    """Each ping is answered by its id."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *ALL)
        for one in ids:
            talk.say(type="ping", id=one)
        await talk.gets("pong", len(ids))
        return [message["id"] for message in talk.of("pong")] == list(ids)

    return scene


async def _behind(world: World, *features: str, kib: int) -> Talk:
    """Return a connection for which about so much waits."""
    talk = await Talk.begin(world, *features, receive_buffer=4096)
    await talk.subscribed()
    talk.stall()
    world.burst(*published(range(kib // 4), pad="x" * 4000))
    return talk


async def answers_a_ping_ahead_of_events(world: World) -> bool:
    talk = await _behind(world, "heartbeat", "unsubscribe", kib=200)
    talk.say(type="ping", id="p")
    await talk.heard()
    talk.read_on()
    await talk.gets("investigation_update", 50)
    return "pong" in [message["type"] for message in talk.client.messages[:-20]]


async def pings_the_silent(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, "heartbeat")
    return await talk.gets("ping", patience=2)


async def pings_a_listener(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, "heartbeat")
    await talk.subscribed()
    for _ in range(10):
        world.burst(("i", NOTE))
        await asyncio.sleep(0.04)
        if talk.of("ping"):
            return True
    return False


async def ends_the_dead_in_time(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, "heartbeat")
    began = time.monotonic()
    await talk.client.ends(1.5)
    return talk.client.ended == 4001 and time.monotonic() - began > 0.39


async def ends_the_dead_of_a_busy_stream(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, "heartbeat")
    await talk.subscribed()
    for _ in range(30):
        world.burst(("i", NOTE))
        await asyncio.sleep(0.04)
    return talk.client.ended == 4001


async def pings_who_answers_again_and_again(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, "heartbeat")
    for number in range(1, 6):
        if not await talk.gets("ping", number):
            return False
        talk.say(type="pong", id=talk.of("ping")[-1]["id"])
    return True


async def takes_ping_frames_for_life(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, "heartbeat")
    for _ in range(14):
        talk.client.write(masked(b"", Opcode.PING))
        await asyncio.sleep(0.05)
    return talk.client.ended is None


async def answers_pings_or_shows_life(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, "heartbeat")
    for number in range(14):
        talk.subscribe(f"i{number}")
        await asyncio.sleep(0.05)
    return talk.client.ended is None


async def ignores_unknown_pongs(world: World) -> bool:
    talk = await Talk.begin(world, *ALL)
    talk.say(type="pong", id="s999")
    return await talk.works()


async def pings_no_connection_of_part_1(world: World) -> bool:
    hasten(world)
    talk = Talk(world, await world.client("c", "i"))
    await asyncio.sleep(0.4)
    return await talk.works() and not talk.of("ping")


async def pings_nobody_who_did_not_ask(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, "errors")
    await asyncio.sleep(0.4)
    return await talk.works() and not talk.of("ping")


# Compression.


async def _compressed(world: World, *features: str) -> Talk:
    return await Talk.begin(world, *features, extensions=(ClientPerMessageDeflateFactory(),))


async def sends_the_same_compressed(world: World) -> bool:
    talk = await _compressed(world, *QUIET)
    await talk.subscribed()
    texts = [json.dumps({"n": number, "pad": "ä€" * 10_000}, ensure_ascii=False) for number in range(3)]
    world.burst(*[("i", text) for text in texts])
    talk.client.write(masked(b"x", Opcode.PING))
    await talk.gets("investigation_update", 3)
    same = talk.client.payloads("i") == [json.loads(text) for text in texts]
    return same and await talk.works() and talk.client.pongs == [b"x"]


def _deflated(deflater: zlib._Compress, **message: object) -> bytes:
    """Return a message's one frame, compressed with what went before (RFC 7692)."""
    data = deflater.compress(json.dumps(message).encode()) + deflater.flush(zlib.Z_SYNC_FLUSH)
    made = masked(data[:-4])
    return bytes((made[0] | 0x40,)) + made[1:]


async def understands_what_is_compressed(world: World) -> bool:
    talk = await _compressed(world)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    for id_ in "ij":
        talk.client.write(_deflated(deflater, type="subscribe_investigation", investigation_id=id_))
    return await talk.gets("subscription_confirmed", 2) and talk.client.confirmed() == ["i", "j"]


async def refuses_what_inflates_to_too_much(world: World) -> bool:
    talk = await _compressed(world)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    much = {"type": "subscribe_investigation", "investigation_id": "i", "pad": "x" * 70_000}
    talk.client.write(_deflated(deflater, **much))
    await talk.client.ends(world.patience)
    return talk.client.ended == 1009 and not talk.client.confirmed()


# Numbers.


def _in_sequence(client: Client, first: int) -> bool:
    """Hold the updates of i against RPL-1 and RPL-2, from a position on."""
    last, before = first, None
    for message in client.messages:
        if message["type"] != "investigation_update" or message["investigation_id"] != "i":
            continue
        if (
            message["seq"] <= last
            or message["prev"] > last
            or (before is not None and message["prev"] < before)
        ):
            return False
        last = before = message["seq"]
    return True


def numbers(*texts: str, scope: str = "all") -> Scene:
    """seq rises, and prev fits, live and replayed; the schemas are kept."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *QUIET)
        confirmation = await talk.subscribed(scope=[scope])
        for text in texts:
            world.burst(("other", text), ("i", text))
            await asyncio.sleep(0.002)
        await talk.gets("investigation_update", len(texts), 0.3)
        back = await Talk.begin(world, *QUIET)
        resumed = await back.subscribed(scope=[scope], replay_token=confirmation["token"])
        await back.gets("replay_complete")
        wrong = [invalid(message) for message in talk.client.messages + back.client.messages]
        if any(wrong) or not talk.of("investigation_update"):
            return False
        return _in_sequence(talk.client, confirmation["seq"]) and _in_sequence(back.client, resumed["seq"])

    return scene


async def numbers_for_all(world: World) -> bool:
    older = await Talk.begin(world, *QUIET)
    await older.subscribed()
    world.burst(("i", NOTE))
    newer = await Talk.begin(world, *QUIET)
    await newer.subscribed()
    world.burst(("i", NOTE))
    await older.gets("investigation_update", 2)
    await newer.gets("investigation_update")
    seen = [talk.of("investigation_update")[-1]["seq"] for talk in (older, newer)]
    return len(set(seen)) == 1


def speaks_by_the_schemas(**subscribe: object) -> Scene:
    """What answers a subscribe and nonsense is valid."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *ALL)
        token = (await talk.subscribed())["token"]
        await talk.subscribed(**{"replay_token": token, **subscribe})
        talk.say(type="odd")
        await talk.gets("error")
        return not any(invalid(message) for message in talk.client.messages)

    return scene


# Tokens.


async def _left_behind(
    world: World, number: int = 3, investigation_id: str = "i", **fields: object
) -> tuple[Talk, str]:
    """Return a connection that saw nothing of so many events, and its token."""
    talk = await Talk.begin(world, *QUIET, client_id="old")
    confirmation = await talk.subscribed(investigation_id, **fields)
    talk.unsubscribe("nothing")
    world.burst(*[(investigation_id, text) for _, text in published(range(number))])
    await talk.gets("unsubscribed")
    return talk, confirmation.get("token", "")


def resumes(
    number: int = 3,
    *,
    investigation_id: str = "i",
    times: int = 1,
    close: bool = False,
    unsubscribe: bool = False,
    scope: str = "all",
) -> Scene:
    """A token gives everything since, wherever it is used."""

    async def scene(world: World) -> bool:
        talk, token = await _left_behind(world, number, investigation_id)
        if unsubscribe:
            talk.unsubscribe(investigation_id)
            await talk.gets("unsubscribed", 2)
        if close:
            talk.client.close()
            await talk.client.ends(world.patience)
            await world.until(lambda: not world.server.peers)
        for _ in range(times):
            back = await Talk.begin(world, *QUIET, client_id="new")
            answer = await back.subscribed(investigation_id, replay_token=token, scope=[scope])
            await back.gets("replay_complete")
            if answer.get("replay") != {"status": "complete", "count": number}:
                return False
            if back.numbers(investigation_id) != list(range(number)) or not back.of("replay_complete"):
                return False
        return True

    return scene


def refuses_token(change: str) -> Scene:
    """A token that was tampered with, or of another investigation, is invalid."""

    async def scene(world: World) -> bool:
        _, token = await _left_behind(world)
        other = {
            "foreign": ("j", token),
            "upper": ("I", token),
            "truncated": ("i", token[:-1]),
            "flipped": ("i", token[:-1] + ("0" if token[-1] != "0" else "1")),
        }[change]
        back = await Talk.begin(world, *QUIET)
        answer = await back.subscribed(other[0], replay_token=other[1])
        failed = answer.get("replay") == {"status": "failed", "reason": "invalid"}
        return failed and await back.works() and not back.of("investigation_update", "replay_complete")

    return scene


async def writes_tokens_for_urls(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    token = (await talk.subscribed())["token"]
    return re.fullmatch(r"[A-Za-z0-9._~-]{1,512}", token) is not None


async def begins_another_epoch(world: World) -> bool:
    before = (await (await Talk.begin(world, *QUIET)).subscribed())["epoch"]
    await world.restart()
    back = await Talk.begin(world, *QUIET)
    return bool((await back.subscribed())["epoch"] != before)


async def announces_new_sequences(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    epoch = (await talk.subscribed())["epoch"]
    for _ in range(25):
        world.burst(*[("i", NOTE)] * 10)
        await asyncio.sleep(0)
    await talk.gets("investigation_update", 250)
    now = (await talk.subscribed())["epoch"]
    told = [epoch, *(message["epoch"] for message in talk.of("gap"))]
    return bool(told[-1] == now)


async def resumes_after_a_restart(world: World) -> bool:
    talk, token = await _left_behind(world)
    await world.restart()
    await talk.client.ends(world.patience)
    back = await Talk.begin(world, *QUIET)
    answer = await back.subscribed(replay_token=token)
    return answer["replay"] == {"status": "complete", "count": 3} and await back.gets("replay_complete")


# Replays.


async def has_too_much_to_replay(world: World) -> bool:
    _, token = await _left_behind(world, 101)
    back = await Talk.begin(world, *QUIET)
    answer = await back.subscribed(replay_token=token)
    failed = answer["replay"] == {"status": "failed", "reason": "expired"}
    return failed and await back.works() and not back.of("investigation_update", "replay_complete")


def replays(*texts: str, scope: str = "all", expected: int | None = None) -> Scene:
    """What is replayed is what was published, and counted rightly."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *QUIET)
        token = (await talk.subscribed())["token"]
        world.burst(*[("i", text) for text in texts])
        answer = await talk.subscribed(replay_token=token, scope=[scope])
        await talk.gets("replay_complete")
        count = len(texts) if expected is None else expected
        replayed = [m["data"] for m in talk.of("investigation_update") if m.get("replayed")]
        right = replayed == [json.loads(text) for text in texts][:count]
        return right and answer["replay"]["count"] == count and len(talk.of("replay_complete")) == 1

    return scene


async def resumes_after_the_last_event(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    await talk.subscribed()
    world.burst(("i", NOTE), ("i", NOTE))
    await talk.gets("investigation_update", 2)
    update = talk.of("investigation_update")[-1]
    back = await Talk.begin(world, *QUIET)
    answer = await back.subscribed(replay_token=update["token"])
    complete = await back.gets("replay_complete")
    return (
        complete and (answer["seq"], answer["replay"]["count"]) == (update["seq"], 0) and not back.numbers()
    )


async def confirms_where_it_resumes(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    start = await talk.subscribed()
    world.burst(("i", NOTE), ("i", NOTE))
    answer = await talk.subscribed(replay_token=start["token"])
    await talk.gets("replay_complete")
    return (answer["seq"], answer["token"]) == (start["seq"], start["token"])


async def confirms_a_failure_at_the_head(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    await talk.subscribed()
    world.burst(("i", NOTE), ("i", NOTE))
    await talk.gets("investigation_update", 2)
    answer = await talk.subscribed(replay_token="forged")  # noqa: S106 - no password
    at_head = answer["seq"] == talk.of("investigation_update")[-1]["seq"]
    return at_head and await talk.works() and not talk.of("replay_complete")


async def hands_over(world: World) -> bool:
    """Events that are published during a replay come once, in their order, behind replay_complete."""
    _, token = await _left_behind(world, 60)
    talk = await Talk.begin(world, *QUIET)
    talk.subscribe(replay_token=token)
    number = 60
    await world.until(lambda: bool(talk.session.replays))
    while number < 100:
        world.burst(*published(range(number, number + 2)))
        number += 2
        if number > 64:
            await asyncio.sleep(0)
    await talk.gets("investigation_update", number)
    if not await talk.works():
        return False
    types = [
        m["type"] + str(m.get("replayed", ""))
        for m in talk.client.messages
        if m.get("investigation_id") == "i"
    ]
    order = [key for index, key in enumerate(types) if index == 0 or types[index - 1] != key]
    whole = ["subscription_confirmed", "investigation_updateTrue", "replay_complete", "investigation_update"]
    return order == whole and talk.numbers() == list(range(number))


def leaves_a_replay_alone(then: str) -> Scene:
    """What is sent during a replay of its investigation waits for the end of it."""

    async def scene(world: World) -> bool:
        _, token = await _left_behind(world, 60)
        talk = await Talk.begin(world, *QUIET)
        talk.subscribe(replay_token=token)
        if then == "subscribe":
            talk.subscribe(scope=["summary"])
        else:
            talk.unsubscribe()
        answer = ("subscription_confirmed", 2) if then == "subscribe" else ("unsubscribed", 1)
        await talk.gets(*answer)
        types = [message["type"] for message in talk.client.messages]
        complete = "replay_complete" in types and types[-2:] == ["replay_complete", answer[0]]
        return complete and talk.numbers() == list(range(60))

    return scene


async def goes_on_after_a_replay(world: World) -> bool:
    _, token = await _left_behind(world, 11)
    talk = await Talk.begin(world, *QUIET)
    await talk.subscribed(replay_token=token)
    await talk.gets("replay_complete")
    world.burst(*published(range(11, 13)))
    await talk.gets("investigation_update", 13)
    return await talk.works() and talk.numbers() == list(range(13))


async def sends_positions(world: World) -> bool:
    hasten(world)
    talk = await Talk.begin(world, *QUIET)
    for investigation_id in ("i", "j"):
        await talk.subscribed(investigation_id, scope=["tasks"])
    for number in (1, 2):
        world.burst(("i", SUMMARY), ("j", SUMMARY))
        await talk.gets("position", 2 * number, max(0.6, world.patience))
    seqs = sorted((m["investigation_id"], m["seq"]) for m in talk.of("position"))
    return seqs == [("i", 1), ("i", 2), ("j", 1), ("j", 2)]


# Scopes.


async def keeps_the_first_at_the_limit(world: World) -> bool:
    talk = await Talk.begin(world, "errors")
    ids = ["i", *(f"i{number}" for number in range(129))]
    for id_ in ids:
        talk.subscribe(id_)
    await talk.client.waits(
        lambda: len(talk.of("subscription_confirmed", "error")) >= len(ids), world.patience
    )
    world.burst(("i", NOTE))
    return await talk.gets("investigation_update")


def filters(scope: list[str], inside: list[str], outside: list[str]) -> Scene:
    """A subscription gets what is in its scope."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *QUIET)
        confirmation = await talk.subscribed(scope=scope)
        world.burst(*[("i", text) for text in (*outside, *inside)])
        await talk.gets("investigation_update", len(inside))
        fits = talk.client.payloads("i") == [json.loads(text) for text in inside]
        return await talk.works() and fits and confirmation.get("scope") == scope

    return scene


def refuses_scope(scope: object) -> Scene:
    """A scope that is none changes nothing."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *QUIET)
        await talk.subscribed(scope=["tasks"])
        talk.subscribe(scope=scope)
        told = await talk.gets("error")
        world.burst(("i", SUMMARY), ("i", TASK))
        await talk.gets("investigation_update")
        kept = talk.client.payloads("i") == [json.loads(TASK)]
        return told and await talk.works() and kept and len(talk.client.confirmed()) == 2

    return scene


async def switches(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    await talk.subscribed(scope=["tasks"])
    world.burst(("i", TASK))
    await talk.gets("investigation_update")
    await talk.subscribed(scope=["summary"])
    world.burst(("i", TASK), ("i", SUMMARY))
    await talk.gets("investigation_update", 2)
    return await talk.works() and talk.client.payloads("i") == [json.loads(TASK), json.loads(SUMMARY)]


async def switches_without_loss(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    await talk.subscribed(scope=["tasks"])
    world.burst(*published(range(1)))
    talk.subscribe(scope=["summary"])
    await talk.heard()
    world.burst(*published(range(1, 3)))
    await talk.gets("subscription_confirmed", 2)
    await talk.gets("investigation_update", 3)
    return await talk.works() and talk.numbers() == [0, 1, 2]


# Unsubscribing.


async def unsubscribes(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    await talk.subscribed()
    for number in (1, 2):
        talk.unsubscribe()
        if not await talk.gets("unsubscribed", number):
            return False
        world.burst(("i", NOTE))
        if not await talk.works() or talk.numbers():
            return False
    await talk.subscribed()
    world.burst(("i", NOTE))
    return await talk.gets("investigation_update")


async def unsubscribes_behind_events(world: World) -> bool:
    talk = await _behind(world, "unsubscribe", kib=200)
    talk.unsubscribe()
    await talk.heard()
    talk.read_on()
    await talk.gets("unsubscribed")
    await talk.works()
    types = [message["type"] for message in talk.client.messages]
    return "investigation_update" not in types[types.index("unsubscribed") :]


# Flow.


def presses(kib: int) -> Scene:
    """A queue that fills and empties is told once each."""

    async def scene(world: World) -> bool:
        talk = await _behind(world, "flow", kib=kib)
        talk.read_on()
        await talk.gets("investigation_update", kib // 4)
        await talk.gets("backpressure", 2)
        states = [message["state"] for message in talk.of("backpressure")]
        most = talk.of("welcome")[0]["limits"]["max_queue_bytes"]
        still = min((message["queued_bytes"] for message in talk.of("backpressure")), default=0)
        in_order = talk.numbers() == list(range(kib // 4))
        return states == ["high", "normal"] and still <= most / 4 and in_order

    return scene


async def ends_the_slow(world: World) -> bool:
    talk = await _behind(world, kib=600)
    talk.read_on()
    await talk.client.ends(world.patience)
    return talk.client.ended == 4002 and talk.numbers() == list(range(len(talk.numbers())))


async def ends_slow_core_connections(world: World) -> bool:
    client = await world.client("c", "i")
    client.transport.pause_reading()
    world.burst(*published(range(160), pad="x" * 60_000))
    client.transport.resume_reading()
    await client.ends(world.patience)
    return client.ended == 1013


async def limits_the_rate(world: World) -> bool:
    talk = await Talk.begin(world, "flow")
    for number in range(300):
        talk.subscribe("i", ref=str(number))
    await talk.client.waits(lambda: len(talk.of("subscription_confirmed", "error")) >= 300, world.patience)
    carried_out = {message["ref"] for message in talk.of("subscription_confirmed")}
    refused = talk.of("error")
    told = all(
        message["code"] == "rate_limited" and message.get("retry_after_ms", 0) > 0 for message in refused
    )
    all_answered = {message["ref"] for message in refused} | carried_out == set(map(str, range(300)))
    return bool(refused) and told and all_answered and len(carried_out) + len(refused) == 300


async def ends_abuse(world: World) -> bool:
    talk = await Talk.begin(world, "flow")
    for _ in range(800):
        talk.subscribe("i")
    await talk.client.ends(world.patience)
    return talk.client.ended == 4003


# Errors.


async def keeps_errors_to_itself(world: World) -> bool:
    talk = await Talk.begin(world, "scopes")
    talk.client.say("{")
    talk.say(type="odd")
    talk.subscribe("i", scope=[])
    return await talk.works() and not talk.of("error")


async def reports(world: World) -> bool:
    talk = await Talk.begin(world, *ALL)
    talk.client.say("{")
    talk.client.say("[]")
    talk.say(type="odd")
    talk.subscribe("i", scope=[])
    talk.subscribe("i", ref=5)
    talk.say(type="hello", protocol=1, features=[])
    await talk.gets("error", 6)
    expected: dict[str, Any] = {
        "invalid_json": False, "invalid_message": False, "unknown_type": False, "invalid_scope": False,
        "already_initialized": False,
    }  # fmt: skip
    errors = talk.of("error")
    return len(errors) == 6 and {message["code"]: message["temporary"] for message in errors} == expected


async def calls_limits_temporary(world: World) -> bool:
    talk = await Talk.begin(world, "errors")
    for _ in range(300):
        talk.subscribe("i")
    await talk.gets("error")
    return {(m["code"], m["temporary"]) for m in talk.of("error")} == {("rate_limited", True)}
