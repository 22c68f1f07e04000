"""Faults of what is replayed: RPL-4, and EVT-1 in replays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault
from osint_events_conformance.faulty.jsontext import dump

from .server import CapableServer
from .session import Replay

if TYPE_CHECKING:
    from .history import Kept
    from .session import Session, Subscription


# RPL-4: all of it or nothing.


@fault("RPL-4", subtle=True)
class ReplaysLastHundred(CapableServer):
    """Replays the last 100 of more than 100 missed events, and calls that complete."""

    def replayed(self, subscription: Subscription, missed: list[Kept]) -> list[Kept]:
        """Limit the query."""
        return super().replayed(subscription, missed)[-self.limits.replay_events :]


class _LosesInReplays(CapableServer):
    """Leaves some events out of a replay, and counts them all the same."""

    def loses(self, kept: Kept, number: int) -> bool:
        """Say whether this one is lost, the `number`th from 1."""
        raise NotImplementedError

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Leave them out."""
        replay = super().missed(session, message, subscription)
        if isinstance(replay, Replay):
            lost = {
                kept.seq for number, kept in enumerate(replay.events, start=1) if self.loses(kept, number)
            }
            for kept in [kept for kept in replay.events if kept.seq in lost]:
                replay.events.remove(kept)
        return replay


@fault("RPL-4")
class ReplaysNothing(_LosesInReplays):
    """Counts what was missed, and replays nothing of it."""

    def loses(self, kept: Kept, number: int) -> bool:
        """Lose all of them."""
        del kept, number
        return True


@fault("RPL-4", subtle=True)
class LosesEleventhReplayed(_LosesInReplays):
    """Loses each eleventh event of a replay: it is between two pages."""

    def loses(self, kept: Kept, number: int) -> bool:
        """Read pages of ten."""
        del kept
        return number % 11 == 0


@fault("RPL-4", subtle=True)
class LosesLargeEventsInReplays(_LosesInReplays):
    """Keeps no event over 16 KiB in its history."""

    def loses(self, kept: Kept, number: int) -> bool:
        """Fit a column."""
        del number
        return len(kept.event.text) > 16 * 1024


@fault("RPL-4", subtle=True)
class SkipsFirstMissed(_LosesInReplays):
    """Leaves the first missed event out of a replay from before the investigation's first event."""

    def loses(self, kept: Kept, number: int) -> bool:
        """Take the position 0 for event 0."""
        return number == 1 and kept.prev["all"] == 0


@fault("RPL-4", subtle=True)
class ReplaysPositionAgain(CapableServer):
    """Replays the event again that the token came with."""

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Compare with >= where > is right."""
        replay = super().missed(session, message, subscription)
        if isinstance(replay, Replay):
            before = self.history.after(message["investigation_id"], replay.after - 1) or []
            again = [kept for kept in self.replayed(subscription, before) if kept.seq == replay.after]
            replay.events.extendleft(again)
            replay.count += len(again)
        return replay


@fault("RPL-4", subtle=True)
class SecondReplayIsEmpty(CapableServer):
    """Replays what a token asks for once; the second time it is complete with nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._replayed: set[str] = set()

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Take it for delivered."""
        replay = super().missed(session, message, subscription)
        if isinstance(replay, Replay):
            if message["replay_token"] in self._replayed:
                replay.events.clear()
                replay.count = 0
            self._replayed.add(message["replay_token"])
        return replay


@fault("RPL-4", subtle=True)
class CountsAllScopes(CapableServer):
    """Counts all events that were missed, where it replays those in scope."""

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Count in the store."""
        replay = super().missed(session, message, subscription)
        if isinstance(replay, Replay):
            replay.count = len(self.history.after(message["investigation_id"], replay.after) or ())
        return replay


@fault("RPL-4")
class ConfirmsReplaysAtHead(CapableServer):
    """Says the head's number and token in the confirmation of a replay."""

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Confirm as always."""
        replay = super().missed(session, message, subscription)
        if isinstance(replay, Replay):
            replay.after = replay.head
        return replay


@fault("RPL-4", subtle=True)
class CompletesNothingSilently(CapableServer):
    """Sends no replay_complete where nothing was missed."""

    def send_complete(self, session: Session, replay: Replay) -> None:
        """See no need."""
        if replay.count:
            super().send_complete(session, replay)


@fault("RPL-4")
class CompletesFailedReplays(CapableServer):
    """Sends replay_complete after a confirmation that says failed."""

    def cannot_resume(
        self, session: Session, message: dict[str, Any], subscription: Subscription, reason: str
    ) -> None:
        """End what did not begin."""
        super().cannot_resume(session, message, subscription, reason)
        self.send_complete(session, Replay(message, subscription.last, subscription.last))


@fault("RPL-4", subtle=True)
class FailsAtZero(CapableServer):
    """Confirms a failed replay with the number 0 in place of the head's."""

    def cannot_resume(
        self, session: Session, message: dict[str, Any], subscription: Subscription, reason: str
    ) -> None:
        """Know no position."""
        failed = {"status": "failed", "reason": reason}
        self.confirm_at(session, message, subscription, 0, replay=failed)


# EVT-1: a replayed event is the event.


@fault("EVT-1", subtle=True)
class StoresWithoutNulls(CapableServer):
    """Replays an event without its members that are null."""

    def send_replayed(self, session: Session, replay: Replay, kept: Kept) -> None:
        """Have no column for it."""
        super().send_replayed(session, replay, _without_nulls(kept))


def _without_nulls(kept: Kept) -> Kept:
    if None not in kept.event.data.values():
        return kept
    data = {name: value for name, value in kept.event.data.items() if value is not None}
    return replace(kept, event=replace(kept.event, data=data, text=dump(data).decode()))
