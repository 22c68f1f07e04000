"""Faults of the tokens (RPL-3) and of sequences that begin anew (RPL-7, and RPL-8 and RPL-9 by a restart)."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault
from osint_events_conformance.faulty.jsontext import dump

from . import tokens
from .history import History
from .server import CapableServer

if TYPE_CHECKING:
    from osint_events_conformance.faulty.server import Event, Reply

    from .history import Kept
    from .session import Session, Subscription
    from .tokens import Position


# RPL-3: a token is good for its investigation, wherever and however often it is used.


class _BindsTokens(CapableServer):
    """Takes a token only where something is the same as when it was issued."""

    def __init__(self) -> None:
        super().__init__()
        self._bound: dict[str, object] = {}

    def bond(self, session: Session, investigation_id: str) -> object:
        """Return what must be the same."""
        raise NotImplementedError

    def token(self, session: Session, investigation_id: str, seq: int) -> str:
        """Note it."""
        token = super().token(session, investigation_id, seq)
        self._bound[token] = self.bond(session, investigation_id)
        return token

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Compare it."""
        if self._bound.get(token) != self.bond(session, investigation_id):
            return None
        return super().position(session, investigation_id, token)


@fault("RPL-3", subtle=True)
class BindsTokensToClientIds(_BindsTokens):
    """Takes a token only from the client_id that had it last."""

    def bond(self, session: Session, investigation_id: str) -> object:
        """Remember who."""
        del investigation_id
        return session.peer.client_id


@fault("RPL-3", subtle=True)
class BindsTokensToScopes(_BindsTokens):
    """Takes a token only for the scope that had it last."""

    def bond(self, session: Session, investigation_id: str) -> object:
        """Remember what."""
        return session.subscriptions[investigation_id].form


@fault("RPL-3", subtle=True)
class BindsTokensToConnections(_BindsTokens):
    """Takes a token only while the connection that had it last is open."""

    def bond(self, session: Session, investigation_id: str) -> object:
        """Say that somebody is there."""
        del session, investigation_id
        return True

    def token(self, session: Session, investigation_id: str, seq: int) -> str:
        """Remember where."""
        token = super().token(session, investigation_id, seq)
        self._bound[token] = session
        return token

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """See whether it is open."""
        holder = self._bound.get(token)
        if holder is None or not holder.peer.open:  # type: ignore[attr-defined] # a session
            return None
        return CapableServer.position(self, session, investigation_id, token)


@fault("RPL-3", subtle=True)
class TokensEndWithUnsubscribe(CapableServer):
    """Takes no token of an investigation that its holder unsubscribed from since."""

    def __init__(self) -> None:
        super().__init__()
        self._ended: dict[str, int] = {}

    def end(self, session: Session, message: dict[str, Any]) -> None:
        """Drop the cursor."""
        if message["investigation_id"] in session.subscriptions:
            self._ended[message["investigation_id"]] = self.history.head(message["investigation_id"])
        super().end(session, message)

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Find none."""
        found = super().position(session, investigation_id, token)
        return None if found and found.seq <= self._ended.get(investigation_id, -1) else found


@fault("RPL-3", subtle=True)
class UsesTokensUp(CapableServer):
    """Takes each token once; the second time it is invalid."""

    def __init__(self) -> None:
        super().__init__()
        self._used: set[str] = set()

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Delete it."""
        if token in self._used:
            return None
        self._used.add(token)
        return super().position(session, investigation_id, token)


@fault("RPL-3")
class TakesForeignTokens(CapableServer):
    """Takes a token of another investigation."""

    def token(self, session: Session, investigation_id: str, seq: int) -> str:
        """Sign the position only."""
        del investigation_id
        return super().token(session, "", seq)

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Verify the position only."""
        del investigation_id
        return super().position(session, "", token)


@fault("RPL-3", subtle=True)
class FoldsIdsInTokens(CapableServer):
    """Takes a token of an investigation whose id differs in case only."""

    def token(self, session: Session, investigation_id: str, seq: int) -> str:
        """Sign the folded id."""
        return super().token(session, investigation_id.lower(), seq)

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Verify the folded id."""
        return super().position(session, investigation_id.lower(), token)


@fault("RPL-3", subtle=True)
class ChecksHalfOfSignature(CapableServer):
    """Takes a token whatever the second half of its signature is."""

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Compare up to a length."""
        parts = token.split("-")
        if len(parts) == 3 and len(parts[2]) >= 16 and parts[0].isascii() and parts[0].isdigit():  # noqa: PLR2004 - half
            right = tokens.issue(self.key, investigation_id, tokens.Position(parts[1], int(parts[0][:16])))
            if right[:-16] == "-".join((*parts[:2], parts[2][:16])):
                token = right
        return super().position(session, investigation_id, token)


@fault("RPL-3", subtle=True)
class SplitsTokensAtDots(CapableServer):
    """Takes no token of an investigation whose id has a dot."""

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Split at the wrong place."""
        return None if "." in investigation_id else super().position(session, investigation_id, token)


@fault("RPL-3", subtle=True)
class HasNoTokenBeforeFirstEvent(CapableServer):
    """Confirms an investigation without events without a token."""

    def confirm_scope(
        self, session: Session, message: dict[str, Any], subscription: Subscription, **fields: object
    ) -> None:
        """Have nothing to point at."""
        if fields.get("seq") == 0:
            fields.pop("token", None)
        super().confirm_scope(session, message, subscription, **fields)


@fault("RPL-3")
class WritesTokensInBase64(CapableServer):
    """Writes tokens in plain base64, whose characters a URL would need escaped."""

    def token(self, session: Session, investigation_id: str, seq: int) -> str:
        """Encode it."""
        return base64.b64encode(super().token(session, investigation_id, seq).encode() + b"??>>").decode()

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Decode it."""
        try:
            decoded = base64.b64decode(token, validate=True)
        except ValueError:
            return None
        if not decoded.endswith(b"??>>") or not decoded.isascii():
            return None
        return super().position(session, investigation_id, decoded[:-4].decode())


@fault("RPL-3", subtle=True)
class CallsForeignTokensExpired(CapableServer):
    """Answers a token of another investigation with expired, which reveals that it is one."""

    def cannot_resume(
        self, session: Session, message: dict[str, Any], subscription: Subscription, reason: str
    ) -> None:
        """Say what it found."""
        if reason == "invalid" and any(
            tokens.verify(self.key, other, message["replay_token"]) for other in self.subscribers
        ):
            reason = "expired"
        super().cannot_resume(session, message, subscription, reason)


# RPL-7: gaps.


class BeginsAnew(CapableServer):
    """Begins a new sequence, under a new epoch, at each 200th event that comes while nothing is replayed."""

    def __init__(self) -> None:
        super().__init__()
        self._since = 0

    def keep(self, event: Event) -> Kept:
        """Have lost the old one."""
        self._since += 1
        if self._since >= 200 and not any(session.replays for session in self.sessions.values()):  # noqa: PLR2004 - as the docstring says
            self._since = 0
            self.history = self.new_history()
            for session in self.sessions.values():
                for investigation_id, subscription in session.subscriptions.items():
                    subscription.last = 0
                    self.begun_anew(session, investigation_id)
        return super().keep(event)

    def begun_anew(self, session: Session, investigation_id: str) -> None:
        """Tell a subscriber of it, who may have missed something."""
        if session.has("replay"):
            fields = {"type": "gap", "investigation_id": investigation_id, "reason": "epoch_changed"}
            place = {"epoch": self.history.epoch, "seq": 0, "token": self.token(session, investigation_id, 0)}
            session.peer.send(dump({**fields, **place}))


@fault("RPL-7", subtle=True)
class BeginsAnewSilently(BeginsAnew):
    """Begins a new sequence at each 200th event, and tells nobody who is connected."""

    def begun_anew(self, session: Session, investigation_id: str) -> None:
        """Let them find out."""


# RPL-8: epochs.


@fault("RPL-8", restart=True)
class KeepsEpochOverRestarts(CapableServer):
    """Counts from 1 again after a restart, under the same epoch."""

    def new_history(self) -> History:
        """Take the epoch from the configuration."""
        history = super().new_history()
        history.epoch = "e1"
        return history


# RPL-9: durable tokens.


class DurableServer(CapableServer):
    """Keeps its history over a restart."""

    def restart(self) -> Reply:
        """Read it back."""
        kept = self.history
        reply = super().restart()
        self.history = kept
        return reply


@fault("RPL-9", restart=True)
class ForgetsKeyOverRestarts(DurableServer):
    """Keeps its history over a restart, but not the key by which it knows its tokens."""

    def restart(self) -> Reply:
        """Make a new one."""
        self.key = secrets.token_bytes(32)
        return super().restart()


@fault("RPL-9", subtle=True, restart=True)
class ForgetsFirstTokensOverRestarts(DurableServer):
    """Takes no token after a restart that is older than an investigation's first event."""

    def __init__(self) -> None:
        super().__init__()
        self._restarted = False

    def restart(self) -> Reply:
        """Read back what has events."""
        self._restarted = True
        return super().restart()

    def position(self, session: Session, investigation_id: str, token: str) -> Position | None:
        """Know no such sequence."""
        found = super().position(session, investigation_id, token)
        return None if found and self._restarted and found.seq == 0 else found
