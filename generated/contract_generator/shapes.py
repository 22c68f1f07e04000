"""What the schemas are to a programming language: one flat class each, and the open unions over them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema

from contract_generator.sources import SUFFIX, Operation, Schema, SourceError, Sources

# Where a schema holds schemas: under these keywords as they are, in a list, or in an object by name.
_ONE = frozenset({"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"})
_MANY = frozenset({"allOf", "anyOf", "oneOf"})
_NAMED = frozenset({"$defs", "patternProperties", "properties"})

# What a class does not show: conditions and what only a validator needs.
_NOT_OF_A_CLASS = frozenset({"$schema", "$id", "$defs", "allOf", "not"})

_UNKNOWN_MESSAGE: Schema = {
    "title": "Unknown message",
    "description": "A message of a type that the contract does not know. It is tolerated (ROB-3, CLT-2).",
    "type": "object",
    "properties": {"type": {"title": "Message type", "description": "Any string.", "type": "string"}},
    "required": ["type"],
}


@dataclass(frozen=True)
class Member:
    """One alternative of a union: the value of type that tells it, and its class."""

    tag: str
    class_name: str


@dataclass(frozen=True)
class Union:
    """An open union by type: its members, and the class of everything else."""

    name: str
    """The name of the union's type, for instance ServerMessage."""

    noun: str
    """Its name within functions and constants, for instance server_message."""

    members: tuple[Member, ...]
    other: str
    description: str


@dataclass(frozen=True)
class Message:
    """A message of a client, for the server's handler."""

    name: str
    class_name: str
    description: str
    feature: str | None
    """What must be used for the message to be known; None: it is at all times."""


@dataclass(frozen=True)
class Known:
    """The known values of an open set of strings."""

    name: str
    """The name of their type, for instance ErrorCode."""

    description: str
    values: tuple[dict[str, Any], ...]
    """Each with const and description, and what else its schema says about it."""


@dataclass(frozen=True)
class Shapes:
    """Everything that a programming language is told."""

    classes: dict[str, Schema]
    """Flat object schemas by class name; each $ref in them is #/$defs/ and a class name."""

    unions: tuple[Union, ...]
    client_messages: tuple[Message, ...]
    """What a server handles; of the schemas of one type the last, which is the one with the most fields."""

    known: tuple[Known, ...]
    message_features: dict[str, str]
    """The feature that a message belongs to, by type; a message that is not here is always used."""

    field_features: dict[str, dict[str, str]]
    """The feature that a field belongs to, by type and field; a field that is not here is always used."""

    field_errors: dict[str, dict[str, str]]
    """The error code for a field that breaks its schema, by type and field, where it has one of its own."""


def shapes(sources: Sources) -> Shapes:
    """Read the shapes off the sources."""
    classes: dict[str, Schema] = {}
    payloads = []
    for name, schema in sources.schemas.items():
        local = with_references(schema, _class_reference(sources, name))
        for part, definition in local.get("$defs", {}).items():
            classes[class_name(f"{name}_{part}")] = _flat(definition)
        flat = _flat(local)
        known = _kinds(local)
        if known:
            classes |= {class_name(kind): required for kind, required in known.items()}
            other = f"Unknown{class_name(name)}"
            described = f"{schema['title']} without a kind, or of a kind that the contract does not know."
            classes[other] = {**flat, "title": f"Unknown {name}", "description": described}
            members = tuple(Member(kind, class_name(kind)) for kind in known)
            text = f"Any {name} by its kind; {other} where that is absent or not known."
            payloads.append(Union(class_name(name), name, members, other, text))
        else:
            classes[class_name(name)] = flat
    classes["UnknownMessage"] = _UNKNOWN_MESSAGE
    operations = sources.operations()
    names = list(dict.fromkeys(name for operation in operations for name in operation.messages))
    received = {
        message_type(sources, name): name
        for operation in operations
        if operation.action == "receive"
        for name in operation.messages
    }
    return Shapes(
        classes,
        (*(_messages(sources, operation) for operation in operations), *payloads),
        tuple(_message(sources, name) for name in received.values()),
        tuple(known for schema in sources.schemas.values() for known in _known(schema)),
        {
            message_type(sources, name): feature
            for name in names
            if (feature := sources.schemas[name].get("x-feature"))
        },
        _fields_that_say(sources, names, "x-feature"),
        _fields_that_say(sources, names, "x-error"),
    )


def message_type(sources: Sources, name: str) -> str:
    """Give the constant value of a message's type."""
    try:
        return str(sources.schemas[name]["properties"]["type"]["const"])
    except KeyError as error:
        raise SourceError(f"{name}{SUFFIX}: a message needs a constant type") from error


def class_name(name: str) -> str:
    """Give the name of the class for a schema or kind: task_started becomes TaskStarted."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^0-9A-Za-z]+", name))


# Any: a schema is an object, true or false.
def with_references(schema: Any, renamed: Callable[[str], str]) -> Any:
    """Rename each $ref of a schema, and nothing that only looks like one in an instance or a name."""
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for keyword, value in schema.items():
        if keyword == "$ref":
            result[keyword] = renamed(value)
        elif keyword in _ONE:
            result[keyword] = with_references(value, renamed)
        elif keyword in _MANY:
            result[keyword] = [with_references(part, renamed) for part in value]
        elif keyword in _NAMED:
            result[keyword] = {name: with_references(part, renamed) for name, part in value.items()}
        else:
            result[keyword] = value
    return result


def split_reference(reference: str, owner: str) -> tuple[str, str]:
    """Give the schema's name and the JSON pointer that a $ref within the schema named owner means."""
    target, _, pointer = reference.partition("#")
    return target.removeprefix("./").removesuffix(SUFFIX) or owner, pointer


def _class_reference(sources: Sources, owner: str) -> Callable[[str], str]:
    def renamed(reference: str) -> str:
        name, pointer = split_reference(reference, owner)
        if name not in sources.schemas:
            raise SourceError(f"{owner}{SUFFIX}: {reference}: there is no such schema")
        if name != owner and _kinds(sources.schemas[name]):
            raise SourceError(f"{owner}{SUFFIX}: {reference}: no class stands for a payload of many kinds")
        match pointer.split("/"):
            case [""]:
                return f"#/$defs/{class_name(name)}"
            case ["", "$defs", part]:
                return f"#/$defs/{class_name(f'{name}_{part}')}"
        raise SourceError(
            f"{owner}{SUFFIX}: {reference}: a $ref names a schema file or an entry of its $defs"
        )

    return renamed


def _flat(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in _NOT_OF_A_CLASS}


def _messages(sources: Sources, operation: Operation) -> Union:
    members = tuple(Member(message_type(sources, name), class_name(name)) for name in operation.messages)
    text = f"{operation.title}; UnknownMessage where its type is not known."
    noun = re.sub(r"(?<!^)(?=[A-Z])", "_", operation.union).lower()
    return Union(operation.union, noun, members, "UnknownMessage", text)


def _message(sources: Sources, name: str) -> Message:
    schema = sources.schemas[name]
    type_ = message_type(sources, name)
    return Message(type_, class_name(name), schema["description"], schema.get("x-feature"))


def _known(schema: Any) -> Iterator[Known]:  # any: a schema is an object, true or false
    if isinstance(schema, dict):
        if "x-known" in schema:
            yield Known(class_name(schema["title"]), schema["description"], tuple(schema["x-known"]))
        for part in (*schema.get("properties", {}).values(), schema.get("items")):
            yield from _known(part)


def _fields_that_say(sources: Sources, names: list[str], word: str) -> dict[str, dict[str, str]]:
    found = {
        message_type(sources, name): {
            field: part[word]
            for field, part in sources.schemas[name].get("properties", {}).items()
            if isinstance(part, dict) and word in part
        }
        for name in names
    }
    return {type_: fields for type_, fields in found.items() if fields}


def _kinds(schema: Schema) -> dict[str, Schema]:
    """Give the known kinds of a payload, the alternatives in a condition of its allOf, each as a flat schema.

    What a kind requires is said by the consequence of every condition that the kind alone fulfils.
    """
    conditions = [entry.get("if", {}) for entry in schema.get("allOf", [])]
    listed = [alternative for condition in conditions for alternative in condition.get("anyOf", [])]
    return {
        alternative["properties"]["type"]["const"]: _of_kind(schema, alternative)
        for alternative in listed
        if "const" in alternative.get("properties", {}).get("type", {})
    }


def _of_kind(schema: Schema, alternative: Schema) -> Schema:
    kind = alternative["properties"]["type"]["const"]
    properties = {name: dict(part) for name, part in schema["properties"].items()}
    required = ["type", *schema.get("required", [])]
    for entry in schema["allOf"]:
        if "if" in entry and jsonschema.Draft202012Validator(entry["if"]).is_valid({"type": kind}):
            consequence = entry.get("then", {})
            for name, part in consequence.get("properties", {}).items():
                properties[name] = {**properties.get(name, {}), **part}
            required += consequence.get("required", [])
    described = {key: value for key, value in properties["type"].items() if key in {"title", "description"}}
    properties["type"] = {**described, "const": kind}
    return {
        "title": alternative.get("title", kind),
        "description": alternative.get("description", ""),
        "type": "object",
        "properties": properties,
        "required": list(dict.fromkeys(required)),
    }
