"""CONN: the handshake, pings, closing, and connections that share a client id."""

from __future__ import annotations

import string
from collections.abc import Iterator

from osint_events.features import FEATURES

from osint_events_conformance.names import Names
from osint_events_conformance.script import (
    Abort,
    Close,
    Connect,
    Follow,
    Http,
    Pause,
    Pieces,
    Ping,
    Publish,
    Say,
    Settle,
    Step,
    Subscribe,
    Together,
    subscribe_text,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted, subscriber


def _client_ids(n: Names) -> dict[str, list[str]]:
    pad = (n.word + string.ascii_letters + string.digits + "-_") * 3
    return {
        "lengths": [pad[:71], pad[:127], pad[:128], "-" + pad[:127]],
        "one character": ["a", "Z", "7", "-", "_"],
        "digits": [n.digits, f"0{n.digits}", f"-{n.digits}", n.digits * 18],
        "dashes": [f"-{n.word}", f"_{n.word}", f"{n.word}-", f"{n.word}_", f"--{n.word}__", f"__{n.word}__"],
        "case": [n.word.upper(), n.word.title(), n.word],
        "reserved words": [
            "null",
            "undefined",
            "constructor",
            "__proto__",
            "toString",
            "None",
            "true",
            "admin",
        ],
    }


@check("CONN-1")
def client_ids_of_the_guaranteed_alphabet_are_served(kit: Kit) -> Iterator[Scenario]:
    """Every character, both ends of the length, digits only, leading and trailing dashes, reserved words."""
    for title in _client_ids(kit.names()):
        n = kit.names()
        steps: list[Step] = []
        client_ids = _client_ids(n)[title]
        for number, client_id in enumerate(client_ids):
            steps += subscriber(f"c{number}", client_id, n.id())
        steps += [Publish(n.id(), event()), *(Ping(f"c{i}", b"here") for i in range(len(client_ids)))]
        yield n, f"client ids: {title}", steps


@check("CONN-1")
def other_client_ids_are_served_too(kit: Kit) -> Iterator[Scenario]:
    """Percent-encoded UTF-8 and punctuation (a SHOULD)."""
    for odd in (
        " ",
        ".",
        "é",
        "日本",
        "😀",
        ":",
        "@",
        "+",
        "%",
        "%20",
        "*",
        "~",
        ",",
        ";",
        "?",
        "#",
        "&",
        "=",
    ):
        n = kit.names()
        client_id = f"{n.word}{odd}x"
        yield n, f"client id with {odd!r}", [
            Connect("a", client_id, optional=True), Subscribe("a", n.id()), Publish(n.id(), event()),
        ]  # fmt: skip


@check("CONN-2")
def a_plain_get_is_refused(kit: Kit) -> Iterator[Scenario]:
    """A GET without an upgrade gets a 4xx."""
    yield (
        kit.names(),
        "plain GET",
        [Http(b"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n", expect_client_error=True)],
    )


@check("CONN-3")
def pings_are_answered_with_their_payload(kit: Kit) -> Iterator[Scenario]:
    """Payloads of 0 to 125 bytes, text or not, before and after a subscribe and between events."""
    payloads = [
        b"",
        b"x",
        b"1234",
        bytes(range(124)),
        bytes(range(131, 256)),
        b"\xff\xfe\x00",
        "é😀".encode(),
    ]
    for payload in payloads:
        n = kit.names()
        yield n, f"ping of {len(payload)} bytes", [
            Connect("a", n.client()), Ping("a", payload), Settle(), Subscribe("a", n.id()), Ping("a", payload), Settle(),
            Publish(n.id(), event()), Ping("a", payload),
        ]  # fmt: skip
    n = kit.names()
    steps: list[Step] = subscriber("a", n.client(), n.id())
    for number in range(30):
        steps += [Ping("a", f"ping {number}".encode()), *([Settle()] if number % 10 == 0 else [])]
        steps += [Publish(n.id(), event(message=f"{number}"), wait=False)]
    yield n, "pings among events", steps
    n = kit.names()
    yield n, "one ping after the other", [
        *subscriber("a", n.client(), n.id()), *(step for number in range(40) for step in (Ping("a", f"{number}".encode()), Settle(fence=False))),
    ]  # fmt: skip
    n = kit.names()
    yield n, "ping after a second of silence", [
        *subscriber("a", n.client(), n.id()), Pause(1.2), Ping("a", b"still there?"), Publish(n.id(), event()),
    ]  # fmt: skip


@check("CONN-4")
def the_closing_handshake_is_completed(kit: Kit) -> Iterator[Scenario]:
    """Codes with and without reason, an empty close frame, subscribed or not, under way or idle."""
    closes: list[tuple[int | None, str]] = [
        (1000, ""), (None, ""), (1001, "going away"), (3000, ""), (4000, "x" * 123), (4999, "grüße 😀"), (1000, "é" * 61),
    ]  # fmt: skip
    for code, reason in closes:
        n = kit.names()
        yield n, f"close {code} {reason[:10]}", [
            Connect("idle", n.client("idle")), *subscriber("used", n.client("used"), n.id()),
            *subscriber("other", n.client("other"), n.id()),
            Publish(n.id(), event()), Close("used", code, reason), Close("idle", code, reason), Publish(n.id(), event()),
        ]  # fmt: skip
    n = kit.names()
    yield n, "close while events come", [
        *subscriber("a", n.client("a"), n.id()), *subscriber("b", n.client("b"), n.id()),
        *(Publish(n.id(), event(message=f"{number}"), wait=False) for number in range(25)),
        Close("a", wait=False), *(Publish(n.id(), event(message=f"later {number}")) for number in range(5)),
    ]  # fmt: skip
    n = kit.names()
    yield n, "close right behind a subscribe", [
        Connect("a", n.client("a")), Subscribe("a", n.id(), wait=False), Close("a"),
        *subscriber("b", n.client("b"), n.id()), Publish(n.id(), event()),
    ]  # fmt: skip
    n = kit.names()
    yield n, "close twenty connections at once", [
        *(step for i in range(20) for step in subscriber(f"c{i}", n.client(f"{i}"), n.id())),
        *(Close(f"c{i}", wait=False) for i in range(20)),
    ]  # fmt: skip


@check("CONN-5")
def a_second_connection_with_the_same_client_id_is_served(kit: Kit) -> Iterator[Scenario]:
    """The newer one fully, the older one too or closed: never open and forgotten."""
    for subscribe_old_late in (False, True):
        for shared in (True, False):
            n = kit.names()
            old, new = n.id("old"), n.id("old") if shared else n.id("new")
            late: list[Step] = [Subscribe("old", old)]
            yield n, f"two connections, one client id ({shared=}, {subscribe_old_late=})", [
                Connect("old", n.client()), *([] if subscribe_old_late else late),
                Connect("new", n.client()), *(late if subscribe_old_late else []), Subscribe("new", new),
                Publish(old, event(message="1")), Publish(new, event(message="2")), Settle(),
                Ping("old", b"old"), Ping("new", b"new"),
                Subscribe("old", n.id("more")), Publish(n.id("more"), event(message="3")), Publish(new, event(message="4")),
            ]  # fmt: skip
    n = kit.names()
    yield n, "a newer connection that does not subscribe", [
        *subscriber("old", n.client(), n.id()), Connect("new", n.client()), Pause(0.05),
        Publish(n.id(), event(message="1")), Publish(n.id(), event(message="2")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "five connections, one client id", [
        *(step for i in range(5) for step in subscriber(f"c{i}", n.client(), n.id(), n.id(f"{i}"))),
        Publish(n.id(), event()), *(Publish(n.id(f"{i}"), event()) for i in range(5)),
    ]  # fmt: skip


def _end(how: str, conn: str) -> list[Step]:
    match how:
        case "close":
            return [Close(conn)]
        case "close 4000":
            return [Close(conn, 4000, "bye", wait=False)]
        case "reset":
            return [Abort(conn)]
        case _:
            return [Say(conn, b"{broken", "malformed", about="invalid JSON"), Close(conn, wait=False)]


@check("CONN-6")
def the_end_of_one_connection_touches_no_other(kit: Kit) -> Iterator[Scenario]:
    """Older or newer with the same client id, or any other; closed, reset or broken; same investigation or not."""
    for how in ("close", "close 4000", "reset", "bad JSON"):
        for first, second in (("old", "new"), ("new", "old")):
            n = kit.names()
            yield n, f"{first} ends by {how}, same client id", [
                *subscriber("old", n.client(), n.id(), n.id("old")), *subscriber("new", n.client(), n.id(), n.id("new")),
                *_end(how, first), Publish(n.id(), event(message="at once")), Pause(0.05),
                Publish(n.id(), event(message="later")), Publish(n.id(second), event()), Ping(second, b"there"),
                Subscribe(second, n.id("more")), Publish(n.id("more"), event()),
            ]  # fmt: skip
        n = kit.names()
        yield n, f"another client ends by {how}", [
            *subscriber("a", n.client("1"), n.id(), n.id("a")), *subscriber("b", n.client("10"), n.id(), n.id("b")),
            *subscriber("c", n.client("A"), n.id()), *subscriber("d", n.client("a"), n.id()),
            *_end(how, "a"), Publish(n.id(), event(message="at once")), Pause(0.05),
            Publish(n.id(), event(message="later")), Publish(n.id("b"), event()),
            *_end(how, "c"), Pause(0.05), Publish(n.id(), event(message="last")),
            Subscribe("b", n.id("a")), Publish(n.id("a"), event()),
        ]  # fmt: skip
    n = kit.names()
    yield n, "a connection that never subscribed ends", [
        Connect("idle", n.client()), *subscriber("a", n.client(), n.id()), Close("idle"), Pause(0.05),
        Publish(n.id(), event()),
    ]  # fmt: skip
    n = kit.names()
    yield n, "the last subscriber of one investigation leaves, another came meanwhile", [
        *subscriber("a", n.client("a"), n.id(), n.id("two")), *subscriber("b", n.client("b"), n.id("two")), Close("a"),
        *subscriber("c", n.client("c"), n.id()), Publish(n.id(), event()), Publish(n.id("two"), event()),
        Close("c"), *subscriber("d", n.client("d"), n.id()), Publish(n.id(), event()), Publish(n.id("two"), event()),
    ]  # fmt: skip


@check("CONN-6")
def the_end_of_one_that_said_hello_touches_no_other(kit: Kit) -> Iterator[Scenario]:
    """With the same client id and the same subscription, beside one that knows Part 1 only; either may end."""
    if not kit.offered:
        return
    for how in ("close", "reset"):
        for first, second in (("old", "new"), ("new", "old")):
            n = kit.names()
            yield n, f"{first} ends by {how}, one of the two said hello", [
                *greeted("old", n.client(), *FEATURES), Follow("old", n.id()), *subscriber("new", n.client(), n.id()), Publish(n.id(), event(message="both")), Settle(),
                *_end(how, first), Publish(n.id(), event(message="at once")), Pause(0.05), Publish(n.id(), event(message="later")), Ping(second, b"there"),
            ]  # fmt: skip


@check("CONN-6")
def a_client_may_come_back_many_times(kit: Kit) -> Iterator[Scenario]:
    """Reconnects with the same client id, beside a witness; closed or reset; at once or a little later."""
    for how in ("close", "reset"):
        for pause in (0.0, 0.03):
            n = kit.names()
            steps = subscriber("witness", n.client("witness"), n.id())
            for turn in range(6):
                steps += subscriber(f"c{turn}", n.client(), n.id())
                steps += [Publish(n.id(), event(message=f"{turn}")), *_end(how, f"c{turn}"), Pause(pause)]
            yield (
                n,
                f"six visits, each ended by {how}, {pause} s apart",
                [*steps, Publish(n.id(), event(message="end"))],
            )
    n = kit.names()
    steps = []
    for turn in range(6):
        steps += subscriber(f"c{turn}", n.client(), n.id())
        steps += [
            Publish(n.id(), event(message=f"{turn}")),
            Settle(),
            *([Abort(f"c{turn - 1}")] if turn else []),
        ]
    yield n, "each visit begins before the last one ends", steps


@check("CONN-7")
def messages_in_one_segment_are_told_apart(kit: Kit) -> Iterator[Scenario]:
    """Two, three, ten and forty messages in one write, mixed with pings and unknown ones."""
    for count in (2, 3, 10, 40):
        n = kit.names()
        ids = [n.id(f"{i}") for i in range(count)]
        yield n, f"{count} subscribes in one segment", [
            Connect("a", n.client()), Together(tuple(Subscribe("a", one) for one in ids)),
            *(Publish(one, event(), wait=False) for one in ids),
        ]  # fmt: skip
    n = kit.names()
    unknown = Say("a", b'{"type": "x-unknown", "n": 1}', "unknown")
    yield n, "a mixture in one segment", [
        Connect("a", n.client()),
        Together((Ping("a", b"1"), Subscribe("a", n.id("1")), unknown, Subscribe("a", n.id("2")), Ping("a", b"2"), unknown)),
        Settle(), Publish(n.id("1"), event()), Publish(n.id("2"), event()),
        Together((unknown, Subscribe("a", n.id("3")))), Publish(n.id("3"), event()),
        Together((Subscribe("a", n.id("4")), Subscribe("a", n.id("4")))), Publish(n.id("4"), event()),
    ]  # fmt: skip


@check("CONN-7")
def a_message_in_pieces_is_one_message(kit: Kit) -> Iterator[Scenario]:
    """Fragments (RFC 6455 5.4) with pings between them, empty ones, cuts in a character; frames in many segments."""
    for how in ("fragments", "interleaved", "segments"):
        length = len(subscribe_text(kit.names().id("é😀日")).encode())
        cuts = [(1,), (0, 0, 5), tuple(range(1, length)), (length - 10, length - 4), (length, length)]
        if how == "segments":
            cuts = [(1,), (2, 3), tuple(range(1, length + 6)), (6, 7), (length,)]
        for where in cuts:
            m = kit.names()
            one_m = m.id("é😀日")
            yield m, f"{how} cut at {len(where)} places", [
                Connect("a", m.client()), Subscribe("a", m.id("first")),
                Pieces(Subscribe("a", one_m), where, how), Publish(one_m, event()), Publish(m.id("first"), event()),
                Subscribe("a", m.id("last")), Publish(m.id("last"), event()),
            ]  # fmt: skip
    n = kit.names()
    big = subscribe_text(n.id(), padding="x" * 40000)
    yield n, "a large message in sixteen fragments", [
        Connect("a", n.client()), Pieces(Subscribe("a", n.id(), big), tuple(range(2500, 40000, 2500)), "interleaved"),
        Publish(n.id(), event()),
    ]  # fmt: skip
