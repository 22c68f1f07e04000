"""What a replay yields, from a store and without sockets: RPL-4, RPL-8, RPL-9."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from osint_events_server.forms import Form
from osint_events_server.positions import Positions
from osint_events_server.replay import Confirmation, Replayer
from osint_events_server.scope import Scope
from osint_events_server.store import Event, Payload, StoreUnavailable
from osint_events_server.store.memory import HistoryLimits, MemoryStore
from osint_events_server.tokens import Tokens
from websockets.frames import Frame
from websockets.protocol import CLIENT, Protocol


class Unreachable(MemoryStore):
    """A store that cannot be read."""

    async def read_after(
        self,
        investigation_id: str,
        seq: int,
        *,
        limit: int,
        scope: Scope = Scope.ALL,
    ) -> Sequence[Event]:
        raise StoreUnavailable(f"{investigation_id} {seq} {limit} {scope}", retry_after=1)


def memory(*, events: int = 1000) -> MemoryStore:
    return MemoryStore(epoch="e", clock=lambda: 0.0, limits=HistoryLimits(events=events))


async def publish(store: MemoryStore, count: int, *, to: str = "x", size: int = 0) -> None:
    await store.append(to, [Payload(b'{"pad":"%b"}' % (b"x" * size), Scope.ALL) for _ in range(count)])


async def replayed(
    store: MemoryStore, *, after: int, head: int, max_events: int = 1000, epoch: str = "e"
) -> list[list[Any]]:
    """The messages of each write."""
    positions = Positions(Tokens([b"k" * 32]), lambda: store.epoch)
    replayer = Replayer(store, positions, max_events=max_events)
    writes = []
    form = Form(sequenced=True)
    replay = replayer.replay(Confirmation("x", "r", ["all"]), form, epoch=epoch, after=after, head=head)
    async for write in replay:
        client = Protocol(CLIENT, max_size=None)
        client.receive_data(write.wire)
        frames = [frame for frame in client.events_received() if isinstance(frame, Frame)]
        assert len(frames) == write.messages
        writes.append([json.loads(bytes(frame.data)) for frame in frames])
    return writes


async def test_it_ends_at_the_head_though_the_store_has_more() -> None:
    store = memory()
    await publish(store, 5)
    (confirmed,), updates, (complete,) = await replayed(store, after=1, head=3)
    assert confirmed["replay"] == {"status": "complete", "count": 2}
    assert [(update["prev"], update["seq"]) for update in updates] == [(1, 2), (2, 3)]
    assert (complete["type"], complete["seq"], complete["ref"]) == ("replay_complete", 3, "r")


async def test_large_ones_are_made_in_portions() -> None:
    store = memory()
    await publish(store, 100, size=10_000)
    _, *writes, _ = await replayed(store, after=0, head=100)
    assert [update["seq"] for write in writes for update in write] == list(range(1, 101))
    assert max(len(write) for write in writes) < 8


async def test_a_client_that_is_ahead_has_missed_nothing() -> None:
    store = memory()
    await publish(store, 5)
    (confirmed,), (complete,) = await replayed(store, after=9, head=9)
    assert confirmed["replay"] == {"status": "complete", "count": 0}
    assert (confirmed["seq"], complete["seq"]) == (9, 9)


@pytest.mark.parametrize(
    ("store", "after", "reason"),
    [
        (memory(events=3), 0, "expired"),
        (memory(), 0, "expired"),
        (Unreachable(epoch="e", clock=lambda: 0.0), 4, "unavailable"),
    ],
)
async def test_what_cannot_be_replayed_whole_is_not_replayed(
    store: MemoryStore, after: int, reason: str
) -> None:
    await publish(store, 5)
    ((confirmed,),) = await replayed(store, after=after, head=5, max_events=4)
    assert confirmed["replay"] == {"status": "failed", "reason": reason}
    assert (confirmed["seq"], confirmed["scope"], confirmed["ref"]) == (5, ["all"], "r")


@pytest.mark.parametrize("max_events", [0, 3, 4])
async def test_as_many_as_may_be_missed_are_replayed(max_events: int) -> None:
    store = memory()
    await publish(store, max_events)
    (confirmed,), *_ = await replayed(store, after=0, head=max_events, max_events=max_events)
    assert confirmed["replay"] == {"status": "complete", "count": max_events}


async def test_when_the_epoch_ended_before_its_turn_nothing_is_replayed_and_nothing_is_taken_for_had() -> (
    None
):
    store = memory()
    await publish(store, 5)
    ((confirmed,),) = await replayed(store, after=2, head=40, epoch="before")
    assert confirmed["replay"] == {"status": "failed", "reason": "epoch_changed"}
    assert (confirmed["seq"], confirmed["epoch"]) == (0, "e")


async def test_it_is_compressed_where_the_subscription_is() -> None:
    store = memory()
    await publish(store, 3, size=500)
    replayer = Replayer(store, Positions(Tokens([b"k" * 32]), lambda: "e"), max_events=10)
    form = Form(sequenced=True, deflated=True)
    writes = [
        write.wire async for write in replayer.replay(Confirmation("x"), form, epoch="e", after=0, head=3)
    ]
    assert [wire[0] for wire in writes] == [0x81, 0xC1, 0x81]  # RSV1 on the updates alone
    assert len(writes[1]) < 3 * 500
