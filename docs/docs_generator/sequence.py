"""Draws message sequences as SVG from a small text form, in a page's own colours, light and dark.

A line is one step, read from top to bottom:

    > {"type": "hello", …}      the client sends a message
    < {"type": "welcome", …}    the server sends one
    * an event is published     something happens at the server
    - the page is reloaded      something happens at the client
    x the network breaks        the connection ends

Messages are whole JSON, so that tests can hold them against the schemas; drawn is their gist.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

Side = Literal["client", "server"]

WIDTH = 360
"""Pixels: what a page of 400 pixels has room for, so that no text is ever scaled down."""
_CLIENT, _SERVER = 14, WIDTH - 14
_CHARACTERS = 42
"""That fit between the lanes in a monospaced font of 12 pixels."""
_HEAD, _LINE, _ROOM = 30, 15, 21


@dataclass(frozen=True)
class Message:
    """A message that goes from one side to the other."""

    sender: Side
    content: dict[str, Any]


@dataclass(frozen=True)
class Happening:
    """Something that happens at one side, or to the connection (None)."""

    at: Side | None
    text: str


Step = Message | Happening


def parse(source: str) -> list[Step]:
    """Read the text form. Raises ValueError, with the line, where that is not one."""
    return [_step(line) for line in source.splitlines() if line.strip()]


def draw(steps: Sequence[Step], title: str) -> str:
    """Give the SVG of a sequence; `title` is what a screen reader says of it."""
    y = _HEAD
    parts = []
    for step in steps:
        y += _ROOM
        drawn, y = _drawn(step, y)
        parts += drawn
    height = y + _ROOM
    lanes = "".join(
        f'<text class="lane" x="{x}" y="16" text-anchor="{anchor}">{name}</text>'
        f'<line class="lane" x1="{x}" y1="24" x2="{x}" y2="{height}"/>'
        for x, anchor, name in ((_CLIENT, "start", "client"), (_SERVER, "end", "server"))
    )
    return (
        f'<svg class="sequence" role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f"<title>{escape(title)}</title>{lanes}{''.join(parts)}</svg>"
    )


def gist(message: dict[str, Any]) -> list[str]:
    """Say what a message is in a few lines: its type, then what else matters of it."""
    details = ", ".join(_details(message))
    return [str(message["type"]), *textwrap.wrap(details, _CHARACTERS)]


def _step(line: str) -> Step:
    sign, _, rest = line.strip().partition(" ")
    match sign:
        case ">" | "<":
            try:
                content = json.loads(rest)
            except ValueError as error:
                raise ValueError(f"{line!r}: no JSON: {error}") from error
            if not isinstance(content, dict) or "type" not in content:
                raise ValueError(f"{line!r}: a message is an object with a type")
            return Message("client" if sign == ">" else "server", content)
        case "*" | "-" | "x":
            return Happening({"*": "server", "-": "client", "x": None}[sign], rest)
        case _:
            raise ValueError(f"{line!r}: a step begins with >, <, *, - or x")


def _details(message: dict[str, Any]) -> Iterator[str]:
    for name, value in message.items():
        match name, value:
            case (("type" | "protocol" | "investigation_id" | "connection_id" | "client" | "limits"), _):
                continue
            case "data", dict():
                yield " ".join(str(part) for key in ("type", "task_id") if (part := value.get(key)))
            case _, True:
                yield name
            case _, list():
                yield f"{name} {' '.join(map(str, value))}"
            case _, dict():
                yield f"{name} {' '.join(f'{key} {part}' for key, part in value.items())}"
            case _:
                yield f"{name} {value}"


def _drawn(step: Step, y: int) -> tuple[list[str], int]:
    """Give the marks of a step that begins at y, and where it ends."""
    match step:
        case Message(sender, content):
            names, *details = gist(content)
            texts = [_text(WIDTH / 2, y, "middle", names, "name")]
            texts += [
                _text(WIDTH / 2, y + index * _LINE, "middle", line, "detail")
                for index, line in enumerate(details, 1)
            ]
            at = y + len(details) * _LINE + 8
            start, end = (_CLIENT, _SERVER) if sender == "client" else (_SERVER, _CLIENT)
            back = -7 if end > start else 7
            arrow = (
                f'<line x1="{start}" y1="{at}" x2="{end + back}" y2="{at}"/>'
                f'<path d="M{end} {at} l{back} -4 v8 z"/>'
            )
            return [f'<g class="{sender}">', *texts, arrow, "</g>"], at
        case Happening(None, text):
            line = f'<line x1="{_CLIENT}" y1="{y + 8}" x2="{_SERVER}" y2="{y + 8}"/>'
            return [f'<g class="break">{line}', _text(WIDTH / 2, y, "middle", text, ""), "</g>"], y + 8
        case Happening(side, text):
            x, anchor, towards = (_CLIENT, "start", 10) if side == "client" else (_SERVER, "end", -10)
            lines = textwrap.wrap(text, _CHARACTERS)
            texts = [
                _text(x + towards, y + 4 + index * _LINE, anchor, line, "")
                for index, line in enumerate(lines)
            ]
            end = y + (len(lines) - 1) * _LINE + 4
            return [f'<g class="happening"><circle cx="{x}" cy="{y}" r="4"/>', *texts, "</g>"], end


def _text(x: float, y: float, anchor: str, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
