"""The sources: the files of schemas/v1, read and understood, and their digests."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jsonschema
import yaml

SUFFIX = ".schema.json"
DIRECTORY = "schemas/v1"

Schema = dict[str, Any]


class SourceError(Exception):
    """A source file is missing or cannot be used; says which one, and what is wrong."""


@dataclass(frozen=True)
class Kind:
    """A known kind of a schema that lists some in its allOf."""

    name: str
    schema: Schema
    """The schema's properties and what the kind requires, in one flat object schema."""


@dataclass(frozen=True)
class Sources:
    """The contract's files, under one root directory."""

    root: Path

    def text(self, name: str) -> str:
        """Read one file of schemas/v1; line ends become single line feeds, whatever the checkout made of them."""
        path = self.root / DIRECTORY / name
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{path}: cannot be read: {error}") from error

    def yaml(self, name: str) -> dict[str, Any]:
        """Read one YAML file, an object at its top."""
        try:
            document = yaml.safe_load(self.text(name))
        except yaml.YAMLError as error:
            raise SourceError(f"{self.root / DIRECTORY / name}: not YAML: {error}") from error
        if not isinstance(document, dict):
            raise SourceError(f"{self.root / DIRECTORY / name}: not an object")
        return document

    @cached_property
    def schemas(self) -> dict[str, Schema]:
        """All schemas by name (the file's name without suffix), sorted."""
        paths = sorted((self.root / DIRECTORY).glob("*" + SUFFIX))
        if not paths:
            raise SourceError(f"{self.root / DIRECTORY}: no *{SUFFIX} here")
        return {path.name.removesuffix(SUFFIX): self._schema(path) for path in paths}

    def _schema(self, path: Path) -> Schema:
        try:
            schema = json.loads(self.text(path.name))
            jsonschema.Draft202012Validator.check_schema(schema)
        except json.JSONDecodeError as error:
            raise SourceError(f"{path}: not JSON: {error}") from error
        except jsonschema.SchemaError as error:
            raise SourceError(f"{path}: no valid schema: {error.json_path}: {error.message}") from error
        if not isinstance(schema, dict):
            raise SourceError(f"{path}: a schema here is an object")
        return schema

    @cached_property
    def asyncapi(self) -> dict[str, Any]:
        """The AsyncAPI document."""
        return self.yaml("asyncapi.yaml")

    def messages(self, direction: Literal["receive", "send"]) -> list[str]:
        """Give the schemas' names of the messages that a server receives or sends, in the document's order."""
        names = []
        for operation in self.asyncapi["operations"].values():
            if operation["action"] == direction:
                for reference in operation["messages"]:
                    message = self._pointed(reference["$ref"])
                    names.append(Path(message["payload"]["$ref"]).name.removesuffix(SUFFIX))
        for name in names:
            if name not in self.schemas:
                raise SourceError(f"{self.root / DIRECTORY}/asyncapi.yaml: there is no {name}{SUFFIX}")
        return list(dict.fromkeys(names))

    def _pointed(self, reference: str) -> dict[str, Any]:
        node: Any = self.asyncapi
        try:
            for part in reference.removeprefix("#/").split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")]
        except (KeyError, TypeError) as error:
            raise SourceError(f"{self.root / DIRECTORY}/asyncapi.yaml: {reference} points nowhere") from error
        if "$ref" in node:
            return self._pointed(node["$ref"])
        return dict(node)

    def listing(self, *patterns: str) -> str:
        """Give the shell command whose output is the digest of these files."""
        return f"sha256sum {' '.join(patterns)} | sha256sum"

    def digest(self, *patterns: str) -> str:
        """Give the SHA-256 of what sha256sum says about the files, as the listing's command computes it."""
        lines = []
        for pattern in patterns:
            for path in sorted(self.root.glob(pattern)):
                content = path.read_text(encoding="utf-8").encode()
                lines.append(f"{hashlib.sha256(content).hexdigest()}  {path.relative_to(self.root).as_posix()}\n")
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def kinds(schema: Schema) -> list[Kind]:
    """Give the known kinds of a schema: those that its allOf lists by a constant type.

    What a kind requires is said by each entry whose condition the kind fulfils, its own and the general ones.
    """
    found = []
    for entry in schema.get("allOf", []):
        name = entry.get("if", {}).get("properties", {}).get("type", {}).get("const")
        if name is not None:
            found.append(Kind(name, _of_kind(schema, name, entry.get("then", {}))))
    return found


def _of_kind(schema: Schema, kind: str, own: Schema) -> Schema:
    properties = {name: dict(value) for name, value in schema.get("properties", {}).items()}
    required = ["type", *schema.get("required", [])]
    for entry in schema["allOf"]:
        if jsonschema.Draft202012Validator(entry.get("if", True)).is_valid({"type": kind}):
            then = entry.get("then", {})
            for name, value in then.get("properties", {}).items():
                properties[name] = {**properties.get(name, {}), **value}
            required += then.get("required", [])
    described = {key: value for key, value in properties["type"].items() if key in {"title", "description"}}
    properties["type"] = {**described, "const": kind}
    return {
        "title": own.get("title", kind),
        "description": own.get("description", ""),
        "type": "object",
        "properties": properties,
        "required": list(dict.fromkeys(required)),
    }


def class_name(name: str) -> str:
    """Give the name of the class for a schema or kind: task_started becomes TaskStarted."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^0-9A-Za-z]+", name))
