"""JSON values: when two are equal (EVT-1), where they differ, and how numbers were spelt (EVT-6)."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

Key = Hashable
"""Two JSON values are equal if and only if their keys are."""

_SHOWN = 60


def key(value: object) -> Key:
    """What `value` is under JSON equality: member order apart, numbers as IEEE doubles.

    `true` is no number. Integers that overflow a double keep their own identity.
    """
    match value:
        case None | str():
            return value
        case bool():
            return ("boolean", value)
        case int():
            try:
                return ("number", float(value))
            except OverflowError:
                return ("integer", value)
        case float():
            return ("number", value)
        case list():
            return ("array", tuple(key(item) for item in value))
        case dict():
            return ("object", frozenset((name, key(item)) for name, item in value.items()))
        case _:
            raise TypeError(f"no JSON value: {type(value).__name__}")


def difference(expected: object, got: object, path: str = "data") -> str | None:
    """The first place where two JSON values differ, in words; None where they are equal."""
    if key(expected) == key(got):
        return None
    if isinstance(expected, dict) and isinstance(got, dict):
        for name, item in expected.items():
            if name not in got:
                return f"{path}{_member(name)} is missing, should be {show(item)}"
            inner = difference(item, got[name], f"{path}{_member(name)}")
            if inner:
                return inner
        extra = next(name for name in got if name not in expected)
        return f"{path}{_member(extra)} was added: {show(got[extra])}"
    if isinstance(expected, list) and isinstance(got, list):
        for index, (one, other) in enumerate(zip(expected, got, strict=False)):
            inner = difference(one, other, f"{path}[{index}]")
            if inner:
                return inner
        return f"{path} has {len(got)} elements, should have {len(expected)}"
    return f"{path} is {show(got)}, should be {show(expected)}"


def _member(name: str) -> str:
    return f".{name}" if name.isidentifier() else f"[{json.dumps(name)}]"


def show(value: object, width: int = _SHOWN) -> str:
    """A JSON value on one line, ASCII only so that look-alikes can be told apart, and not too long."""
    text = json.dumps(value)
    return text if len(text) <= width else f"{text[: width - 12]}… ({len(text)} characters)"


def spellings(text: str) -> Any:
    """The JSON text's value with each number replaced by its spelling, to compare spellings."""
    return json.loads(text, parse_float=_number, parse_int=_number)


def _number(text: str) -> list[str]:
    return ["number", text]
