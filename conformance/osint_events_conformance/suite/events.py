"""EVT: payloads are delivered as they were published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from osint_events_conformance.script import Publish
from osint_events_conformance.suite import Kit, Scenario, check, delivered, event, subscriber

KINDS = (
    "investigation_started", "investigation_completed", "investigation_paused", "investigation_resumed", "investigation_stopped",
    "task_started", "task_completed", "task_failed", "task_progress", "task_x", "finding", "x", "", "é😀", "Investigation_Started",
    "investigation", "subscription_confirmed", "investigation_update", "subscribe_investigation", "ping", "error", "__proto__", "null",
)  # fmt: skip
"""Known kinds, deployed ones and others: the set is open."""

STRINGS = {
    "empty and blank": ["", " ", "  two  ", "\t", "\n", "\r\n", " leading", "trailing ", "a\nb", "a\r\nb"],
    "look-alikes": ["null", "true", "false", "1", "1.0", "01", "1e5", "NaN", "Infinity", "-0", "undefined", "[]", "{}", '""', "None"],
    "dates": ["2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678901+02:00", "12:00", "1700000000"],
    "quoting": ['"', "'", "\\", "\\\\n", "\\u0041", "/", "</script>", "<b>&amp;</b>", "&lt;", "a&b", "%s", "%20", "{0}", "${x}", "`", '\\"'],
    "templates": [
        "{id}", "{data}", "{type}", "{payload}", "{investigation_id}", "{{data}}", "{{ data }}", "{client_id}", "$id", "${data}", "$data", "%(data)s", "%d", "%(id)s",
        "<id>", "<%= data %>", "#{id}", ":id", "@id", "[[data]]", "__DATA__", "$1", "$&", "$$", "$`", "$'", "\\1", "\\g<0>", "%n", "&data;",
    ],
    "control": ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1b[31m", "\x1f", "\x7f", "\x80", "\x9f", "a\x00b"],
    "Latin and look-alike": ["é", "e\u0301", "ß", "ẞ", "İ", "ı", "Å", "\u212b", "ﬁ", "\u0430", "ñ", "Ω", "\u2126", "µ", "½"],
    "scripts": ["日本語", "Привет", "שלום", "مرحبا", "हिन्दी", "ไทย", "한국어", "\u1112\u1161\u11ab", "ᏣᎳᎩ"],
    "invisible": ["\u00a0", "\u00ad", "\u200b", "\u200d", "\u200e", "\u202e", "\u2028", "\u2029", "\u3000", "\ufeff", "\ufffd", "a\ufeffb"],
    "beyond the basic plane": ["😀", "👩‍👩‍👧", "🏳️‍🌈", "𝕏", "𠜎", "\U0010fffd", "\U0001f600" * 50, "a😀b", "\U000e0001"],
    "noncharacters": ["\ufffe", "\uffff", "\U0001ffff", "\U0010ffff", "\ufdd0"],
    "private use": ["\ue000", "\U000f0000"],
    "long": ["x" * 255, "x" * 256, "x" * 257, "x" * 1000, "x" * 1024, "x" * 4096, "é" * 2000, "😀" * 1000],
}  # fmt: skip

NUMBERS = [
    0, 1, -1, 0.5, 0.1, 0.30000000000000004, 1e-7, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.5, 1e21, 1e22,
    123456789.12345679, 2**31, 2**31 - 1, -(2**31) - 1, 2**32, 2**53 - 1, 2**53, -(2**53), 3.141592653589793, 1e16, 1e15, 100, 1e2, -0.0,
]  # fmt: skip

EXACT = (
    '{"n": 9007199254740993}', '{"n": 9223372036854775807}', '{"n": 18446744073709551616}', '{"n": -9007199254740993}',
    '{"n": 123456789012345678901234567890}', '{"progress": 1.0}', '{"progress": 0.0}', '{"n": 1e2}', '{"n": 1E+2}', '{"n": 0.10}',
    '{"n": -0.0}', '{"n": 1.50}', '{"n": [1.0, 2.00, 9007199254740993]}', '{"n": 0.1000000000000000055511151231257827}',
    '{"a": {"b": [{"c": 12345678901234567890}]}}',
)  # fmt: skip


def structures() -> dict[str, list[dict[str, Any]]]:
    """Payloads whose shape careless code changes."""
    deep: Any = "end"
    for level in range(28):
        deep = {"d": deep} if level % 2 else [deep]
    return {
        "empty containers": [{}, {"a": []}, {"a": {}}, {"a": [[]]}, {"a": [{}]}, {"a": {"b": {}}}, {"a": [], "b": {}, "c": ""}, {"a": [[], [], {}]}],
        "null": [{"a": None}, {"type": None}, {"message": None}, {"status": None}, {"a": [None]}, {"a": [None, None, 1]}, {"a": {"b": None}}, {"result": None, "a": 1}],
        "booleans": [{"a": True}, {"a": False}, {"a": [True, False]}, {"a": {"b": False}}, {"success": False, "n": 0}],
        "names": [
            {"": 1}, {" ": 1}, {"a b": 1}, {"a.b": 1, "a": {"b": 2}}, {"a/b": 1}, {"$ref": "#/x"}, {"$set": {"a": 1}}, {"@type": "x"}, {"_id": "x"},
            {"_private": 1}, {"__proto__": {"x": 1}}, {"constructor": {"prototype": {"x": 1}}}, {"toString": "x"}, {"hasOwnProperty": 1}, {"length": 3},
            {"0": "zero", "1": "one"}, {"10": 1, "9": 2}, {"é": 1}, {"e\u0301": 1}, {"é": 1, "e\u0301": 2}, {"😀": 1}, {"a\nb": 1}, {'a"b': 1}, {"a\\b": 1},
            {"A": 1, "a": 2}, {"camelCase": 1, "snake_case": 2, "kebab-case": 3}, {"x" * 300: 1}, {"class": 1, "def": 2, "id": 3, "self": 4},
            {"data": {"data": {}}}, {"timestamp": 1700000000, "created_at": "x"}, {"seq": 1, "prev": 0, "token": "t"}, {"event": 5}, {"id": "1", "user": "u"},
        ],
        "arrays": [{"a": [3, 1, 2]}, {"a": [1, 1, 1]}, {"a": ["b", "a", "b"]}, {"a": [1, "1", 1.5, None, True, {}, []]}, {"a": [[1, 2], [3], []]}, {"a": list(range(300))}, {"a": [0]}],
        "nesting": [{"a": deep}, {"a": {"b": {"c": {"d": {"e": {"f": [1, {"g": []}]}}}}}}, {"task": {"id": 1, "sub": [{"id": 2}, {"id": 3}]}}],
        "many members": [{f"field {number}": number for number in range(500)}, {f"k{number}": None for number in range(60)}],
        "documented fields": [
            {"type": "task_completed", "status": "completed", "message": "Primary domain_recon", "task_id": "task-1", "name": "Primary domain_recon", "progress": 1},
            {"type": "investigation_started", "status": "running", "message": "Investigation started"}, {"type": "task_failed", "task_id": "0", "status": "failed", "error": {"code": 1}},
            {"type": "task_started", "task_id": "1", "name": "", "progress": 0}, {"type": "task_progress", "task_id": "007", "progress": 0.333333333333},
            {"status": "running"}, {"message": "x"}, {"progress": 0.5}, {"progress": 1}, {"progress": 0}, {"progress": 0.001}, {"progress": 0.999999}, {"name": "n"}, {"task_id": "t"},
        ],
    }  # fmt: skip


@check("EVT-1", needs_payload=True)
def payloads_of_every_kind_are_delivered_as_published(kit: Kit) -> Iterator[Scenario]:
    """Known, deployed and other kinds, with and without the documented fields, and with the id mirrored."""
    n = kit.names()
    payloads = [event(kind, message="m", extra=[1, {"a": None}]) for kind in KINDS]
    payloads += [event(kind) for kind in KINDS] + [event(None, message="no type"), event(None)]
    yield delivered(n, "every kind", payloads)
    n = kit.names()
    mirrored = [
        event(kind, investigation_id=n.id(f"{number}"), message="m") for number, kind in enumerate(KINDS)
    ]
    yield delivered(n, "the id mirrored in data", mirrored)
    n = kit.names()
    others: list[object] = [None, "", "other", n.id("other"), 5, True, [], {}]
    wrong = [event("finding", investigation_id=other) for other in others]
    yield delivered(n, "another id in data", wrong)
    n = kit.names()
    legacy = [
        {"event": "task_completed", "task_id": "t"}, {"event": "x"}, {"type": "", "event": "task_failed", "task_id": "t"},
        {"status": "running", "message": "Investigation started"}, {"status": "running", "message": "startup"}, {"type": 5}, {"type": ["x"]},
        {"type": {"a": 1}}, {"type": False}, {"status": 7}, {"message": 1.5}, {"name": ["a"]}, {"task_id": 12}, {"progress": 42}, {"progress": "0.5"},
    ]  # fmt: skip
    yield delivered(
        n, "legacy shapes, and types that no publisher should send", [json.dumps(item) for item in legacy]
    )
    n = kit.names()
    odd: list[object] = [None, "", "half", "50%", True, -1, 1e9, [], [1], {}, {"a": 1}]
    fields = ("progress", "status", "message", "name", "task_id", "timestamp", "error", "result")
    careless = [event("task_progress", **{name: value}) for name in fields for value in odd]
    yield delivered(n, "documented fields of every type", careless)


@check("EVT-1", needs_payload=True)
def text_is_delivered_as_published(kit: Kit) -> Iterator[Scenario]:
    """All Unicode, in values and names, raw and escaped."""
    for title, texts in STRINGS.items():
        payloads = [event("finding", message=text, name=text, a={"b": [text, text]}) for text in texts]
        yield delivered(kit.names(), f"text: {title}", payloads)
        escaped = [json.dumps({"type": "task_progress", "task_id": "t", "message": text}) for text in texts]
        yield delivered(kit.names(), f"escaped text: {title}", escaped)
        names = [json.dumps({f"n{text}": 1, "status": text}, ensure_ascii=False) for text in texts]
        yield delivered(kit.names(), f"names: {title}", names)


@check("EVT-1", needs_payload=True)
def numbers_are_delivered_as_published(kit: Kit) -> Iterator[Scenario]:
    """Equal as IEEE doubles: subnormal, largest, beyond 2^31 and 2^53, and progress to its last digit."""
    yield delivered(kit.names(), "numbers", [event("finding", n=number, a=[number]) for number in NUMBERS])
    steps = [
        0,
        1,
        0.5,
        0.25,
        0.1,
        0.01,
        0.001,
        0.123456789,
        0.999,
        0.9999999,
        1 / 3,
        2 / 3,
        1e-9,
        0.005,
        0.995,
    ]
    yield delivered(kit.names(), "progress", [event("task_progress", progress=step) for step in steps])


@check("EVT-1", needs_payload=True)
def structures_are_delivered_as_published(kit: Kit) -> Iterator[Scenario]:
    """Empty containers, nulls, odd names, order and repetition in arrays, depth and width."""
    for title, payloads in structures().items():
        yield delivered(kit.names(), title, [json.dumps(item, ensure_ascii=False) for item in payloads])
        typed = [
            json.dumps({"type": "task_completed", "task_id": "t-7", "result": item}) for item in payloads
        ]
        yield delivered(kit.names(), f"{title}, within a task's result", typed)


@check("EVT-1", needs_payload=True)
def large_payloads_are_delivered_as_published(kit: Kit) -> Iterator[Scenario]:
    """Up to a message of 64 KiB, in one field or many, at the edges of frame headers and common buffers."""
    payloads = [
        event("finding", message="x" * size)
        for size in (20, 25, 40, 60, 80, 100, 120, 130, 900, 1400, 4000, 8100, 16_000, 16_300, 32_000, 32_700, 48_000, 60_000, 65_000)
    ]  # fmt: skip
    yield delivered(kit.names(), "large text", payloads)
    wide: list[dict[str, Any]] = [
        {"a": ["text"] * 5000}, {"a": list(range(10_000))}, {f"k{i}": {"v": [i]} for i in range(2000)}, {"m": "é" * 30_000}, {"m": "😀" * 15_000},
        {"m": "\\" * 15_000}, {"m": '"' * 15_000}, {"a": [{"id": i, "tags": []} for i in range(1500)]},
    ]  # fmt: skip
    yield delivered(kit.names(), "large structures", [json.dumps(item, ensure_ascii=False) for item in wide])
    n = kit.names()
    yield n, "a large event between small ones", [
        *subscriber("a", n.client(), n.id()),
        *(Publish(n.id(), event("finding", message="x" * (60_000 if number % 3 == 1 else number))) for number in range(9)),
    ]  # fmt: skip


@check("EVT-6", needs_payload=True)
def numbers_keep_their_spelling(kit: Kit) -> Iterator[Scenario]:
    """Integers beyond 2^53, and 1.0 beside 1 (a SHOULD)."""
    yield delivered(kit.names(), "spelling of numbers", list(EXACT), exact=True)


@check("EVT-1", needs_payload=True)
def what_one_subscriber_gets_every_subscriber_gets(kit: Kit) -> Iterator[Scenario]:
    """The same payload on several connections, and changed from event to event."""
    n = kit.names()
    yield n, "one investigation, many payloads", [
        *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id()), *subscriber("c", n.client("c"), n.id()),
        *(Publish(n.id(), json.dumps({"type": "finding", "n": number, "all": structure}))
          for number, structure in enumerate(item for group in structures().values() for item in group)),
    ]  # fmt: skip
