"""Capable servers that are odd and right: a judge that fails one of them is wrong."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from osint_events_conformance.faulty.catalogue import oddity
from osint_events_conformance.faulty.jsontext import dump

from .resuming import BeginsAnew, DurableServer
from .server import CapableServer
from .session import Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osint_events_conformance.faulty.peer import Peer

    from .history import Kept
    from .session import Session, Subscription
    from .tokens import Position


@oddity()
class AddsCapableFields(CapableServer):
    """Adds fields of its own to everything that it says to who said hello."""

    def answer(
        self, session: Session, message: dict[str, Any], fields: dict[str, Any], *, first: bool = False
    ) -> None:
        """Add some, some of them twice as deep."""
        more = {"server": {"name": "zoo", "limits": None}, "time": 1.5, "state": "x", "count": -1}
        super().answer(session, message, {**more, **fields}, first=first)

    def welcome_fields(self, session: Session, message: dict[str, Any]) -> dict[str, Any]:
        """Add a limit that nobody knows."""
        fields = super().welcome_fields(session, message)
        return {**fields, "limits": {**fields["limits"], "max_colours": 3}, "motd": "hello"}

    def place(self, session: Session, subscription: Subscription, kept: Kept) -> dict[str, Any]:
        """Add some."""
        return {**super().place(session, subscription, kept), "at": kept.at, "next": None}


@oddity()
class NumbersWithHoles(CapableServer):
    """Numbers the events of all investigations by one counter with big holes, high up from the start."""

    def __init__(self) -> None:
        super().__init__()
        self._random = Random(1)
        self._last = 2**53 - 2**50

    def next_seq(self, investigation_id: str) -> int:
        """Leap."""
        del investigation_id
        self._last += self._random.randrange(1, 1_000_000)
        return self._last


@oddity()
class IssuesLongTokens(CapableServer):
    """Issues tokens of 512 characters."""

    def token(self, session: Session, investigation_id: str, seq: int) -> str:
        """Pad it."""
        return super().token(session, investigation_id, seq).ljust(512, "~")

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Insist on the padding."""
        bare = token.rstrip("~")
        return super().position(session, investigation_id, bare if bare.ljust(512, "~") == token else "")


@oddity()
class SaysPositionForPrev(CapableServer):
    """Says the subscriber's position for prev, which may be later than the event before."""

    def place(self, session: Session, subscription: Subscription, kept: Kept) -> dict[str, Any]:
        """Look at the subscriber."""
        fields = super().place(session, subscription, kept)
        return fields | ({"prev": subscription.last} if subscription.last < kept.seq else {})


@oddity()
class NeverReplays(CapableServer):
    """Answers every token of its own with expired, unless nothing was missed."""

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Keep nothing."""
        replay = super().missed(session, message, subscription)
        return "expired" if isinstance(replay, Replay) and replay.events else replay


@oddity()
class AlwaysExpired(CapableServer):
    """Answers every token of its own with expired, whether something was missed or not."""

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Be unable to tell."""
        replay = super().missed(session, message, subscription)
        return "expired" if isinstance(replay, Replay) else replay


@oddity()
class OffersScopesOnly(CapableServer):
    """Has scopes and unsubscribe, and no other feature."""

    features: ClassVar[Sequence[str]] = ("scopes", "unsubscribe")


@oddity()
class OffersReplayOnly(CapableServer):
    """Has replay and no other feature; nothing is compressed."""

    features: ClassVar[Sequence[str]] = ("replay",)
    extensions = ()


@oddity()
class OffersNothing(CapableServer):
    """Welcomes every hello, and has no feature at all."""

    features: ClassVar[Sequence[str]] = ()


@oddity()
class NegotiatesSlowly(CapableServer):
    """Takes 30 ms for each message, in their order."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Think about it."""
        self.later(
            0.03, lambda: super(NegotiatesSlowly, self).received_text(peer, data) if peer.open else None
        )


@oddity()
class ReplaysOneAtATime(CapableServer):
    """Replays an event every 5 ms, so that much is published before it is done."""

    replay_piece = 1
    replay_pause = 0.005


@oddity(restart=True)
class KeepsHistoryOverRestarts(DurableServer):
    """Has a durable store: epoch, numbers, history and tokens are the same after a restart."""


@oddity()
class BeginsAnewWithGap(BeginsAnew):
    """Begins a new sequence at each 200th event, and announces that by a gap to everyone who is connected."""


@oddity()
class AnnouncesGaps(CapableServer):
    """Announces a gap before an investigation's 30th event, although nothing is missing."""

    def offer(self, session: Session, kept: Kept) -> None:
        """Doubt that everything is there."""
        investigation_id = kept.event.investigation_id
        if kept.prev["all"] == 29 and session.has("replay") and investigation_id not in session.replays:  # noqa: PLR2004 - as the docstring says
            subscription = session.subscriptions[investigation_id]
            last = subscription.last
            gap = {"type": "gap", "investigation_id": investigation_id, "reason": "unavailable"}
            place = {"epoch": self.history.epoch, "seq": last}
            session.peer.send(dump({**gap, **place, "token": self.token(session, investigation_id, last)}))
        super().offer(session, kept)
