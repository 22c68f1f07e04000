"""Faults of the heartbeat: HB-1 to HB-3."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault
from osint_events_conformance.faulty.jsontext import dump

from .server import CapableServer

if TYPE_CHECKING:
    from osint_events_conformance.faulty.peer import Peer

    from .session import Session


# HB-1: a ping is answered at once.


@fault("HB-1")
class NeverAnswersAppPings(CapableServer):
    """Answers no ping message."""

    def answer_ping(self, session: Session, message: dict[str, Any]) -> None:
        """Stay silent."""


@fault("HB-1", subtle=True)
class AppPongsWaitInQueue(CapableServer):
    """Answers a ping behind the events that wait for the client."""

    def answer_ping(self, session: Session, message: dict[str, Any]) -> None:
        """Have one lane."""
        self.answer(session, message, {"type": "pong", "id": message["id"]})


@fault("HB-1", subtle=True)
class FoldsPingIds(CapableServer):
    """Answers a ping with its id in lower case."""

    def answer_ping(self, session: Session, message: dict[str, Any]) -> None:
        """Fold it."""
        super().answer_ping(session, message | {"id": message["id"].lower()})


@fault("HB-1", subtle=True)
class DebouncesAppPings(CapableServer):
    """Answers only the first of the pings that come within 50 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._recent: set[Session] = set()

    def answer_ping(self, session: Session, message: dict[str, Any]) -> None:
        """Save work."""
        if session not in self._recent:
            self._recent.add(session)
            self.later(0.05, lambda: self._recent.discard(session))
            super().answer_ping(session, message)


@fault("HB-1", subtle=True)
class AnswersFiftyPingsASecond(CapableServer):
    """Answers fifty pings of a connection within a second, and none of the others."""

    def __init__(self) -> None:
        super().__init__()
        self._answered: dict[Session, int] = {}

    def answer_ping(self, session: Session, message: dict[str, Any]) -> None:
        """Defend itself."""
        if session not in self._answered:
            self._answered[session] = 0
            self.later(1, lambda: self._answered.pop(session))
        self._answered[session] += 1
        if self._answered[session] <= 50:  # noqa: PLR2004 - as the docstring says
            super().answer_ping(session, message)


# HB-2: pings, and the end of who does not answer.


@fault("HB-2")
class NeverPings(CapableServer):
    """Sends no ping, and ends a silent client all the same."""

    def ping(self, session: Session, now: float) -> None:
        """Wait for the client's."""


@fault("HB-2")
class NeverTimesOut(CapableServer):
    """Pings a dead client for ever."""

    def timed_out(self, session: Session) -> None:
        """Try once more."""


@fault("HB-2", subtle=True)
class TimesOutWith1001(CapableServer):
    """Closes the connection of a dead client with 1001."""

    def timed_out(self, session: Session) -> None:
        """Close as it always does."""
        session.peer.close(1001, "idle")


@fault("HB-2", subtle=True)
class TimesOutEarly(CapableServer):
    """Ends a silent client halfway through the timeout that it said."""

    def heard_at(self, session: Session) -> float:
        """Be in a hurry."""
        return super().heard_at(session) - self.limits.timeout / 2


@fault("HB-2", subtle=True)
class KeepsTheDeadOfBusyStreams(CapableServer):
    """Ends no dead client as long as events are sent to it."""

    def heard_at(self, session: Session) -> float:
        """Take what is written for a sign of life."""
        return max([super().heard_at(session), *(one.sent_at for one in session.subscriptions.values())])


@fault("HB-2", subtle=True)
class PingsThreeTimes(CapableServer):
    """Sends a connection three pings, and no more; it keeps who is silent after that."""

    def ping(self, session: Session, now: float) -> None:
        """Trust it by then."""
        if session.pings < 3:  # noqa: PLR2004 - as the docstring says
            super().ping(session, now)

    def timed_out(self, session: Session) -> None:
        """Have no reason to."""
        if session.pings < 3:  # noqa: PLR2004 - as the docstring says
            super().timed_out(session)


@fault("HB-2", subtle=True)
class PingsIdleStreamsOnly(CapableServer):
    """Sends no ping while there are events to send, and ends who only listens to them."""

    def quiet_since(self, session: Session) -> float:
        """Look at one direction."""
        return session.peer.sent_at


@fault("HB-2", subtle=True)
class TakesOnlyMessagesForLife(CapableServer):
    """Ends a client that sends nothing but ping frames."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: dict[Session, float] = {}

    def receive(self, session: Session, data: bytes) -> None:
        """Note the time."""
        self._heard[session] = time.monotonic()
        super().receive(session, data)

    def heard_at(self, session: Session) -> float:
        """Look at the messages."""
        return self._heard.setdefault(session, super().heard_at(session))


@fault("HB-2", subtle=True)
class TakesOnlyPongsForLife(CapableServer):
    """Ends a client that sends no pong message, whatever else it sends."""

    def __init__(self) -> None:
        super().__init__()
        self._ponged: dict[Session, float] = {}

    def ponged(self, session: Session, message: dict[str, Any]) -> None:
        """Note the time."""
        self._ponged[session] = time.monotonic()
        super().ponged(session, message)

    def heard_at(self, session: Session) -> float:
        """Look at the pongs."""
        return self._ponged.setdefault(session, super().heard_at(session))


# HB-3: pongs that nobody asked for, and connections without the feature.


@fault("HB-3", subtle=True)
class ClosesOnUnknownPong(CapableServer):
    """Closes a connection that sends a pong with an id that it did not send itself."""

    def ponged(self, session: Session, message: dict[str, Any]) -> None:
        """Look it up."""
        if message.get("id") not in {f"s{number}" for number in range(1, session.pings + 1)}:
            session.peer.close(1008, "unexpected pong")


@fault("HB-3", subtle=True)
class PingsWhoSaidHello(CapableServer):
    """Sends ping messages to every connection that said hello, with the feature or without."""

    def tick(self, session: Session, now: float) -> None:
        """Forget the condition."""
        super().tick(session, now)
        if not session.has("heartbeat") and now - self.quiet_since(session) >= self.limits.interval:
            self.ping(session, now)


@fault("HB-3", subtle=True)
class PingsWhoSaidNoHello(CapableServer):
    """Sends ping messages to connections of Part 1, too."""

    def opened(self, peer: Peer) -> None:
        """Begin with everybody."""
        super().opened(peer)
        self.later(self.limits.interval, lambda: self._ping_again(peer))

    def _ping_again(self, peer: Peer) -> None:
        if peer.open and peer not in self.sessions:
            peer.send(dump({"type": "ping", "id": "s0"}))
            self.later(self.limits.interval, lambda: self._ping_again(peer))
