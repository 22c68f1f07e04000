"""Fresh ids for every script, so that runs do not meet and a script can be run again with new ones."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from osint_events_conformance.script import Script

_LETTERS = string.ascii_lowercase + string.digits
WORD = 7
"""Length of the salts that make ids unique."""


class Names:
    """Ids with a salt: `word` (a letter, then letters and digits) and `digits` (no leading zero)."""

    def __init__(self, rng: random.Random) -> None:
        self.word = "q" + "".join(rng.choices(_LETTERS, k=WORD - 2)) + "z"
        self.digits = rng.choice("123456789") + "".join(rng.choices(string.digits, k=WORD - 1))

    def id(self, label: str = "") -> str:
        """An ordinary investigation id."""
        return f"inv-{self.word}-{label}" if label else f"inv-{self.word}"

    def client(self, label: str = "") -> str:
        """An ordinary client id."""
        return f"c-{self.word}-{label}" if label else f"c-{self.word}"


def renamed(script: Script, rng: random.Random) -> Script:
    """The same script with other salts, to run it again on a server that may remember the first ones."""
    word, digits = script.salts
    if not word:
        return script
    new = Names(rng)

    def text(value: str) -> str:
        return value.replace(word, new.word).replace(digits, new.digits)

    return replace(cast("Script", _walk(script, text)), salts=(new.word, new.digits))


def _walk(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        try:
            return text(value.decode()).encode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, tuple):
        return tuple(_walk(item, text) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: _walk(getattr(value, item.name), text) for item in fields(value)})
    return value
