"""A finding's message sequence: what went over which connection, in order, and which of it matters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from osint_events_conformance.findings import WireEntry
from osint_events_conformance.report.text import clip, printable
from osint_events_conformance.results import ConfirmedFinding

Direction = Literal["sent", "received", "act", "absent"]
_DIRECTIONS: dict[str, Direction] = {">": "sent", "<": "received", "*": "act"}

ABSENCES = frozenset(
    {
        "unconfirmed",
        "lost",
        "fallback_lost",
        "no_pong",
        "unfinished_close",
        "never_ended",
        "no_welcome",
        "no_app_pong",
        "not_unsubscribed",
        "not_replayed",
        "lost_at_hand_over",
        "no_replay_complete",
        "no_error",
        "no_position_message",
        "no_gap",
        "no_ping",
        "not_timed_out",
        "no_normal",
        "no_pressure",
        "unanswered",
        "not_limited",
    }
)
"""Kinds of finding whose fault is that something never came: no entry of the log stands for it."""

PUBLISHER = "publisher"
"""The connection name under which the log has the trigger's acts."""

_PUBLISH = re.compile(r'publish ("(?:[^"\\]|\\.)*"|[^:]*): (.*)', re.DOTALL)
_SAME_MOMENT = 0.0005
_CUT = 400
"""From this length on the log may have cut a payload, so that it is no JSON any more."""
_LABEL = 36
_ID = 24
_AFTER = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the sequence.

    `number` counts from 1; `at` is in seconds since the first row. `label` is the gist of `text`,
    both safe to show. `absent` is what should have come and did not.
    """

    number: int
    at: float
    conn: str
    direction: Direction
    label: str
    text: str
    matters: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """So many rows that an excerpt leaves out."""

    rows: int


def sequence(finding: ConfirmedFinding) -> list[Row]:
    """All rows of a finding, in order of time."""
    entries = list(finding.wire)
    judged = _judged(finding)
    if judged is None:
        missing = finding.got is None
        text = finding.message if finding.got is None else finding.got
        judged = WireEntry(finding.at, finding.conn, "<", text)
        entries = sorted([*entries, judged], key=lambda entry: entry.at)
    else:
        missing = False
    causes = _Causes(finding, judged)
    began = entries[0].at
    rows = []
    for number, entry in enumerate(entries, 1):
        direction = "absent" if missing and entry is judged else _DIRECTIONS[entry.direction]
        rows.append(
            Row(
                number=number,
                at=entry.at - began,
                conn=printable(entry.conn),
                direction=direction,
                label=clip(printable(_gist(entry.text)), _LABEL),
                text=printable(entry.text),
                matters=entry is judged or causes.include(entry),
            )
        )
    return rows


def excerpt(rows: Sequence[Row], limit: int) -> list[Row | Gap]:
    """At most about `limit` rows: those that matter, what is near them, and gaps where rows are left out.

    What came after the last one that matters explains nothing; little of it is kept.
    """
    if len(rows) <= limit:
        return list(rows)
    wanted = {index for index, row in enumerate(rows) if row.matters}
    wanted = set(sorted(wanted)[: limit // 4]) | set(sorted(wanted)[-limit // 4 :])
    last = max(wanted, default=len(rows) - 1)
    conns = {rows[index].conn for index in wanted}

    def distance(index: int) -> tuple[bool, int]:
        return rows[index].conn not in conns, min(abs(index - one) for one in {*wanted, last})

    near = sorted((i for i in range(min(last + 1 + _AFTER, len(rows))) if i not in wanted), key=distance)
    wanted |= set(near[: max(limit - len(wanted), 0)])
    return list(_with_gaps(rows, wanted))


def lanes(rows: Sequence[Row]) -> list[str]:
    """The connections that rows use, in order of appearance; acts of the trigger have none."""
    return list(dict.fromkeys(row.conn for row in rows if row.conn != PUBLISHER))


def _with_gaps(rows: Sequence[Row], wanted: set[int]) -> Iterator[Row | Gap]:
    skipped = 0
    for index, row in enumerate(rows):
        if index not in wanted:
            skipped += 1
            continue
        if skipped:
            yield Gap(skipped)
            skipped = 0
        yield row
    if skipped:
        yield Gap(skipped)


def _judged(finding: ConfirmedFinding) -> WireEntry | None:
    """The entry of the log that the finding is about, if there is one."""
    if finding.kind in ABSENCES:
        return None
    return next(
        (
            entry
            for entry in reversed(finding.wire)
            if entry.conn == finding.conn and 0 <= finding.at - entry.at <= _SAME_MOMENT
        ),
        None,
    )


class _Causes:
    """Tells which entries led to what is judged: the publish of that event, the request in question."""

    def __init__(self, finding: ConfirmedFinding, judged: WireEntry) -> None:
        self._conn = finding.conn
        self._message = finding.message
        self._expected = finding.expected or ""
        about = parsed(finding.expected) or parsed(finding.got) or parsed(judged.text)
        about = about if isinstance(about, dict) else {}
        self._payload = about.get("data", about)
        self._id = about.get("investigation_id")

    def include(self, entry: WireEntry) -> bool:
        if entry.conn == PUBLISHER:
            published = _PUBLISH.match(entry.text)
            data = published[2] if published else ""
            cut = len(data) >= _CUT and data in self._expected
            return cut or (bool(self._payload) and parsed(data) == self._payload)
        if entry.conn != self._conn or entry.direction != ">":
            return False
        value = parsed(entry.text)
        if isinstance(value, dict) and isinstance(name := value.get("investigation_id"), str):
            return name == self._id or json.dumps(name) in self._message
        if isinstance(value, dict) and value.get("type") in {"hello", "ping"}:
            return value["type"] == "hello" or json.dumps(value.get("id")) in self._message
        return entry.text.startswith("Ping 0x") and entry.text.removeprefix("Ping ") in self._message.split()


def parsed(text: str | None) -> Any:
    """The value of a JSON text, or None for what is none: logs are cut, and servers send anything."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def _gist(text: str) -> str:  # noqa: PLR0911 - a message type is an arm
    """What a message or a publish is, in a few words."""
    published = _PUBLISH.match(text)
    if published:
        return f"publish {clip(published[1], _ID)} {_about(parsed(published[2]), published[2])}".rstrip()
    value = parsed(text)
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return text
    name = f" {clip(json.dumps(value['investigation_id']), _ID)}" if "investigation_id" in value else ""
    match value["type"]:
        case "subscribe_investigation":
            parts = [one for one in ("scope", "replay_token") if one in value]
            return f"subscribe{name}{' with ' * bool(parts)}{', '.join(parts)}"
        case "unsubscribe_investigation":
            return f"unsubscribe{name}"
        case "subscription_confirmed":
            return f"confirmed{name}"
        case "investigation_update":
            kind = "replayed" if value.get("replayed") is True else "update"
            return f"{kind}{name} {_about(value.get('data'), '')}".rstrip()
        case "hello" | "welcome" if isinstance(features := value.get("features"), list):
            return f"{value['type']} {', '.join(map(str, features))}".rstrip()
        case "error":
            return f"error {value.get('code')}"
        case other:
            return f"{other}{name}"


def _about(data: Any, otherwise: str) -> str:
    """What tells an event from others: its message, else its kind, else its beginning."""
    if not isinstance(data, dict):
        return otherwise
    detail = data.get("message") or data.get("type") or data
    return json.dumps(detail)
