"""What the pages are made from, read once: the contract, the runner's checks, the faulty servers."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from osint_events import models
from osint_events_conformance.faulty import FAULTS, Fault
from osint_events_conformance.suite import Check, checks

ROOT = Path(__file__).resolve().parents[2]
"""The repository's root directory."""

_SUFFIX = ".schema.json"


@dataclass(frozen=True)
class Section:
    """One chapter of the protocol, with its clauses in order."""

    title: str
    part: int
    note: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True)
class Clause:
    """One rule, and what stands behind it."""

    id: str
    level: str
    feature: str
    subject: str
    text: str
    untested: str | None
    checks: tuple[Check, ...]
    """The checks written for it; every check watches every other clause too."""
    faults: tuple[Fault, ...]
    """The faulty servers that break it, which the runner must find."""

    @property
    def anchor(self) -> str:
        """Its id on the page."""
        return self.id.lower()


@dataclass(frozen=True)
class Invalid:
    """An instance that its schema refuses, and the keyword that does so."""

    name: str
    instance: Any
    keyword: str
    path: str


class Contract:
    """The files of schemas/v1.

    Args:
        directory: where they are.

    """

    def __init__(self, directory: Path = ROOT / "schemas" / "v1") -> None:
        self.directory = directory

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The clause catalogue, by section."""
        catalogue = self.yaml("clauses.yaml")
        return tuple(
            Section(
                section["title"],
                section["part"],
                section.get("note", ""),
                tuple(
                    _clause(entry) for entry in catalogue["clauses"] if entry["section"] == section["title"]
                ),
            )
            for section in catalogue["sections"]
        )

    @cached_property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """Every JSON Schema by name, sorted."""
        paths = sorted(self.directory.glob(f"*{_SUFFIX}"))
        return {path.name.removesuffix(_SUFFIX): json.loads(path.read_bytes()) for path in paths}

    @cached_property
    def asyncapi(self) -> dict[str, Any]:
        """The AsyncAPI document."""
        return self.yaml("asyncapi.yaml")

    @cached_property
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return self.yaml("openapi.yaml")

    def yaml(self, name: str) -> dict[str, Any]:
        """Read one YAML file, an object at its top."""
        document: dict[str, Any] = yaml.safe_load((self.directory / name).read_text(encoding="utf-8"))
        return document

    def valid(self, schema: str) -> dict[str, Any]:
        """Give the valid examples of a schema, the plain one first, by what their file name adds to it."""
        found = (self.directory / "examples" / "valid").glob(f"{schema}.*json")
        paths = sorted(found, key=lambda path: (_variant(path) != "plain", "all fields" in path.name, path))
        return {_variant(path): json.loads(path.read_bytes()) for path in paths}

    def invalid(self, schema: str) -> list[Invalid]:
        """Give the invalid examples of a schema."""
        found = []
        for path in sorted((self.directory / "examples" / "invalid").glob(f"{schema}.*json")):
            example = json.loads(path.read_bytes())
            found.append(Invalid(_variant(path), example["instance"], example["keyword"], example["path"]))
        return found

    def raw(self) -> dict[str, Path]:
        """Give the files that the site offers as they are, by name."""
        names = (f"*{_SUFFIX}", "*.yaml", "examples/classify.json")
        return {path.name: path for pattern in names for path in sorted(self.directory.glob(pattern))}


@dataclass(frozen=True)
class Code:
    """The generated types as they stand in the packages."""

    python: dict[str, str]
    typescript: dict[str, str]

    @classmethod
    def read(cls) -> Code:
        """Read both, by the name of the class."""
        return cls(_python_classes(), _typescript_interfaces())


def class_name(name: str) -> str:
    """Give the class of a schema or kind: task_started becomes TaskStarted."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _clause(entry: dict[str, Any]) -> Clause:
    name = entry["id"]
    return Clause(
        name,
        entry["level"],
        entry["feature"],
        entry["subject"],
        entry["text"],
        entry.get("untested"),
        tuple(check for check in checks() if check.clause == name),
        tuple(fault for _, fault in sorted(FAULTS.items()) if name in fault.clauses),
    )


def _variant(path: Path) -> str:
    """Give the part of an example's file name that tells it from others of its schema, in words."""
    return " ".join(path.name.split(".")[1:-1]).replace("_", " ")


def _python_classes() -> dict[str, str]:
    text = Path(models.__file__).read_text(encoding="utf-8")
    classes = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    return {node.name: ast.get_source_segment(text, node) or "" for node in classes}


def _typescript_interfaces() -> dict[str, str]:
    text = (ROOT / "generated" / "typescript" / "index.d.ts").read_text(encoding="utf-8")
    found = re.finditer(r"^export interface (\w+) {$.*?^}$", text, re.MULTILINE | re.DOTALL)
    return {match[1]: match[0] for match in found}
