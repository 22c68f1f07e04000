"""Every setting of a run, said once: flags, the TOML table, its published schema and the help follow.

`python -m osint_events_conformance.settings` prints the schema of the TOML table, which is published as
`settings.schema.json` beside this file; the pytest plugin's options are made from that.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from osint_events import contract
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from osint_events_conformance.credentials import Credentials
from osint_events_conformance.patterns import Patterns
from osint_events_conformance.wire import Endpoint

_PLACEHOLDER = "{investigation_id}"
TABLE = ("tool", "osint-events", "conformance")
ENVIRONMENT = {"token": "OSINT_EVENTS_TOKEN", "trigger_token": "OSINT_EVENTS_TRIGGER_TOKEN"}
"""Settings that the environment may give, since others may read a command line."""


class SettingsError(Exception):
    """A setting is wrong; the message is one line that says which, where, and what is expected."""


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2."""


def _header_value(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("it is no printable ASCII")
    return value


def _bearer_token(value: str) -> str:
    if not value or " " in value:
        raise ValueError("it is no bearer token: one word, without the Bearer before it")
    return _header_value(value)


class Settings(BaseModel):
    """What a run does. Times are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str = Field(
        description="The channel without its last segment, ws://HOST:PORT/ws; a client_id is appended."
    )
    inject: str | None = Field(
        None, description='URL that takes POST {"investigation_id", "data"} and makes the server emit it.'
    )
    trigger_url: str | None = Field(
        None,
        description="URL with {investigation_id} that makes the server emit some event; POST, "
        "unless another method stands before it ('GET http://…').",
    )
    trigger_command: str | None = Field(
        None, description="Command with {investigation_id} that makes the server emit some event."
    )
    observe: float | None = Field(
        None, gt=0, description="No trigger: judge what arrives by itself within so many seconds."
    )
    restart_command: str | None = Field(
        None, description="Command that restarts the server, so that RPL-8 and RPL-9 can be tested."
    )
    fallback: Literal["on", "off", "any"] = Field(
        "any", description="Whether events without subscribers are expected at all connections (DEL-3)."
    )
    profile: Literal["core", "full"] = Field(
        "full", description="core, or core and every capability that the server offers."
    )
    only: tuple[str, ...] = Field((), description="Judge only these clauses: an id or a glob, RPL-*.")
    skip: tuple[str, ...] = Field((), description="Leave these clauses out: an id or a glob.")
    strict: bool = Field(default=False, description="Let broken SHOULDs fail the run too.")
    patient: bool = Field(default=False, description="Wait as long as a clause needs, whatever --max-time.")
    seed: int | None = Field(None, ge=0, description="Seed of all that is drawn; the report names it.")
    examples: int = Field(150, ge=0, description="Cases drawn for each message and scenario.")
    max_time: float = Field(50.0, gt=0, description="Seconds after which no new case is begun.")
    workers: int = Field(24, ge=1, le=64, description="Scenarios that run side by side.")
    timeout_scale: float = Field(1.0, gt=0, description="Factor for every deadline, for slow machines.")
    known_failing: Path | None = Field(
        None, description="File of clause ids or globs, one a line, that are known to fail."
    )
    header: tuple[str, ...] = Field((), description="Header of every request, 'Name: value'.")
    token: Annotated[str, AfterValidator(_bearer_token)] | None = Field(
        None,
        repr=False,
        description="Bearer token of every request, for a server that demands one (SEC-1). Better as "
        "OSINT_EVENTS_TOKEN, which other users of the machine do not see.",
    )
    trigger_token: Annotated[str, AfterValidator(_bearer_token)] | None = Field(
        None,
        repr=False,
        description="Bearer token of the requests of --inject or --trigger-url, where it is not --token; who "
        "it stands for may see the --forbidden-id. Better as OSINT_EVENTS_TRIGGER_TOKEN.",
    )
    forbidden_id: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="An investigation that --token's principal may not see (SEC-2); it may see any other.",
    )
    subprotocol: Annotated[str, AfterValidator(_header_value)] | None = Field(
        None, description="WebSocket subprotocol to offer."
    )
    origin: Annotated[str, AfterValidator(_header_value)] | None = Field(
        None, description="Origin header of the handshake."
    )
    cacert: Path | None = Field(None, description="PEM file of certificates to trust, for wss and https.")
    cert: Path | None = Field(None, description="PEM file of the client's certificate.")
    key: Path | None = Field(None, description="PEM file of the client's key.")
    report_json: Path | None = Field(None, description="Write the report as JSON to this file.")
    report_junit: Path | None = Field(None, description="Write the report as JUnit XML to this file.")
    report_html: Path | None = Field(None, description="Write the report as one HTML file.")
    trace: Path | None = Field(None, description="Folder for a trace of each finding, to be replayed.")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = _url(value, "ws", "wss")
        if parts.query or parts.fragment:
            raise ValueError(
                f"{value!r} has a {'query' if parts.query else 'fragment'}; a client_id is appended to it"
            )
        return value

    @field_validator("inject")
    @classmethod
    def _check_inject(cls, value: str | None) -> str | None:
        return None if value is None else _http_url(value)

    @field_validator("trigger_url")
    @classmethod
    def _check_trigger_url(cls, value: str | None) -> str | None:
        if value is not None:
            _http_url(value.rpartition(" ")[2])
            _has_placeholder(value)
        return value

    @field_validator("trigger_command")
    @classmethod
    def _check_trigger_command(cls, value: str | None) -> str | None:
        if value is not None:
            _has_placeholder(value)
            shlex.split(value)  # its ValueError says what is wrong: no closing quotation
        return value

    @field_validator("restart_command")
    @classmethod
    def _check_restart_command(cls, value: str | None) -> str | None:
        if value is not None and not shlex.split(value):  # its ValueError says what is wrong
            raise ValueError("it is empty")
        return value

    @field_validator("header")
    @classmethod
    def _check_header(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            name, colon, _ = line.partition(":")
            if not colon or not _TOKEN.fullmatch(name.strip()):
                raise ValueError(f"{name!r} is no 'Name: value'")
            if not line.isascii() or not line.isprintable():
                raise ValueError(f"the value of {name} is no printable ASCII")
        return value

    @field_validator("only", "skip")
    @classmethod
    def _check_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        ids = [clause.id for clause in contract.clauses()]
        for pattern in value:
            if not any(Patterns((pattern,)).match(one) for one in ids):
                raise ValueError(f"{pattern!r} matches no clause; `osint-events-conformance list` shows them")
        return value

    @model_validator(mode="after")
    def _check_trigger(self) -> Settings:
        given = [
            name
            for name in ("inject", "trigger_url", "trigger_command", "observe")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(flag(name) for name in given)}: one of them is enough")
        if (self.cert is None) != (self.key is None):
            raise ValueError("--cert and --key go together")
        for name in ("trigger_token", "forbidden_id"):
            if getattr(self, name) is not None and self.token is None:
                raise ValueError(f"{flag(name)} goes with --token")
        if self.trigger_token is not None and self.inject is None and self.trigger_url is None:
            raise ValueError("--trigger-token goes with --inject or --trigger-url")
        if self.token is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("--token and --header Authorization: one of them is enough")
        return self

    @property
    def headers(self) -> dict[str, str]:
        """The headers by name."""
        pairs = (line.partition(":") for line in self.header)
        return {name.strip(): value.strip() for name, _, value in pairs}

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context, where one is needed. Raises `SettingsError` for files that are none."""
        if self.cacert is None and self.cert is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cacert)
            if self.cert is not None and self.key is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(path) for path in (self.cacert, self.cert, self.key) if path)
            raise SettingsError(f"TLS files {files}: {error.strerror or error}") from error
        return context

    @property
    def credentials(self) -> Credentials:
        """The tokens."""
        return Credentials(self.token, self.trigger_token)

    @property
    def trigger_headers(self) -> dict[str, str]:
        """The headers of requests that make the server emit."""
        which: Literal["own", "trigger"] = "own" if self.trigger_token is None else "trigger"
        return self.headers | self.credentials.headers(which)

    def endpoint(self) -> Endpoint:
        """The server under test."""
        return Endpoint(
            self.url, self.headers, self.origin, self.subprotocol, self.tls(), credentials=self.credentials
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not stand in any file: tokens, the headers' values, and their last words (`Bearer X`)."""
        values = [value for value in self.headers.values() if value]
        words = (value.split()[-1] for value in values)
        return tuple(dict.fromkeys([*values, *words, *self.credentials.secrets]))

    def redacted(self) -> dict[str, Any]:
        """What reports and traces may show: everything but tokens and the values of headers."""
        shown = self.model_dump(mode="json", exclude_defaults=True)
        if "header" in shown:
            shown["header"] = [f"{line.partition(':')[0]}: (redacted)" for line in shown["header"]]
        shown |= dict.fromkeys(shown.keys() & ENVIRONMENT.keys(), "(redacted)")
        for name in ("url", "inject", "trigger_url"):
            if name in shown:
                shown[name] = redacted_url(shown[name])
        return shown


def _url(value: str, *schemes: str) -> SplitResult:
    """The parts of a URL of one of two schemes. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname or not value.isprintable():
        raise ValueError(f"{value!r} is no {schemes[0]}:// or {schemes[1]}:// URL")
    _ = parts.port  # raises for one that is no number up to 65535
    if parts.username or parts.password:
        raise ValueError("credentials belong into --header 'Authorization: …', which reports leave out")
    return parts


def _http_url(value: str) -> str:
    _url(value, "http", "https")
    return value


def _has_placeholder(value: str) -> None:
    if "{investigation_id}" not in value:
        raise ValueError("it does not say where the {investigation_id} goes")


def toml_key(name: str) -> str:
    """A setting's key in the TOML table: its flag without the dashes before it."""
    return name.replace("_", "-")


def redacted_url(url: str) -> str:
    """A URL without the secrets that it may hold: user, password and the values of its query."""
    parts = urlsplit(url)
    items = (item.partition("=") for item in parts.query.split("&") if item)
    query = "&".join(f"{name}={value if value == _PLACEHOLDER else '(redacted)'}" for name, _, value in items)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query).geturl()


def flag(name: str) -> str:
    """The command line's flag of a setting."""
    return f"--{toml_key(name)}"


def load(
    flags: Mapping[str, Any], config: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """The settings: flags before the environment, the TOML table `[tool.osint-events.conformance]`, defaults.

    Raises `SettingsError`.
    """
    table = {} if config is None else _table(config)
    told = {name: environment.get(variable) for name, variable in ENVIRONMENT.items()}
    secrets = {name: value for name, value in told.items() if value}
    given = {**table, **secrets, **flags}
    if "url" not in given:
        raise SettingsError("which server? Give its URL: osint-events-conformance run ws://HOST:PORT/ws")
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_describe(item, flags, environment, config) for item in error.errors())
        ) from error


def _describe(
    item: Any, flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None
) -> str:
    problem = item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        return str(problem)
    name = str(item["loc"][0])
    if name in flags:
        return f"{name.upper() if name == 'url' else flag(name)}: {problem}"
    if environment.get(ENVIRONMENT.get(name, "")):
        return f"{ENVIRONMENT[name]}: {problem}"
    return f"{config}: {toml_key(name)}: {problem}"


def _table(config: Path) -> dict[str, Any]:
    try:
        found: Any = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: {error.strerror}") from error
    except ValueError as error:  # bad TOML and bad UTF-8 alike
        raise SettingsError(f"{config}: no TOML: {error}") from error
    for name in TABLE:
        found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            raise SettingsError(f"{config}: there is no table [{'.'.join(TABLE)}]")
    if not isinstance(found, dict):
        raise SettingsError(f"{config}: [{'.'.join(TABLE)}] is no table")
    names = {toml_key(name): name for name in Settings.model_fields}
    for key in found:
        if key not in names:
            close = difflib.get_close_matches(key, names, 1, 0.5)
            meant = f"; is {close[0]} meant?" if close else ""
            raise SettingsError(f"{config}: {key}: no such setting{meant}")
    return {names[key]: value for key, value in found.items()}


def schema() -> str:
    """The JSON Schema of the TOML table, as text."""
    fields = Settings.model_json_schema()["properties"]
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "osint-events conformance settings",
        "description": f"The table [{'.'.join(TABLE)}] of a TOML file.",
        "type": "object",
        "properties": {toml_key(name): _without_null(field) for name, field in fields.items()},
        "additionalProperties": False,
    }
    return json.dumps(made, indent=2) + "\n"


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """A property as TOML can hold it: what is absent there is not null."""
    kept = {name: value for name, value in field.items() if name not in {"anyOf", "title", "default"}}
    kept |= next((one for one in field.get("anyOf", ()) if one != {"type": "null"}), {})
    return kept if field.get("default") is None else kept | {"default": field["default"]}


if __name__ == "__main__":
    print(schema(), end="")  # noqa: T201 - printing is what the module is run for
