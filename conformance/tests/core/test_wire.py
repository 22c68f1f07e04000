"""A connection as the checks use it, against a server that writes raw bytes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from osint_events_conformance.wire import (
    MAX_MESSAGE_BYTES,
    Ended,
    Endpoint,
    Link,
    Refused,
    Text,
    Unreachable,
    _parse,
)
from websockets.frames import Close, Frame, Opcode

WITHIN = 10.0
Serve = Callable[["Side"], Awaitable[None]]


@dataclass
class Side:
    """The server's side of one connection, past the request's head."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: str

    def answer(self, also: bytes = b"") -> None:
        """Accept the upgrade (RFC 6455 section 4.2.2); `also` goes out in the same write."""
        found = re.search(r"Sec-WebSocket-Key: (\S+)", self.head)
        assert found is not None
        digest = hashlib.sha1(f"{found[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()  # noqa: S324 - RFC 6455
        accept = base64.b64encode(digest).decode()
        self.writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            + also
        )

    def send(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        """Write one frame."""
        self.writer.write(frame(opcode, data, fin=fin))


@dataclass
class Heard:
    """Notes all that a link tells, and lets a test wait for it."""

    texts: list[Text] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    ends: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def text(self, message: Text) -> None:
        self.texts.append(message)
        self.changed.set()

    def pong(self, payload: bytes) -> None:
        self.pongs.append(payload)
        self.changed.set()

    def end(self) -> None:
        self.ends += 1
        self.changed.set()

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for something that will be told."""
        async with asyncio.timeout(WITHIN):
            while not done():
                self.changed.clear()
                await self.changed.wait()


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=False)


def text(**members: object) -> bytes:
    return frame(Opcode.TEXT, json.dumps(members).encode())


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A server that does as told with each connection, then waits until the client has gone."""
    tasks: set[asyncio.Task[None]] = set()
    faults: list[BaseException] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await serve(Side(reader, writer, head.decode()))
            await reader.read()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client reset, or the test is over
        except Exception as error:  # noqa: BLE001 - told to the test below
            faults.append(error)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"ws://{host}:{port}/ws"
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert not faults


@contextlib.asynccontextmanager
async def link(serve: Serve, client_id: str = "c-1", **settings: object) -> AsyncIterator[tuple[Link, Heard]]:
    """A link that is open, and what it tells."""
    async with serving(serve) as url:
        made = await Link.open(Endpoint(url, **settings), client_id, lambda: 7.0, within=WITHIN)  # type: ignore[arg-type] # as given
        heard = Heard()
        made.attach(heard)
        yield made, heard
        made.abort()
        await _closed(made)


async def _closed(made: Link) -> None:
    async with asyncio.timeout(WITHIN):
        while not made.tcp_closed:  # noqa: ASYNC110 - there is no event to wait for once it is aborted
            await asyncio.sleep(0)


def _sending(data: bytes) -> Serve:
    async def serve(side: Side) -> None:
        side.answer()
        side.writer.write(data)

    return serve


# The handshake


async def test_the_client_id_is_percent_encoded_and_headers_are_sent() -> None:
    heads: list[str] = []

    async def serve(side: Side) -> None:
        heads.append(side.head)
        side.answer()

    settings = {"headers": {"Authorization": "Bearer x"}, "origin": "https://a.example"}
    async with link(serve, "é/ ?", **settings):
        pass
    assert heads[0].startswith("GET /ws/%C3%A9%2F%20%3F HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer x\r\n" in heads[0]
    assert "\r\nOrigin: https://a.example\r\n" in heads[0]
    assert "Sec-WebSocket-Protocol" not in heads[0]


def test_a_url_may_end_with_a_slash() -> None:
    assert Endpoint("ws://host/ws/").address("a") == Endpoint("ws://host/ws").address("a") == "ws://host/ws/a"


@pytest.mark.parametrize("status", [200, 302, 400, 404, 426, 500, 503])
async def test_another_answer_than_101_is_a_refusal_with_its_status(status: int) -> None:
    async def serve(side: Side) -> None:
        side.writer.write(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nno".encode())
        side.writer.write_eof()

    async with serving(serve) as url:
        with pytest.raises(Refused, match=str(status)) as refused:
            await Link.open(Endpoint(url), "c", lambda: 0.0, within=WITHIN)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    ],
)
async def test_a_101_that_is_no_handshake_is_a_refusal(answer: bytes) -> None:
    async def serve(side: Side) -> None:
        side.writer.write(answer)

    async with serving(serve) as url:
        with pytest.raises(Refused, match="no valid handshake") as refused:
            await Link.open(Endpoint(url), "c", lambda: 0.0, within=WITHIN)
    assert refused.value.status == 101


async def test_what_is_no_http_is_a_refusal_without_a_status() -> None:
    async def serve(side: Side) -> None:
        side.writer.write(b"hello\r\n\r\n")

    async with serving(serve) as url:
        with pytest.raises(Refused) as refused:
            await Link.open(Endpoint(url), "c", lambda: 0.0, within=WITHIN)
    assert refused.value.status is None


async def test_a_handshake_that_is_hung_up_on_is_a_refusal() -> None:
    async def serve(side: Side) -> None:
        side.writer.close()

    async with serving(serve) as url:
        with pytest.raises(Refused):
            await Link.open(Endpoint(url), "c", lambda: 0.0, within=WITHIN)


async def test_a_handshake_that_is_never_answered_is_a_refusal_after_the_time_given() -> None:
    async def serve(side: Side) -> None:
        await side.reader.read()

    async with serving(serve) as url:
        with pytest.raises(Refused, match=r"not answered within 0\.1 s") as refused:
            await Link.open(Endpoint(url), "c", lambda: 0.0, within=0.1)
    assert refused.value.status is None


async def test_a_handshake_may_come_in_single_bytes() -> None:
    async def serve(side: Side) -> None:
        answers: list[bytes] = []
        writer = side.writer
        side.writer = _Kept(answers)  # type: ignore[assignment] # all that `answer` needs
        side.answer()
        for byte in answers[0]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with link(serve) as (made, _):
        assert made.is_open
        assert made.handshake_status == 101


class _Kept(list[bytes]):
    """Keeps what is written."""

    def __init__(self, kept: list[bytes]) -> None:
        super().__init__()
        self.write = kept.append


async def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(Unreachable, match=f"cannot connect to 127.0.0.1:{port}") as error:
            await Link.open(Endpoint(f"ws://127.0.0.1:{port}/ws"), "c", lambda: 0.0, within=WITHIN)
    assert "\n" not in str(error.value)


async def test_data_that_arrives_with_the_handshake_s_answer_is_told_to_who_attaches_later() -> None:
    async def serve(side: Side) -> None:
        side.answer(text(type="welcome") + frame(Opcode.PONG, b"x") + frame(Opcode.CLOSE, b"\x03\xe9"))

    async with link(serve) as (made, heard):
        await heard.until(lambda: heard.ends > 0)
        assert [message.value for message in heard.texts] == [{"type": "welcome"}]
        assert heard.pongs == [b"x"]
        assert made.ended is Ended.CLOSE_FRAME


# Receiving


async def test_each_message_of_one_segment_is_told_in_order_with_its_time() -> None:
    async with link(_sending(b"".join(text(type="x", n=n) for n in range(5)))) as (_, heard):
        await heard.until(lambda: len(heard.texts) == 5)
        assert [message.value["n"] for message in heard.texts] == [0, 1, 2, 3, 4]
        assert {message.at for message in heard.texts} == {7.0}


async def test_a_message_in_fragments_with_a_ping_between_is_one_message() -> None:
    data = (
        frame(Opcode.TEXT, b'{"type": "\xc3', fin=False)
        + frame(Opcode.PING, b"p")
        + frame(Opcode.CONT, b"", fin=False)
        + frame(Opcode.CONT, b'\xa9"}')
    )
    pongs: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(side: Side) -> None:
        side.answer()
        side.writer.write(data)
        pongs.put_nowait(await side.reader.readexactly(7))

    async with link(serve) as (_, heard):
        await heard.until(lambda: len(heard.texts) == 1)
        assert heard.texts[0].raw == '{"type": "é"}'
        assert heard.texts[0].message.problem is None
        pong = await asyncio.wait_for(pongs.get(), WITHIN)
        assert pong[0] == 0x8A
        assert pong[6] ^ pong[2] == ord("p")


async def test_binary_messages_and_invalid_utf_8_are_told_with_their_problem() -> None:
    async def serve(side: Side) -> None:
        side.answer()
        side.send(Opcode.BINARY, b'{"type": "x"}')
        side.send(Opcode.TEXT, b'{"type": "\xff"}')

    async with link(serve) as (_, heard):
        await heard.until(lambda: len(heard.texts) == 2)
        assert [str(one.message.problem)[:15] for one in heard.texts] == ["a binary frame", "invalid UTF-8: "]


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b'{"type": "x"}', None),
        (b' {"type": ""} \n', None),
        (b"[]", "no JSON object"),
        (b"{}", "no string `type`"),
        (b'{"type": 1}', "no string `type`"),
        (b'{"type": "x", "n": NaN}', "not one JSON text: NaN is no JSON (RFC 8259)"),
        (b'{"type": "x", "n": -Infinity}', "not one JSON text: -Infinity is no JSON (RFC 8259)"),
    ],
)
def test_a_message_s_form_is_judged(payload: bytes, problem: str | None) -> None:
    assert _parse(payload, binary=False).problem == problem


@pytest.mark.parametrize("payload", [b"", b"x", b'{"type": "x"} 1', b"\xef\xbb\xbf{}", b"[" * 200_000])
def test_what_is_not_one_json_text_is_a_problem(payload: bytes) -> None:
    assert _parse(payload, binary=False).problem is not None


def test_repeated_names_are_seen_at_any_depth() -> None:
    assert _parse(b'{"type": "x", "a": [{"b": 1, "\\u0062": 2}]}', binary=False).repeated_names
    assert not _parse(b'{"type": "x", "a": [{"b": 1}, {"b": 2}]}', binary=False).repeated_names


def test_a_number_with_thousands_of_digits_is_read_or_a_problem_and_never_an_exception() -> None:
    _parse(b'{"type": "x", "n": ' + b"9" * 6000 + b"}", binary=False)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1\x02{}",
        b"\x83\x00",
        b"\x09\x00",
        b"\x89\x7e\x00\x7e" + b"x" * 126,
        b"\x80\x02{}",
        b"\x81\x82\x00\x00\x00\x00{}",
        b"\x88\x01x",
        b"\x88\x02\x03\xe7",
    ],
)
async def test_broken_frames_are_told_as_such(data: bytes) -> None:
    async with link(_sending(data)) as (made, heard):
        await heard.until(lambda: heard.ends > 0)
        assert made.ended is Ended.PROTOCOL_ERROR
        assert made.framing_error
        assert not made.is_open


async def test_a_message_larger_than_any_server_sends_is_broken_framing() -> None:
    head = b"\x81\x7f" + (MAX_MESSAGE_BYTES + 1).to_bytes(8, "big")
    async with link(_sending(head)) as (made, heard):
        await heard.until(lambda: heard.ends > 0)
        assert made.ended is Ended.PROTOCOL_ERROR


# How connections end


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4002])
async def test_a_close_frame_is_told_with_its_code_and_answered(code: int) -> None:
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(side: Side) -> None:
        side.answer()
        side.send(Opcode.CLOSE, Close(code, "bye").serialize())
        answers.put_nowait(await side.reader.readexactly(2))

    async with link(serve) as (made, heard):
        await heard.until(lambda: heard.ends > 0)
        assert made.ended is Ended.CLOSE_FRAME
        assert made.close_received == Close(code, "bye")
        assert (await asyncio.wait_for(answers.get(), WITHIN))[0] == 0x88


async def test_an_empty_close_frame_has_code_1005() -> None:
    async with link(_sending(frame(Opcode.CLOSE))) as (made, heard):
        await heard.until(lambda: heard.ends > 0)
        assert made.close_received is not None
        assert made.close_received.code == 1005


@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_the_end_of_tcp_without_a_close_frame_is_a_drop(how: str) -> None:
    async def serve(side: Side) -> None:
        side.answer()
        await side.writer.drain()
        if how == "eof":
            side.writer.close()
        else:
            raw = side.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            side.writer.transport.abort()

    async with link(serve) as (made, heard):
        await heard.until(lambda: heard.ends > 0)
        assert made.ended is Ended.DROPPED
        assert made.tcp_closed
        assert made.close_received is None


async def test_a_close_frame_before_the_end_of_tcp_is_no_drop() -> None:
    async def serve(side: Side) -> None:
        side.answer()
        side.send(Opcode.CLOSE, Close(1008, "").serialize())
        side.writer.close()

    async with link(serve) as (made, heard):
        await heard.until(lambda: made.tcp_closed)
        assert made.ended is Ended.CLOSE_FRAME


async def test_a_close_of_our_own_goes_out_once_and_ends_sending() -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(side: Side) -> None:
        side.answer()
        data = await side.reader.readexactly(8)
        side.send(Opcode.CLOSE, b"\x03\xe8")
        side.writer.write_eof()
        seen.put_nowait(data + await side.reader.read())

    async with link(serve) as (made, heard):
        made.close(1000)
        assert not made.is_open
        made.close(1000)
        await heard.until(lambda: made.tcp_closed)
        assert made.ended is Ended.CLOSE_FRAME
        assert len(await asyncio.wait_for(seen.get(), WITHIN)) == 8


async def test_an_abort_is_a_reset() -> None:
    felt: asyncio.Queue[str] = asyncio.Queue()

    async def serve(side: Side) -> None:
        side.answer()
        try:
            await side.reader.readexactly(1)
        except ConnectionResetError:
            felt.put_nowait("reset")
        except asyncio.IncompleteReadError:
            felt.put_nowait("eof")

    async with link(serve) as (made, _):
        made.abort()
        assert await asyncio.wait_for(felt.get(), WITHIN) == "reset"


# Sending


async def test_what_is_written_at_once_arrives_as_it_is() -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(side: Side) -> None:
        side.answer()
        seen.put_nowait(await side.reader.readexactly(600))

    async with link(serve) as (made, _):
        made.write(bytes(range(200)) * 3)
        await made.drain()
        assert await asyncio.wait_for(seen.get(), WITHIN) == bytes(range(200)) * 3


async def test_a_pong_of_ours_waits_for_the_end_of_a_frame_that_goes_out_in_pieces() -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(side: Side) -> None:
        side.answer()
        await side.reader.readexactly(3)
        side.send(Opcode.PING, b"p")
        side.send(Opcode.TEXT, b'{"type": "x"}')
        seen.put_nowait(await side.reader.readexactly(3 + 7))

    async with link(serve) as (made, heard):
        made.write(b"\x81\x80\x00", whole=False)
        await heard.until(lambda: len(heard.texts) == 1)
        made.write(b"\x00\x00\x00")
        got = await asyncio.wait_for(seen.get(), WITHIN)
        assert got[:4] == b"\x00\x00\x00\x8a"


async def test_a_reader_that_stalls_reads_nothing_until_it_resumes() -> None:
    sent = asyncio.Event()

    async def serve(side: Side) -> None:
        side.answer()
        await side.reader.readexactly(1)
        side.send(Opcode.TEXT, b'{"type": "x"}')
        await side.writer.drain()
        sent.set()

    async with link(serve) as (made, heard):
        made.pause_reading()
        made.write(b"\x81")
        await asyncio.wait_for(sent.wait(), WITHIN)
        await asyncio.sleep(0)
        assert heard.texts == []
        made.resume_reading()
        await heard.until(lambda: len(heard.texts) == 1)
