"""Which keywords of the contract's schemas a run exercised towards the server, kept and violated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import jsonschema
from osint_events import contract

from osint_events_conformance.script import Publish, Say, Script, Subscribe, flat

_ASSERTIONS = frozenset(
    {"const", "enum", "maxLength", "maximum", "minLength", "minimum", "pattern", "required", "type"}
)
_ENOUGH = 300
"""Messages looked at for each schema: more would tell nothing new."""


class KeywordCoverage:
    """Counts, for what clients and publishers send, which keywords were kept and which violated."""

    def __init__(self) -> None:
        names = ("subscribe_investigation", "event")
        self._validators = {name: jsonschema.Draft202012Validator(contract.bundled(name)) for name in names}
        self._left = dict.fromkeys(names, _ENOUGH)
        self._kept = dict.fromkeys(names, 0)
        self._violated: dict[str, set[str]] = {name: set() for name in names}

    def add(self, scripts: Iterable[Script]) -> None:
        """Look at what the scripts send: what is small, since large messages only differ in size."""
        for script in scripts:
            for step in flat(script.steps):
                match step:
                    case Subscribe():
                        self._look("subscribe_investigation", step.payload())
                    case Say(data=data, role="malformed"):
                        self._look("subscribe_investigation", data)
                    case Publish(data=data):
                        self._look("event", data.encode())
                    case _:
                        pass

    def report(self) -> dict[str, Any]:
        """For each schema: its assertions, and which of them no message violated."""
        made = {}
        for name, validator in self._validators.items():
            every = sorted(set(_assertions(validator.schema)))
            violated = self._violated[name]
            made[name] = {
                "valid_messages": self._kept[name],
                "violated": [path for path in every if path in violated],
                "never_violated": [path for path in every if path not in violated],
            }
        return made

    def _look(self, name: str, data: bytes) -> None:
        if self._left[name] <= 0 or len(data) > 2000:  # noqa: PLR2004 - see `add`
            return
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return
        self._left[name] -= 1
        errors = list(self._validators[name].iter_errors(value))
        self._kept[name] += not errors
        self._violated[name].update("/".join(map(str, error.absolute_schema_path)) for error in errors)


def _assertions(schema: Any, path: str = "") -> Iterator[str]:
    """The paths of all assertions that a value can violate; a condition (`if`) asserts nothing."""
    if not isinstance(schema, dict):
        return
    for word, value in schema.items():
        inner = f"{path}/{word}".lstrip("/")
        if word in _ASSERTIONS:
            yield inner
        elif word in {"properties", "$defs"}:
            for name, part in value.items():
                yield from _assertions(part, f"{inner}/{name}")
        elif word == "allOf":
            for index, part in enumerate(value):
                yield from _assertions(part, f"{inner}/{index}")
        elif word in {"then", "else"}:
            # jsonschema reports these below the `if` that led there.
            yield from _assertions(value, f"{path}/if/{word}".lstrip("/"))
