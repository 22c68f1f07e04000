"""How the server logs: lines for people, or JSON for machines.

No message of the server holds a token, a header or a payload; `server/tests/test_secrets.py` looks for them.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from aiohttp.http_exceptions import HttpProcessingError

LogFormat = Literal["text", "json"]

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

Log = logging.LoggerAdapter[logging.Logger]
"""Says which connection it is about."""


def of_connection(logger: logging.Logger, *, connection_id: str, client_id: str) -> Log:
    """Return a log about one connection."""
    return logging.LoggerAdapter(logger, {"connection_id": connection_id, "client_id": client_id})


class TextFormatter(logging.Formatter):
    """One line, with the connection's names where it is about one."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the line without the traceback."""
        line = super().formatMessage(record)
        connection_id = getattr(record, "connection_id", None)
        return line if connection_id is None else f"{line} [{connection_id} {record.__dict__['client_id']!a}]"


class JsonFormatter(logging.Formatter):
    """One JSON object a line.

    `time` (RFC 3339, UTC), `level`, `logger`, `message`; for what concerns a connection `connection_id` and
    `client_id`; `exception` where there was one: the traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("connection_id", "client_id"):
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def configure(level: str, style: LogFormat) -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("aiohttp.server").addFilter(_is_own_fault)


def _is_own_fault(record: logging.LogRecord) -> bool:
    """Drop what aiohttp logs, with a traceback and the line in question, of who speaks no HTTP or is gone.

    Bytes of a header that are no UTF-8 stand in it as lone surrogates, and aiohttp stumbles over some.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, UnicodeEncodeError):
        return not error.reason.startswith("surrogates")
    return not isinstance(error, HttpProcessingError | ConnectionResetError)
