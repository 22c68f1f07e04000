"""Scenes of authentication, authorisation and origins: each asks one server to keep one promise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from osint_events_conformance.credentials import Auth, spoilt
from osint_events_conformance.faulty.capable.guarded import FORBIDDEN_ID, TOKEN

from .client import subscribe_text
from .talk import NOTE, QUIET, TASK, Talk, capable, hello_text

if TYPE_CHECKING:
    from .client import Client, World
    from .scenes import Scene

# SEC-1.


def refuses(how: Auth) -> Scene:
    """A handshake with a spoilt token is answered with 401."""

    async def scene(world: World) -> bool:
        client = await world.knock("c", headers={"Authorization": f"Bearer {spoilt(TOKEN, how)}"})
        return client.status == 401

    return scene


async def _stranger(world: World, client_id: str = "s") -> Client:
    return await world.knock(client_id, headers={})


def turns_away(text: str) -> Scene:
    """Who says this before a hello with a good token is closed with 4501, and sent nothing."""

    async def scene(world: World) -> bool:
        stranger = await _stranger(world)
        stranger.say(text)
        await stranger.ends(world.patience)
        return stranger.ended == 4501 and not stranger.frames

    return scene


BARE_HELLO = hello_text()
BAD_HELLO = hello_text(auth={"token": spoilt(TOKEN, "flip_first")})
PING = json.dumps({"type": "ping", "id": "p"})
SUBSCRIBE = subscribe_text("i")


async def knows_nobody_by_name(world: World) -> bool:
    await world.client("c", "i")
    stranger = await _stranger(world, "c")
    stranger.say(SUBSCRIBE)
    await stranger.ends(world.patience)
    return stranger.ended == 4501


async def lets_strangers_say_hello(world: World) -> bool:
    stranger = await _stranger(world)
    if stranger.status != 101:
        return False
    stranger.say(hello_text(auth={"token": TOKEN}))
    return await stranger.works(world.patience)


async def tells_strangers_nothing(world: World) -> bool:
    stranger, known = await _stranger(world), await world.client("k")
    await world.inject("nobody", NOTE)
    await known.gets(1, "nobody", world.patience)
    stranger.say(hello_text(auth={"token": TOKEN}))
    await stranger.waits(lambda: bool(stranger.messages), world.patience)
    return [message["type"] for message in stranger.messages] == ["welcome"]


async def ends_silent_strangers(world: World) -> bool:
    stranger = await _stranger(world)
    await stranger.ends(world.patience)
    return stranger.ended == 4504


# SEC-2.


def forbids(times: int = 1, **fields: object) -> Scene:
    """A subscribe to the forbidden is refused, each time, and nothing of it comes."""

    async def scene(world: World) -> bool:
        talk = await Talk.begin(world, *QUIET)
        for _ in range(times):
            talk.subscribe(FORBIDDEN_ID, **fields)
        told = await talk.gets("error", times)
        return told and await _sees_nothing(world, talk)

    return scene


async def _sees_nothing(world: World, talk: Talk) -> bool:
    await talk.subscribed("i")
    world.burst((FORBIDDEN_ID, TASK), ("i", NOTE))
    await talk.gets("investigation_update")
    named = {message.get("investigation_id") for message in talk.client.messages}
    return named <= {None, "i"} and {error["code"] for error in talk.of("error")} == {"forbidden"}


async def takes_no_token_for_a_credential(world: World) -> bool:
    talk = await Talk.begin(world, *QUIET)
    token = capable(world).token(talk.session, FORBIDDEN_ID, 0)
    world.burst((FORBIDDEN_ID, TASK), (FORBIDDEN_ID, NOTE))
    talk.subscribe(FORBIDDEN_ID, replay_token=token)
    return await talk.gets("error") and await _sees_nothing(world, talk)


def broadcasts_only_what_may_be_seen(payload: str) -> Scene:
    """The forbidden is left out of the fallback."""

    async def scene(world: World) -> bool:
        client = await world.client("c")
        world.burst((FORBIDDEN_ID, payload), ("nobody", payload))
        came = await client.gets(1, "nobody", world.patience)
        return came and not client.payloads(FORBIDDEN_ID)

    return scene


async def forbids_core_clients(world: World) -> bool:
    client = await world.client("c", "i")
    client.say(subscribe_text(FORBIDDEN_ID))
    works = await client.works(world.patience)
    world.burst((FORBIDDEN_ID, NOTE), ("i", NOTE))
    await client.gets(1, "i", world.patience)
    return works and FORBIDDEN_ID not in client.confirmed() and not client.payloads(FORBIDDEN_ID)


# SEC-3.


def refuses_origin(template: str) -> Scene:
    """An origin made of the server's `{host}` and `{name}` is answered with 403."""

    async def scene(world: World) -> bool:
        host = world.running.http_url.partition("://")[2]
        origin = template.format(host=host, name=host.partition(":")[0], port=host.rpartition(":")[2])
        client = await world.knock("c", headers={"Origin": origin})
        return client.status == 403

    return scene
