"""The npm package: types, type guards and the classifier, ready to be published without a build."""

import json
import re
from typing import Any

import jinja2

from contract_generator import legacy
from contract_generator.shapes import Shapes
from contract_generator.sources import DIRECTORY, SUFFIX, Schema, Sources
from contract_generator.templating import TEMPLATES, header, provenance

PACKAGE = "generated/typescript"
"""Where the npm package is."""

_MODULES = ("index", "validate", "features", "close-codes")
_INPUTS = (f"{DIRECTORY}/*{SUFFIX}", f"{DIRECTORY}/asyncapi.yaml", f"{DIRECTORY}/legacy.yaml")
_IDENTIFIER = re.compile(r"[A-Za-z_$][0-9A-Za-z_$]*")
_TYPES = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}


def files(sources: Sources, shapes: Shapes, templates: jinja2.Environment) -> dict[str, str]:
    """Give the text of each file of the npm package by its path below the root."""
    templates.filters.update(checks=checks, field=_field, typed=typed)
    info = sources.asyncapi["info"]
    context = {
        "shapes": shapes,
        "legacy_rules": legacy.rules(sources.yaml("legacy.yaml")),
        "guarded": [name for name in shapes.classes if name not in {union.other for union in shapes.unions}],
        "version": info["version"],
    }
    made = {}
    for name in ("index.d.ts", "index.js"):
        top = header(sources, "//", *_INPUTS, f"{TEMPLATES}/typescript/{name}.j2")
        made[f"{PACKAGE}/{name}"] = templates.get_template(f"typescript/{name}.j2").render(
            context, header=top
        )
    readme = f"{TEMPLATES}/typescript/README.md.j2"
    made[f"{PACKAGE}/README.md"] = templates.get_template("typescript/README.md.j2").render(
        context, provenance=provenance(sources, *_INPUTS, readme)
    )
    made[f"{PACKAGE}/package.json"] = _package(info["version"], provenance(sources, *_INPUTS))
    return made


def typed(schema: Any) -> str:  # any: a schema is an object, true or false
    """Give the TypeScript type of a schema; unknown where its keywords do not say one."""
    if not isinstance(schema, dict):
        return "unknown"
    if "$ref" in schema:
        return _referred(schema)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "type" not in schema:
        return "unknown"
    named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " | ".join(_of_type(name, schema) for name in named)


def checks(schema: Schema, value: str) -> list[str]:
    """Give the ECMAScript expressions that are all true where value is of the type that typed gives."""
    if "$ref" in schema:
        return [f"is{_referred(schema)}({value})"]
    if "const" in schema:
        return [f"{value} === {json.dumps(schema['const'])}"]
    if "enum" in schema:
        return [_any([f"{value} === {json.dumps(one)}" for one in schema["enum"]])]
    if "type" not in schema:
        return []
    named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if len(named) == 1:
        return _checks_of_type(named[0], schema, value)
    return [_any([" && ".join(_checks_of_type(name, schema, value)) for name in named])]


def _referred(schema: Schema) -> str:
    return str(schema["$ref"]).removeprefix("#/$defs/")


def _of_type(name: str, schema: Schema) -> str:
    match name:
        case "array":
            return f"Array<{typed(schema.get('items', True))}>"
        case "object":
            required = schema.get("required", [])
            fields = [
                f"{_field(field)}{'' if field in required else '?'}: {typed(part)}; "
                for field, part in schema.get("properties", {}).items()
            ]
            return f"{{ {''.join(fields)}[field: string]: unknown }}"
        case _:
            return _TYPES[name]


def _checks_of_type(name: str, schema: Schema, value: str) -> list[str]:
    match name:
        case "array":
            items = schema.get("items", True)
            each = checks(items, "item") if isinstance(items, dict) else []
            every = [f"{value}.every((item) => {' && '.join(each)})"] if each else []
            return [f"Array.isArray({value})", *every]
        case "object":
            made = [f"isObject({value})"]
            for field, part in schema.get("properties", {}).items():
                member = (
                    f"{value}.{field}" if _IDENTIFIER.fullmatch(field) else f"{value}[{json.dumps(field)}]"
                )
                inner = checks(part, member) if isinstance(part, dict) else []
                if field in schema.get("required", []):
                    made += inner or [f"{member} !== undefined"]
                elif inner:
                    made.append(f"({member} === undefined || ({' && '.join(inner)}))")
            return made
        case "null":
            return [f"{value} === null"]
        case _:
            return [f'typeof {value} === "{_TYPES[name]}"']


def _any(alternatives: list[str]) -> str:
    return "(" + " || ".join(f"({one})" for one in alternatives) + ")"


def _field(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


def _package(version: str, origin: str) -> str:
    manifest = {
        "//": origin,
        "name": "osint-events",
        "version": version,
        "description": "Types, guards, validators and the classifier of investigation events over WebSocket.",
        "license": "Apache-2.0",
        "type": "module",
        "exports": {
            "." if name == "index" else f"./{name}": {"types": f"./{name}.d.ts", "default": f"./{name}.js"}
            for name in _MODULES
        },
        "types": "./index.d.ts",
        "files": [f"{name}{suffix}" for name in _MODULES for suffix in (".d.ts", ".js")],
        "sideEffects": False,
    }
    return json.dumps(manifest, indent=2) + "\n"
