"""One investigation's subscription: position, duplicates and losses (RPL-2). No I/O, and no clock."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from osint_events import Gap as GapMessage
from osint_events import (
    NegotiatedInvestigationUpdate,
    NegotiatedSubscribeInvestigation,
    NegotiatedSubscriptionConfirmed,
    Position,
    ReplayComplete,
    classify,
)
from osint_events.scopes import ScopeValue, is_in_scope

from osint_events_client.items import Event, Gap, Item, Moved

_ANEW: Final = "epoch_changed"
"""The reason of a gap behind which the history is gone."""
_MAX_HELD: Final = 1000
"""Updates kept while it is not known whether what came before them is replayed."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Subscribe again, from the position that is held: what is missing may be recovered."""


Outcome = Item | Moved | Resume
SubscriptionMessage = (
    NegotiatedSubscriptionConfirmed | NegotiatedInvestigationUpdate | ReplayComplete | Position | GapMessage
)


class Subscription:
    """What a client knows of one investigation, from connection to connection.

    Args:
        investigation_id: 1 to 255 characters.
        scope: the part of its events that is wanted; None: all of them.
        token: resumes from an earlier position.

    """

    def __init__(
        self,
        investigation_id: str,
        scope: tuple[ScopeValue, ...] | None = None,
        token: str | None = None,
    ) -> None:
        self.investigation_id = investigation_id
        self.scope = scope
        self.is_confirmed = False
        """Whether it is, on this connection."""
        self._token = token
        self._last: int | None = None
        # Which sequence the position counts in (RPL-8); None: not known, as of a token from elsewhere.
        self._epoch: str | None = None
        # Since the position that is held, a connection ended or the application asked to resume.
        self._interrupted = token is not None
        # The subscribe, by its reference, whose answer says what is replayed.
        self._resuming: str | None = None
        # Updates that the replay under way still brings; None: none is.
        self._replaying: int | None = None
        self._held: deque[NegotiatedInvestigationUpdate] = deque(maxlen=_MAX_HELD)

    def request(self, ref: str, *, resume: bool) -> NegotiatedSubscribeInvestigation:
        """Give the subscribe message, with the token where the position is to be resumed from."""
        message = NegotiatedSubscribeInvestigation(
            type="subscribe_investigation", investigation_id=self.investigation_id, ref=ref
        )
        if resume and self._token is not None:
            message.replay_token = self._token
            self._resuming = ref
        if self.scope is not None:
            message.scope = list(self.scope)
        return message

    def disconnected(self) -> None:
        """Take note that the connection ended: what happens until the next one is missed."""
        self._interrupted = self._interrupted or self.is_confirmed
        self.is_confirmed = False
        self._resuming = self._replaying = None
        self._held.clear()

    def received(self, message: SubscriptionMessage) -> Iterator[Outcome]:
        """Take a message of the server about this investigation."""
        match message:
            case NegotiatedSubscriptionConfirmed():
                return self._confirmed(message)
            case NegotiatedInvestigationUpdate():
                return self._updated(message)
            case GapMessage():
                return self._gapped(message)
            case Position() | ReplayComplete():
                return self._moved(message)

    def _confirmed(self, message: NegotiatedSubscriptionConfirmed) -> Iterator[Outcome]:
        """Take a confirmation, which sets the position unless the answer to a resume is still awaited."""
        self.is_confirmed = True
        numbered = message.seq is not None and message.token is not None
        if numbered and self._resuming is not None and message.ref != self._resuming:
            return
        anew = numbered and self._is_another(message.epoch)
        missed = self._interrupted or self._resuming is not None or anew
        replay = message.replay if numbered else None
        self._interrupted, self._resuming, held = False, None, self._taken()
        self._replaying = replay.count if replay is not None and replay.status == "complete" else None
        if missed and self._replaying is None:
            said = replay.reason if replay is not None else None
            yield from self._gap(_ANEW if anew else said or "not_replayed", message.seq, held)
            if held and self._last is not None and message.seq is not None and message.seq > self._last:
                # Nothing proves that what is held was all until the confirmation.
                yield from self._gap("lost", message.seq, [])
        self._epoch = message.epoch
        yield self._at(message.seq, message.token)

    def _updated(self, message: NegotiatedInvestigationUpdate) -> Iterator[Outcome]:
        """Take an update: an event, a duplicate, or the proof of a loss, which is recovered if possible."""
        if self._replaying is not None:
            self._replaying -= 1
        if self._resuming is not None:
            # Whatever the answer, more is not kept: a replay brings it again, else it is part of the gap.
            self._held.append(message)
        elif not self._proves_loss(message):
            yield from self._delivered(message)
        elif self._token is not None and self._replaying is None:
            self._held.append(message)
            yield Resume()
        else:
            yield from self._gap("lost", message.prev, [message])

    def _gapped(self, message: GapMessage) -> Iterator[Outcome]:
        """Take word of a gap: the token held before it recovers what is recoverable (RPL-7)."""
        if self._resuming is not None:
            return
        anew = message.reason == _ANEW or self._is_another(message.epoch)
        if self._token is not None and not anew:
            yield Resume()
        else:
            yield from self._gap(_ANEW if anew else message.reason, message.seq, [])
            self._epoch = message.epoch
            yield self._at(message.seq, message.token)

    def _moved(self, message: Position | ReplayComplete) -> Iterator[Outcome]:
        """Take a position without an event; never one behind, as a node may be that knows less (RPL-9)."""
        if self._resuming is not None:
            return
        if isinstance(message, ReplayComplete):
            missing, self._replaying = self._replaying, None
            if missing is not None and missing > 0:  # counted, since nothing after the last one proves it
                yield from self._gap("lost", message.seq, [])
        if self._last is None or message.seq > self._last:
            yield self._at(message.seq, message.token)

    def refused(self, ref: str, code: str) -> Iterator[Outcome]:
        """Take word that a subscribe is not carried out: an attempt to recover has failed."""
        if self._resuming == ref:
            self._resuming = None
            yield from self._gap(code, None, self._taken())

    def _taken(self) -> list[NegotiatedInvestigationUpdate]:
        """Give what is held, which is held no more."""
        held = list(self._held)
        self._held.clear()
        return held

    def _gap(
        self, reason: str, until: int | None, held: list[NegotiatedInvestigationUpdate]
    ) -> Iterator[Outcome]:
        """Tell of a gap, and hand over what came after it meanwhile, since it is not sent again."""
        until = held[0].prev if held else until
        yield Gap(self.investigation_id, reason, self._last, until, self._token)
        self._last = None
        for message in held:
            if self._proves_loss(message):
                yield Gap(self.investigation_id, "lost", self._last, message.prev, self._token)
            yield from self._delivered(message)

    def _is_another(self, epoch: str | None) -> bool:
        """Tell whether the sequence has started anew: what was before is gone (RPL-8).

        The reason that a server gives need not say so: one that signs with new keys since its restart takes
        its own old tokens for forged ones.
        """
        return None not in (epoch, self._epoch) and epoch != self._epoch

    def _proves_loss(self, message: NegotiatedInvestigationUpdate) -> bool:
        return self._last is not None and message.prev is not None and message.prev > self._last

    def _delivered(self, message: NegotiatedInvestigationUpdate) -> Iterator[Outcome]:
        if message.seq is not None:
            if self._last is not None and message.seq <= self._last:
                return
            self._last, self._token = message.seq, message.token
        if is_in_scope(message.data, self.scope):
            yield Event(
                self.investigation_id,
                classify(message.data).kind,
                message.data,
                message.seq,
                message.token,
                bool(message.replayed),
            )
        else:
            yield Moved(self.investigation_id, self._token)

    def _at(self, seq: int | None, token: str | None) -> Moved:
        self._last, self._token = seq, token
        return Moved(self.investigation_id, token)
