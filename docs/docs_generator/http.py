"""What an OpenAPI document says of each request, with its references followed."""

from __future__ import annotations

from typing import Any

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Give each operation with its `path`, its `method`, and its responses in full."""
    found = []
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                responses = {
                    status: _resolved(response, document)
                    for status, response in operation["responses"].items()
                }
                found.append({**operation, "path": path, "method": method.upper(), "responses": responses})
    return found


def examples(content: dict[str, Any]) -> list[tuple[str, object]]:
    """Give the examples of a body or response, each with its media type."""
    return [
        (media, example)
        for media, described in content.items()
        for example in (
            [described["example"]]
            if "example" in described
            else [one["value"] for one in described.get("examples", {}).values()]
        )
    ]


def _resolved(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref", "")
    if not reference.startswith("#/"):
        return part
    found: Any = document
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return _resolved(found, document)
