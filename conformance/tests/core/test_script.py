"""The language of scripts: its JSON, and what it puts on the wire."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import fields
from typing import get_args

import pytest
from osint_events_conformance import script as s
from websockets.frames import Opcode

SUBSCRIBE = s.Subscribe("a", "inv-é😀")
EVERY_STEP: list[s.Step] = [
    s.Connect("a", "c-1"),
    s.Connect("a", "c-1", receive_buffer=4096, optional=True),
    SUBSCRIBE,
    s.Subscribe("a", "x", '{"type": "subscribe_investigation", "investigation_id": "x"}', wait=False),
    s.Say("a", b"\xff\x00{", "malformed", binary=True, clause="SUB-6", about="noise"),
    s.Say("a", b'{"type": "x"}', "unknown"),
    s.Hello("a", ("replay", "x")),
    s.Hello("a", (), '{"type": "hello", "protocol": 99, "features": []}', wait=False),
    s.Connect("a", "c", auth="none"),
    s.Knock("a", "c", 401, "flip_last"),
    s.Knock("a", "c", 403, origin=""),
    s.TurnedAway("a", '{"token": "{token}"}', 4501, "cut"),
    s.TurnedAway("a", None, 4504, seconds=11),
    s.Hello("a", ("flow",), auth="own"),
    s.Forbidden("a", "x", ("tasks",), "r", "last:b/y"),
    s.Follow("a", "x"),
    s.Follow("a", "x", ("tasks", "summary"), "r", "last:b/y|cut", wait=False),
    s.Unfollow("a", "x", "r", wait=False),
    s.AppPing("a", "p", "r", wait=False),
    s.Mistake("a", "{", ("invalid_json",)),
    s.Restart(),
    s.Await("a", ("x", "y"), 2.5),
    s.Ping("a"),
    s.Ping("a", b"\x00\xff"),
    s.Together((s.Hello("a", ("flow",)), s.Follow("a", "x", ("all",)), s.Unfollow("a", "x"))),
    s.Pieces(s.Hello("a", ()), (3,), "fragments"),
    s.Together((SUBSCRIBE, s.Say("a", b"{", "malformed"), s.Ping("a", b"x"))),
    s.Pieces(SUBSCRIBE, (0, 0, 7), "fragments"),
    s.Pieces(s.Say("a", b"\xff", "malformed"), (1,), "segments"),
    s.Pieces(SUBSCRIBE, (), "interleaved"),
    s.Raw("a", b"\x81", "half a frame"),
    s.Http(b"GET {path} HTTP/1.1\r\n\r\n", expect_client_error=True, linger=0.5),
    s.Publish("x", '{"n": 1.0}', wait=False, exact=True, prompt=True),
    s.Publish("x", "{}"),
    s.Close("a"),
    s.Close("a", None, "é", wait=False),
    s.Abort("a"),
    s.Restart(),
    s.Await("a", ("x", "y"), 1.5),
    s.Connect("a", "c", compress=True),
    s.Inflate("a", "x", 100),
    s.Flood("a", "x", 10, until_ended=True, most=500),
    s.Quiet("a"),
    s.Quiet("a", dead=True),
    s.Stall("a"),
    s.Resume("a", answers=True, must_have_ended=True),
    s.Pause(0.25),
    s.Settle(),
    s.Settle(fence=False),
]


def test_every_kind_of_step_is_among_the_examples() -> None:
    assert {type(step) for step in EVERY_STEP} == set(get_args(s.Step))


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step.kind)
def test_every_step_survives_its_json(step: s.Step) -> None:
    assert s.from_json(json.loads(json.dumps(s.to_json(step)))) == step


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step.kind)
def test_a_step_s_json_names_its_kind_and_leaves_defaults_out(step: s.Step) -> None:
    made = s.to_json(step)
    assert made["step"] == step.kind
    for item in fields(step):
        assert getattr(step, item.name) != item.default or item.name not in made


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"step": "dance"},
        {"step": "connect"},
        {"step": "connect", "conn": "a", "client_id": "b", "colour": "red"},
        {"step": "ping", "conn": "a", "data": {"base64": "x"}},
        {"step": "together", "steps": [{"step": "dance"}]},
        {"step": ["connect"]},
    ],
)
def test_what_is_no_step_is_refused_by_name(made: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no step"):
        s.from_json(made)


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step.kind)
def test_connections_names_those_that_a_step_uses(step: s.Step) -> None:
    free = s.Publish | s.Pause | s.Settle | s.Http | s.Restart | s.Knock
    assert s.connections(step) == (() if isinstance(step, free) else ("a",))


def test_flat_gives_inner_steps_too() -> None:
    together, pieces = s.Together((SUBSCRIBE, s.Ping("a"))), s.Pieces(SUBSCRIBE, (1,), "segments")
    steps = (together, s.Settle(), pieces)
    assert list(s.flat(steps)) == [together, SUBSCRIBE, s.Ping("a"), s.Settle(), pieces, SUBSCRIBE]


def test_a_script_keeps_all_but_its_steps_when_they_change() -> None:
    script = s.Script("title", (s.Settle(),), "SUB-1", "check", "alone", ("w", "1"))
    changed = script.with_steps([s.Ping("a")])
    assert changed.steps == (s.Ping("a"),)
    assert changed.with_steps(script.steps) == script


@pytest.mark.parametrize(
    ("cuts", "pieces"),
    [
        ((), [b"abcdef"]),
        ((2,), [b"ab", b"cdef"]),
        ((4, 2), [b"ab", b"cd", b"ef"]),
        ((0,), [b"", b"abcdef"]),
        ((3, 3), [b"abc", b"", b"def"]),
        ((6,), [b"abcdef", b""]),
        ((99,), [b"abcdef", b""]),
    ],
)
def test_cut_makes_pieces_that_join_to_the_whole(cuts: tuple[int, ...], pieces: list[bytes]) -> None:
    assert s.cut(b"abcdef", cuts) == pieces


def _frames(data: bytes) -> Iterator[tuple[Opcode, bool, bytes]]:
    """Frames as RFC 6455 section 5.2 has them, by a parser that is not the sender's."""
    while data:
        first, second, data = data[0], data[1], data[2:]
        assert second & 0x80, "a client's frames are masked"
        size = second & 0x7F
        if size == 126:
            size, data = struct.unpack("!H", data[:2])[0], data[2:]
        mask, data = data[:4], data[4:]
        yield (
            Opcode(first & 0x0F),
            bool(first & 0x80),
            bytes(byte ^ mask[index % 4] for index, byte in enumerate(data[:size])),
        )
        data = data[size:]


def test_a_subscribe_goes_out_as_one_masked_text_frame() -> None:
    [(opcode, fin, payload)] = _frames(s.frames(SUBSCRIBE))
    assert (opcode, fin) == (Opcode.TEXT, True)
    assert json.loads(payload) == {"type": "subscribe_investigation", "investigation_id": "inv-é😀"}


def test_a_subscribe_with_a_text_goes_out_as_it_is_spelt() -> None:
    text = ' {"investigation_id":"\\u0078", "type":"subscribe_investigation"}\n'
    assert list(_frames(s.frames(s.Subscribe("a", "x", text)))) == [(Opcode.TEXT, True, text.encode())]


def test_other_messages_keep_their_bytes_and_kind() -> None:
    assert list(_frames(s.frames(s.Say("a", b"\xff\x00", "malformed")))) == [(Opcode.TEXT, True, b"\xff\x00")]
    assert list(_frames(s.frames(s.Say("a", b"", "malformed", binary=True)))) == [(Opcode.BINARY, True, b"")]
    assert list(_frames(s.frames(s.Ping("a", b"\xff")))) == [(Opcode.PING, True, b"\xff")]


def _no_ping() -> bytes:
    raise AssertionError("no ping belongs here")


def test_fragments_are_one_message_in_several_frames() -> None:
    parts = s.pieces(s.Pieces(SUBSCRIBE, (1, 1, 50), "fragments"), _no_ping)
    seen = [frame for part in parts for frame in _frames(part)]
    assert [(opcode, fin) for opcode, fin, _ in seen] == [
        (Opcode.TEXT, False),
        (Opcode.CONT, False),
        (Opcode.CONT, False),
        (Opcode.CONT, True),
    ]
    assert seen[1][2] == b""
    assert b"".join(payload for _, _, payload in seen) == SUBSCRIBE.payload()


def test_a_binary_message_in_fragments_begins_with_a_binary_frame() -> None:
    step = s.Pieces(s.Say("a", b"abcd", "malformed", binary=True), (2,), "fragments")
    assert [next(_frames(part))[0] for part in s.pieces(step, _no_ping)] == [Opcode.BINARY, Opcode.CONT]


def test_interleaved_fragments_have_a_ping_between_each_two() -> None:
    numbers = iter([b"ping 0", b"ping 1"])
    parts = s.pieces(s.Pieces(SUBSCRIBE, (10, 20), "interleaved"), numbers.__next__)
    seen = [frame for part in parts for frame in _frames(part)]
    assert [opcode for opcode, _, _ in seen] == [
        Opcode.TEXT,
        Opcode.PING,
        Opcode.CONT,
        Opcode.PING,
        Opcode.CONT,
    ]
    assert [payload for opcode, _, payload in seen if opcode is Opcode.PING] == [b"ping 0", b"ping 1"]


def test_segments_are_one_frame_cut_anywhere() -> None:
    parts = s.pieces(s.Pieces(SUBSCRIBE, (1, 3, 9), "segments"), _no_ping)
    assert [len(part) for part in parts[:3]] == [1, 2, 6]
    [(opcode, fin, payload)] = _frames(b"".join(parts))
    assert (opcode, fin, payload) == (Opcode.TEXT, True, SUBSCRIBE.payload())


def test_subscribe_text_puts_unknown_fields_after_the_known_ones() -> None:
    assert list(json.loads(s.subscribe_text("x", b=1, a=2))) == ["type", "investigation_id", "b", "a"]


def test_what_is_no_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="no step"):
        s.from_json({"step": "ping", "conn": "a", "data": {"base64": "!"}})


@pytest.mark.parametrize(
    "step",
    [
        s.Stall("a"),
        s.Raw("a", b"x"),
        s.Http(b"GET"),
        s.Say("a", b"{", "malformed"),
        s.Pieces(s.Say("a", b"{", "malformed"), (1,), "fragments"),
        s.Together((s.Say("a", b"{", "malformed"),)),
    ],
)
def test_what_misbehaves_or_stalls_is_not_peaceful(step: s.Step) -> None:
    assert not s.is_peaceful(s.Script("t", (s.Connect("a", "a"), step), "SUB-1"))


def test_unknown_messages_and_ends_are_peaceful() -> None:
    steps = (s.Connect("a", "a"), s.Say("a", b'{"type": "x"}', "unknown"), s.Abort("a"))
    assert s.is_peaceful(s.Script("t", steps, "SUB-1"))
