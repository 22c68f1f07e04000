"""Where an event lies in the stream: `STREAM.INVESTIGATION.CLASS.KEY`. No I/O.

- The investigation's id is escaped, so that any character is safe in a subject: letters, digits, `_` and `-`
  stand for themselves, and each other byte of its UTF-8 is `=` and two hexadecimal digits. 255 characters
  make 3,060 at most, which fits a NATS control line of 4,096.
- The class is `tasks`, `summary` or `other` (in no scope of its own, and so in both), so that a replay reads
  its scope and nothing else (SCP-1).
- The key is `-`, or names the request that the event is the last one of, where that must be found again.
"""

import re
from functools import lru_cache
from typing import Final

from osint_events_server.scope import Scope

NO_KEY: Final = "-"

_CLASSES: Final = {Scope.TASKS: "tasks", Scope.SUMMARY: "summary", Scope.ALL: "other"}
_SCOPES: Final = {name: scope for scope, name in _CLASSES.items()}
_TOKENS: Final = 4

_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_-]")
_ESCAPED: Final = re.compile(rb"=([0-9A-F]{2})")
_TOKEN: Final = re.compile(r"(?:[A-Za-z0-9_-]|=[0-9A-F]{2})+")


class ForeignSubject(ValueError):
    """A subject that is not one of this module's: somebody else publishes to the stream."""


@lru_cache(maxsize=1024)  # the ids of events, of which there are many with the same one
def token(investigation_id: str) -> str:
    """Return an investigation's id as a token of a subject."""
    # An id from JSON may hold lone surrogates, which plain UTF-8 has not.
    raw = investigation_id.encode(errors="surrogatepass")
    return _UNSAFE.sub(lambda byte: b"=%02X" % byte[0][0], raw).decode()


@lru_cache(maxsize=1024)
def investigation(token_: str) -> str:
    """Return the id that a token stands for.

    Raises:
        ForeignSubject: `token` makes no such token.

    """
    if not _TOKEN.fullmatch(token_):
        raise ForeignSubject(token_)
    raw = _ESCAPED.sub(lambda escape: bytes.fromhex(escape[1].decode()), token_.encode())
    try:
        found = raw.decode()
    except UnicodeDecodeError:
        raise ForeignSubject(token_) from None
    if token(found) != token_:  # one spelling for each id, so that filters find all of it
        raise ForeignSubject(token_)
    return found


def of_event(stream: str, investigation_id: str, scope: Scope, key: str = NO_KEY) -> str:
    """Return the subject of an event."""
    return f"{stream}.{token(investigation_id)}.{_CLASSES[scope]}.{key}"


def of_stream(stream: str) -> str:
    """Return the subjects of all events."""
    return f"{stream}.*.*.*"


def of_scope(stream: str, investigation_id: str, scope: Scope) -> tuple[str, ...]:
    """Return the subjects of an investigation's events in a scope."""
    id_ = token(investigation_id)
    if scope == Scope.ALL:
        return (f"{stream}.{id_}.*.*",)
    return (f"{stream}.{id_}.{_CLASSES[scope]}.*", f"{stream}.{id_}.{_CLASSES[Scope.ALL]}.*")


def of_key(stream: str, investigation_id: str, key: str) -> str:
    """Return the subjects under which the last event of a request may lie."""
    return f"{stream}.{token(investigation_id)}.*.{key}"


def parse(subject: str) -> tuple[str, Scope]:
    """Return the investigation and the scope of an event by its subject.

    Raises:
        ForeignSubject: it is no event's.

    """
    tokens = subject.split(".")
    if len(tokens) != _TOKENS or tokens[2] not in _SCOPES:
        raise ForeignSubject(subject)
    return investigation(tokens[1]), _SCOPES[tokens[2]]
