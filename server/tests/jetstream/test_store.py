"""The shared store against a real NATS server: what it stores, reads and says, and what it refuses."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nats as nats_client
import pytest
from osint_events_server.scope import Scope
from osint_events_server.store import (
    Event,
    Follower,
    Gap,
    IdempotencyConflict,
    Payload,
    PositionExpired,
    StoreUnavailable,
    StoreUnusable,
)
from osint_events_server.store.jetstream import BrokerOptions, JetStreamStore, StreamOptions

from .conftest import Open, brokers

NASTY_IDS = [
    "a.b",
    "*",
    ">",
    "a b",
    "\N{GRINNING FACE}" * 255,
    "é",
    "e\u0301",
    "0",
    "=41",
    "A",
    "a",
    "inv-1",
    "inv-10",
]


def payloads(*data: bytes, scope: Scope = Scope.ALL) -> list[Payload]:
    return [Payload(one, scope) for one in data]


async def following(follower: Follower, count: int) -> list[Event]:
    """The next events, this many."""
    events: list[Event] = []
    while len(events) < count:
        events += await following_some(follower)
    assert len(events) == count
    return events


async def following_some(follower: Follower) -> Sequence[Event]:
    """The next events, one at least."""
    async with asyncio.timeout(60):
        due = await anext(follower)
    assert not isinstance(due, Gap), due
    return due


async def next_gap(follower: Follower) -> Gap:
    async with asyncio.timeout(60):
        gap = await anext(follower)
    assert isinstance(gap, Gap), gap
    return gap


async def read(store: JetStreamStore, investigation_id: str, seq: int, **options: Any) -> list[int]:
    return [
        event.seq for event in await store.read_after(investigation_id, seq, **{"limit": 1000, **options})
    ]


async def administer(url: str, call: str, body: bytes = b"") -> None:
    """What an operator does behind the server's back."""
    client = await nats_client.connect(url)
    await client.request(f"$JS.API.STREAM.{call}", body, timeout=5)
    await client.close()


async def test_numbers_increase_over_all_investigations(store: JetStreamStore) -> None:
    assert await store.head() == 0
    assert list(await store.append("x", payloads(b"1"))) == [1]
    assert list(await store.append("y", payloads(b"2", b"3"))) == [2, 3]
    assert list(await store.append("x", payloads(b"4"))) == [4]
    assert await store.head() == 4


async def test_a_thousand_events_are_stored_together_and_in_their_order(store: JetStreamStore) -> None:
    data = [b'{"n":%d}' % number for number in range(1000)]
    assert list(await store.append("x", payloads(*data), idempotency_key="k")) == list(range(1, 1001))
    assert [event.data for event in await store.read_after("x", 0, limit=1000)] == data


@pytest.mark.parametrize("investigation_id", NASTY_IDS)
async def test_any_id_is_kept_apart_from_all_others(store: JetStreamStore, investigation_id: str) -> None:
    follower = store.follow()
    seqs = {id_: (await store.append(id_, payloads(b"{}")))[0] for id_ in NASTY_IDS}
    assert await store.read_after(investigation_id, 0, limit=10) == [
        Event(seqs[investigation_id], investigation_id, b"{}", Scope.ALL)
    ]
    assert [event.investigation_id for event in await following(follower, len(NASTY_IDS))] == NASTY_IDS


async def test_a_node_follows_what_any_node_stores_from_where_it_began(open_store: Open) -> None:
    async with open_store() as here, open_store() as there:
        await there.append("x", payloads(b"0"))
        async with open_store() as late:
            follower, late_follower = here.follow(), late.follow()
            assert (follower.position, late_follower.position) == (0, 1)
            await there.append("x", payloads(b"1", scope=Scope.TASKS))
            await here.append("y", payloads(b"2", b"3", scope=Scope.SUMMARY))
            expected = [
                Event(1, "x", b"0", Scope.ALL),
                Event(2, "x", b"1", Scope.TASKS),
                Event(3, "y", b"2", Scope.SUMMARY),
                Event(4, "y", b"3", Scope.SUMMARY),
            ]
            assert await following(follower, 4) == expected
            assert await following(late_follower, 3) == expected[1:]


async def test_a_burst_is_followed_without_a_hole(store: JetStreamStore) -> None:
    follower = store.follow()
    appending = [
        asyncio.create_task(store.append(f"i{number % 7}", payloads(*[b"x" * 1000] * 500)))
        for number in range(40)
    ]
    events = await following(follower, 20_000)
    await asyncio.gather(*appending)
    assert [event.seq for event in events] == list(range(1, 20_001))


async def test_a_scope_is_read_alone_in_order_and_up_to_the_limit(store: JetStreamStore) -> None:
    for number in range(9):
        await store.append("x", payloads(b"%d" % number, scope=list(Scope)[number % 3]))
        await store.append("y", payloads(b"-"))
    tasks = [event.seq for event in await store.read_after("x", 0, limit=100, scope=Scope.TASKS)]
    assert tasks == [1, 5, 7, 11, 13, 17]
    assert await read(store, "x", 5, limit=2, scope=Scope.SUMMARY) == [9, 11]
    assert await read(store, "x", 0) == list(range(1, 18, 2))
    assert await read(store, "x", 17) == await read(store, "x", 5000) == await read(store, "z", 0) == []


async def test_all_who_come_with_the_same_position_share_the_events(
    store: JetStreamStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.append("x", payloads(b"1", b"2"))
    reads = 0
    read_once = store._reading._read

    async def counted(*arguments: Any) -> Sequence[Event]:
        nonlocal reads
        reads += 1
        return await read_once(*arguments)

    monkeypatch.setattr(store._reading, "_read", counted)
    found = await asyncio.gather(*(store.read_after("x", 0, limit=10) for _ in range(100)))
    assert {tuple(event.seq for event in events) for events in found} == {(1, 2)}
    # The first one does not wait; what all others share was asked for after they came.
    assert reads == 2
    await store.append("x", payloads(b"3"))
    assert await read(store, "x", 0, limit=10) == [1, 2, 3]
    assert not store._reading._under_way


async def test_what_was_evicted_is_never_left_out_of_a_replay_in_silence(
    open_store: Open, nats: Any, stream: str
) -> None:
    async with open_store() as store:
        for _ in range(3):
            await store.append("x", payloads(b"x"))
            await store.append("y", payloads(b"y"))
        await administer(nats.url, f"PURGE.{stream}", b'{"seq":4}')
        assert await read(store, "x", 3) == [5]
        for investigation_id, seq in (("x", 2), ("y", 0), ("never", 1)):
            with pytest.raises(PositionExpired):
                await read(store, investigation_id, seq)
        assert await read(store, "never", 3) == []


async def test_age_evicts_and_what_is_young_enough_is_replayed(open_store: Open) -> None:
    async with open_store(seconds=1.0) as store:
        (first,) = await store.append("x", payloads(b"1"))
        assert await read(store, "x", first - 1) == [first]
        async with asyncio.timeout(60):
            while True:  # the broker looks for what is too old when it pleases
                try:
                    await read(store, "x", first - 1)
                except PositionExpired:
                    break
                await asyncio.sleep(0.1)
        assert await read(store, "x", first) == []
        assert list(await store.append("x", payloads(b"2"))) == [first + 1]


async def test_bytes_evict_the_oldest_of_all(open_store: Open) -> None:
    async with open_store(bytes=100_000) as store:
        await store.append("quiet", payloads(b"1"))
        for _ in range(20):
            await store.append("busy", payloads(b"x" * 10_000))
        with pytest.raises(PositionExpired):
            await read(store, "quiet", 0)
        assert await read(store, "busy", 17) == [18, 19, 20, 21]


@pytest.mark.parametrize("count", [1, 3])
async def test_a_retry_with_the_same_key_stores_nothing_on_any_node(open_store: Open, count: int) -> None:
    events = payloads(*(b"%d" % number for number in range(count)))
    async with open_store() as here, open_store() as there:
        first = list(await here.append("x", events, idempotency_key="k"))
        assert list(await there.append("x", events, idempotency_key="k")) == first
        assert list(await here.append("x", events, idempotency_key="k")) == first
        assert await here.head() == count


async def test_many_retries_at_a_time_store_once(store: JetStreamStore) -> None:
    retries = [store.append("x", payloads(b"1", b"2"), idempotency_key="k") for _ in range(20)]
    assert {tuple(seqs) for seqs in await asyncio.gather(*retries)} == {(1, 2)}
    assert await store.head() == 2


@pytest.mark.parametrize("first", [(b"1",), (b"1", b"2")])
@pytest.mark.parametrize("second", [(b"other",), (b"1", b"other"), (b"1", b"2", b"3")])
async def test_a_key_for_other_events_is_a_conflict(
    store: JetStreamStore, first: Sequence[bytes], second: Sequence[bytes]
) -> None:
    await store.append("x", payloads(*first), idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match="'k'"):
        await store.append("x", payloads(*second), idempotency_key="k")
    assert await store.head() == len(first)


async def test_a_key_is_its_investigations_own(store: JetStreamStore) -> None:
    assert list(await store.append("x", payloads(b"1"), idempotency_key="é \N{GRINNING FACE}")) == [1]
    assert list(await store.append("y", payloads(b"1"), idempotency_key="é \N{GRINNING FACE}")) == [2]


async def test_the_epoch_is_the_same_on_all_nodes_and_survives_them(open_store: Open) -> None:
    async with open_store() as here, open_store() as there:
        assert here.epoch == there.epoch
        epoch = here.epoch
    async with open_store() as later:
        assert later.epoch == epoch


async def test_a_stream_that_was_made_anew_is_another_epoch(open_store: Open, nats: Any, stream: str) -> None:
    async with open_store() as store:
        follower, epoch = store.follow(), store.epoch
        await store.append("x", payloads(b"1", b"2"))
        await following(follower, 2)
        await administer(nats.url, f"DELETE.{stream}")
        assert await next_gap(follower) == Gap("epoch_changed", 0)
        assert store.epoch != epoch
        assert list(await store.append("x", payloads(b"1"))) == [1]
        assert [event.seq for event in await following(follower, 1)] == [1]


async def test_settings_that_changed_are_given_to_the_stream(open_store: Open) -> None:
    async with open_store(seconds=100) as store:
        await store.append("x", payloads(b"1"))
        epoch = store.epoch
    async with open_store(seconds=200) as store:
        assert (store.epoch, await store.head()) == (epoch, 1)


async def test_somebody_elses_stream_is_left_alone(open_store: Open, nats: Any, stream: str) -> None:
    await administer(nats.url, f"CREATE.{stream}", b'{"name":"%s","subjects":["orders.>"]}' % stream.encode())
    with pytest.raises(StoreUnusable, match=rf"the stream {stream} .*other subjects.*--nats-stream"):
        async with open_store():
            pass


async def test_somebody_elses_message_harms_nobody(open_store: Open, nats: Any, stream: str) -> None:
    async with open_store() as store:
        follower = store.follow()
        client = await nats_client.connect(nats.url)
        await client.jetstream().publish(f"{stream}.x.nonsense.-", b"?")
        await client.close()
        await store.append("x", payloads(b"1"))
        assert [event.seq for event in await following(follower, 1)] == [2]
        assert await read(store, "x", 0, scope=Scope.TASKS) == [2]


async def test_a_broker_that_is_not_there_is_a_clear_error() -> None:
    options = BrokerOptions(("nats://user:secret@127.0.0.1:1",), timeout=0.5)
    with pytest.raises(StoreUnusable) as raised:
        await JetStreamStore.open(options, StreamOptions())
    assert (
        str(raised.value) == "cannot connect to NATS at nats://127.0.0.1:1: Connection refused; see --store"
    )


async def test_a_broker_without_jetstream_is_a_clear_error() -> None:
    with brokers.nats_server("-D") as server, pytest.raises(StoreUnusable, match="start it with -js"):
        await JetStreamStore.open(BrokerOptions((server.url,), timeout=1), StreamOptions())


async def test_more_replicas_than_there_are_servers_is_a_clear_error(open_store: Open) -> None:
    with pytest.raises(StoreUnusable, match=r"replicas > 1 not supported.*--nats-replicas"):
        async with open_store(replicas=3):
            pass


async def test_a_wrong_password_is_a_clear_error() -> None:
    with brokers.nats_server("-js", "--user", "u", "--pass", "right") as server:
        options = BrokerOptions((server.url.replace("://", "://u:wrong@"),), timeout=3)
        with pytest.raises(StoreUnusable, match="Authorization Violation"):
            await JetStreamStore.open(options, StreamOptions())


async def test_where_tls_is_wanted_nothing_is_said_in_the_clear() -> None:
    said = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.12.0","max_payload":1048576,"headers":true}\r\n')
        said.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        options = BrokerOptions((f"tls://u:secret@127.0.0.1:{port}",), timeout=2)
        with pytest.raises(StoreUnusable, match="the server does not ask for TLS"):
            await JetStreamStore.open(options, StreamOptions())
    assert not said


async def test_events_larger_than_the_broker_takes_are_a_clear_error(nats: Any) -> None:
    with pytest.raises(StoreUnusable, match="max_payload"):
        await JetStreamStore.open(BrokerOptions((nats.url,)), StreamOptions(), max_event_bytes=1_048_576)


async def test_a_stream_that_lost_its_last_events_is_another_epoch(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osint_events_server.store.jetstream.follower._LOOKS_BEHIND", 2)
    async with open_store() as store, open_store() as other:
        epoch, follower = store.epoch, store.follow()
        await store.append("x", payloads(b"1", b"2"))
        await following(follower, 2)
        follower._position = 100  # as if a machine had ended before its disk had the rest
        follower.lose()
        assert await next_gap(follower) == Gap("epoch_changed", 2)
        assert store.epoch != epoch
        assert list(await store.append("x", payloads(b"3"))) == [3]
        assert [event.seq for event in await following(follower, 1)] == [3]
        # The other nodes hear of it before they confirm a subscription.
        other_follower = other.follow()
        with pytest.raises(StoreUnavailable, match="begins anew"):
            await other.head()
        assert (await next_gap(other_follower)).reason == "epoch_changed"
        assert (other.epoch, await other.head()) == (store.epoch, 3)


# nats-py leaves a connection that was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_that_refuses_for_a_while_is_used_again_when_it_does_not(
    stream: str, tmp_path: Path
) -> None:
    config = tmp_path / "nats.conf"

    def allow(password: str) -> None:
        config.write_text(f"jetstream {{}}\nauthorization {{ user: u, password: {password} }}\n")

    async def until(status: type[StoreUnavailable] | None) -> None:
        """Append until that fails, or until it does not."""
        found: type[StoreUnavailable] | None
        async with asyncio.timeout(60):
            while True:
                try:
                    await store.append("x", payloads(b"{}"))
                    found = None
                except StoreUnavailable:
                    found = StoreUnavailable
                if found == status:
                    return
                await asyncio.sleep(0.05)

    allow("right")
    with brokers.nats_server("-c", str(config)) as server:
        options = BrokerOptions((server.url.replace("://", "://u:right@"),), timeout=10)
        store = await JetStreamStore.open(options, StreamOptions(name=stream))
        try:
            follower = store.follow()
            await store.append("x", payloads(b"1"))
            assert (await following(follower, 1))[0].data == b"1"
            allow("other")
            server.send_signal(signal.SIGHUP)  # who is connected already is put out: nats-py gives up
            await until(StoreUnavailable)
            allow("right")
            server.send_signal(signal.SIGHUP)
            await until(None)
            assert (await following_some(follower))[0].data == b"{}"
        finally:
            await store.close()
