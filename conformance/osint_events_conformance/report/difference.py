"""Expected and got, line by line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from osint_events_conformance.report.text import clip, printable
from osint_events_conformance.results import ConfirmedFinding

Mark = Literal[" ", "-", "+", "…"]

_CONTEXT = 3
_LINE = 400
_AFFORDABLE = 250_000
_AROUND = 120
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `-` is expected and missing, `+` was got instead, a blank is both, `…` leaves lines out.

    `parts` are the line in pieces, each with whether it is what differs.
    """

    mark: Mark
    parts: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        """The whole line."""
        return "".join(part for part, _ in self.parts)


def difference(finding: ConfirmedFinding) -> list[Line]:
    """What was expected and what was got, as far as the finding tells; no lines where it tells neither.

    Where it tells only what was got, that stands unmarked: there is nothing to compare it with.

    JSON is laid out a member a line, names sorted (their order means nothing), numbers as they were
    spelt, and ASCII only, so that look-alikes can be told apart.
    """
    expected, got = _layouts(finding)
    if expected is None and got is None:
        return []
    if got is None:
        return [_plain("-", line) for line in expected or []]
    if expected is None:
        return [_plain(" ", line) for line in got]
    return list(_compare(expected, got))


def _layouts(finding: ConfirmedFinding) -> tuple[list[str] | None, list[str] | None]:
    """Both sides as lines; None for a side that the finding does not tell."""
    one, other = _read(finding.expected), _read(finding.got)
    if isinstance(one, dict) and isinstance(other, dict) and _is_update(other) and not _is_update(one):
        one, other = one.get("data", one), _payload(other, one)
    return _lines(one, finding.expected), _lines(other, finding.got)


def _is_update(value: dict[str, Any]) -> bool:
    return value.get("type") == "investigation_update" and isinstance(value.get("data"), dict)


def _payload(update: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """An update's payload, but for the mirrored id that a server may add (EVT-1)."""
    data: dict[str, Any] = update["data"]
    added = "investigation_id" not in expected and data.get("investigation_id") == update.get(
        "investigation_id"
    )
    return {name: item for name, item in data.items() if not (added and name == "investigation_id")}


class _Number(str):
    """A number as it was spelt."""

    __slots__ = ()


class _NotJSON:
    """Stands for a text that is no JSON, or whose repeated names a layout would hide."""


def _read(text: str | None) -> Any:
    if text is None:
        return _NotJSON
    try:
        return json.loads(
            text, parse_int=_Number, parse_float=_Number, parse_constant=_Number, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError):
        return _NotJSON


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name is repeated")
    return made


def _lines(value: Any, text: str | None) -> list[str] | None:
    if text is None:
        return None
    if value is not _NotJSON:
        with suppress(RecursionError):
            return list(_layout(value, "", ""))
    return [printable(line) for line in text.splitlines() or [""]]


def _layout(value: Any, indent: str, name: str) -> Iterator[str]:
    """A value's lines, the first beginning with `name`; no line ends in a comma, so each stands alone."""
    match value:
        case dict() if value:
            yield f"{indent}{name}{{"
            for key in sorted(value):
                yield from _layout(value[key], indent + _INDENT, f"{json.dumps(key)}: ")
            yield f"{indent}}}"
        case list() if value:
            yield f"{indent}{name}["
            for item in value:
                yield from _layout(item, indent + _INDENT, "")
            yield f"{indent}]"
        case _Number():
            yield f"{indent}{name}{value}"
        case _:
            yield f"{indent}{name}{json.dumps(value)}"


def _compare(expected: list[str], got: list[str]) -> Iterator[Line]:
    opcodes = _opcodes(expected, got)
    for tag, start, end, other_start, other_end in opcodes:
        if tag != "equal":
            yield from _changed(expected[start:end], got[other_start:other_end])
            continue
        head = 0 if start == 0 else min(_CONTEXT, end - start)
        tail = 0 if end == len(expected) else min(_CONTEXT, end - start - head)
        yield from (_plain(" ", line) for line in expected[start : start + head])
        if end - start > head + tail:
            yield _gap(end - start - head - tail)
        yield from (_plain(" ", line) for line in expected[end - tail : end])


def _opcodes(expected: list[str], got: list[str]) -> list[tuple[str, int, int, int, int]]:
    """How to turn one into the other, as difflib says it.

    difflib takes quadratic time, so what is equal at both ends is left out, and much that differs in
    between is one replacement.
    """
    before = _common(expected, got)
    after = _common(expected[before:][::-1], got[before:][::-1])
    end, other_end = len(expected) - after, len(got) - after
    middle = [("replace", before, end, before, other_end)]
    if (end - before) * (other_end - before) <= _AFFORDABLE:
        matcher = difflib.SequenceMatcher(None, expected[before:end], got[before:other_end], autojunk=False)
        middle = [
            (tag, a + before, b + before, c + before, d + before) for tag, a, b, c, d in matcher.get_opcodes()
        ]
    ends = [("equal", 0, before, 0, before), ("equal", end, len(expected), other_end, len(got))]
    return [one for one in (ends[0], *middle, ends[1]) if one[2] > one[1] or one[4] > one[3]]


def _changed(expected: list[str], got: list[str]) -> Iterator[Line]:
    if len(expected) != len(got):
        yield from (_plain("-", line) for line in expected)
        yield from (_plain("+", line) for line in got)
        return
    for one, other in zip(expected, got, strict=True):
        before = _common(one, other)
        after = _common(one[before:][::-1], other[before:][::-1])
        if 2 * (before + after) < min(len(one), len(other)):
            yield from (_plain("-", one), _plain("+", other))  # too little in common to point at a place
        else:
            yield from (Line("-", _parts(one, before, after)), Line("+", _parts(other, before, after)))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items at the beginning are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _parts(line: str, before: int, after: int) -> tuple[tuple[str, bool], ...]:
    """A line whose first `before` and last `after` characters are equal on both sides, cut if it is long."""
    end = len(line) - after
    head, changed, tail = line[:before], line[before:end], line[end:]
    if len(head) > _AROUND:
        head = f"…{head[-_AROUND:]}"
    parts = ((head, False), (clip(changed, _LINE), True), (clip(tail, _AROUND), False))
    return tuple((part, differs) for part, differs in parts if part)


def _plain(mark: Mark, line: str) -> Line:
    return Line(mark, ((clip(line, _LINE), False),))


def _gap(count: int) -> Line:
    return Line("…", ((f"{count} equal lines" if count > 1 else "1 equal line", False),))
