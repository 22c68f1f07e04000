"""Items as lines, for people and for programs."""

import dataclasses
import json
from typing import Any, Final

from osint_events_client.items import Event, Gap, Item, Refused

_REASONS: Final = {
    "lost": "the next one says that others came before it",
    "not_replayed": "the connection was interrupted, and the server replays nothing",
    "expired": "the server does not keep them any more, or too many were missed",
    "epoch_changed": "the server began anew, and its history is gone",
    "invalid": "the server does not know the position to resume from",
    "unavailable": "the server could not reach its history",
}
"""What the reasons of a gap mean, for people."""

_FIELDS: Final = ("task_id", "name", "status", "message")


def json_line(item: Item) -> str:
    """Give an item as one line of JSON, whose `item` says what it is: event, gap or refused."""
    fields: dict[str, Any] = {"item": type(item).__name__.lower(), **dataclasses.asdict(item)}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def line(item: Item) -> str:
    """Give an item as one line for people, without anything that could steer a terminal."""
    match item:
        case Event():
            said = (item.data.get(name) for name in _FIELDS)
            words = [str(value) for value in said if isinstance(value, str | int | float) and value != ""]
            percent = progress(item)
            if percent is not None:
                words.append(f"{percent:.0%}")
            if item.replayed:
                words.append("(replayed)")
            text = "  ".join([item.investigation_id, item.kind or "event of unknown kind", *words])
        case Gap():
            meaning = f" ({_REASONS[item.reason]})" if item.reason in _REASONS else ""
            text = f"{item.investigation_id}  events may be missing here: {item.reason}{meaning}"
        case Refused():
            text = f"{item.investigation_id}  refused: {item.code}, {item.message}"
    return printable(text)


def progress(event: Event) -> float | None:
    """Give the share of a task that is done, where the event says one from 0 to 1."""
    value = event.data.get("progress")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    return float(value)


def printable(text: str) -> str:
    """Name every character that cannot be seen or changes how others are shown: `<U+202E>`."""
    return "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in text)
