"""Scenes: each asks one server to keep one promise, and says whether it did.

A scene is a small script over real sockets. What must come is waited for; what must not come is looked for
behind a fence (`Client.works`) or, where the fault itself is a delay, after a pause.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from websockets.frames import Opcode

from .client import Client, World, masked, subscribe_text

if TYPE_CHECKING:
    from collections.abc import Iterable

Scene = Callable[[World], Awaitable[bool]]

# Connections.


def upgrades(client_id: str) -> Scene:
    async def scene(world: World) -> bool:
        client = await world.knock(client_id)
        return client.status == 101 and await client.works(world.patience)

    return scene


async def plain_get_is_refused(world: World) -> bool:
    status = await world.plain_get()
    return status is not None and 400 <= status < 500


def pongs(payload: bytes, *, within_fragments: bool = False) -> Scene:
    async def scene(world: World) -> bool:
        client = await world.client()
        ping = masked(payload, Opcode.PING)
        if within_fragments:
            text = subscribe_text("x").encode()
            ping = masked(text[:5], fin=False) + ping + masked(text[5:], Opcode.CONT)
        client.write(ping)
        return await client.waits(lambda: client.pongs.count(payload) == 1, world.patience)

    return scene


def closes(code: int | None, *subscriptions: str) -> Scene:
    async def scene(world: World) -> bool:
        client = await world.client("c", *subscriptions)
        client.close(code)
        await client.ends(world.patience)
        return client.ended == (code or 1005)

    return scene


def twins(number: int, *, same_investigation: bool = False) -> Scene:
    """Every connection of a client_id is served, the older ones too."""

    async def scene(world: World) -> bool:
        clients = [await world.knock("twin") for _ in range(number)]
        for index, client in enumerate(clients):
            investigation_id = "i" if same_investigation else f"i{index}"
            if not await client.subscribe(investigation_id, world.patience):
                return False
            if client.confirmed() != [investigation_id]:
                return False
        for investigation_id in ["i"] if same_investigation else [f"i{index}" for index in range(number)]:
            await world.inject(investigation_id)
        for index, client in enumerate(clients):
            await client.gets(1, "i" if same_investigation else f"i{index}", world.patience)
            if not await client.works(world.patience):
                return False
        return all(
            sum(m["type"] == "investigation_update" for m in client.messages) == 1 for client in clients
        )

    return scene


def leaves(leaver: str, others: Iterable[str], *, abort: bool = False, quick_return: bool = False) -> Scene:
    """The end of a connection leaves the others' subscriptions alone.

    A witness keeps the investigation from the fallback, which would hide the loss.
    """

    async def scene(world: World) -> bool:
        await world.client("witness", "i")
        leaving = await world.client(leaver, "i")
        staying = [] if quick_return else [await world.client(client_id, "i") for client_id in others]
        if abort:
            leaving.abort()
        else:
            leaving.close()
        await world.until(lambda: len(world.server.peers) == 1 + len(staying))
        if quick_return:
            staying = [await world.client(client_id, "i") for client_id in others]
            await asyncio.sleep(0.15)
        await world.inject("i")
        return all([await client.gets(1, "i", world.patience) for client in staying])

    return scene


def segment(*ids: str) -> Scene:
    """Subscribes in one segment are each confirmed once."""

    async def scene(world: World) -> bool:
        client = await world.client()
        client.write(*(masked(subscribe_text(one).encode()) for one in ids))
        await client.waits(lambda: len(client.confirmed()) == len(ids), world.patience)
        return sorted(client.confirmed()) == sorted(ids) and await client.works(world.patience)

    return scene


def fragments(investigation_id: str, *, size: int, ping: bool = False, empty: bool = False) -> Scene:
    """A subscribe that comes in fragments of `size` bytes is understood."""

    async def scene(world: World) -> bool:
        client = await world.client()
        text = subscribe_text(investigation_id).encode()
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        if empty:
            parts.insert(1, b"")
        for index, part in enumerate(parts):
            opcode = Opcode.CONT if index else Opcode.TEXT
            client.write(masked(part, opcode, fin=index == len(parts) - 1))
            if ping and index < len(parts) - 1:
                client.write(masked(b"", Opcode.PING))
        return await client.waits(lambda: client.confirmed() == [investigation_id], world.patience)

    return scene


async def a_byte_at_a_time(world: World) -> bool:
    client = await world.client()
    for byte in masked(subscribe_text("x").encode()):
        client.write(bytes((byte,)))
        await asyncio.sleep(0.0005)
    return await client.waits(lambda: client.confirmed() == ["x"], world.patience)


# Messages.


def _well_formed(client: Client) -> bool:
    """Say whether every data message keeps MSG-1 and MSG-2."""
    return all(opcode is Opcode.TEXT and _is_message(data) for opcode, data in client.frames)


def _is_message(data: bytes) -> bool:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name appears twice")
        return dict(pairs)

    try:
        message = json.loads(data.decode(), object_pairs_hook=unique)
    except ValueError:
        return False
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return False
    if message["type"] == "subscription_confirmed":
        return isinstance(message.get("investigation_id"), str)
    if message["type"] == "investigation_update":
        return isinstance(message.get("investigation_id"), str) and isinstance(message.get("data"), dict)
    return True


def speaks(
    text: str = "{}", *, investigation_id: str = "i", burst: int = 1, idle: float = 0, junk: bytes = b""
) -> Scene:
    """All that a subscriber gets is well formed, and enough comes."""

    async def scene(world: World) -> bool:
        client = await world.client()
        client.say(subscribe_text(investigation_id))
        if junk:
            client.write(masked(junk))
        await client.waits(lambda: len(client.frames) > 0, world.patience)
        world.burst(*[(investigation_id, text)] * burst)
        await client.gets(burst, investigation_id, world.patience)
        await asyncio.sleep(idle)
        return len(client.payloads(investigation_id)) == burst and _well_formed(client)

    return scene


async def two_confirmations_are_two_messages(world: World) -> bool:
    client = await world.client()
    client.write(masked(subscribe_text("a").encode()), masked(subscribe_text("b").encode()))
    await client.waits(lambda: len(client.frames) == 2, world.patience)
    return len(client.frames) == 2 and _well_formed(client)


# Subscribing.


def confirms(investigation_id: str, text: str | None = None) -> Scene:
    """A subscribe is confirmed once, with its id, to who sent it; other subscribers hear nothing of it."""

    async def scene(world: World) -> bool:
        other = await world.client("o", "other", investigation_id)
        client = await world.client("c")
        client.say(text or subscribe_text(investigation_id))
        await client.waits(lambda: len(client.confirmed()) > 0, world.patience)
        kept = await client.works(world.patience) and await other.works(world.patience)
        return kept and client.confirmed()[:-1] == [investigation_id] and len(other.confirmed()) == 3

    return scene


def reconnects(times: int) -> Scene:
    """Each connection in a row of one client_id is served."""

    async def scene(world: World) -> bool:
        for _ in range(times):
            client = await world.knock("again")
            if not await client.subscribe("i", world.patience):
                return False
            client.close()
            await client.ends(world.patience)
        return True

    return scene


def effective(*ids: str, events: int = 1) -> Scene:
    """Subscribes that are sent together are effective once they are confirmed."""

    async def scene(world: World) -> bool:
        client = await world.client()
        client.write(*(masked(subscribe_text(one).encode()) for one in ids))
        await client.waits(lambda: len(client.confirmed()) == len(ids), world.patience)
        world.burst(*[(one, "{}") for one in ids for _ in range(events)])
        return await client.waits(
            lambda: all(len(client.payloads(one)) == events for one in ids), world.patience
        )

    return scene


def holds(number: int) -> Scene:
    """So many subscriptions are confirmed and effective; a witness keeps the fallback out."""

    async def scene(world: World) -> bool:
        client = await world.client()
        ids = [f"i{index}" for index in range(number)]
        for one in ids:
            await world.client(f"w-{one}", one)
            if not await client.subscribe(one, world.patience):
                return False
        world.burst(*[(one, "{}") for one in ids])
        for one in ids:
            await client.gets(1, one, world.patience)
        fence = await client.subscribe(ids[0], world.patience)
        return fence and all(len(client.payloads(one)) == 1 for one in ids)

    return scene


def subscribes_again(times: int, *, another_leaves: bool = False) -> Scene:
    """Each subscribe is confirmed, and an update comes once."""

    async def scene(world: World) -> bool:
        client = await world.client("c", "i")
        if another_leaves:
            other = await world.client("o", "i")
            other.close()
            await world.until(lambda: len(world.server.peers) == 1)
        for _ in range(times - 1):
            client.say(subscribe_text("i"))
        if not await client.waits(lambda: client.confirmed() == ["i"] * times, world.patience):
            return False
        await world.inject("i")
        await client.gets(1, "i", world.patience)
        return await client.works(world.patience) and len(client.payloads("i")) == 1

    return scene


def ignores(**unknown: object) -> Scene:
    """Unknown fields of a subscribe change nothing."""

    async def scene(world: World) -> bool:
        client = await world.client()
        client.say(subscribe_text("i", **unknown))
        if not await client.waits(lambda: client.confirmed() == ["i"], world.patience):
            return False
        await world.inject("i", '{"type": "note"}')
        return await client.gets(1, "i", world.patience)

    return scene


def never_confirms(text: str | bytes, opcode: Opcode = Opcode.TEXT) -> Scene:
    """Something is not confirmed."""

    async def scene(world: World) -> bool:
        client = await world.client()
        client.write(masked(text.encode() if isinstance(text, str) else text, opcode))
        await client.works(world.patience)
        return len(client.confirmed()) == (0 if client.ended else 1)

    return scene


async def confirms_in_order(world: World) -> bool:
    client = await world.client()
    ids = [f"i{index}" for index in range(20)]
    client.write(*(masked(subscribe_text(one).encode()) for one in ids))
    await client.waits(lambda: len(client.confirmed()) == len(ids), world.patience)
    return client.confirmed() == ids


def starts_with_nothing(*, abort: bool) -> Scene:
    """A new connection of a client_id has no subscriptions."""

    async def scene(world: World) -> bool:
        witness = await world.client("w", "i0")
        client = await world.client("c", "i0", "i1", "i2")
        if abort:
            client.abort()
        else:
            client.close()
        await world.until(lambda: len(world.server.peers) == 1)
        client = await world.client("c")
        await world.inject("i0")
        await witness.gets(1, "i0", world.patience)
        return await client.works(world.patience) and client.payloads("i0") == []

    return scene


# Robustness.


def harms_nobody(*frames: bytes, pause: float = 0) -> Scene:
    """What one connection sends leaves the others and the server alone."""

    async def scene(world: World) -> bool:
        witness = await world.client("w", "i")
        offender = await world.client("c")
        offender.write(*frames)
        if pause:
            await asyncio.sleep(pause)
        else:
            await offender.works(world.patience)
        await world.inject("i")
        newcomer = await world.knock("n")
        works = await witness.works(world.patience) and await newcomer.works(world.patience)
        return works and witness.ended is None and await witness.gets(1, "i", world.patience)

    return scene


def reacts(payload: bytes, opcode: Opcode = Opcode.TEXT) -> Scene:
    """Malformed input is ignored or ends the connection in a way that ROB-2 allows."""

    async def scene(world: World) -> bool:
        client = await world.client()
        client.write(masked(payload, opcode))
        works = await client.works(world.patience)
        if client.ended is None:
            return works
        return client.ended in (1002, 1003, 1007, 1008, 1009) or 4000 <= client.ended < 5000

    return scene


def tolerates(*types: str) -> Scene:
    """Messages of unknown type do no harm."""

    async def scene(world: World) -> bool:
        client = await world.client("c", "i")
        for type_ in types:
            client.say(json.dumps({"type": type_, "investigation_id": "unasked"}))
        works = await client.works(world.patience)
        await world.inject("i")
        came = await client.gets(1, "i", world.patience)
        return works and came and "unasked" not in client.confirmed()

    return scene


def reads(size: int, filler: str = "y") -> Scene:
    """A subscribe of so many bytes is confirmed."""

    async def scene(world: World) -> bool:
        client = await world.client()
        room = size - len(subscribe_text("x", pad="").encode())
        width = len(filler.encode())
        text = subscribe_text("x", pad=filler * (room // width) + "y" * (room % width))
        assert len(text.encode()) == size
        client.say(text)
        return await client.waits(lambda: client.confirmed() == ["x"], world.patience)

    return scene


def survives_stall(*, ends: bool = True, patience: float = 0.3) -> Scene:
    """A client that reads nothing delays nobody, and (`ends`) is ended."""

    async def scene(world: World) -> bool:
        before = await world.client("b", "i")
        stalled = await world.knock("s", receive_buffer=4096)
        await stalled.subscribe("i", world.patience)
        after = await world.client("a", "i")
        stalled.transport.pause_reading()
        payload = json.dumps({"pad": "y" * 60_000})
        for number in range(160):
            world.burst(("i", payload))
            for client in (before, after):
                if not await client.gets(number + 1, "i", patience):
                    return False
        if not ends:
            return True
        try:
            await world.until(lambda: len(world.server.peers) == 2)
        except TimeoutError:
            return False
        return before.ended is None and after.ended is None

    return scene


async def a_slow_reader_loses_nothing(world: World) -> bool:
    slow = await world.client("s", "i")
    slow.transport.pause_reading()
    payload = "y" * 60_000
    sent = 0
    while next(iter(world.server.peers)).queued_bytes < 300_000 and sent < 200:
        world.burst(("i", json.dumps({"n": sent, "pad": payload})))
        sent += 1
        await asyncio.sleep(0)
    slow.transport.resume_reading()
    await slow.gets(sent, "i", world.patience)
    return [data["n"] for data in slow.payloads("i")] == list(range(sent))


async def answers_400_messages_in_a_second(world: World) -> bool:
    client = await world.client()
    client.write(*[masked(subscribe_text("i").encode())] * 400)
    return await client.waits(lambda: len(client.confirmed()) == 400, world.patience)


async def serves_a_quiet_client(world: World) -> bool:
    client = await world.client("c", "i")
    await client.ends(1.7)
    await world.inject("i")
    return await client.gets(1, "i", world.patience)


async def serves_a_late_subscriber(world: World) -> bool:
    client = await world.client("c")
    await client.ends(1.2)
    return await client.works(world.patience)


# Events.


def _same(one: object, other: object) -> bool:
    """Compare JSON values: true is not 1, and numbers are doubles."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, (int, float)):
        return type(one) is type(other) and one == other
    return isinstance(other, (int, float)) and float(one) == float(other)


def _same_but_id(got: dict[str, Any], published: dict[str, Any]) -> bool:
    """Compare payloads: an absent investigation_id may be added."""
    return _same(got, published) or _same(got, {"investigation_id": "i", **published})


def relays(*texts: str) -> Scene:
    """Each payload arrives JSON-equal."""

    async def scene(world: World) -> bool:
        client = await world.client("c", "i")
        for text in texts:
            if await world.inject("i", text) >= 300:
                return False
        if not await client.gets(len(texts), "i", world.patience):
            return False
        return all(map(_same_but_id, client.payloads("i"), map(json.loads, texts)))

    return scene


def _spelling(text: str | bytes) -> Any:
    return json.loads(text, parse_int=str, parse_float=str)


def spells(text: str) -> Scene:
    """A payload arrives as it was spelt; in any case it arrives JSON-equal."""

    async def scene(world: World) -> bool:
        if not await relays(text)(world):
            raise AssertionError("EVT-1 is broken as well")
        client = await world.client("d", "j")
        await world.inject("j", text)
        await client.waits(lambda: client.payloads("j") != [], world.patience)
        return bool(_spelling(client.frames[-1][1])["data"]["a"] == _spelling(text)["a"])

    return scene


def publishes(keeps: Callable[[dict[str, Any]], bool], triggers: int = 1) -> Scene:
    """The server's own events keep a rule."""

    async def scene(world: World) -> bool:
        client = await world.client("c", "inv-a")
        for _ in range(triggers):
            await world.trigger("inv-a")
        await client.waits(lambda: len(client.payloads("inv-a")) == 2 * triggers, world.patience)
        return all(keeps(data) for data in client.payloads("inv-a"))

    return scene


def mirrors_id(data: dict[str, object]) -> bool:
    return data.get("investigation_id", "inv-a") == "inv-a"


def has_right_progress(data: dict[str, Any]) -> bool:
    progress: object = data.get("progress", 0)
    return isinstance(progress, (int, float)) and not isinstance(progress, bool) and 0 <= progress <= 1


def has_task_id(data: dict[str, Any]) -> bool:
    return not str(data.get("type")).startswith("task_") or bool(data.get("task_id"))


def has_type(data: dict[str, Any]) -> bool:
    return bool(data.get("type"))


# Delivery.


def delivers(*texts: str, gap: float = 0, subscribers: int = 1, after: float = 0) -> Scene:
    """Each event reaches each subscriber once, in the order of publication."""

    async def scene(world: World) -> bool:
        clients = [await world.client(f"c{number}", "i") for number in range(subscribers)]
        await asyncio.sleep(0.01)
        for text in texts:
            world.burst(("i", text))
            if gap:
                await asyncio.sleep(gap)
        for client in clients:
            await client.gets(len(texts), "i", world.patience)
        await asyncio.sleep(after)
        wanted = [json.loads(text) for text in texts]
        return all(
            [await client.works(world.patience) and client.payloads("i") == wanted for client in clients]
        )

    return scene


def numbered(number: int) -> list[str]:
    """Return so many different payloads."""
    return [json.dumps({"n": index}) for index in range(number)]


async def delivers_beside_a_subscribe(world: World) -> bool:
    client = await world.client("c", "i")
    await world.client("d", "i")
    world.burst(("i", "{}"))
    return await client.gets(1, "i", world.patience)


async def delivers_after_an_abort(world: World) -> bool:
    client, other = await world.client("c", "i"), await world.client("d", "i")
    other.abort()
    await world.until(lambda: len(world.server.peers) == 1)
    await world.inject("i")
    return await client.gets(1, "i", world.patience)


async def delivers_once_to_twins(world: World) -> bool:
    clients = [await world.client("twin", "i") for _ in range(2)]
    await world.inject("i")
    return all([await client.works(world.patience) and client.payloads("i") == [{}] for client in clients])


def in_order(*texts: str) -> Scene:
    """What is published in one turn arrives in order, all of it."""

    async def scene(world: World) -> bool:
        client = await world.client("c", "i")
        world.burst(*[("i", text) for text in texts])
        await client.gets(len(texts), "i", world.patience)
        assert len(client.payloads("i")) == len(texts), "DEL-1 is broken as well"
        return all(map(_same_but_id, client.payloads("i"), map(json.loads, texts)))

    return scene


def replays_nothing(text: str, *, returning: bool = False) -> Scene:
    """A new subscriber does not get an event that a witness has got before."""

    async def scene(world: World) -> bool:
        witness = await world.client("w", "i")
        if returning:
            before = await world.client("c", "i")
            before.close()
            await world.until(lambda: len(world.server.peers) == 1)
        await world.inject("i", text)
        await witness.gets(1, "i", world.patience)
        client = await world.client("c", "i")
        return await client.works(world.patience) and client.payloads("i") == []

    return scene


def keeps_apart(subscribed: str, published: str, text: str = "{}", *, crowd: int = 1) -> Scene:
    """A subscriber of one id does not get another's updates, which has subscribers of its own."""

    async def scene(world: World) -> bool:
        others = [await world.client(f"o{number}", published) for number in range(crowd)]
        client = await world.client("c", subscribed)
        await world.inject(published, text)
        for other in others:
            await other.gets(1, published, world.patience)
        return await client.works(world.patience) and client.payloads(published) == []

    return scene


async def keeps_shards_apart(world: World) -> bool:
    client = await world.client("c", *(f"a{number}" for number in range(100)))
    other = await world.client("o", "b")
    await world.inject("b")
    await other.gets(1, "b", world.patience)
    return await client.works(world.patience) and client.payloads("b") == []


async def keeps_idle_connections_out(world: World) -> bool:
    idle, other = await world.client("c"), await world.client("o", "i")
    await world.inject("i")
    await other.gets(1, "i", world.patience)
    return await idle.works(world.patience) and idle.payloads("i") == []


async def keeps_twins_apart(world: World) -> bool:
    subscribed, twin = await world.client("twin", "i"), await world.client("twin", "j")
    await world.inject("i")
    await subscribed.gets(1, "i", world.patience)
    return await twin.works(world.patience) and twin.payloads("i") == []


async def keeps_bursts_apart(world: World) -> bool:
    clients = {one: await world.client(one, one) for one in ("a", "b")}
    world.burst(("a", "{}"), ("b", "{}"))
    for one, client in clients.items():
        await client.gets(1, one, world.patience)
    return [m["investigation_id"] for m in clients["a"].messages] == ["a", "a"]


def falls_back(*, connections: int = 2, ever_subscribed: bool = False, abort: bool = False) -> Scene:
    """Without a subscriber everyone gets the update, whatever they are subscribed to."""

    async def scene(world: World) -> bool:
        clients = [await world.client(f"c{number}", *["j"][: number % 2]) for number in range(connections)]
        if ever_subscribed:
            leaver = await world.client("l", "i")
            if abort:
                leaver.abort()
            else:
                leaver.close()
            await world.until(lambda: len(world.server.peers) == connections)
        await world.inject("i")
        return all([await client.gets(1, "i", world.patience) for client in clients])

    return scene
