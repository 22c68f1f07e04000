"""Frames, read by a parser that shares nothing with the code that wrote them."""

import json
from collections.abc import Iterable

import pytest
from osint_events_server import frames
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol


def parse(wire: bytes) -> list[Frame]:
    """Read a server's bytes as a client does, strictly."""
    client = Protocol(CLIENT, max_size=None)
    client.receive_data(wire)
    assert client.parser_exc is None
    events = client.events_received()
    assert all(isinstance(event, Frame) for event in events)
    return [event for event in events if isinstance(event, Frame)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 300_000])
def test_a_payload_of_any_length_is_one_whole_text_frame(length: int) -> None:
    payload = b"x" * length
    (frame,) = parse(frames.text_frame(payload))
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, payload)


@pytest.mark.parametrize("investigation_id", ["1234", 'q"uo\\te', "\x00\n\u2028", "é e\u0301", "🦊" * 255])
def test_ids_are_kept_code_point_for_code_point(investigation_id: str) -> None:
    confirmed = json.loads(frames.confirmation(investigation_id))
    assert confirmed == {"type": "subscription_confirmed", "investigation_id": investigation_id}
    update = json.loads(frames.update(investigation_id, b"{}"))
    assert update == {"type": "investigation_update", "investigation_id": investigation_id, "data": {}}


def test_data_is_passed_on_as_the_bytes_that_were_published() -> None:
    data = rb'{ "n" : 1.0, "big":123456789012345678901234567890, "e":1E400, "s":"\u00e9\/" }'
    assert frames.update("x", data).endswith(b'"data":' + data + b"}")


def sizes(joined: Iterable[frames.Frames]) -> list[tuple[int, int]]:
    return [(len(write.wire), write.messages) for write in joined]


def test_frames_are_joined_up_to_the_limit_inclusive() -> None:
    assert sizes(frames.join([b"a" * 4, b"b" * 6, b"c"], limit=10)) == [(10, 2), (1, 1)]


def test_a_frame_over_the_limit_is_written_alone() -> None:
    assert sizes(frames.join([b"a", b"b" * 11, b"c"], limit=10)) == [(1, 1), (11, 1), (1, 1)]


def test_joined_frames_keep_their_order_and_their_bytes() -> None:
    texts = [b"%d" % number for number in range(1000)]
    wire = b"".join(write.wire for write in frames.join(map(frames.text_frame, texts), limit=100))
    assert [bytes(frame.data) for frame in parse(wire)] == texts


def test_nothing_to_join_is_nothing_to_write() -> None:
    assert list(frames.join([])) == []
