"""The geometry of a drawn message sequence: lanes, arrows and labels, in pixels. No markup here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osint_events_conformance.report.sequence import PUBLISHER, Gap, Row, excerpt, lanes

_CHAR = 6.7
"""Width of a character of the labels' monospaced font at 11 px."""
_SERVER_X = 62
_LABELS = 254
"""Width of the space between the server's lane and the first connection's, where all labels stand.

With one connection the drawing fits a page of 400 pixels.
"""
_HEAD = 30
_ROW = 34
_GAP_ROW = 22
_LEAST_LANE = 40
_SHORT = 14


@dataclass(frozen=True, slots=True)
class Lane:
    """A vertical line with a name: the server, or one connection."""

    x: float
    name: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """One row: an arrow from `x1` to `x2` at `y`, or (`x1 == x2`) a dot on a lane.

    An arrow that never came ends short of its lane.
    """

    y: float
    x1: float
    x2: float
    row: Row


@dataclass(frozen=True, slots=True)
class Fold:
    """So many rows that are not drawn."""

    y: float
    rows: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """A whole drawing; labels begin at `label_x`, times end at `time_x`."""

    width: float
    height: float
    lanes: tuple[Lane, ...]
    items: tuple[Arrow | Fold, ...]
    label_x: float = _SERVER_X + 12
    time_x: float = _SERVER_X - 22


def diagram(rows: Sequence[Row], most: int) -> Diagram:
    """Place rows (an excerpt of at most `most`) from top to bottom, the server left, connections right.

    All labels stand in one column between them, so that they can be read like a log; what the trigger
    does comes to the server from the left edge.
    """
    drawn = excerpt(rows, most)
    used = {row.conn for row in drawn if isinstance(row, Row)}
    names = [name for name in lanes(rows) if name in used]
    spacing = max([_LEAST_LANE, *(_CHAR * len(name) + 8 for name in names)])
    x = {name: _SERVER_X + _LABELS + spacing * index for index, name in enumerate(names)}
    items: list[Arrow | Fold] = []
    y = float(_HEAD)
    for row in drawn:
        if isinstance(row, Gap):
            y += _GAP_ROW
            items.append(Fold(y, row.rows))
            continue
        y += _ROW
        items.append(_arrow(row, y, x))
    right = _SERVER_X + _LABELS + spacing * max(len(names) - 1, 0) + spacing / 2 + 4
    return Diagram(
        right, y + 16, (Lane(_SERVER_X, "server"), *(Lane(at, name) for name, at in x.items())), tuple(items)
    )


def _arrow(row: Row, y: float, x: dict[str, float]) -> Arrow:
    if row.conn == PUBLISHER:
        return Arrow(y, _SERVER_X - 18, _SERVER_X, row)
    at = x[row.conn]
    match row.direction:
        case "sent":
            return Arrow(y, at, _SERVER_X, row)
        case "act":
            return Arrow(y, at, at, row)
        case "absent":
            return Arrow(y, _SERVER_X, at - _SHORT, row)
        case "received":
            return Arrow(y, _SERVER_X, at, row)
