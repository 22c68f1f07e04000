"""What an application is handed: events, and what it has to know about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an investigation.

    Attributes:
        investigation_id: the investigation.
        kind: what happened, by the legacy rules (LEG-1 to LEG-4); None where it is unknown.
        data: the payload as it was published.
        seq: its number; None where the server does not number events.
        token: resumes after this event; None where the server does not replay.
        replayed: whether it was missed before, and is sent again.

    """

    investigation_id: str
    kind: str | None
    data: Mapping[str, Any]
    seq: int | None = None
    token: str | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of an investigation may be missing here: after the last one before it, up to the next.

    Attributes:
        investigation_id: the investigation.
        reason: `lost`: the next event says that others came before it (RPL-2); `not_replayed`: the connection
            was interrupted, and the server replays nothing; `epoch_changed`: the server's sequence started
            anew, so that the history from before is gone (RPL-8), whatever the server calls it; or as the
            server has it: why it could not replay (`expired`, `invalid`, `unavailable`), or why it may have
            missed some itself (RPL-7); another error code, where it refused the attempt.
        after: the position before it; None where it is not known.
        until: the position after it; None where it is not known.
        token: the one held before it, which may still recover what is missing; None without one.

    """

    investigation_id: str
    reason: str
    after: int | None = None
    until: int | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The server does not carry out a subscribe, and will not (ERR-1).

    Attributes:
        investigation_id: the investigation.
        code: why, for programs, for instance `forbidden`.
        message: why, for people.

    """

    investigation_id: str
    code: str
    message: str


Item = Event | Gap | Refused


@dataclass(frozen=True, slots=True)
class Moved:
    """A subscription's position moved on without an event; not for the application.

    Attributes:
        investigation_id: the investigation.
        token: resumes from the position.

    """

    investigation_id: str
    token: str | None
