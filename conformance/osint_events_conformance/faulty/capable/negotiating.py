"""The correct server's negotiation, errors, heartbeat, compression and flow control."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from osint_events_conformance.faulty.jsontext import NotJson, dump, parse
from osint_events_conformance.faulty.server import Server

from .peer import CapablePeer
from .session import CapableLimits, Session, valid_hello

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osint_events_conformance.faulty.peer import Peer

TICK = 0.05
"""How often the clock of heartbeats is looked at, in seconds."""
TEMPORARY: Final = frozenset({"rate_limited", "unavailable", "internal"})
FEATURES: Final = ("heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors")


class NegotiatingServer(Server):
    """What Part 2 has around the subscriptions. A connection that does not say hello has no session."""

    capable: ClassVar[bool] = True
    limits: ClassVar[CapableLimits] = CapableLimits()
    extensions: ClassVar[Sequence[ServerPerMessageDeflateFactory]] = (
        ServerPerMessageDeflateFactory(server_no_context_takeover=True, compress_settings={"level": 1}),
    )
    features: ClassVar[Sequence[str]] = FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[Peer, Session] = {}
        self._begun: set[Peer] = set()
        self._welcomed = 0
        self._ticks = False

    def forget(self, peer: Peer) -> None:
        """Drop what was negotiated."""
        super().forget(peer)
        self.sessions.pop(peer, None)
        self._begun.discard(peer)

    # Client messages.

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Take a text message apart, unless it came too fast (FLW-3)."""
        session = self.sessions.get(peer)
        if session is None:
            self.receive_core(peer, data)
            return
        wait = session.carried_out.take() if self.is_told_of_rate(session) else 0
        if wait:
            self.exceeded(session, data, wait)
        else:
            self.receive(session, data)

    def receive_core(self, peer: Peer, data: bytes) -> None:
        """Take the message of a connection that did not say hello."""
        is_first = peer not in self._begun
        self._begun.add(peer)
        hello = _object(data) if is_first else None
        if hello is not None and hello.get("type") == "hello" and valid_hello(hello):
            self.hello(peer, hello)
        else:
            super().received_text(peer, data)

    def receive(self, session: Session, data: bytes) -> None:
        """Take the message of a connection that said hello."""
        try:
            message = parse(data.decode())
        except UnicodeDecodeError:
            self.not_text(session.peer)
        except NotJson:
            self.refuse(session, {}, "invalid_json")
        else:
            if isinstance(message, dict) and isinstance(message.get("type"), str):
                self.obey(session, message)
            else:
                self.refuse(session, {}, "invalid_message")

    def obey(self, session: Session, message: dict[str, Any]) -> None:
        """Carry out a message of a connection that said hello."""
        raise NotImplementedError

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Take a binary message, which this protocol has none of."""
        self._begun.add(peer)
        session = self.sessions.get(peer)
        if session is None:
            super().received_binary(peer, data)
        else:
            self.refuse(session, {}, "invalid_message")

    def oversized(self, peer: Peer) -> None:
        """End a connection whose client sent what inflates to too much (CMP-2)."""
        peer.close(1009, "message too big")

    # Negotiation.

    def hello(self, peer: Peer, message: dict[str, Any]) -> None:
        """Welcome a client (NEG-1, NEG-3)."""
        assert isinstance(peer, CapablePeer)
        self._welcomed += 1
        session = Session(peer, self._welcomed, self.granted(peer, message["features"]), self.limits)
        self.sessions[peer] = session
        self.welcome(session, message)
        if not self._ticks:
            self._ticks = True
            self.later(TICK, self._tick)

    def granted(self, peer: Peer, asked: list[str]) -> list[str]:  # noqa: ARG002 - for overrides
        """Return the features that a client gets (NEG-1)."""
        return [feature for feature in self.features if feature in asked]

    def welcome(self, session: Session, message: dict[str, Any]) -> None:
        """Send the welcome."""
        self.answer(session, message, self.welcome_fields(session, message))

    def welcome_fields(self, session: Session, message: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - for overrides
        """Return what the welcome says."""
        limits = self.limits
        fields: dict[str, Any] = {
            "type": "welcome",
            "protocol": 1,
            "connection_id": f"c{session.number}",
            "features": session.features,
            "limits": {
                "max_message_bytes": limits.message_bytes,
                "max_subscriptions": limits.subscriptions,
                "max_queue_bytes": limits.queue_bytes,
                "max_replay_events": limits.replay_events,
                "history_ttl_ms": round(limits.history_age * 1000),
                "messages_per_second": limits.messages_per_second,
                "burst": limits.client_burst,
            },
        }
        if session.has("heartbeat"):
            interval, timeout = round(limits.interval * 1000), round(limits.timeout * 1000)
            fields["heartbeat"] = {"interval_ms": interval, "timeout_ms": timeout}
        return fields

    def answer(
        self, session: Session, message: dict[str, Any], fields: dict[str, Any], *, first: bool = False
    ) -> None:
        """Send what answers a message, with its reference (NEG-4)."""
        text = dump({**fields, **self.reference(session, message)})
        if first:
            session.peer.send_first(text)
        else:
            session.peer.send(text)

    def reference(self, session: Session, message: dict[str, Any]) -> dict[str, str]:  # noqa: ARG002 - for overrides
        """Return the reference that an answer carries, as its field."""
        ref = message.get("ref")
        return {"ref": ref} if isinstance(ref, str) and len(ref) <= 64 else {}  # noqa: PLR2004 - NEG-4

    # Errors.

    def refuse(self, session: Session, message: dict[str, Any], code: str, **fields: object) -> None:
        """Tell that a message is not carried out, if the client wants to know (ERR-1)."""
        if session.has("errors") or (code == "rate_limited" and session.has("flow")):
            self.report(session, message, code, **fields)

    def report(self, session: Session, message: dict[str, Any], code: str, **fields: object) -> None:
        """Send an error."""
        known = {"type": "error", "code": code, "message": f"not carried out: {code}"}
        self.answer(session, message, {**known, "temporary": code in TEMPORARY, **fields})

    # Flow.

    def is_told_of_rate(self, session: Session) -> bool:
        """Say whether a client that is too fast is told; any other is read more slowly (FLW-3)."""
        return session.has("flow", "errors")

    def throttle(self, peer: Peer) -> float:
        """Read who is not told more slowly."""
        session = self.sessions.get(peer)
        if session is None or self.is_told_of_rate(session):
            return super().throttle(peer)
        return session.carried_out.take()

    def exceeded(self, session: Session, data: bytes, wait: float) -> None:
        """Refuse a message that came too fast; end who goes on like that (FLW-3)."""
        if session.refused.take() > 0:
            session.peer.close(4003, "too many messages")
        else:
            self.refuse(session, _object(data) or {}, "rate_limited", retry_after_ms=math.ceil(wait * 1000))

    def overflowed(self, peer: Peer) -> None:
        """End a slow consumer (FLW-2)."""
        if peer in self.sessions:
            peer.close(4002, "too slow")
        else:
            super().overflowed(peer)

    def queued(self, peer: CapablePeer) -> None:
        """Tell a client that its queue has filled or emptied (FLW-1)."""
        session = self.sessions.get(peer)
        if session is None or not session.has("flow"):
            return
        messages, size = peer.queued_messages, peer.queued_bytes
        share = max(messages / self.limits.queue_messages, size / self.limits.queue_bytes)
        if session.pressure == "normal" and share >= 1 / 2:
            self.press(session, "high")
        elif session.pressure == "high" and share <= 1 / 4:
            self.press(session, "normal")

    def press(self, session: Session, state: str) -> None:
        """Say how full the queue is, ahead of what is in it."""
        session.pressure = state
        messages, size = session.peer.queued_messages, session.peer.queued_bytes
        text = dump(
            {"type": "backpressure", "state": state, "queued_messages": messages, "queued_bytes": size}
        )
        session.peer.send_first(text)

    def drained(self, peer: CapablePeer) -> None:
        """Go on after the socket has taken something."""
        self.queued(peer)

    # Compression.

    def deflated(self, peer: CapablePeer, message: bytes) -> bytes:
        """Return a message's compressed frame."""
        return peer.deflated(message)

    # Heartbeat.

    def _tick(self) -> None:
        now = time.monotonic()
        for session in list(self.sessions.values()):
            if session.peer.open:
                self.tick(session, now)
        self.later(TICK, self._tick)

    def tick(self, session: Session, now: float) -> None:
        """Do what is due for a connection."""
        if session.has("heartbeat"):
            self.beat(session, now)

    def beat(self, session: Session, now: float) -> None:
        """Ping who is silent or was told nothing, and end who is dead (HB-2)."""
        if now - self.heard_at(session) >= self.limits.interval + self.limits.timeout:
            self.timed_out(session)
        elif now - self.quiet_since(session) >= self.limits.interval:
            self.ping(session, now)

    def heard_at(self, session: Session) -> float:
        """Return when the client gave its last sign of life."""
        return session.peer.received_at

    def quiet_since(self, session: Session) -> float:
        """Return since when one direction has been silent; a ping counts for both."""
        return min(session.peer.sent_at, max(session.peer.received_at, session.pinged_at))

    def timed_out(self, session: Session) -> None:
        """End a connection whose client is dead."""
        session.peer.close(4001, "heartbeat timeout")

    def ping(self, session: Session, now: float) -> None:
        """Send a ping."""
        session.pinged_at = now
        session.pings += 1
        session.peer.send_first(dump({"type": "ping", "id": f"s{session.pings}"}))


def _object(data: bytes) -> dict[str, Any] | None:
    """Return a message as an object, if it is one."""
    try:
        message = parse(data.decode())
    except (UnicodeDecodeError, NotJson):
        return None
    return message if isinstance(message, dict) else None
