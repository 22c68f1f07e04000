"""Faults of the numbers: RPL-1 and RPL-2, and of the form of what carries them (MSG-2)."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault

from .server import CapableServer

if TYPE_CHECKING:
    from osint_events_conformance.faulty.server import Event

    from .history import Kept
    from .session import Session, Subscription


# RPL-1: seq.


@fault("RPL-1", subtle=True)
class RepeatsSeqOnce(CapableServer):
    """Gives the tenth event of an investigation the number of the ninth."""

    def next_seq(self, investigation_id: str) -> int:
        """Read the counter before it is written."""
        head = self.history.head(investigation_id)
        repeats = head == 9 and investigation_id not in self._repeated
        if repeats:
            self._repeated.add(investigation_id)
        return head if repeats else head + 1

    def __init__(self) -> None:
        super().__init__()
        self._repeated: set[str] = set()

    def pass_on(self, session: Session, kept: Kept) -> None:
        """Deliver both."""
        if kept.seq == 9 and kept.event.investigation_id in self._repeated:
            session.subscriptions[kept.event.investigation_id].last = 8
        super().pass_on(session, kept)


@fault("RPL-1", subtle=True)
class NumbersPerConnection(CapableServer):
    """Counts from the subscribe on, where that brings no token: others are told another number."""

    def __init__(self) -> None:
        super().__init__()
        self._began: dict[tuple[Session, str], int] = {}

    def take_up(self, session: Session, message: dict[str, Any]) -> None:
        """Begin at zero."""
        investigation_id = message["investigation_id"]
        head = 0 if "replay_token" in message else self.history.head(investigation_id)
        self._began[session, investigation_id] = head
        super().take_up(session, message)

    def said(self, session: Session, investigation_id: str, seq: int) -> int:
        """Count."""
        return max(0, seq - self._began[session, investigation_id])


@fault("RPL-1", subtle=True)
class RestartsNumbersAfterCompletion(CapableServer):
    """Begins at 1 again after an investigation_completed, in the same epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._completed: dict[str, int] = {}

    def keep(self, event: Event) -> Kept:
        """Note the end of a run."""
        kept = super().keep(event)
        if event.data.get("type") == "investigation_completed":
            self.later(0.001, lambda: self._completed.update({event.investigation_id: kept.seq}))
        return kept

    def said(self, session: Session, investigation_id: str, seq: int) -> int:
        """Count within the run."""
        del session
        began = self._completed.get(investigation_id, 0)
        return seq - began if seq > began else seq


# RPL-2: prev.


@fault("RPL-2")
class AlwaysSaysPrevZero(CapableServer):
    """Says 0 for prev, with which no loss would ever be noticed."""

    def place(self, session: Session, subscription: Subscription, kept: Kept) -> dict[str, Any]:
        """Leave it at its default."""
        return super().place(session, subscription, kept) | {"prev": 0}


@fault("RPL-2", subtle=True)
class SaysPrevOfAllScopes(CapableServer):
    """Says the number of the event before in all scopes for prev, also to who gets only one of them."""

    def place(self, session: Session, subscription: Subscription, kept: Kept) -> dict[str, Any]:
        """Have one field for it."""
        return super().place(session, subscription, kept) | {"prev": kept.prev["all"]}


@fault("RPL-2", subtle=True)
class SaysPrevBySubtracting(CapableServer):
    """Says seq - 1 for prev, although all investigations share one counter."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def next_seq(self, investigation_id: str) -> int:
        """Count all investigations."""
        del investigation_id
        self._count += 1
        return self._count

    def place(self, session: Session, subscription: Subscription, kept: Kept) -> dict[str, Any]:
        """Subtract."""
        return super().place(session, subscription, kept) | {"prev": kept.seq - 1}


@fault("RPL-2", subtle=True)
class SaysHeadForPrevInReplays(CapableServer):
    """Says the number of the latest event for prev in replayed updates, except in the latest event itself."""

    def numbered(
        self, session: Session, subscription: Subscription, kept: Kept, *, replayed: bool = False
    ) -> bytes:
        """Look the counter up when the message is made."""
        head = self.history.head(kept.event.investigation_id)
        if replayed and kept.seq < head:
            kept = replace(kept, prev=dict.fromkeys(kept.prev, head))
        return super().numbered(session, subscription, kept, replayed=replayed)


# MSG-2: the schemas of Part 2.


@fault("MSG-2")
class WritesSeqAsText(CapableServer):
    """Writes seq as a string in updates."""

    def place(self, session: Session, subscription: Subscription, kept: Kept) -> dict[str, Any]:
        """Spare JavaScript the rounding."""
        fields = super().place(session, subscription, kept)
        return fields | {"seq": str(fields["seq"])}


@fault("MSG-2", subtle=True)
class OmitsZeroCount(CapableServer):
    """Leaves the count out of a replay of no events, as Go's omitempty does."""

    def confirm_scope(
        self, session: Session, message: dict[str, Any], subscription: Subscription, **fields: object
    ) -> None:
        """Omit what is empty."""
        if fields.get("replay") == {"status": "complete", "count": 0}:
            fields["replay"] = {"status": "complete"}
        super().confirm_scope(session, message, subscription, **fields)


@fault("MSG-2", subtle=True)
class FailsWithoutReason(CapableServer):
    """Answers a token that is not its own with failed, and no reason."""

    def confirm_scope(
        self, session: Session, message: dict[str, Any], subscription: Subscription, **fields: object
    ) -> None:
        """Reveal nothing at all."""
        if fields.get("replay") == {"status": "failed", "reason": "invalid"}:
            fields["replay"] = {"status": "failed"}
        super().confirm_scope(session, message, subscription, **fields)


@fault("MSG-2", subtle=True)
class ReportsWithoutTemporary(CapableServer):
    """Leaves temporary out of errors that are lasting."""

    def answer(
        self, session: Session, message: dict[str, Any], fields: dict[str, Any], *, first: bool = False
    ) -> None:
        """Omit what is false."""
        kept = {name: value for name, value in fields.items() if value is not False}
        super().answer(session, message, kept, first=first)
