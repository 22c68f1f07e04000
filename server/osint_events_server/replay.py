"""Confirming a sequenced subscription, and what is replayed to it (RPL-4, RPL-5). No sockets.

The hub serves the subscription from its position on, and everything sent to a connection queues behind the
replay once that was begun. So a replay is only what is between two numbers that are known before it begins,
and what is published meanwhile comes after it, in its order, without being looked at.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass

from osint_events import (
    NegotiatedSubscriptionConfirmed,
    NegotiatedSubscriptionConfirmedReplay,
    ReplayComplete,
)
from osint_events.scopes import ScopeValue

from osint_events_server import frames
from osint_events_server.counts import Counts
from osint_events_server.deflate import deflated_frame
from osint_events_server.forms import Form
from osint_events_server.frames import Frames
from osint_events_server.positions import Positions, ReplayFailure
from osint_events_server.store import Event, EventStore, PositionExpired, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a confirmation says besides the position.

    Attributes:
        investigation_id: the id that was asked for.
        ref: the message's reference, where it had one (NEG-4).
        scope: the scope in its own words, where `scopes` was negotiated (SCP-1).

    """

    investigation_id: str
    ref: str | None = None
    scope: Sequence[ScopeValue] | None = None

    def frames(self, **fields: object) -> Frames:
        """Return the confirmation's frame, with the fields of `replay` where that was negotiated."""
        scope = None if self.scope is None else list(self.scope)
        present = {"ref": self.ref, **fields, "scope": scope}
        message = NegotiatedSubscriptionConfirmed.model_validate(
            {
                "type": "subscription_confirmed",
                "investigation_id": self.investigation_id,
                **{name: value for name, value in present.items() if value is not None},
            }
        )
        return frames.message(message)

    def at(
        self,
        positions: Positions,
        seq: int,
        *,
        replay: NegotiatedSubscriptionConfirmedReplay | None = None,
    ) -> Frames:
        """Return the frame of a confirmation that sets the client's position (RPL-4)."""
        token = positions.issue(self.investigation_id, seq)
        return self.frames(epoch=positions.epoch, seq=seq, token=token, replay=replay)

    def failed(self, positions: Positions, seq: int, *, reason: ReplayFailure) -> Frames:
        """Return the frame of a confirmation without the replay that was asked for."""
        replay = NegotiatedSubscriptionConfirmedReplay(status="failed", reason=reason)
        return self.at(positions, seq, replay=replay)


class Replayer:
    """Replays from a store.

    Args:
        store: where the events are.
        positions: makes the tokens.
        max_events: how many may have been missed.
        counts: what is replayed is counted there.

    """

    def __init__(
        self, store: EventStore, positions: Positions, *, max_events: int, counts: Counts | None = None
    ) -> None:
        self._store = store
        self._positions = positions
        self._max_events = max_events
        self._counts = counts or Counts()

    async def replay(
        self, confirmation: Confirmation, form: Form, *, epoch: str, after: int, head: int
    ) -> AsyncGenerator[Frames, None]:
        """Yield what a client that resumes is sent: the confirmation, what it missed, `replay_complete`.

        Where that cannot be told completely, it is only the confirmation, which says why.

        Args:
            confirmation: for what.
            form: the subscription's.
            epoch: in which the numbers count; where it ends before the replay's turn has come, a gap follows.
            after: the client's position.
            head: the subscription's: what comes after it is delivered live.

        """
        missed = await self._missed(confirmation.investigation_id, form, after=after, head=head)
        if epoch != self._positions.epoch:
            self._counts.replays["epoch_changed"] += 1
            yield confirmation.failed(self._positions, 0, reason="epoch_changed")
            return
        if isinstance(missed, str):
            self._counts.replays[missed] += 1
            yield confirmation.failed(self._positions, head, reason=missed)
            return
        self._counts.replays["complete"] += 1
        self._counts.replayed += len(missed)
        replay = NegotiatedSubscriptionConfirmedReplay(status="complete", count=len(missed))
        yield confirmation.at(self._positions, after, replay=replay)
        for write in frames.join(self._wires(missed, form, after=after)):
            yield write
        complete = {
            "type": "replay_complete",
            "investigation_id": confirmation.investigation_id,
            "ref": confirmation.ref,
            "seq": head,
            "token": self._positions.issue(confirmation.investigation_id, head),
        }
        if confirmation.ref is None:
            del complete["ref"]
        yield frames.message(ReplayComplete.model_validate(complete))

    async def _missed(
        self, investigation_id: str, form: Form, *, after: int, head: int
    ) -> Sequence[Event] | ReplayFailure:
        try:
            events = await self._store.read_after(
                investigation_id, after, limit=self._max_events + 1, scope=form.scope
            )
        except PositionExpired:
            return "expired"
        except StoreUnavailable:
            return "unavailable"
        missed = [event for event in events if event.seq <= head]
        return "expired" if len(missed) > self._max_events else missed

    def _wires(self, events: Sequence[Event], form: Form, *, after: int) -> Iterator[bytes]:
        to_frame = deflated_frame if form.deflated else frames.text_frame
        prev = after
        for event in events:
            token = self._positions.issue(event.investigation_id, event.seq)
            yield to_frame(
                frames.sequenced_update(
                    event.investigation_id,
                    event.data,
                    seq=event.seq,
                    prev=prev,
                    token=token,
                    replayed=True,
                )
            )
            prev = event.seq
