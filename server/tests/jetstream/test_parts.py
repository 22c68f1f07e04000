"""Parts of the shared store that need no broker."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from osint_events_server.store import StoreUnavailable
from osint_events_server.store.jetstream import broker
from osint_events_server.store.jetstream.broker import Broker, BrokerOptions
from osint_events_server.store.jetstream.latest import Latest
from osint_events_server.store.jetstream.messages import Control, Numbers


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.STREAM.consumer.1.42.7.1700000000000000000.3",
        "$JS.ACK.domain.account.STREAM.consumer.1.42.7.1700000000000000000.3",
        "$JS.ACK.domain.account.STREAM.consumer.1.42.7.1700000000000000000.3.random",
    ],
)
def test_a_message_says_its_numbers_with_a_domain_or_without(reply: str) -> None:
    assert Numbers.of(reply) == Numbers(seq=42, delivered=7)


def message(headers: dict[str, str] | None, *, reply: str = "") -> Msg:
    return Msg(Client(), subject="inbox", reply=reply, data=b"", headers=headers)


def test_control_messages_are_told_from_events() -> None:
    assert Control.of(message(None)) is None
    assert Control.of(message({"Nats-Msg-Id": "x"})) is None
    assert Control.of(message({"Status": "100"}, reply="room")) == Control("room", None)
    heartbeat = {"Status": "100", "Nats-Last-Consumer": "7"}
    assert Control.of(message(heartbeat)) == Control(None, 7)
    assert Control.of(message({**heartbeat, "Nats-Consumer-Stalled": "room"})) == Control("room", 7)


class Asked:
    """Something to ask, which counts, and answers when it is told to."""

    def __init__(self) -> None:
        self.times = 0
        self.may_answer = asyncio.Event()
        self.fails = False

    async def __call__(self) -> int:
        self.times += 1
        asked = self.times
        await self.may_answer.wait()
        if self.fails:
            raise StoreUnavailable("gone", retry_after=3)
        return asked


async def callers(latest: Latest[int], count: int) -> list[asyncio.Task[int]]:
    """Let callers begin to wait."""
    tasks = [asyncio.create_task(latest()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_come_while_a_question_is_under_way_share_the_next_one() -> None:
    asked = Asked()
    latest = Latest(asked)
    first, later = await callers(latest, 1), await callers(latest, 100)
    asked.may_answer.set()
    assert await asyncio.gather(*first, *later) == [1] + [2] * 100
    assert await latest() == 3


async def test_a_failure_is_everybodys_who_waited_for_it_and_nobody_elses() -> None:
    asked = Asked()
    latest = Latest(asked)
    begun = await callers(latest, 1)
    waiting = await callers(latest, 3)
    asked.fails = True
    asked.may_answer.set()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(*begun, return_exceptions=True)
    assert [error.retry_after for error in errors if isinstance(error, StoreUnavailable)] == [3] * 3
    asked.fails = False
    assert await latest() == asked.times


async def test_who_gives_up_waiting_takes_no_answer_from_others() -> None:
    asked = Asked()
    latest = Latest(asked)
    (first,), others = await callers(latest, 1), await callers(latest, 2)
    first.cancel()
    asked.may_answer.set()
    assert await asyncio.gather(*others) == [2, 2]
    assert first.cancelled()


async def test_a_connection_that_is_being_made_anew_ends_though_its_cancellation_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = asyncio.Queue[None]()

    async def refused() -> None:
        attempts.put_nowait(None)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if attempts.empty():  # as asyncio.wait_for, within nats-py, may do up to Python 3.11
                raise OSError("refused") from None
            raise

    async def closed() -> None:
        pass

    monkeypatch.setattr(broker, "RETRY_AFTER", 0)
    connection = Broker(BrokerOptions(("nats://127.0.0.1:1",)), "a test")
    monkeypatch.setattr(connection, "_open", refused)
    monkeypatch.setattr(connection._client, "close", closed)
    await connection._closed()
    await attempts.get()
    async with asyncio.timeout(10):
        await connection.close()
    assert attempts.empty()
