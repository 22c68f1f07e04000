"""The correct capable server: it speaks all of Part 2, with limits and times that show within seconds."""

from __future__ import annotations

import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from osint_events.scopes import scopes_of

from osint_events_conformance.faulty.jsontext import dump
from osint_events_conformance.faulty.server import Event, Reply, valid_id

from . import tokens
from .history import History, Kept
from .negotiating import NegotiatingServer
from .peer import CapablePeer
from .session import Replay, Session, Subscription, valid_ref, valid_scope
from .tokens import Position

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from osint_events_conformance.faulty.peer import Peer


class CapableServer(NegotiatingServer):
    """Subscriptions with scopes and positions, and the replay of what was missed."""

    peer_class: ClassVar[type[Peer]] = CapablePeer
    replay_piece: ClassVar[int] = 8
    """Events of a replay that are sent before others get their turn."""
    replay_pause: ClassVar[float] = 0.0
    """Seconds between the pieces of a replay."""

    def __init__(self) -> None:
        super().__init__()
        self.key = secrets.token_bytes(32)
        self.history = self.new_history()

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Refuse pages of other origins (SEC-3)."""
        if "Origin" in headers and not self.allows(headers["Origin"], headers.get("Host", "")):
            return Reply(403, b"no page of this origin\n")
        return super().handshake(client_id, headers)

    def allows(self, origin: str, host: str) -> bool:
        """Say whether pages of an origin may connect: those of the own one."""
        return origin == f"http://{host}"

    def new_history(self) -> History:
        """Begin a sequence (RPL-8)."""
        return History(self.limits.history_events, self.limits.history_age)

    def restart(self) -> Reply:
        """Lose everything but the key of the tokens."""
        self.history = self.new_history()
        return super().restart()

    # Client messages.

    def obey(self, session: Session, message: dict[str, Any]) -> None:
        """Carry out a message of a connection that said hello; what was not negotiated is unknown (NEG-1)."""
        kind = message["type"]
        if not valid_ref(message):
            self.refuse(session, {}, "invalid_message")
        elif kind == "hello":
            self.hello_again(session, message)
        elif kind == "subscribe_investigation":
            self.check_subscribe(session, message)
        elif kind == "unsubscribe_investigation" and session.has("unsubscribe"):
            self.check_unsubscribe(session, message)
        elif kind == "ping" and session.has("heartbeat"):
            self.check_ping(session, message)
        elif kind == "pong" and session.has("heartbeat"):
            self.ponged(session, message)
        else:
            self.refuse(session, message, "unknown_type")

    def hello_again(self, session: Session, message: dict[str, Any]) -> None:
        """Ignore a hello that is not the first message (NEG-2)."""
        self.refuse(session, message, "already_initialized")

    def check_ping(self, session: Session, message: dict[str, Any]) -> None:
        """Answer a ping ahead of everything else (HB-1)."""
        if isinstance(message.get("id"), str) and len(message["id"]) <= 64:  # noqa: PLR2004 - the schema's
            self.answer_ping(session, message)
        else:
            self.refuse(session, message, "invalid_message")

    def answer_ping(self, session: Session, message: dict[str, Any]) -> None:
        """Answer a ping."""
        self.answer(session, message, {"type": "pong", "id": message["id"]}, first=True)

    def ponged(self, session: Session, message: dict[str, Any]) -> None:
        """Take a pong for the sign of life that any frame is, whatever its id (HB-3)."""

    # Subscribing.

    def check_subscribe(self, session: Session, message: dict[str, Any]) -> None:
        """Look at a subscribe; what waits for a replay of the same investigation is not looked at again."""
        investigation_id = message.get("investigation_id")
        if not valid_id(investigation_id) or not self.is_token_text(session, message):
            self.refuse(session, message, "invalid_message")
        elif session.has("scopes") and not valid_scope(message.get("scope", ["all"])):
            self.refuse_scope(session, message)
        elif investigation_id in session.replays:
            self.defer(session, message)
        elif self.is_full(session, message):
            self.refuse(session, message, "subscription_limit")
        else:
            self.take_up(session, message)

    def is_token_text(self, session: Session, message: dict[str, Any]) -> bool:
        """Say whether there is no token, or one that is text."""
        return not session.has("replay") or isinstance(message.get("replay_token", ""), str)

    def refuse_scope(self, session: Session, message: dict[str, Any]) -> None:
        """Leave the subscription as it was (SCP-2)."""
        self.refuse(session, message, "invalid_scope")

    def is_full(self, session: Session, message: dict[str, Any]) -> bool:
        """Say whether the connection holds as many subscriptions as it may."""
        held = session.peer.subscriptions
        return message["investigation_id"] not in held and len(held) >= self.limits.subscriptions

    def take_up(self, session: Session, message: dict[str, Any]) -> None:
        """Subscribe, or switch the scope (SCP-3), and confirm."""
        investigation_id = message["investigation_id"]
        self.add(session.peer, investigation_id)
        scope = self.scope_of(session, message)
        subscription = Subscription(scope, self.history.head(investigation_id))
        session.subscriptions[investigation_id] = subscription
        if not session.has("replay"):
            self.confirm_scope(session, message, subscription)
        elif "replay_token" not in message:
            self.confirm_at(session, message, subscription, subscription.last)
        else:
            self.resume(session, message, subscription)

    def scope_of(self, session: Session, message: dict[str, Any]) -> list[str]:
        """Return the scope that a subscribe asks for."""
        scope: list[str] = message.get("scope", ["all"]) if session.has("scopes") else ["all"]
        return scope

    def confirm_scope(
        self, session: Session, message: dict[str, Any], subscription: Subscription, **fields: object
    ) -> None:
        """Send a confirmation."""
        if session.has("scopes"):
            fields["scope"] = subscription.scope
        known = {"type": "subscription_confirmed", "investigation_id": message["investigation_id"]}
        self.answer(session, message, {**known, **fields})

    def confirm_at(
        self,
        session: Session,
        message: dict[str, Any],
        subscription: Subscription,
        seq: int,
        **fields: object,
    ) -> None:
        """Send a confirmation that sets the client's position (RPL-2, RPL-4)."""
        token = self.token(session, message["investigation_id"], seq)
        said = self.said(session, message["investigation_id"], seq)
        known = {"epoch": self.history.epoch, "seq": said, "token": token}
        self.confirm_scope(session, message, subscription, **known, **fields)

    def said(self, session: Session, investigation_id: str, seq: int) -> int:  # noqa: ARG002 - for overrides
        """Return a number as the client is told it."""
        return seq

    def check_unsubscribe(self, session: Session, message: dict[str, Any]) -> None:
        """Look at an unsubscribe."""
        investigation_id = message.get("investigation_id")
        if not valid_id(investigation_id):
            self.refuse(session, message, "invalid_message")
        elif investigation_id in session.replays:
            self.defer(session, message)
        else:
            self.end(session, message)

    def end(self, session: Session, message: dict[str, Any]) -> None:
        """End a subscription, also one that there is not (UNS-1)."""
        investigation_id = message["investigation_id"]
        self.unsubscribe(session.peer, investigation_id)
        session.subscriptions.pop(investigation_id, None)
        self.answer(session, message, {"type": "unsubscribed", "investigation_id": investigation_id})

    # Replay.

    def token(self, session: Session, investigation_id: str, seq: int) -> str:  # noqa: ARG002 - for overrides
        """Return the token of a position (RPL-3)."""
        return tokens.issue(self.key, investigation_id, Position(self.history.epoch, seq))

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:  # noqa: ARG002 - for overrides
        """Return what a token stands for; None where it is none of this investigation."""
        return tokens.verify(self.key, investigation_id, token)

    def resume(self, session: Session, message: dict[str, Any], subscription: Subscription) -> None:
        """Replay what a client missed, or say why not (RPL-4)."""
        replay = self.missed(session, message, subscription)
        if isinstance(replay, str):
            self.cannot_resume(session, message, subscription, replay)
            return
        subscription.last = replay.head
        session.replays[message["investigation_id"]] = replay
        count = {"status": "complete", "count": replay.count}
        self.confirm_at(session, message, subscription, replay.after, replay=count)
        self.feed_soon(session)

    def missed(self, session: Session, message: dict[str, Any], subscription: Subscription) -> Replay | str:
        """Return the replay that a token asks for, or the reason that there is none."""
        investigation_id = message["investigation_id"]
        position = self.position(session, investigation_id, message["replay_token"])
        if position is None:
            return "invalid"
        if position.epoch != self.history.epoch:
            return "epoch_changed"
        missed = self.history.after(investigation_id, position.seq)
        if missed is None:
            return "expired"
        events = self.replayed(subscription, missed)
        if len(events) > self.limits.replay_events:
            return "expired"
        head = max(subscription.last, position.seq)
        return Replay(message, position.seq, head, deque(events), len(events))

    def replayed(self, subscription: Subscription, missed: list[Kept]) -> list[Kept]:
        """Return what of the missed events is in the scope."""
        return [kept for kept in missed if subscription.form in kept.prev]

    def cannot_resume(
        self, session: Session, message: dict[str, Any], subscription: Subscription, reason: str
    ) -> None:
        """Confirm without a replay."""
        failed = {"status": "failed", "reason": reason}
        self.confirm_at(session, message, subscription, subscription.last, replay=failed)

    def defer(self, session: Session, message: dict[str, Any]) -> None:
        """Leave a message until the replay of its investigation is complete (RPL-5)."""
        replay = session.replays[message["investigation_id"]]
        replay.then.append(message)
        if len(replay.then) > self.limits.client_burst:
            session.peer.close(4003, "too many messages during a replay")

    def feed(self, session: Session) -> None:
        """Send a piece of each replay, as far as the socket takes it; the rest follows."""
        for investigation_id, replay in list(session.replays.items()):
            for _ in range(self.replay_piece):
                if replay.events and not session.peer.is_behind:
                    self.send_replayed(session, replay, replay.events.popleft())
            if not replay.events and session.peer.open and not session.peer.is_behind:
                self.complete(session, investigation_id, replay)
        if session.replays:
            self.feed_soon(session)

    def feed_soon(self, session: Session) -> None:
        """Send the next piece in a moment; where the socket takes nothing, `drained` does."""
        if session.feeds or not session.peer.open or session.peer.is_behind:
            return

        def feed() -> None:
            session.feeds = False
            self.feed(session)

        session.feeds = True
        self.later(self.replay_pause, feed)

    def send_replayed(self, session: Session, replay: Replay, kept: Kept) -> None:
        """Send one event again."""
        subscription = session.subscriptions[replay.message["investigation_id"]]
        session.peer.send(self.numbered(session, subscription, kept, replayed=True))

    def complete(self, session: Session, investigation_id: str, replay: Replay) -> None:
        """End a replay, and go on with what waited for that."""
        del session.replays[investigation_id]
        self.send_complete(session, replay)
        for kept in replay.live:
            self.pass_on(session, kept)
        for message in replay.then:
            self.obey(session, message)

    def send_complete(self, session: Session, replay: Replay) -> None:
        """Say that everything that was missed is there."""
        investigation_id = replay.message["investigation_id"]
        token = self.token(session, investigation_id, replay.head)
        fields = {"type": "replay_complete", "investigation_id": investigation_id}
        self.answer(
            session,
            replay.message,
            {**fields, "seq": self.said(session, investigation_id, replay.head), "token": token},
        )

    def drained(self, peer: CapablePeer) -> None:
        """Go on with the replays."""
        super().drained(peer)
        session = self.sessions.get(peer)
        if session is not None:
            self.feed(session)

    # Events.

    def publish(self, event: Event) -> None:
        """Number and keep an event, then deliver it to everyone who must have it (RPL-1)."""
        kept = self.keep(event)
        message = self.update(event)
        for peer in self.receivers(event):
            session = self.sessions.get(peer)
            if session is None:
                self.deliver(peer, event, message)
            else:
                self.offer(session, kept)

    def keep(self, event: Event) -> Kept:
        """Number and keep an event."""
        return self.history.append(event, self.next_seq(event.investigation_id), self.scopes(event))

    def next_seq(self, investigation_id: str) -> int:
        """Return the number of an investigation's next event."""
        return self.history.head(investigation_id) + 1

    def scopes(self, event: Event) -> Collection[str]:
        """Return the scopes that an event is in (SCP-1)."""
        return scopes_of(event.data)

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Leave who said hello out of the fallback (NEG-5)."""
        found = super().receivers(event)
        if event.investigation_id in self.subscribers:
            return found
        return [peer for peer in found if peer not in self.sessions]

    def offer(self, session: Session, kept: Kept) -> None:
        """Deliver an event, or let it wait for the end of a replay (RPL-5)."""
        replay = session.replays.get(kept.event.investigation_id)
        if replay is None:
            self.pass_on(session, kept)
            return
        replay.live.append(kept)
        if len(replay.live) > self.limits.queue_messages:
            self.overflowed(session.peer)

    def pass_on(self, session: Session, kept: Kept) -> None:
        """Deliver an event that is new to the client and in its scope."""
        subscription = session.subscriptions[kept.event.investigation_id]
        if kept.seq > subscription.last and self.is_in_scope(session, subscription, kept):
            self.send_live(session, subscription, kept)
            subscription.last = kept.seq
            subscription.sent_at = time.monotonic()

    def is_in_scope(self, session: Session, subscription: Subscription, kept: Kept) -> bool:  # noqa: ARG002 - for overrides
        """Say whether a subscription's scope has an event (SCP-1)."""
        return subscription.form in kept.prev

    def send_live(self, session: Session, subscription: Subscription, kept: Kept) -> None:
        """Send an event for the first time."""
        session.peer.send(self.numbered(session, subscription, kept))

    def numbered(
        self, session: Session, subscription: Subscription, kept: Kept, *, replayed: bool = False
    ) -> bytes:
        """Return an update's text, with its place in the sequence where that was negotiated."""
        if not session.has("replay"):
            return self.update(kept.event)
        fields: dict[str, Any] = self.place(session, subscription, kept)
        if replayed:
            fields["replayed"] = True
        return self.update(kept.event)[:-1] + b"," + dump(fields)[1:]

    def place(self, session: Session, subscription: Subscription, kept: Kept) -> dict[str, Any]:
        """Return an event's place in the sequence (RPL-2, RPL-3)."""
        investigation_id = kept.event.investigation_id
        return {
            "seq": self.said(session, investigation_id, kept.seq),
            "prev": self.said(session, investigation_id, kept.prev.get(subscription.form, 0)),
            "token": self.token(session, investigation_id, kept.seq),
        }

    # Positions.

    def tick(self, session: Session, now: float) -> None:
        """Send positions where they are due (RPL-6)."""
        super().tick(session, now)
        if not session.has("replay"):
            return
        for investigation_id, subscription in session.subscriptions.items():
            is_live = investigation_id not in session.replays
            has_moved = self.history.head(investigation_id) > subscription.last
            if is_live and has_moved and now - subscription.sent_at >= self.limits.interval:
                self.send_position(session, investigation_id, subscription, now)

    def send_position(
        self, session: Session, investigation_id: str, subscription: Subscription, now: float
    ) -> None:
        """Say where the head is, since nothing was sent that did."""
        subscription.last = self.history.head(investigation_id)
        subscription.sent_at = now
        token = self.token(session, investigation_id, subscription.last)
        seq = self.said(session, investigation_id, subscription.last)
        fields = {"type": "position", "investigation_id": investigation_id}
        session.peer.send(dump({**fields, "seq": seq, "token": token}))
