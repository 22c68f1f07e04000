"""What a publisher posts becomes payloads, or a refusal that says what is wrong and where. No I/O.

The bodies are those of `openapi.yaml`; the payload's rules are those of `event.schema.json` (EVT-2 to EVT-4),
compiled once.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import jsonschema_rs
from osint_events import contract

from osint_events_server import frames, jsontext
from osint_events_server.scope import Scope
from osint_events_server.store import Payload

JSON = "application/json"
NDJSON = "application/x-ndjson"

_SPACE = b" \t\n\r"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # an escape that stands for a character only in a pair
_MAX_DETAIL = 200  # characters: a validator's message may quote the whole event


class Refused(Exception):
    """A request that is not carried out; nothing of it was published.

    Attributes:
        status: the HTTP status.
        code: what is wrong, for programs.
        message: what is wrong, and where, for people.
        line: the line of an NDJSON body, counted from 1.
        path: the place within the event, a JSON Pointer (RFC 6901).

    """

    def __init__(
        self, status: HTTPStatus, code: str, message: str, *, line: int | None = None, path: str | None = None
    ) -> None:
        place = "".join(f"{where}: " for where in (line and f"line {line}", path) if where)
        super().__init__(f"{place}{message}")
        self.status = status
        self.code = code
        self.message = f"{place}{message}"
        self.line = line
        self.path = path

    def body(self) -> dict[str, Any]:
        """Return the answer's body, an `Error` of `openapi.yaml`."""
        fields = {"code": self.code, "message": self.message, "line": self.line, "path": self.path}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken, each inclusive.

    Attributes:
        event_bytes: the text of the message that an event becomes.
        events: of one request.
        nesting: levels of arrays and objects of a payload.

    """

    event_bytes: int
    events: int
    nesting: int


class Ingest:
    """Reads requests that publish.

    Raises, wherever it reads: `Refused`.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._event = jsonschema_rs.validator_for(contract.bundled("event"))
        subscribe = contract.schema("subscribe_investigation")
        self._investigation_id = jsonschema_rs.validator_for(subscribe["properties"]["investigation_id"])

    def events(self, investigation_id: str, body: bytes, *, content_type: str) -> Sequence[Payload]:
        """Return the payloads of `POST /investigations/{investigation_id}/events`, as they were written."""
        self._check_investigation_id(investigation_id)
        if content_type == JSON:
            return (self._valid_event(investigation_id, body.strip(_SPACE), line=None),)
        if content_type != NDJSON:
            raise unsupported_media_type(JSON, NDJSON)
        payloads: list[Payload] = []
        for line, payload in _lines(body):
            if len(payloads) == self._limits.events:
                raise too_large(f"a request may carry {self._limits.events} events")
            payloads.append(self._valid_event(investigation_id, payload, line=line))
        if not payloads:
            raise _invalid_json("the body holds no event")
        return payloads

    def injection(self, body: bytes, *, content_type: str) -> tuple[str, Payload]:
        """Return the investigation and the payload, as it was written, of a request to the inject hook."""
        if content_type != JSON:
            raise unsupported_media_type(JSON)
        # The body is one level around the payload.
        value, text = self._parse(body, nesting=self._limits.nesting + 1)
        if not isinstance(value, dict):
            raise _invalid("is not an object", path="")
        investigation_id = self._check_investigation_id(value.get("investigation_id"), "/investigation_id")
        if not isinstance(value.get("data"), dict):
            raise _invalid("is not an object", path="/data")
        data = next(member.encode() for name, member in jsontext.members(text) if name == "data")
        self._check_size(investigation_id, data)
        return investigation_id, Payload(data, Scope.of_event(value["data"]))

    def _valid_event(self, investigation_id: str, payload: bytes, *, line: int | None) -> Payload:
        event, text = self._parse(payload, nesting=self._limits.nesting, line=line)
        if _SURROGATE.search(text) and not _is_encodable(json.dumps(event, ensure_ascii=False)):
            raise _invalid("a string holds a lone surrogate, which is no character", line=line)
        error = next(self._event.iter_errors(event), None)
        if error is not None:
            raise _invalid(_shorten(error.message), line=line, path=_pointer(error.instance_path))
        if event.get("investigation_id", investigation_id) != investigation_id:
            raise _invalid("is not the id that is published to", line=line, path="/investigation_id")
        self._check_size(investigation_id, payload, line=line)
        return Payload(payload, Scope.of_event(event))

    def _parse(self, body: bytes, *, nesting: int, line: int | None = None) -> tuple[Any, str]:
        try:
            text = body.decode()
            return jsontext.parse(text, max_nesting=nesting), text
        except UnicodeDecodeError as error:
            raise _invalid_json(f"no UTF-8 at byte {error.start + 1}", line=line) from error
        except jsontext.InvalidJSON as error:
            raise _invalid_json(str(error), line=line) from error

    def _check_investigation_id(self, value: Any, path: str | None = None) -> str:
        if isinstance(value, str) and _is_encodable(value) and self._investigation_id.is_valid(value):
            return value
        raise _invalid("an investigation_id is a string of 1 to 255 characters", path=path)

    def _check_size(self, investigation_id: str, data: bytes, *, line: int | None = None) -> None:
        if len(frames.update(investigation_id, data)) > self._limits.event_bytes:
            raise too_large(f"the message of an event may have {self._limits.event_bytes} bytes", line=line)


def unsupported_media_type(*allowed: str) -> Refused:
    """Return the refusal of a `Content-Type` that is none of the allowed ones."""
    message = f"send {' or '.join(allowed)}, in UTF-8"
    return Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)


def too_large(message: str, *, line: int | None = None) -> Refused:
    """Return the refusal of a body, or of one event of it."""
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "message_too_large", message, line=line)


def unauthorized(message: str) -> Refused:
    """Return the refusal of a request that does not say who sends it (SEC-1)."""
    return Refused(HTTPStatus.UNAUTHORIZED, "unauthorized", message)


def forbidden(message: str) -> Refused:
    """Return the refusal of a request whose sender may not do it."""
    return Refused(HTTPStatus.FORBIDDEN, "forbidden", message)


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(body.split(b"\n"), 1):
        if stripped := line.strip(_SPACE):
            yield number, stripped


def _shorten(message: str) -> str:
    return message if len(message) <= _MAX_DETAIL else f"{message[:_MAX_DETAIL]}…"


def _pointer(path: Sequence[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _is_encodable(text: str) -> bool:
    """Say whether a string is free of lone surrogates, which UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid_json(message: str, *, line: int | None = None) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "invalid_json", message, line=line)


def _invalid(message: str, *, line: int | None = None, path: str | None = None) -> Refused:
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_message", message, line=line, path=path)
