"""The package data: the schemas as they are and bundled, the YAML files as JSON, AsyncAPI in one document."""

import json
from collections.abc import Callable
from typing import Any

from contract_generator.shapes import split_reference, with_references
from contract_generator.sources import DIRECTORY, SUFFIX, Schema, Sources
from contract_generator.templating import provenance

_DATA = "generated/osint_events/schemas"
_SCHEMA_FILES = f"{DIRECTORY}/*{SUFFIX}"


def files(sources: Sources) -> dict[str, str]:
    """Give the text of each JSON file by its path below the root."""
    made = {}
    for name, schema in sources.schemas.items():
        origin = provenance(sources, f"{DIRECTORY}/{name}{SUFFIX}")
        made[f"{_DATA}/{name}{SUFFIX}"] = _text({"$comment": origin, **schema})
        origin = provenance(sources, _SCHEMA_FILES)
        made[f"{_DATA}/bundled/{name}{SUFFIX}"] = _text({"$comment": origin, **bundled(sources, name)})
    for name in ("clauses", "legacy"):
        origin = provenance(sources, f"{DIRECTORY}/{name}.yaml")
        made[f"{_DATA}/{name}.json"] = _text({"$comment": origin, **sources.yaml(f"{name}.yaml")})
    made[f"{_DATA}/asyncapi.bundled.json"] = _text(bundled_asyncapi(sources))
    return made


def bundled(sources: Sources, name: str) -> Schema:
    """Give one schema that needs no other: what it refers to stands in its $defs, by schema name."""
    found: dict[str, Schema] = {}

    def embedded(owner: str) -> Callable[[str], str]:
        def renamed(reference: str) -> str:
            target, pointer = split_reference(reference, owner)
            if target == name:
                return f"#{pointer}"
            if target not in found:
                found[target] = {}  # known from here on, so that schemas may refer to each other
                found[target] = _without_identity(with_references(sources.schemas[target], embedded(target)))
            return f"#/$defs/{target}{pointer}"

        return renamed

    whole: Schema = with_references(sources.schemas[name], embedded(name))
    return {**whole, "$defs": {**whole.get("$defs", {}), **found}} if found else whole


def bundled_asyncapi(sources: Sources) -> dict[str, Any]:
    """Give the AsyncAPI document with all schemas of the contract in its components: it needs no file."""

    def component(owner: str) -> Callable[[str], str]:
        def renamed(reference: str) -> str:
            target, pointer = split_reference(reference, owner)
            return f"#/components/schemas/{target}{pointer}" if target else reference

        return renamed

    document: dict[str, Any] = _redirected(sources.asyncapi, component(""))
    components = document.setdefault("components", {})
    components["schemas"] = {
        **components.get("schemas", {}),
        **{
            name: _without_identity(with_references(schema, component(name)))
            for name, schema in sources.schemas.items()
        },
    }
    origin = provenance(sources, f"{DIRECTORY}/asyncapi.yaml", _SCHEMA_FILES)
    document["info"] = {**document["info"], "x-generated": origin}
    return document


def _without_identity(schema: Schema) -> Schema:
    """Drop what would make the schema a resource of its own: its references are the whole's now."""
    return {key: value for key, value in schema.items() if key not in {"$schema", "$id"}}


def _redirected(node: Any, renamed: Callable[[str], str]) -> Any:  # any JSON value
    if isinstance(node, list):
        return [_redirected(item, renamed) for item in node]
    if isinstance(node, dict):
        return {
            key: renamed(value) if key == "$ref" else _redirected(value, renamed)
            for key, value in node.items()
        }
    return node


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
