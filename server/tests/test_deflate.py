"""Compressed frames, read by two parsers that are not ours; and what is answered to which offer."""

import base64
import hashlib
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events_server.deflate import MIN_BYTES, accept, deflated_frame, max_deflated
from osint_events_server.frames import text_frame
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536, 1 << 20]

PING = b"\x89\x04ping"
PONG = b"\x8a\x00"


def compressible(size: int) -> bytes:
    return (b'{"type": "task_completed", "message": "nothing new"} ' * (size // 50 + 1))[:size]


def hardly_compressible(size: int) -> bytes:
    """Text in which each of 128 characters is as likely."""
    return bytes(byte & 0x7F for byte in random.Random(size).randbytes(size))


payloads = [
    pytest.param(make(size), id=f"{make.__name__}-{size}")
    for make in (compressible, hardly_compressible)
    for size in SIZES
]


def client(offer: ClientPerMessageDeflateFactory | None = None) -> ClientProtocol:
    """A client of the library `websockets`, without I/O, whose handshake has been answered by us."""
    factory = offer or ClientPerMessageDeflateFactory(client_max_window_bits=True)
    protocol = ClientProtocol(parse_uri("ws://localhost/"), extensions=[factory], max_size=None)
    request = protocol.connect()
    protocol.send_request(request)
    protocol.data_to_send()
    extensions = accept(request.headers.get_all("Sec-WebSocket-Extensions"))
    assert extensions is not None
    key = request.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    digest = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
    protocol.receive_data(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {digest}\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n".encode()
    )
    protocol.events_received()
    assert protocol.handshake_exc is None
    assert [extension.name for extension in protocol.extensions] == ["permessage-deflate"]
    return protocol


def received(protocol: ClientProtocol) -> list[Frame]:
    assert protocol.parser_exc is None
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


def by_hand(wire: bytes) -> Iterator[tuple[bool, bytes]]:
    """Whether each frame is compressed, and its text; every one on its own, with the small window."""
    while wire:
        first, second = wire[:2]
        assert first & ~0x40 == 0x81
        start, length = 2, second
        if second == 126:
            start, length = 4, struct.unpack("!H", wire[2:4])[0]
            assert length > 125
        elif second == 127:
            start, length = 10, struct.unpack("!Q", wire[2:10])[0]
            assert length > 65535
        payload, wire = wire[start : start + length], wire[start + length :]
        assert len(payload) == length
        if first & 0x40:
            inflater = zlib.decompressobj(-12)
            payload = inflater.decompress(payload + b"\0\0\xff\xff")
            assert not inflater.unused_data
            assert not inflater.unconsumed_tail
        yield bool(first & 0x40), payload


@pytest.mark.parametrize("payload", payloads)
def test_websockets_reads_what_was_deflated(payload: bytes) -> None:
    protocol = client()
    protocol.receive_data(deflated_frame(payload))
    (frame,) = received(protocol)
    assert (frame.opcode, frame.data, frame.fin) == (Opcode.TEXT, payload, True)


@pytest.mark.parametrize("payload", payloads)
def test_zlib_reads_what_was_deflated(payload: bytes) -> None:
    frame = deflated_frame(payload)
    assert [text for _, text in by_hand(frame)] == [payload]
    assert len(frame) <= len(text_frame(payload))


def test_a_message_from_the_threshold_on_is_deflated_and_a_shorter_one_is_not() -> None:
    assert [compressed for compressed, _ in by_hand(deflated_frame(b"x" * (MIN_BYTES - 1)))] == [False]
    assert [compressed for compressed, _ in by_hand(deflated_frame(b"x" * MIN_BYTES))] == [True]


def test_what_does_not_shrink_is_sent_as_it_is() -> None:
    payload = random.Random(1).randbytes(4096)
    assert deflated_frame(payload) == text_frame(payload)


def test_frames_can_be_read_in_any_order_with_plain_ones_and_control_frames_between() -> None:
    texts = [compressible(size) for size in (200, 300, 400, 20_000, 50)]
    frames = [deflated_frame(text) for text in texts]
    protocol = client()
    for index in (3, 0, 4, 3, 2, 1, 0):
        protocol.receive_data(PING + frames[index] + PONG + text_frame(b"plain"))
    data = [frame.data for frame in received(protocol) if frame.opcode is Opcode.TEXT]
    assert data == [text for index in (3, 0, 4, 3, 2, 1, 0) for text in (texts[index], b"plain")]


@given(st.lists(st.binary(max_size=2000), max_size=5), st.integers(1, 50))
def test_a_stream_of_frames_cut_anywhere_is_read_whole(texts: list[bytes], cut: int) -> None:
    wire = b"".join(deflated_frame(text * 3) for text in texts)
    assert [text for _, text in by_hand(wire)] == [text * 3 for text in texts]
    protocol = client()
    for start in range(0, len(wire), cut):
        protocol.receive_data(wire[start : start + cut])
    assert [frame.data for frame in received(protocol)] == [text * 3 for text in texts]


@pytest.mark.parametrize("server_no_context_takeover", [False, True])
@pytest.mark.parametrize("client_no_context_takeover", [False, True])
@pytest.mark.parametrize("server_max_window_bits", [None, 12, 13, 15])
@pytest.mark.parametrize("client_max_window_bits", [None, True, 9, 15])
def test_a_client_takes_the_answer_whatever_it_offered_and_reads_what_follows(
    *,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: int | None,
    client_max_window_bits: int | Literal[True] | None,
) -> None:
    offer = ClientPerMessageDeflateFactory(
        server_no_context_takeover=server_no_context_takeover,
        client_no_context_takeover=client_no_context_takeover,
        server_max_window_bits=server_max_window_bits,
        client_max_window_bits=client_max_window_bits,
    )
    protocol = client(offer)
    text = compressible(100_000)
    protocol.receive_data(deflated_frame(text) * 2)
    assert [frame.data for frame in received(protocol)] == [text, text]


PLAIN = "permessage-deflate; server_no_context_takeover"
SMALL = "permessage-deflate; server_no_context_takeover; server_max_window_bits=12"


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        (["permessage-deflate"], PLAIN),
        (["permessage-deflate; client_max_window_bits"], PLAIN),  # what browsers offer
        (["permessage-deflate; client_max_window_bits; server_max_window_bits=12"], SMALL),
        (["permessage-deflate;server_max_window_bits=15;client_max_window_bits=8"], SMALL),
        (['permessage-deflate \t; server_max_window_bits = "13"'], SMALL),
        (["permessage-deflate; server_max_window_bits=10, permessage-deflate"], PLAIN),
        (["permessage-deflate; unknown, x-webkit-deflate-frame, permessage-deflate"], PLAIN),
        (["x-other", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"], PLAIN),
        ([], None),
        ([""], None),
        (["x-permessage-deflate"], None),
        (["permessage-deflate; unknown"], None),
        (["permessage-deflate;"], None),
        (["permessage-deflate; server_max_window_bits"], None),
        (["permessage-deflate; server_max_window_bits=11"], None),
        (["permessage-deflate; server_max_window_bits=8"], None),
        (["permessage-deflate; server_max_window_bits=7"], None),
        (["permessage-deflate; server_max_window_bits=16"], None),
        (["permessage-deflate; server_max_window_bits=012"], None),
        (["permessage-deflate; client_max_window_bits=16"], None),
        (["permessage-deflate; client_max_window_bits=9; client_max_window_bits=9"], None),
        (["permessage-deflate; client_max_window_bits; client_max_window_bits=9"], None),
        (["permessage-deflate; server_no_context_takeover=1"], None),
        (["permessage-deflate; server_no_context_takeover; server_no_context_takeover"], None),
        (['permessage-deflate; server_max_window_bits="12'], None),
    ],
)
def test_an_offer_is_answered_as_rfc_7692_has_it(offers: list[str], answer: str | None) -> None:
    assert accept(offers) == answer


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED])
@pytest.mark.parametrize("size", [0, 1, 100, 65536])
def test_no_compressor_exceeds_the_bound(level: int, strategy: int, size: int) -> None:
    for memory_level in (1, 8):
        compressor = zlib.compressobj(level, zlib.DEFLATED, -9, memory_level, strategy)
        deflated = compressor.compress(random.Random(7).randbytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert len(deflated) <= max_deflated(size)
