"""RPL: numbers, tokens, and what was missed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from osint_events.features import FEATURES

from osint_events_conformance.names import Names
from osint_events_conformance.script import (
    Abort,
    Close,
    Connect,
    Follow,
    Hello,
    Pause,
    Publish,
    Resume,
    Settle,
    Stall,
    Step,
    Together,
    Unfollow,
)
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted, ids, subscriber
from osint_events_conformance.suite.events import NUMBERS, STRINGS, structures

_NASTY = len([one for group in ids.nasty(Names(random.Random(0))).values() for one in group])
_MOST_MISSED = 1100
_TOGETHER = 12
_LONG_REPLAY = 110
"""Events that are replayed where not all of them may be on their way at once."""
_SMALL_BUFFER = 4096
_MISSED = 50
"""Events that are missed at once: fewer than any store is likely to keep."""


def _witness(n_id: str, client_id: str) -> list[Step]:
    """A connection that sees every event's number."""
    return [*greeted("witness", client_id, "replay"), Follow("witness", n_id)]


def _no_replay(kit: Kit) -> str | None:
    return None if "replay" in kit.offered else "the server does not offer replay"


@check("EVT-1", needs_payload=True, unless=_no_replay)
def what_is_replayed_is_what_was_published(kit: Kit) -> Iterator[Scenario]:
    """Structures, texts and numbers that were missed: a store may change what a live event keeps."""
    texts = [{"message": text, "a": [text]} for group in STRINGS.values() for text in group]
    groups = structures() | {"texts": texts, "numbers": [{"n": number} for number in NUMBERS]}
    payloads = [(title, data) for title, group in groups.items() for data in group]
    for start in range(0, len(payloads), _MISSED):
        n, some = kit.names(), payloads[start : start + _MISSED]
        missed = [
            json.dumps(data | {"number": i}, ensure_ascii=False) for i, (_, data) in enumerate(some, start)
        ]
        yield n, f"missed payloads from {start}, {some[0][0]}", [
            *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), Publish(n.id(), event()), Settle(), Close("a"),
            *(Publish(n.id(), one) for one in missed), Settle(), *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="last:a"),
        ]  # fmt: skip


@check("RPL-1", needs_payload=True)
def numbers_increase_and_are_everybodys(kit: Kit) -> Iterator[Scenario]:
    """One by one, in a burst, over several investigations, on connections with other features."""
    n = kit.names()
    several = [n.id(f"{number}") for number in range(4)]
    yield n, "four investigations in turn", [
        *greeted("a", n.client("a"), "replay"), *(Follow("a", one) for one in several), *greeted("b", n.client("b"), *FEATURES), *(Follow("b", one) for one in several),
        *(Publish(several[number % 4], event(message=f"{number}")) for number in range(40)), Settle(),
        *(Publish(several[number * number % 4], event("task_started", message=f"{number}"), wait=False) for number in range(60)),
    ]  # fmt: skip


@check("RPL-1", needs_payload=True)
def numbers_go_on_after_an_investigation_s_end(kit: Kit) -> Iterator[Scenario]:
    """Completed, stopped, begun again: the sequence is the investigation's, not a run's."""
    kinds = (
        "started",
        "completed",
        "started",
        "stopped",
        "started",
        "paused",
        "resumed",
        "completed",
        "note",
    )
    n = kit.names()
    yield n, "an investigation that ends and begins again", [
        *_witness(n.id(), n.client("w")),
        *(Publish(n.id(), event(f"investigation_{kind}", message=f"{i}")) for i, kind in enumerate(kinds)),
        Settle(),
    ]  # fmt: skip


@check("RPL-2", needs_payload=True)
def prev_links_the_events_of_a_scope(kit: Kit) -> Iterator[Scenario]:
    """All, tasks and summary side by side, joined at different times."""
    n = kit.names()
    kinds = ("task_started", "task_x", "investigation_note", "finding", "investigation_x", "task_done")
    steps: list[Step] = []
    for number, scope in enumerate((None, ("tasks",), ("summary",), ("tasks", "summary"))):
        steps += [
            *greeted(f"s{number}", n.client(f"{number}"), "replay", "scopes"),
            Follow(f"s{number}", n.id(), scope),
        ]
        steps += [Publish(n.id(), event(kind, message=f"{number}")) for kind in kinds]
        steps += [Publish(n.id("other"), event(message=f"{number}")), Settle()]
    yield (
        n,
        "joined one after the other",
        [*steps, *(Publish(n.id(), event(kinds[i % 6], message=f"end {i}"), wait=False) for i in range(40))],
    )


@check("RPL-3", needs_payload=True)
def only_its_own_tokens_are_good(kit: Kit) -> Iterator[Scenario]:
    """Cut, changed, too long, empty, foreign, made up: failed, invalid, and nothing is replayed."""
    spoilt = [
        "last:a|cut", "last:a|flip", "last:a|flip_last", "last:a|long", "first:a|flip", "=", "=x", "=AAAA", "=null", "=0", "=1", "= ", "=é😀", "=../../etc", "=" + "A" * 44, "=" + "A" * 512,
        "=" + "A" * 513, "=" + "A" * 5000, "=eyJhbGciOiJub25lIn0.e30.", "=-1", "=[]", '="', "=\u0000",
    ]  # fmt: skip
    n = kit.names()
    steps: list[Step] = [
        *greeted("a", n.client("a"), "replay"),
        Follow("a", n.id()),
        Follow("a", n.id("other")),
    ]
    steps += [Publish(n.id(), event(message=f"{number}")) for number in range(3)] + [
        Publish(n.id("other"), event(message="secret")),
        Settle(),
    ]
    for number, token in enumerate((*spoilt, f"last:a/{n.id('other')}", f"first:a/{n.id('other')}")):
        conn = f"b{number}"
        steps += [*greeted(conn, n.client(conn), "replay"), Follow(conn, n.id(), token=token)]
        if number % 6 == 0:
            steps.append(Publish(n.id(), event(message=f"live {number}")))
    yield n, "spoilt tokens", steps
    n = kit.names()
    yield n, "a good token after bad ones, on the same connection", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), *(Publish(n.id(), event(message=f"{i}")) for i in range(3)), Settle(),
        *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="=AAAA"), Follow("b", n.id(), token="last:a|flip"), Follow("b", n.id(), token="confirmed:a"), Publish(n.id(), event(message="live")),
    ]  # fmt: skip
    n = kit.names()
    one, other = next(pair for pair in ids.pairs(n) if pair[0].lower() == pair[1].lower())
    yield n, "the token of an id that differs in case only", [
        *greeted("a", n.client("a"), "replay"), Follow("a", one), Follow("a", other), Publish(one, event(message="1")), Publish(other, event(message="2")), Settle(),
        *greeted("b", n.client("b"), "replay"), Follow("b", one, token=f"confirmed:a/{other}"), Publish(one, event(message="3")),
    ]  # fmt: skip
    for one, other in ids.pairs(kit.names())[:3]:
        n = kit.names()
        one, other = n.id(one[-3:]), n.id(f"{one[-3:]}{other[-3:]}")  # noqa: PLW2901 - fresh ids of the pair's kind
        yield n, "another investigation's token", [
            *greeted("a", n.client("a"), "replay"), Follow("a", one), Follow("a", other), Publish(one, event(message="1")), Publish(other, event(message="2")), Settle(),
            *greeted("b", n.client("b"), "replay"), Follow("b", one, token=f"confirmed:a/{other}"), Follow("b", other, token=f"last:a/{one}"), Publish(one, event(message="3")),
        ]  # fmt: skip


@check("RPL-3", needs_payload=True)
def a_token_is_bound_to_its_investigation_only(kit: Kit) -> Iterator[Scenario]:
    """Used on other connections, with other client_ids, scopes and features, twice, after an unsubscribe."""
    n = kit.names()
    yield n, "elsewhere and again", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), *FEATURES), Follow("a", n.id()), *(Publish(n.id(), event(message=f"{i}")) for i in range(3)), Settle(),
        *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="confirmed:a"), *greeted("c", n.client("a"), "replay", "scopes"), Follow("c", n.id(), token="confirmed:a"),
        *greeted("d", n.client("d"), "replay"), Follow("d", n.id(), token="confirmed:a"), Settle(), Publish(n.id(), event(message="live")), Settle(),
        *greeted("e", n.client("e"), "replay"), Follow("e", n.id(), token="last:a"), Publish(n.id(), event(message="live 2")),
    ]  # fmt: skip
    for start in range(0, _NASTY, _TOGETHER):
        n = kit.names()
        fresh = [one for group in ids.nasty(n).values() for one in group if n.word in one or n.digits in one]
        some = fresh[start : start + _TOGETHER]
        yield n, f"ids from {start}", [
            *greeted("a", n.client("a"), "replay"), *(Follow("a", one, wait=False) for one in some), Settle(), Abort("a"), *(Publish(one, event(), wait=False) for one in some), Settle(fence=False),
            *greeted("b", n.client("b"), "replay"), *(Follow("b", one, token="confirmed:a", wait=False) for one in some), Settle(),
        ]  # fmt: skip
    n = kit.names()
    yield n, "after an unsubscribe, on the same connection", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), *FEATURES), Follow("a", n.id()), Publish(n.id(), event(message="1")), Settle(), Unfollow("a", n.id()),
        *(Publish(n.id(), event(message=f"missed {i}")) for i in range(5)), Settle(), Follow("a", n.id(), token="last:a", ref="back"), Publish(n.id(), event(message="live")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "after an unsubscribe, when nobody else listens", [
        *greeted("a", n.client("a"), *FEATURES), Follow("a", n.id()), Publish(n.id(), event(message="1")), Settle(), Unfollow("a", n.id()),
        *(Publish(n.id(), event(message=f"missed {i}")) for i in range(5)), Settle(), Follow("a", n.id(), token="last:a", ref="back"), Publish(n.id(), event(message="live")),
        Settle(), Unfollow("a", n.id()), *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="confirmed:a"), Publish(n.id(), event(message="live 2")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "the token of a confirmation that no event followed", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), Close("a"), *(Publish(n.id(), event(message=f"{i}")) for i in range(4)), Settle(),
        *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="confirmed:a"), Publish(n.id(), event(message="live")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "at the head already", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), Publish(n.id(), event(message="1")), Settle(),
        *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="last:a"), Follow("b", n.id(), token="last:b"), Publish(n.id(), event(message="2")),
    ]  # fmt: skip


@check("RPL-4", needs_payload=True)
def what_was_missed_is_replayed_whole(kit: Kit) -> Iterator[Scenario]:
    """One, eleven, a hundred and three hundred missed; too many; large ones; by scope; of several investigations."""
    most = kit.welcome.get("limits", {}).get("max_replay_events", 0)
    too_many = (most + 20,) if 300 < most <= _MOST_MISSED else ()
    for count in (1, 2, 11, 100, 300, *too_many):
        n = kit.names()
        yield n, f"{count} missed", [
            *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), Publish(n.id(), event(message="seen")), Settle(), Abort("a"),
            *(Publish(n.id(), event("task_x" if number % 3 else "note", message=f"{number}"), wait=number % 20 == 19) for number in range(count)), Settle(),
            *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="last:a", ref="r"), Publish(n.id(), event(message="live")), Settle(), Publish(n.id(), event(message="live 2")),
        ]  # fmt: skip
    n = kit.names()
    yield n, "large events", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), Close("a"), *(Publish(n.id(), event(message="x" * 60_000, name=f"{i}")) for i in range(12)), Settle(),
        *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="confirmed:a"), Publish(n.id(), event(message="live")),
    ]  # fmt: skip
    n = kit.names()
    scopes: tuple[tuple[str, ...] | None, ...] = (None, ("tasks",), ("summary",), ("tasks", "summary"))
    steps: list[Step] = [
        *_witness(n.id(), n.client("w")),
        *greeted("a", n.client("a"), "replay", "scopes"),
        Follow("a", n.id(), ("tasks",)),
        Publish(n.id(), event("task_started", message="seen")),
        Settle(),
    ]
    steps += [
        Publish(n.id(), event(("task_x", "investigation_x", "finding")[i % 3], message=f"{i}"))
        for i in range(15)
    ] + [Settle()]
    for number, scope in enumerate(scopes):
        steps += [
            *greeted(f"b{number}", n.client(f"{number}"), "replay", "scopes"),
            Follow(f"b{number}", n.id(), scope, token="confirmed:a"),
            Publish(n.id(), event("task_x", message=f"live {number}")),
        ]
    yield n, "by scope", [*steps, Publish(n.id(), event("investigation_end", message="end"))]
    n = kit.names()
    missed = [
        Publish(n.id(), event(("task_x", "investigation_x", "finding")[i % 3], message=f"{i}"))
        for i in range(9)
    ]
    yield n, "with a switch of the scope", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay", "scopes"), Follow("a", n.id(), ("tasks",)), *missed, Settle(),
        Follow("a", n.id(), ("summary",), token="confirmed:a"), Publish(n.id(), event("task_x", message="tenth")), Publish(n.id(), event("investigation_x", message="eleventh")), Settle(),
        Follow("a", n.id(), token="confirmed:a"), Publish(n.id(), event("task_x", message="twelfth")), Publish(n.id(), event("investigation_x", message="last")),
    ]  # fmt: skip
    n = kit.names()
    several = [n.id(f"{number}") for number in range(6)]
    back = [Follow("b", one, token="confirmed:a", ref=one[-3:]) for one in several]
    yield n, "six investigations at once", [
        *greeted("witness", n.client("w"), "replay"), *(Follow("witness", one) for one in several), *greeted("a", n.client("a"), "replay"), *(Follow("a", one) for one in several), Abort("a"),
        *(Publish(several[i % 6], event(message=f"{i}"), wait=i % 12 == 11) for i in range(60)), Settle(), Connect("b", n.client("b")), Hello("b", ("replay",)),
        *back, *(Publish(one, event(message="live")) for one in several),
    ]  # fmt: skip


@check("RPL-5", needs_payload=True)
def a_replay_hands_over_without_a_seam(kit: Kit) -> Iterator[Scenario]:
    """Events are published before, while and after it is asked for; twice, at both ends, with switches."""
    for count, batch in ((40, 7), (150, 10)):
        n = kit.names()
        steps: list[Step] = [
            *_witness(n.id(), n.client("w")),
            *greeted("a", n.client("a"), "replay"),
            Follow("a", n.id()),
            Abort("a"),
        ]
        for number in range(count):
            steps.append(Publish(n.id(), event(message=f"{number}"), wait=False))
            if number % batch == batch - 1:
                conn = f"b{number}"
                steps += [
                    *greeted(conn, n.client(conn), "replay"),
                    Follow(conn, n.id(), token="confirmed:a", wait=False),
                ]
        yield n, f"resumed again and again while {count} are published", steps
    n = kit.names()
    yield n, "the same token twice on one connection", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), *(Publish(n.id(), event(message=f"{i}")) for i in range(10)), Settle(), Abort("a"),
        *greeted("b", n.client("b"), "replay"), Together((Follow("b", n.id(), token="confirmed:a", ref="1"), Follow("b", n.id(), token="confirmed:a", ref="2"))), Settle(), Publish(n.id(), event(message="live")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "an unsubscribe within a replay", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), *FEATURES), Follow("a", n.id()), *(Publish(n.id(), event(message=f"{i}"), wait=i % 10 == 9) for i in range(60)), Settle(), Abort("a"),
        *greeted("b", n.client("b"), *FEATURES), Together((Follow("b", n.id(), token="confirmed:a", ref="1"), Unfollow("b", n.id(), ref="2"))), Settle(), Publish(n.id(), event(message="after")),
    ]  # fmt: skip
    n = kit.names()
    count = min(kit.welcome.get("limits", {}).get("max_replay_events", _LONG_REPLAY), _LONG_REPLAY)
    yield n, "a subscribe within a replay that waits for its reader", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), Abort("a"), *(Publish(n.id(), event(message="x" * 60_000, name=f"{i}"), wait=i % 4 == 3) for i in range(count)), Settle(),
        Connect("b", n.client("b"), receive_buffer=_SMALL_BUFFER), Hello("b", ("replay",)), Stall("b"), Follow("b", n.id(), token="confirmed:a", ref="1", wait=False), Pause(0.1), Follow("b", n.id(), ref="2", wait=False),
        Pause(0.2), Resume("b"), Settle(), Publish(n.id(), event(message="live")),
    ]  # fmt: skip
    n = kit.names()
    yield n, "gone in the middle of it, and back", [
        *_witness(n.id(), n.client("w")), *greeted("a", n.client("a"), "replay"), Follow("a", n.id()), *(Publish(n.id(), event(message="x" * 5000, name=f"{i}"), wait=i % 10 == 9) for i in range(60)), Settle(),
        *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="confirmed:a", wait=False), Abort("b"), Publish(n.id(), event(message="live")), Settle(),
        *greeted("c", n.client("b"), "replay"), Follow("c", n.id(), token="confirmed:a"), Publish(n.id(), event(message="live 2")), Pause(0.05), *subscriber("core", n.client("core"), n.id()), Publish(n.id(), event(message="end")),
    ]  # fmt: skip
