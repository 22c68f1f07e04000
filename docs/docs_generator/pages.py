"""Every generated page and file of the site, by its path there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from osint_events_conformance import settings as runner_settings
from osint_events_server import settings as server_settings
from osint_events_server.offer import Offer
from osint_events_server.settings import Settings

from docs_generator import fields, http
from docs_generator.sources import Code, Contract, class_name

_TEMPLATES = Path(__file__).with_name("templates")
_RUNNER = Path(runner_settings.__file__).parent

PROTOCOL = {1: "protocol/part-1.md", 2: "protocol/part-2.md"}
LEGACY_SECTION = "Legacy rules"
LEGACY = "protocol/legacy.md"

_LINE = 76
"""Characters of code that a page shows without scrolling."""


class Pages:
    """Makes the pages.

    Args:
        contract: the files that they are made from.

    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._code = Code.read()
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701 - Markdown, made from our own files
        )
        self._environment.filters |= {
            "cell": _cell,
            "json": _json,
            "line": _line,
            "examples": http.examples,
            "message": _linked,
        }

    def all(self) -> dict[str, str | bytes]:
        """Give every generated page as Markdown, and every file for download as its bytes."""
        downloads = {f"v1/{name}": path for name, path in self.contract.raw().items()}
        downloads["backends/settings.schema.json"] = _RUNNER / "settings.schema.json"
        downloads["backends/report.schema.json"] = _RUNNER / "report" / "report.schema.json"
        return dict(self._texts()) | {uri: path.read_bytes() for uri, path in downloads.items()}

    def clause_links(self) -> dict[str, str]:
        """Give for each clause the page and anchor where it stands."""
        return {
            clause.id: f"{self._page_of(section.title, section.part)}#{clause.anchor}"
            for section in self.contract.sections
            for clause in section.clauses
        }

    def _texts(self) -> Iterator[tuple[str, str]]:
        sections = self.contract.sections
        for part, page in PROTOCOL.items():
            own = [section for section in sections if section.part == part]
            yield page, self._render("part.md.j2", part=part, sections=own, legacy=LEGACY_SECTION)
        (legacy,) = (section for section in sections if section.title == LEGACY_SECTION)
        yield (
            LEGACY,
            self._render(
                "legacy.md.j2",
                section=legacy,
                rules=self.contract.yaml("legacy.yaml")["rules"],
                vectors=self._vectors(),
            ),
        )
        yield "protocol/close-codes.md", self._render("close_codes.md.j2", **self._close_codes())
        yield "protocol/limits.md", self._render("limits.md.j2", limits=list(self._limits()))
        yield "protocol/evidence.md", self._render("evidence.md.j2", sections=sections)
        yield (
            "reference/index.md",
            self._render("reference.md.j2", operations=self._operations(), payloads=self._payloads()),
        )
        for name, schema in self.contract.schemas.items():
            yield f"reference/messages/{name}.md", self._message(name, schema)
        yield (
            "reference/asyncapi.md",
            self._render("asyncapi.md.j2", document=self.contract.asyncapi, operations=self._operations()),
        )
        yield (
            "reference/http.md",
            self._render(
                "http.md.j2",
                document=self.contract.openapi,
                operations=http.operations(self.contract.openapi),
            ),
        )
        yield "backends/options.md", self._render("options.md.j2", options=list(_options()))
        yield "operators/settings.md", self._render("settings.md.j2", settings=list(self._settings()))

    def _render(self, template: str, **values: object) -> str:
        return self._environment.get_template(template).render(**values)

    def _page_of(self, section: str, part: int) -> str:
        return LEGACY if section == LEGACY_SECTION else PROTOCOL[part]

    def _vectors(self) -> list[dict[str, Any]]:
        path = self.contract.directory / "examples" / "classify.json"
        vectors: list[dict[str, Any]] = json.loads(path.read_bytes())["vectors"]
        return vectors

    def _close_codes(self) -> dict[str, object]:
        document = self.contract.yaml("close_codes.yaml")
        ranges = document["reconnects"]
        for entry in document["codes"]:
            entry["reconnects"] = any(least <= entry["code"] <= most for least, most in ranges)
        return document

    def _limits(self) -> Iterator[dict[str, object]]:
        """Give the limits that a welcome names, with their defaults in the reference server."""
        offered = Offer.of(Settings())
        welcome = self.contract.schemas["welcome"]
        for part, values in (("limits", offered.limits), ("heartbeat", offered.heartbeat)):
            described = {field.path: field for field in fields.fields(welcome)}
            for name, value in values.model_dump().items():
                yield {
                    "name": f"{part}.{name}",
                    "value": value,
                    "about": described[f"{part}.{name}"].description,
                }

    def _operations(self) -> list[dict[str, Any]]:
        """Give who sends which messages, each with the name of its schema and page."""
        document = self.contract.asyncapi
        messages = document["channels"]["events"]["messages"]
        return [
            {
                **operation,
                "sender": "client" if operation["action"] == "receive" else "server",
                "negotiated": "hello" in operation["title"] or operation["x-union"].startswith("Negotiated"),
                "names": [reference["$ref"].rpartition("/")[2] for reference in operation["messages"]],
                "summaries": messages,
            }
            for operation in document["operations"].values()
        ]

    def _payloads(self) -> list[str]:
        sent = {name for operation in self._operations() for name in operation["names"]}
        return [name for name in self.contract.schemas if name not in sent]

    def _message(self, name: str, schema: dict[str, Any]) -> str:
        classes = [class_name(name), *(class_name(f"{name}_{part}") for part in fields.definitions(schema))]
        kinds = fields.kinds(schema)
        classes = [class_name(kind) for kind, _ in kinds] or classes
        return self._render(
            "message.md.j2",
            name=name,
            schema=schema,
            fields=fields.fields(schema),
            rules=fields.rules(schema),
            kinds=kinds,
            senders=[operation for operation in self._operations() if name in operation["names"]],
            twin=self._twin(name),
            valid=self.contract.valid(name),
            invalid=self.contract.invalid(name),
            python=[self._code.python[one] for one in classes],
            typescript=[self._code.typescript[one] for one in classes],
        )

    def _twin(self, name: str) -> str | None:
        """Give the schema of the same message with the other state of the connection, if there is one."""
        other = name.removeprefix("negotiated_") if name.startswith("negotiated_") else f"negotiated_{name}"
        return other if other in self.contract.schemas else None

    def _settings(self) -> Iterator[dict[str, object]]:
        for name, field in Settings.model_fields.items():
            least = [str(getattr(one, "ge", "")) for one in field.metadata if hasattr(one, "ge")]
            yield {
                "name": name,
                "flag": server_settings.flag(name),
                "env": server_settings.env(name),
                "default": _default(field.default),
                "least": least[0] if least else None,
                "about": field.description,
            }


def _options() -> Iterator[dict[str, object]]:
    """Give the runner's settings, which its flags and its table in a TOML file are made from."""
    for name, field in runner_settings.Settings.model_fields.items():
        if name != "url":
            yield {
                "flag": f"--{name.replace('_', '-')}",
                "default": _default(field.get_default(call_default_factory=True)),
                "about": field.description,
            }


def _default(value: object) -> str:
    """Say a default as a person would."""
    match value:
        case True:
            return "on"
        case False:
            return "off"
        case None | () | "":
            return "none"
        case _:
            return str(value)


def _cell(text: str) -> str:
    """Make a text fit into a cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def _json(value: object) -> str:
    """Give a value as JSON: in one line where that is short enough to read."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _LINE else json.dumps(value, ensure_ascii=False, indent=2)


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _linked(name: str) -> str:
    return f"[`{name}`](/reference/messages/{name}.md)"
