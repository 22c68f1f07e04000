"""The schemas and the capabilities as plain ECMAScript modules, which a browser takes without a build."""

from collections.abc import Iterator
from typing import Any

import jinja2

from contract_generator import documents, typescript
from contract_generator.close_codes import close_codes
from contract_generator.shapes import Shapes, message_type
from contract_generator.sources import DIRECTORY, SUFFIX, Schema, SourceError, Sources
from contract_generator.templating import TEMPLATES, header

PACKAGED = ("index.js", "validate.js", "features.js", "close-codes.js")
"""The modules of the npm package that the Python package carries too, so that a server can serve them."""

_DATA = "generated/osint_events/javascript"

# What the template's validator does not look at.
_ANNOTATIONS = frozenset({"$comment", "$id", "$schema", "description", "title"})
_ASSERTIONS = frozenset(
    {
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "required",
        "type",
    }
)
_SCALAR = (str, int, float, bool, type(None))


def files(sources: Sources, shapes: Shapes, templates: jinja2.Environment) -> dict[str, str]:
    """Give the text of each module by its path below the root, those of the Python package included."""
    context = {
        "shapes": shapes,
        "operations": {
            operation.union: {message_type(sources, name): name for name in operation.messages}
            for operation in sources.operations()
        },
        "close_codes": close_codes(sources.yaml("close_codes.yaml")),
        "schemas": {name: bare(documents.bundled(sources, name), name) for name in sources.schemas},
    }
    schemas = (f"{DIRECTORY}/*{SUFFIX}", f"{DIRECTORY}/asyncapi.yaml")
    modules = {"validate": schemas, "features": schemas, "close-codes": (f"{DIRECTORY}/close_codes.yaml",)}
    made = {}
    for name, inputs in (
        (f"{name}{suffix}", of) for name, of in modules.items() for suffix in (".js", ".d.ts")
    ):
        top = header(sources, "//", *inputs, f"{TEMPLATES}/typescript/{name}.j2")
        template = templates.get_template(f"typescript/{name}.j2")
        made[f"{typescript.PACKAGE}/{name}"] = template.render(context, header=top)
    return made


def packaged(made: dict[str, str]) -> dict[str, str]:
    """Give the copies that the Python package carries, of the modules that were made."""
    return {f"{_DATA}/{name}": made[f"{typescript.PACKAGE}/{name}"] for name in PACKAGED}


def bare(schema: Any, name: str) -> Any:  # any: a schema is an object, true or false
    """Give a schema with nothing but what its validator looks at.

    Raises:
        SourceError: the schema, of the file that is named, uses a keyword that the validator does not know.

    """
    return schema if isinstance(schema, bool) else dict(_bare(schema, name))


def _bare(schema: Schema, name: str) -> Iterator[tuple[str, Any]]:
    for keyword, value in schema.items():
        if keyword in _ANNOTATIONS or keyword.startswith("x-"):
            continue
        match keyword:
            case "$ref":
                yield keyword, _local(value, name)
            case "const" | "enum":
                yield keyword, _scalar(keyword, value, name)
            case "$defs" | "properties":
                yield keyword, {member: bare(part, name) for member, part in value.items()}
            case "allOf" | "anyOf":
                yield keyword, [bare(part, name) for part in value]
            case "else" | "if" | "items" | "not" | "then":
                yield keyword, bare(value, name)
            case _ if keyword in _ASSERTIONS:
                yield keyword, value
            case _:
                raise _unknown(name, f"the keyword {keyword}")


def _local(reference: str, name: str) -> str:
    match reference.split("/"):
        # The last is an entry of another file's.
        case ["#"] | ["#", "$defs", _] | ["#", "$defs", _, "$defs", _]:
            return reference
    raise _unknown(name, f"the $ref {reference}")


def _scalar(keyword: str, value: Any, name: str) -> Any:
    if all(isinstance(one, _SCALAR) for one in (value if keyword == "enum" else [value])):
        return value
    raise _unknown(name, f"{keyword} with arrays or objects")


def _unknown(name: str, what: str) -> SourceError:
    return SourceError(f"{DIRECTORY}/{name}{SUFFIX}: the validator in ECMAScript does not know {what}")
