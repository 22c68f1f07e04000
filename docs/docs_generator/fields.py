"""The fields of a JSON Schema as rows to read: path, type and range, whether required, meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SUFFIX = ".schema.json"


@dataclass(frozen=True)
class Field:
    """One field, at any depth.

    Attributes:
        path: the names down to it, `replay.status`; what a list holds is `scope[]`.
        type: its type and range in words.
        required: whether the object that holds it must have it.
        feature: what it belongs to (NEG-1), where that is a capability.
        description: what it means.
        known: the known values of an open set, each with what its schema says of it.
        refers: the schema whose page describes it, where that is another one.

    """

    path: str
    type: str
    required: bool
    feature: str | None
    description: str
    known: tuple[dict[str, Any], ...]
    refers: str | None


@dataclass(frozen=True)
class Rule:
    """What a schema says over several fields."""

    title: str
    description: str


def fields(schema: dict[str, Any]) -> list[Field]:
    """Give the fields of an object, each followed by those within it."""
    return list(_fields(schema, schema, ""))


def rules(schema: dict[str, Any]) -> list[Rule]:
    """Give the conditions of an object and of what it defines, by the words that the schema has for them."""
    return [
        Rule(part["title"], part.get("description", ""))
        for owner in (schema, *schema.get("$defs", {}).values())
        for entry in owner.get("allOf", [])
        if "anyOf" not in entry.get("if", {})  # the list of the known kinds, which is no rule
        for part in (entry.get("then", {}), entry.get("else", {}), entry)
        if "title" in part
    ]


def kinds(schema: dict[str, Any]) -> list[tuple[str, str]]:
    """Give the known kinds of a payload, each with its description."""
    alternatives = (
        alternative
        for entry in schema.get("allOf", [])
        for alternative in entry.get("if", {}).get("anyOf", [])
    )
    return [
        (alternative["properties"]["type"]["const"], alternative["description"])
        for alternative in alternatives
        if "const" in alternative.get("properties", {}).get("type", {})
    ]


def definitions(schema: dict[str, Any]) -> list[str]:
    """Give the names of the objects that the schema defines for itself."""
    return list(schema.get("$defs", {}))


def type_words(schema: dict[str, Any]) -> str:
    """Say the type and range of a value: `text of 1 to 255 characters`, `number from 0 to 1`."""
    if "const" in schema:
        return f"always `{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    match schema.get("type"):
        case "string":
            pattern = " that matches a pattern" * ("pattern" in schema)
            return "text" + _range(schema, "Length", "character") + pattern
        case "array":
            return "list" + _range(schema, "Items", "value")
        case "object":
            return "object"
        case "boolean":
            return "true or false"
        case "integer" | "number" as kind:
            return f"{kind}{_bounds(schema)}"
        case _:
            return "any value"


def _fields(schema: dict[str, Any], root: dict[str, Any], prefix: str) -> Iterator[Field]:
    for name, part in schema.get("properties", {}).items():
        target, refers = _resolved(part, root)
        yield _field(f"{prefix}{name}", part, target, refers, required=name in schema.get("required", []))
        if refers is None:
            yield from _within(target, root, f"{prefix}{name}")


def _within(schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[Field]:
    """Give the fields of an object's properties, and what a list holds."""
    yield from _fields(schema, root, f"{path}.")
    if isinstance(items := schema.get("items"), dict):
        target, refers = _resolved(items, root)
        yield _field(f"{path}[]", items, target, refers, required=False)
        if refers is None:
            yield from _within(target, root, f"{path}[]")


def _field(
    path: str, part: dict[str, Any], target: dict[str, Any], refers: str | None, *, required: bool
) -> Field:
    return Field(
        path,
        type_words(target),
        required,
        part.get("x-feature"),
        part.get("description") or target.get("description", ""),
        tuple(target.get("x-known", ())),
        refers,
    )


def _resolved(part: dict[str, Any], root: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Give what a $ref means: an entry of $defs, or the name of another schema; else the part itself."""
    reference = part.get("$ref")
    if reference is None:
        return part, None
    file, _, pointer = reference.partition("#")
    if file:
        return {"type": "object"}, file.removeprefix("./").removesuffix(_SUFFIX)
    found: Any = root
    for name in pointer.strip("/").split("/"):
        found = found[name]
    return found, None


def _range(schema: dict[str, Any], word: str, unit: str) -> str:
    least, most = schema.get(f"min{word}"), schema.get(f"max{word}")
    match least, most:
        case None, None:
            return ""
        case _, None:
            return f" of at least {least} {unit}{'s' * (least != 1)}"
        case None, _:
            return f" of up to {most} {unit}s"
        case _:
            return f" of {least} to {most} {unit}s"


def _bounds(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    match least, most:
        case None, None:
            above = schema.get("exclusiveMinimum")
            return "" if above is None else f" above {above}"
        case _, None:
            return f" of at least {least}"
        case None, _:
            return f" of at most {most}"
        case _:
            return f" from {least} to {most}"
