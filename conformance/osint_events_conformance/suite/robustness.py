"""ROB: malformed input, unknown messages, large ones, and what they may do to others."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from functools import partial

from osint_events.features import FEATURES

from osint_events_conformance.script import (
    Abort,
    Connect,
    Follow,
    Http,
    Mistake,
    Pause,
    Pieces,
    Ping,
    Publish,
    Raw,
    Say,
    Settle,
    Step,
    Subscribe,
    Together,
    subscribe_text,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted, subscriber

LARGEST = 64 * 1024
"""Bytes of the largest message that must be accepted (ROB-4)."""


def malformed() -> list[tuple[str, bytes]]:
    """Text messages that are malformed in the protocol's sense, and why."""
    good = '{"type": "subscribe_investigation", "investigation_id": "1234"}'
    texts = {
        "nothing": "", "a space": " ", "no JSON": "hello", "a cut object": good[:-1], "a cut string": good[:40],
        "a second value": good + good, "trailing text": good + " x", "a trailing comma": good[:-1] + ",}",
        "single quotes": good.replace('"', "'"), "no quotes": "{type: 1}", "a comment": "/* */" + good,
        "NaN": '{"type": "subscribe_investigation", "investigation_id": NaN}', "NaN in an unknown field": good[:-1] + ', "x": NaN}',
        "infinity in an unknown field": good[:-1] + ', "x": [-Infinity]}', "an array": "[]", "an array of it": f"[{good}]",
        "null": "null", "true": "true", "a number": "17", "a string": '"subscribe_investigation"', "an empty object": "{}",
        "no type": '{"investigation_id": "1234"}', "type null": '{"type": null, "investigation_id": "1234"}',
        "type 5": '{"type": 5, "investigation_id": "1234"}', "type []": '{"type": ["subscribe_investigation"], "investigation_id": "1"}',
        "type {}": '{"type": {}}', "type true": '{"type": true}', "deep arrays": "[" * 100_000, "deep objects": '{"a":' * 20_000,
        "closed deep arrays": '{"type":"x","a":' + "[" * 5000 + "]" * 5000 + "}", "a lone surrogate": '{"type": "\\ud800"',
        "a bare control character": '{"type": "subscribe_investigation", "investigation_id": "a\x01"}', "a BOM": "\ufeff" + good,
        "a huge number": '{"type": ' + "9" * 5000 + "}", "infinity": "Infinity", "a bad escape": '{"type": "\\x41"}',
        "XML": "<subscribe/>", "a form": "type=subscribe_investigation&investigation_id=1234", "a NUL": "\x00",
    }  # fmt: skip
    made = [(about, text.encode()) for about, text in texts.items()]
    return [
        *made,
        ("invalid UTF-8", b'{"type": "subscribe_investigation", "investigation_id": "\xff\xfe"}'),
        ("a cut UTF-8 character", b'{"type": "x\xe2\x82'),
        ("overlong UTF-8", b'{"type": "x\xc0\xaf"}'),
        ("a surrogate in UTF-8", b'{"type": "x\xed\xa0\x80"}'),
    ]


@check("ROB-2")
def malformed_messages_are_not_confirmed_and_harm_nobody(kit: Kit) -> Iterator[Scenario]:
    """Ignored, answered or closed with an allowed code; what stays open still works."""
    good = b'{"type": "subscribe_investigation", "investigation_id": "1234"}'
    cases = [(about, data, False) for about, data in malformed()] + [
        ("a binary frame", good, True), ("an empty binary frame", b"", True), ("binary noise", bytes(range(256)), True),
    ]  # fmt: skip
    for number, (about, data, binary) in enumerate(cases):
        n = kit.names()
        before = [Subscribe("bad", n.id())] if number % 2 else []
        yield n, about, [
            *subscriber("good", n.client("good"), n.id()), Connect("bad", n.client("bad")), *before,
            Say("bad", data, "malformed", binary=binary, about=about), Publish(n.id(), event(message="1")), Settle(),
            Subscribe("bad", n.id("after")), Publish(n.id("after"), event()), Publish(n.id(), event(message="2")),
        ]  # fmt: skip


@check("ROB-1")
def malformed_input_disturbs_nobody_else(kit: Kit) -> Iterator[Scenario]:
    """Much of it, from a connection with the same client id, by several, beside those who listen and come."""
    every = [data for _, data in malformed() if len(data) < 10_000]
    n = kit.names()
    steps: list[Step] = [*subscriber("good", n.client("good"), n.id())]
    for number, data in enumerate(every):
        conn = f"bad{number}"
        steps += [Connect(conn, n.client("bad")), Say(conn, data, "malformed")]
        steps += [Publish(n.id(), event(message=f"{number}"), wait=False)]
    steps += [Settle(), *subscriber("new", n.client("new"), n.id()), Publish(n.id(), event(message="end"))]
    yield n, "one malformed message each from many connections", steps
    n = kit.names()
    steps = [*subscriber("good", n.client("good"), n.id()), Connect("bad", n.client("good"))]
    steps += [Say("bad", b"{", "malformed") for _ in range(30)]
    steps += [
        Publish(n.id(), event()),
        Pause(0.05),
        *subscriber("new", n.client("new"), n.id()),
        Publish(n.id(), event(message="2")),
    ]
    yield n, "thirty in a row, from the same client id", steps
    n = kit.names()
    large = b'{"type": "x", "padding": "' + b"x" * 1_500_000 + b'"}'
    yield n, "a message of 1.5 MB", [
        *subscriber("good", n.client("good"), n.id()), Connect("bad", n.client("bad")),
        Say("bad", large, "malformed", about="1.5 MB"), Publish(n.id(), event()), Ping("good", b"x"),
        *subscriber("new", n.client("new"), n.id()), Publish(n.id(), event(message="2")),
    ]  # fmt: skip


def _frame(first: int, payload: bytes, *, mask: bool = True, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    head = bytes([first])
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    else:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


@check("ROB-1")
def broken_frames_and_handshakes_disturb_nobody_else(kit: Kit) -> Iterator[Scenario]:
    """What RFC 6455 forbids, half requests, garbage and resets: others are served on."""
    good = b'{"type": "x-unknown", "investigation_id": "1234"}'
    broken = {
        "an unmasked frame": _frame(0x81, good, mask=False), "a reserved bit": _frame(0xC1, good),
        "a reserved opcode": _frame(0x83, good), "a reserved control opcode": _frame(0x8B, b""),
        "a fragmented ping": _frame(0x09, b"x"), "a ping of 126 bytes": _frame(0x89, b"x" * 126),
        "a continuation of nothing": _frame(0x80, good), "a text frame within a message": _frame(0x01, b"{") + _frame(0x81, good),
        "a close of one byte": _frame(0x88, b"x"), "a close with code 1005": _frame(0x88, struct.pack("!H", 1005)),
        "a close with code 999": _frame(0x88, struct.pack("!H", 999)), "a close with bad UTF-8": _frame(0x88, b"\x03\xe8\xff"),
        "a length of 2^63": bytes([0x81, 0xFF]) + b"\xff" * 8 + b"\0\0\0\0", "random bytes": bytes((i * 37 + 11) % 256 for i in range(300)),
        "half a frame": _frame(0x81, good)[:20], "invalid UTF-8 over two frames": _frame(0x01, b'{"a": "\xe2') + _frame(0x80, b'\x28"}'),
        "a pong nobody asked for": _frame(0x8A, b"hello"), "an unfinished message": _frame(0x01, b'{"type": "x-unknown", "a": "'),
    }  # fmt: skip
    for about, data in broken.items():
        n = kit.names()
        yield n, about, [
            *subscriber("good", n.client("good"), n.id()), *subscriber("bad", n.client("bad"), n.id()),
            Raw("bad", data, about), Publish(n.id(), event(message="1")), Subscribe("good", n.id("good")),
            Publish(n.id("good"), event(message="2")), Pause(0.02), Abort("bad"),
            *subscriber("new", n.client("new"), n.id()), Publish(n.id(), event(message="3")),
        ]  # fmt: skip
    upgrade = b"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    requests = {
        "nothing": b"", "half a request": b"GET {path} HT", "half a handshake": upgrade, "no key": upgrade + b"Sec-WebSocket-Version: 13\r\n\r\n",
        "version 7": upgrade + b"Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "a bad key": upgrade + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n", "no HTTP": b"\x16\x03\x01\x00\xff\x00\x00" * 9,
        "a POST": b"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{}", "a long header": b"GET {path} HTTP/1.1\r\nX: " + b"x" * 200_000,
        "a request line with no end": b"GET /" + b"a" * 100_000,
    }  # fmt: skip
    n = kit.names()
    steps = subscriber("good", n.client("good"), n.id())
    for about, data in requests.items():
        steps += [Http(data, linger=0.02), Publish(n.id(), event(message=about), wait=False)]
    yield (
        n,
        "broken handshakes",
        [*steps, *subscriber("new", n.client("new"), n.id()), Publish(n.id(), event())],
    )


@check("ROB-3")
def unknown_messages_are_tolerated(kit: Kit) -> Iterator[Scenario]:
    """Types of every spelling, with fields that other dialects use, alone, large and many in a row."""
    types = [
        "", " ", "x", "ping", "pong", "heartbeat", "auth", "authenticate", "unsubscribe", "unsubscribe_investigation", "subscribe",
        "Subscribe_Investigation", "SUBSCRIBE_INVESTIGATION", "subscribe_investigation ", " subscribe_investigation", "subscribe-investigation",
        "subscribe_investigations", "subscription_confirmed", "investigation_update", "error", "message", "task_started", "__proto__",
        "constructor", "toString", "hasOwnProperty", "__init__", "__class__", "on_message", "close", "connect", "null", "1", "é😀", "a" * 1000,
        "a.b", "a/b", "*", "{}", "type", "ack", "get_status", "hello_world", "disconnect", "exit", "echo",
    ]  # fmt: skip
    for start in range(0, len(types), 6):
        n = kit.names()
        steps = subscriber("a", n.client(), n.id())
        for number, type_ in enumerate(types[start : start + 6]):
            bodies: list[dict[str, object]] = [
                {"type": type_},
                {"type": type_, "investigation_id": n.id("never"), "id": number, "data": {"a": [1, None]}},
            ]
            steps += [Say("a", json.dumps(body, ensure_ascii=False).encode(), "unknown") for body in bodies]
            steps += [Publish(n.id(), event(message=f"{number}")), Subscribe("a", n.id(f"{number}"))]
        yield n, f"unknown types {types[start : start + 6]}"[:110], [*steps, Publish(n.id("5"), event())]
    n = kit.names()
    yield n, "forty in a row", [
        *subscriber("a", n.client(), n.id()), *(Say("a", b'{"type": "x-%d"}' % i, "unknown") for i in range(40)),
        Publish(n.id(), event()), Subscribe("a", n.id("after")), Publish(n.id("after"), event()),
    ]  # fmt: skip
    if kit.offered:
        n = kit.names()
        count = min(40, kit.burst // 2)
        yield n, f"{count} in a row, with hello", [
            *greeted("a", n.client(), *FEATURES), Follow("a", n.id()), *(Mistake("a", f'{{"type": "x-{i}"}}', ("unknown_type",)) for i in range(count)),
            Settle(), Publish(n.id(), event()), Follow("a", n.id("after")), Publish(n.id("after"), event()),
        ]  # fmt: skip
    n = kit.names()
    values: list[object] = [
        None,
        1,
        "x",
        [],
        {},
        [{}],
        {"type": "subscribe_investigation", "investigation_id": n.id("inner")},
    ]
    yield n, "with data of every kind", [
        *subscriber("a", n.client(), n.id()),
        *(Say("a", json.dumps({"type": "x", "data": value, "investigation_id": value}).encode(), "unknown") for value in values),
        Publish(n.id(), event()), Subscribe("a", n.id("after")), Publish(n.id("after"), event()),
    ]  # fmt: skip


def _padded(size: int, make: partial[str]) -> bytes:
    bare = len(make(padding="").encode())
    return make(padding="x" * (size - bare)).encode()


@check("ROB-4")
def messages_of_up_to_64_kib_are_accepted(kit: Kit) -> Iterator[Scenario]:
    """Subscribes and unknown messages, of every frame header's edge, padded by a field or by white space."""
    for size in (125, 126, 127, 128, 1024, 4096, 8192, 16_384, 16_385, 32_768, 65_000, LARGEST - 1, LARGEST):
        n = kit.names()
        text = _padded(size, partial(subscribe_text, n.id("big"))).decode()
        unknown = _padded(size, partial(_unknown, "x-large"))
        spaces = subscribe_text(n.id("spaces"))
        spaces += " " * (size - len(spaces))
        yield n, f"messages of {size} bytes", [
            *subscriber("a", n.client(), n.id()), Subscribe("a", n.id("big"), text), Say("a", unknown, "unknown"),
            Subscribe("a", n.id("spaces"), spaces[:LARGEST]),
            *(Publish(n.id(label), event()) for label in ("", "big", "spaces")),
        ]  # fmt: skip
    n = kit.names()
    text = _padded(LARGEST, partial(subscribe_text, n.id("é"))).decode()
    wide = subscribe_text(n.id("wide"), padding="😀" * 16_000)
    nested = json.dumps({"type": "x", "a": json.loads("[" * 29 + "]" * 29)}).encode()
    many = subscribe_text(n.id("many"), **{f"field {number}": number for number in range(2500)})
    yield n, "64 KiB in two fragments, of emoji, of many fields, and 30 levels deep", [
        *subscriber("a", n.client(), n.id()), Pieces(Subscribe("a", n.id("é"), text), (30_000,), "fragments"),
        Subscribe("a", n.id("deep"), subscribe_text(n.id("deep"), a=json.loads("[" * 29 + "]" * 29), b=json.loads('{"b":' * 28 + "{}" + "}" * 28))),
        Publish(n.id("deep"), event()), Subscribe("a", n.id("wide"), wide), Subscribe("a", n.id("many"), many), Say("a", nested, "unknown", about="30 levels"),
        *(Publish(n.id(label), event()) for label in ("", "é", "wide", "many")),
    ]  # fmt: skip
    n = kit.names()
    big = _padded(LARGEST, partial(_unknown, "x"))
    yield n, "ten of 64 KiB in a row", [
        *subscriber("a", n.client(), n.id()), Together(tuple(Say("a", big, "unknown") for _ in range(10))),
        Subscribe("a", n.id("after")), Publish(n.id("after"), event()), Publish(n.id(), event()),
    ]  # fmt: skip


def _unknown(type_: str, padding: str) -> str:
    return json.dumps({"type": type_, "padding": padding})
