"""Faults of flow control and of errors: FLW-1 to FLW-3, ERR-1."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault

from .server import CapableServer

if TYPE_CHECKING:
    from osint_events_conformance.faulty.peer import Peer

    from .history import Kept
    from .peer import CapablePeer
    from .session import Session, Subscription


# FLW-1: backpressure.


@fault("FLW-1")
class NeverSaysBackpressure(CapableServer):
    """Says nothing of its queues."""

    def press(self, session: Session, state: str) -> None:
        """Stay silent."""
        session.pressure = state


@fault("FLW-1", subtle=True)
class NeverSaysNormal(CapableServer):
    """Says backpressure high once, and never normal."""

    def press(self, session: Session, state: str) -> None:
        """Have no news."""
        if state == "high":
            super().press(session, state)


@fault("FLW-1", subtle=True)
class SaysNormalSoon(CapableServer):
    """Says backpressure normal with the next event, while as much waits as before."""

    def queued(self, peer: CapablePeer) -> None:
        """Take the news for told."""
        session = self.sessions.get(peer)
        was_high = session is not None and session.pressure == "high"
        super().queued(peer)
        if was_high and session is not None and session.pressure == "high":
            self.press(session, "normal")


@fault("FLW-1", subtle=True)
class SaysHighAgain(CapableServer):
    """Says backpressure high a second time when the queue is three quarters full."""

    def __init__(self) -> None:
        super().__init__()
        self._again: set[Session] = set()

    def press(self, session: Session, state: str) -> None:
        """Begin anew."""
        self._again.discard(session)
        super().press(session, state)

    def queued(self, peer: CapablePeer) -> None:
        """Watch another mark."""
        super().queued(peer)
        session = self.sessions.get(peer)
        if session is None or session in self._again or session.pressure != "high":
            return
        if peer.queued_bytes >= self.limits.queue_bytes * 3 / 4:
            super().press(session, "high")
            self._again.add(session)


# FLW-2: slow consumers.


@fault("FLW-2", subtle=True)
class SkipsWhenQueueIsFull(CapableServer):
    """Loses what does not fit into a client's queue, and goes on with what does."""

    def send_live(self, session: Session, subscription: Subscription, kept: Kept) -> None:
        """Drop the newest."""
        if session.peer.queued_bytes + len(kept.event.text) < self.limits.queue_bytes * 3 / 4:
            super().send_live(session, subscription, kept)

    def stalled(self, peer: Peer) -> None:
        """Be patient."""
        if peer not in self.sessions:
            super().stalled(peer)


@fault("FLW-2", subtle=True)
class HoldsWhateverWaits(CapableServer):
    """Lets any amount wait for a client, for ten seconds."""

    limits = replace(CapableServer.limits, stalled_write=10.0)

    def queue_is_full(self, peer: Peer, messages: int, size: int) -> bool:
        """Look at the clock only."""
        return peer not in self.sessions and super().queue_is_full(peer, messages, size)


@fault("FLW-2", subtle=True)
class EndsSlowConsumersNormally(CapableServer):
    """Closes the connection of a slow consumer with 1000."""

    def overflowed(self, peer: Peer) -> None:
        """Say good-bye."""
        peer.close(1000)


@fault("FLW-2", subtle=True)
class EndsCoreConsumersBy4002(CapableServer):
    """Ends a slow connection that said no hello with 4002."""

    def overflowed(self, peer: Peer) -> None:
        """Make no difference."""
        peer.close(4002, "too slow")


# FLW-3: rates.


@fault("FLW-3")
class DropsOverRateSilently(CapableServer):
    """Drops what comes too fast without a word."""

    def exceeded(self, session: Session, data: bytes, wait: float) -> None:
        """Drop it."""


@fault("FLW-3", subtle=True)
class CarriesOutRateLimited(CapableServer):
    """Answers what comes too fast with rate_limited, and carries it out all the same."""

    def exceeded(self, session: Session, data: bytes, wait: float) -> None:
        """Forget to return."""
        super().exceeded(session, data, wait)
        if session.peer.open:
            self.receive(session, data)


@fault("FLW-3", subtle=True)
class LimitsWithoutRetryAfter(CapableServer):
    """Says rate_limited, but not when to try again."""

    def report(self, session: Session, message: dict[str, Any], code: str, **fields: object) -> None:
        """Leave it out."""
        fields.pop("retry_after_ms", None)
        super().report(session, message, code, **fields)


@fault("FLW-3", subtle=True)
class NeverEndsAbuse(CapableServer):
    """Answers rate_limited for ever."""

    def exceeded(self, session: Session, data: bytes, wait: float) -> None:
        """Bear it."""
        session.refused.give_back()
        super().exceeded(session, data, wait)


# ERR-1: errors.


@fault("ERR-1", subtle=True)
class ReportsToEveryone(CapableServer):
    """Sends errors to every connection that said hello, with the feature or without."""

    def refuse(self, session: Session, message: dict[str, Any], code: str, **fields: object) -> None:
        """Ask nobody."""
        self.report(session, message, code, **fields)


@fault("ERR-1", subtle=True)
class CallsLimitsLasting(CapableServer):
    """Says that rate_limited is lasting."""

    def report(self, session: Session, message: dict[str, Any], code: str, **fields: object) -> None:
        """Have one answer."""
        super().report(session, message, code, temporary=False, **fields)


@fault("ERR-1", subtle=True)
class CallsBadJsonTemporary(CapableServer):
    """Says that invalid_json is temporary."""

    def report(self, session: Session, message: dict[str, Any], code: str, **fields: object) -> None:
        """Hope for the best."""
        if code == "invalid_json":
            fields["temporary"] = True
        super().report(session, message, code, **fields)


@fault("ERR-1")
class HasOneErrorCode(CapableServer):
    """Reports everything as internal."""

    def report(self, session: Session, message: dict[str, Any], code: str, **fields: object) -> None:
        """Know no details."""
        super().report(session, message, code if code == "rate_limited" else "internal", **fields)
