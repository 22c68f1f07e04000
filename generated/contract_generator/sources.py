"""The sources: the files of schemas/v1, read and checked, and their digests."""

import hashlib
import json
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
class Operation:
    """What one side sends in one state of the connection."""

    union: str
    """The name of the type that is any of the messages (x-union)."""

    title: str
    action: Literal["receive", "send"]
    """What a server does."""

    messages: tuple[str, ...]
    """The names of the messages' schemas."""


@dataclass(frozen=True)
class Sources:
    """The contract's files, under one root directory."""

    root: Path

    @cached_property
    def schemas(self) -> dict[str, Schema]:
        """All schemas by name (the file's name without suffix), sorted."""
        names = sorted(path.name for path in (self.root / DIRECTORY).glob("*" + SUFFIX))
        if not names:
            raise SourceError(f"{self.root / DIRECTORY}: no *{SUFFIX} here")
        return {name.removesuffix(SUFFIX): self._schema(name) for name in names}

    @cached_property
    def asyncapi(self) -> dict[str, Any]:
        """The AsyncAPI document."""
        return self.yaml("asyncapi.yaml")

    def yaml(self, name: str) -> dict[str, Any]:
        """Read one YAML file, an object at its top."""
        try:
            document = yaml.safe_load(self._text(name))
        except yaml.MarkedYAMLError as error:
            line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
            raise self._error(name, f"not YAML: {line}{error.problem}") from error
        except yaml.YAMLError as error:
            raise self._error(name, f"not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(document, dict):
            raise self._error(name, "not an object")
        return document

    def operations(self) -> list[Operation]:
        """Give who sends which messages, in the order of the AsyncAPI document."""
        return [self._operation(operation) for operation in self.asyncapi["operations"].values()]

    def digest(self, *patterns: str) -> str:
        """Give the SHA-256 of what sha256sum prints for the files, in this order, from the root directory."""
        lines = []
        for path in (path for pattern in patterns for path in sorted(self.root.glob(pattern))):
            content = path.read_text(encoding="utf-8").encode()
            lines.append(f"{hashlib.sha256(content).hexdigest()}  {path.relative_to(self.root).as_posix()}\n")
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _operation(self, operation: dict[str, Any]) -> Operation:
        try:
            references = [self._pointed(message["$ref"]) for message in operation["messages"]]
            files = [Path(message["payload"]["$ref"]).name for message in references]
        except (AttributeError, KeyError, TypeError) as error:
            raise self._error(
                "asyncapi.yaml", f"an operation lacks a message or payload: {error!r}"
            ) from error
        for file in files:
            if file.removesuffix(SUFFIX) not in self.schemas:
                raise self._error("asyncapi.yaml", f"there is no {file}")
        names = tuple(file.removesuffix(SUFFIX) for file in files)
        try:
            return Operation(operation["x-union"], operation["title"], operation["action"], names)
        except KeyError as error:
            raise self._error("asyncapi.yaml", f"an operation lacks {error}") from error

    def _schema(self, name: str) -> Schema:
        try:
            schema = json.loads(self._text(name))
            jsonschema.Draft202012Validator.check_schema(schema)
        except json.JSONDecodeError as error:
            raise self._error(name, f"not JSON: {error}") from error
        except jsonschema.SchemaError as error:
            raise self._error(name, f"no valid schema: {error.json_path}: {error.message}") from error
        if not isinstance(schema, dict):
            raise self._error(name, "not an object")
        return schema

    def _text(self, name: str) -> str:
        # Line ends become single line feeds, whatever the checkout made of them.
        try:
            return (self.root / DIRECTORY / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(name, f"cannot be read: {error}") from error

    def _pointed(self, reference: str) -> dict[str, Any]:
        node: Any = self.asyncapi
        for part in reference.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return self._pointed(node["$ref"]) if "$ref" in node else dict(node)

    def _error(self, name: str, problem: str) -> SourceError:
        return SourceError(f"{self.root / DIRECTORY / name}: {problem}")
