"""Strict JSON (RFC 8259) in, and the exact text of one member out again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_SPACE = " \t\n\r"
# Python refuses to convert longer integers; beyond this they overflow a double anyway (EVT-1 leaves them).
_LONGEST_INTEGER = 4000


class NotJson(ValueError):
    """The text is not JSON, or not the JSON value that was asked for."""


def _no_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_INTEGER else float(digits)


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer)


def parse(text: str) -> Any:
    """Return the value of a JSON text; raise `NotJson` for anything else, NaN and Infinity included."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error


def dump(value: object) -> bytes:
    """Return the compact UTF-8 JSON text of a value; lone surrogates are left escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def members(text: str) -> dict[str, tuple[Any, str]]:
    """Return each member of a JSON object as its value and the exact text that spelt it.

    Raises `NotJson` for anything but one object with unique names at its top level.
    """
    try:
        return _members(text)
    except (ValueError, IndexError, RecursionError) as error:
        raise NotJson(str(error)) from error


def _members(text: str) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    at = _expect(text, _skip(text, 0), "{")
    if text[at] != "}":
        while True:
            name, at = _DECODER.raw_decode(text, at)
            if not isinstance(name, str) or name in found:
                raise NotJson(f"the name {name!r} is no string or appears twice")
            start = _expect(text, _skip(text, at), ":")
            value, at = _DECODER.raw_decode(text, start)
            found[name] = (value, text[start:at])
            at = _skip(text, at)
            if text[at] != ",":
                break
            at = _skip(text, at + 1)
    if text[_skip(text, at) : at + 1] != "}" or _skip(text, at + 1) != len(text):
        raise NotJson("the object does not end where the text ends")
    return found


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> int:
    if text[at] != character:
        raise NotJson(f"{character!r} expected at {at}")
    return _skip(text, at + 1)


class Number(str):
    """A number by its spelling, so that a payload can be changed elsewhere and keep it."""

    __slots__ = ()

    @property
    def value(self) -> int | float:
        """What the spelling means."""
        try:
            return _integer(self)
        except ValueError:
            return float(self)


_EXACT = json.JSONDecoder(parse_constant=_no_constant, parse_int=Number, parse_float=Number)


def rewrite(text: str, change: Callable[[Any], Any]) -> bytes:
    """Return a JSON text with `change` applied to each of its values, the inner ones first.

    Numbers come to `change` as `Number` and keep their spelling unless it returns something else for them.
    """
    return dump_exact(_walk(_EXACT.decode(text), change))


def exact(text: str) -> Any:
    """Return the value of a JSON text with `Number` in place of its numbers."""
    return _EXACT.decode(text)


def _walk(value: object, change: Callable[[Any], Any]) -> object:
    if isinstance(value, dict):
        value = {name: _walk(member, change) for name, member in value.items()}
    elif isinstance(value, list):
        value = [_walk(member, change) for member in value]
    return change(value)


def dump_exact(value: object) -> bytes:
    """Return the JSON text of a value in which a `Number` stands for its spelling."""
    if isinstance(value, Number):
        return value.encode()
    if isinstance(value, dict):
        return (
            b"{" + b",".join(dump(name) + b":" + dump_exact(member) for name, member in value.items()) + b"}"
        )
    if isinstance(value, list):
        return b"[" + b",".join(dump_exact(member) for member in value) + b"]"
    return dump(value)
