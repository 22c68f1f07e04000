"""Faults of the order around a replay: RPL-5; and of the position of who waits: RPL-6."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault

from .server import CapableServer
from .session import Replay

if TYPE_CHECKING:
    from .history import Kept
    from .session import Session, Subscription


# RPL-5: the order, and the hand-over from what was missed to what is new.


@fault("RPL-5")
class ReplaysNewestFirst(CapableServer):
    """Replays the newest event first."""

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Order by the wrong direction."""
        replay = super().missed(session, message, subscription)
        if isinstance(replay, Replay):
            replay.events.reverse()
        return replay


@fault("RPL-5")
class CompletesFirst(CapableServer):
    """Sends replay_complete ahead of the replayed updates."""

    def resume(self, session: Session, message: dict[str, Any], subscription: Subscription) -> None:
        """Queue it at once."""
        super().resume(session, message, subscription)
        replay = session.replays.get(message["investigation_id"])
        if replay is not None:
            super().send_complete(session, replay)

    def send_complete(self, session: Session, replay: Replay) -> None:
        """Have said it."""


@fault("RPL-5", subtle=True)
class LosesAtHandOver(CapableServer):
    """Loses what is published during a replay."""

    replay_pause = 0.01

    def offer(self, session: Session, kept: Kept) -> None:
        """Subscribe to new events at the end of it."""
        if kept.event.investigation_id not in session.replays:
            super().offer(session, kept)


@fault("RPL-5", subtle=True)
class DoublesAtHandOver(CapableServer):
    """Sends what is published during a replay both in it and after it."""

    replay_pause = 0.01

    def offer(self, session: Session, kept: Kept) -> None:
        """Read the store to its end."""
        super().offer(session, kept)
        replay = session.replays.get(kept.event.investigation_id)
        if replay and session.subscriptions[kept.event.investigation_id].form in kept.prev:
            replay.events.append(kept)


@fault("RPL-5", subtle=True)
class LiveOvertakesReplay(CapableServer):
    """Sends what is published during a replay at once."""

    replay_pause = 0.01

    def offer(self, session: Session, kept: Kept) -> None:
        """Deliver by two tasks."""
        self.pass_on(session, kept)


@fault("RPL-5", subtle=True)
class ReversesHandOver(CapableServer):
    """Sends what was published during a replay newest first."""

    replay_pause = 0.01

    def complete(self, session: Session, investigation_id: str, replay: Replay) -> None:
        """Use a stack."""
        replay.live = deque(reversed(replay.live))
        subscription = session.subscriptions[investigation_id]
        for kept in replay.live:
            if self.is_in_scope(session, subscription, kept):
                subscription.last = min(subscription.last, kept.seq - 1)
        super().complete(session, investigation_id, replay)

    def pass_on(self, session: Session, kept: Kept) -> None:
        """Compare with nothing."""
        subscription = session.subscriptions[kept.event.investigation_id]
        last = subscription.last
        subscription.last = min(last, kept.seq - 1)
        super().pass_on(session, kept)
        subscription.last = max(last, subscription.last)


@fault("RPL-5", subtle=True)
class SwitchesDuringReplay(CapableServer):
    """Carries a subscribe out during a replay of the same investigation, and breaks that off."""

    replay_pause = 0.01

    def defer(self, session: Session, message: dict[str, Any]) -> None:
        """Take the new one for what counts."""
        if message["type"] != "subscribe_investigation":
            super().defer(session, message)
            return
        del session.replays[message["investigation_id"]]
        self.take_up(session, message)


@fault("RPL-5", subtle=True)
class UnsubscribesDuringReplay(CapableServer):
    """Carries an unsubscribe out during a replay of the same investigation, and breaks that off."""

    replay_pause = 0.01

    def defer(self, session: Session, message: dict[str, Any]) -> None:
        """Stop at once."""
        if message["type"] == "subscribe_investigation":
            super().defer(session, message)
            return
        del session.replays[message["investigation_id"]]
        self.end(session, message)


@fault("RPL-5", subtle=True)
class DropsFirstLiveEvent(CapableServer):
    """Loses the first event after a replay of more than ten events."""

    def complete(self, session: Session, investigation_id: str, replay: Replay) -> None:
        """Be one off."""
        super().complete(session, investigation_id, replay)
        if replay.count > 10:  # noqa: PLR2004 - as the docstring says
            session.subscriptions[investigation_id].last += 1


# RPL-6: positions.


@fault("RPL-6")
class NeverSendsPosition(CapableServer):
    """Sends no position."""

    def send_position(
        self, session: Session, investigation_id: str, subscription: Subscription, now: float
    ) -> None:
        """Leave the client with its token."""


@fault("RPL-6", subtle=True)
class SendsFirstPositionOnly(CapableServer):
    """Sends a position for the first subscription of a connection only."""

    def send_position(
        self, session: Session, investigation_id: str, subscription: Subscription, now: float
    ) -> None:
        """Look at one."""
        if investigation_id == next(iter(session.subscriptions)):
            super().send_position(session, investigation_id, subscription, now)


@fault("RPL-6", subtle=True)
class SendsPositionOnce(CapableServer):
    """Sends one position for a subscription, and no further ones."""

    def __init__(self) -> None:
        super().__init__()
        self._sent: set[tuple[Session, str]] = set()

    def send_position(
        self, session: Session, investigation_id: str, subscription: Subscription, now: float
    ) -> None:
        """Have done it."""
        if (session, investigation_id) not in self._sent:
            self._sent.add((session, investigation_id))
            super().send_position(session, investigation_id, subscription, now)
