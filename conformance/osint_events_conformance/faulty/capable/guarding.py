"""Faults of authentication (SEC-1) and authorisation (SEC-2), and guarded servers that are odd and right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault, oddity
from osint_events_conformance.faulty.jsontext import dump
from osint_events_conformance.faulty.server import Event, Reply

from .guarded import TOKEN, GuardedServer, claims, hello_of
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osint_events_conformance.faulty.peer import Peer


# SEC-1: whose tokens are good.


@fault("SEC-1")
class AsksForNoToken(GuardedServer):
    """Lets everybody in."""

    def bearer(self, header: str) -> str | None:
        """Look at none."""
        del header
        return "runner"

    def is_stranger(self, peer: Peer) -> bool:
        """Trust the network."""
        self.principals.setdefault(peer, "runner")
        return False

    def opened(self, peer: Peer) -> None:
        """Take it for a friend."""
        self._arriving = self._arriving or "runner"
        super().opened(peer)


@fault("SEC-1", subtle=True)
class IgnoresLastOfSignatures(GuardedServer):
    """Compares all but the last character of a token."""

    def principal(self, token: object) -> str | None:
        """Strip what might be padding."""
        if isinstance(token, str) and len(token) == len(TOKEN) and token[:-1] == TOKEN[:-1]:
            return "runner"
        return super().principal(token)


@fault("SEC-1", subtle=True)
class ComparesTokensWithoutCase(GuardedServer):
    """Looks tokens up in a table whose keys have no case."""

    def principal(self, token: object) -> str | None:
        """Fold it."""
        if isinstance(token, str) and token.lower() == TOKEN.lower():
            return "runner"
        return super().principal(token)


@fault("SEC-1", subtle=True)
class TakesUnsignedTokens(GuardedServer):
    """Takes a token without a signature, as its header asks for."""

    def principal(self, token: object) -> str | None:
        """Let the header say how to verify."""
        if isinstance(token, str) and token.endswith("."):
            return (claims(token) or {}).get("sub")
        return super().principal(token)


@fault("SEC-1", subtle=True)
class BelievesClaims(GuardedServer):
    """Reads the claims of a token, and does not verify its signature."""

    def principal(self, token: object) -> str | None:
        """Decode it."""
        return (claims(token) or {}).get("sub") if isinstance(token, str) else None


@fault("SEC-1", subtle=True)
class BelievesHellos(GuardedServer):
    """Verifies the token of a handshake, and takes any in a hello."""

    def hello_principal(self, hello: dict[str, Any]) -> str | None:
        """See that there is one."""
        auth = hello.get("auth")
        is_there = isinstance(auth, dict) and isinstance(auth.get("token"), str)
        return "runner" if is_there else super().hello_principal(hello)


@fault("SEC-1", subtle=True)
class WelcomesHellosWithoutTokens(GuardedServer):
    """Verifies the token of a hello, where it has one."""

    def hello_principal(self, hello: dict[str, Any]) -> str | None:
        """Verify what is there."""
        return super().hello_principal(hello) if "auth" in hello else "runner"


@fault("SEC-1", subtle=True)
class KnowsClientIds(GuardedServer):
    """Knows a client again by its client_id, once it has authenticated."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()

    def opened(self, peer: Peer) -> None:
        """Keep a session for each."""
        if self._arriving is not None:
            self._known.add(peer.client_id)
        elif peer.client_id in self._known:
            self._arriving = "runner"
        super().opened(peer)


@fault("SEC-1")
class ForbidsBadTokens(GuardedServer):
    """Refuses a bad token with 403."""

    def unauthorized(self) -> Reply:
        """Say that it may not."""
        return Reply(403, b"forbidden\n")


@fault("SEC-1")
class DemandsHeaders(GuardedServer):
    """Refuses a handshake without a token, which a browser cannot add there."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Look at the handshake only."""
        refusal = super().handshake(client_id, headers)
        return self.unauthorized() if refusal is None and self._arriving is None else refusal


# SEC-1: strangers.


@fault("SEC-1", subtle=True)
class BroadcastsToStrangers(GuardedServer):
    """Sends what has no subscribers to everybody, also to who has not said hello yet."""

    def may_be_sent(self, peer: Peer, event: Event) -> bool:
        """Ask who may not, of those who are known."""
        is_nobodys = event.investigation_id not in self.subscribers
        return super().may_be_sent(peer, event) or (is_nobodys and self.is_stranger(peer))


@fault("SEC-1", subtle=True)
class AnswersPingsOfStrangers(GuardedServer):
    """Answers a ping before it knows who is there."""

    def received_from_stranger(self, peer: Peer, data: bytes) -> None:
        """Answer it at once."""
        if data.startswith(b'{"type": "ping"'):
            peer.send(dump({"type": "pong", "id": "p"}))
        else:
            super().received_from_stranger(peer, data)


@fault("SEC-1", subtle=True)
class IgnoresSubscribesOfStrangers(GuardedServer):
    """Ignores what a stranger says, and goes on to wait for a hello."""

    def received_from_stranger(self, peer: Peer, data: bytes) -> None:
        """Wait for another message."""
        if hello_of(data) is not None:
            super().received_from_stranger(peer, data)

    def wait_for_hello(self, peer: Peer) -> None:
        """Wait a little longer than anybody looks."""

        def over() -> None:
            if self.is_stranger(peer):
                peer.close(4504, "authentication timeout")

        self.later(10, over)


@fault("SEC-1", subtle=True)
class WaitsForHellosForEver(GuardedServer):
    """Never ends a stranger that says nothing."""

    def wait_for_hello(self, peer: Peer) -> None:
        """Be patient."""


@fault("SEC-1")
class TurnsStrangersAwayByPolicy(GuardedServer):
    """Ends who says something else than a hello with a good token with 1008."""

    def turn_away(self, peer: Peer, hello: dict[str, Any] | None) -> None:
        """Use RFC 6455's own code."""
        del hello
        peer.close(1008, "policy")


# SEC-2.


@fault("SEC-2")
class ConfirmsForbidden(GuardedServer):
    """Confirms a subscription to what may not be seen, and delivers nothing."""

    def forbid_core(self, peer: Peer, message: dict[str, Any]) -> None:
        """Filter later."""
        self.confirm(peer, message["investigation_id"])

    def may_take_up(self, session: Session, message: dict[str, Any]) -> bool:
        """Filter later."""
        del session, message
        return True


@fault("SEC-2", subtle=True)
class BroadcastsForbidden(GuardedServer):
    """Checks subscriptions, and broadcasts what has none to everybody it knows."""

    def may_be_sent(self, peer: Peer, event: Event) -> bool:
        """Ask nobody."""
        return super().may_be_sent(peer, event) or not self.is_stranger(peer)


@fault("SEC-2", subtle=True)
class BroadcastsForbiddenTasks(GuardedServer):
    """Checks broadcasts, but those of tasks."""

    def may_be_sent(self, peer: Peer, event: Event) -> bool:
        """Ask for investigations."""
        is_task = str(event.data.get("type", "")).startswith("task_")
        return super().may_be_sent(peer, event) or (is_task and not self.is_stranger(peer))


class _ForgetsToCheck(GuardedServer):
    """Delivers to whoever is subscribed, and forgets to check some subscribes."""

    def forgets(self, session: Session, message: dict[str, Any]) -> bool:
        """Say whether this one is not checked."""
        raise NotImplementedError

    def may_take_up(self, session: Session, message: dict[str, Any]) -> bool:
        """Check the others."""
        return super().may_take_up(session, message) or self.forgets(session, message)

    def may_be_sent(self, peer: Peer, event: Event) -> bool:
        """Trust the subscriptions."""
        return super().may_be_sent(peer, event) or event.investigation_id in peer.subscriptions


@fault("SEC-2", subtle=True)
class ChecksNoScopes(_ForgetsToCheck):
    """Checks a subscribe, but not one with a scope."""

    def forgets(self, session: Session, message: dict[str, Any]) -> bool:
        """Take it for a switch."""
        return session.has("scopes") and "scope" in message


@fault("SEC-2", subtle=True)
class ChecksNoReplays(_ForgetsToCheck):
    """Checks a subscribe, but not one with a replay token."""

    def forgets(self, session: Session, message: dict[str, Any]) -> bool:
        """Take it for one that was checked."""
        return session.has("replay") and "replay_token" in message


@fault("SEC-2", subtle=True)
class TrustsReplayTokens(_ForgetsToCheck):
    """Takes a replay token that it issued for a credential."""

    def forgets(self, session: Session, message: dict[str, Any]) -> bool:
        """Verify it."""
        token = message.get("replay_token")
        known = session.has("replay") and isinstance(token, str)
        return known and self.position(session, message["investigation_id"], str(token)) is not None


@fault("SEC-2", subtle=True)
class TiresOfRefusing(_ForgetsToCheck):
    """Lets the eleventh try of a connection through."""

    def __init__(self) -> None:
        super().__init__()
        self._tries: dict[Session, int] = {}

    def forgets(self, session: Session, message: dict[str, Any]) -> bool:
        """Count them."""
        del message
        self._tries[session] = self._tries.get(session, 0) + 1
        return self._tries[session] > 10  # noqa: PLR2004 - as the docstring says


@fault("SEC-2", subtle=True)
class ChecksOnlyWhoSaidHello(GuardedServer):
    """Checks the subscribes of who said hello."""

    def may_see(self, peer: Peer, investigation_id: str) -> bool:
        """Let who knows only Part 1 see everything."""
        if peer in self.sessions or self.is_stranger(peer):
            return super().may_see(peer, investigation_id)
        return investigation_id in self.subscribers or super().may_see(peer, investigation_id)

    def forbid_core(self, peer: Peer, message: dict[str, Any]) -> None:
        """Subscribe it."""
        self.add(peer, message["investigation_id"])
        self.confirm(peer, message["investigation_id"])


@fault("SEC-2", subtle=True)
class SubscribesWhatItRefuses(GuardedServer):
    """Refuses a subscribe to what may not be seen after it was carried out."""

    def forbid_core(self, peer: Peer, message: dict[str, Any]) -> None:
        """Do not confirm it."""
        self.add(peer, message["investigation_id"])

    def may_be_sent(self, peer: Peer, event: Event) -> bool:
        """Trust the subscriptions."""
        return super().may_be_sent(peer, event) or event.investigation_id in peer.subscriptions


@fault("SEC-2", subtle=True)
class ReplaysForbidden(GuardedServer):
    """Refuses a subscribe, and sends what was missed all the same."""

    def forbid(self, session: Session, message: dict[str, Any]) -> None:
        """Refuse what is live."""
        super().forbid(session, message)
        token = message.get("replay_token")
        if not session.has("replay") or not isinstance(token, str):
            return
        position = self.position(session, message["investigation_id"], token)
        missed = None if position is None else self.history.after(message["investigation_id"], position.seq)
        for kept in missed or ():
            session.peer.send(self.update(kept.event))


@fault("SEC-2")
class RefusesForbiddenInSilence(GuardedServer):
    """Tells nobody that an investigation may not be seen, also not who wants to know."""

    def forbid(self, session: Session, message: dict[str, Any]) -> None:
        """Reveal nothing."""


@fault("SEC-2", subtle=True)
class CallsForbiddenInvalid(GuardedServer):
    """Calls a subscribe to what may not be seen invalid."""

    def forbid(self, session: Session, message: dict[str, Any]) -> None:
        """Say that there is no such thing."""
        self.refuse(session, message, "invalid_message")


# Odd and right.


@oddity()
class AsksForTokens(GuardedServer):
    """Demands a token, with the handshake or in a hello."""


@oddity()
class TellsStrangersWhy(GuardedServer):
    """Tells who said hello with a bad token that it is one, just before it is turned away."""

    def turn_away(self, peer: Peer, hello: dict[str, Any] | None) -> None:
        """Say it first."""
        if hello is not None:
            text = {"type": "error", "code": "unauthorized", "message": "a bad token", "temporary": False}
            peer.send(dump(text))
        super().turn_away(peer, hello)


@oddity()
class ClosesOnForbidden(GuardedServer):
    """Ends a connection that wants to see what it may not; who asked for errors is told first."""

    def forbid_core(self, peer: Peer, message: dict[str, Any]) -> None:
        """End it."""
        del message
        peer.close(4403, "forbidden")

    def forbid(self, session: Session, message: dict[str, Any]) -> None:
        """Tell, then end it."""
        super().forbid(session, message)
        session.peer.close(4403, "forbidden")


@oddity()
class DecidesSlowly(GuardedServer):
    """Takes a tenth of a second to verify the token of a hello; what came meanwhile is carried out then."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[Peer, list[bytes]] = {}

    def received_from_stranger(self, peer: Peer, data: bytes) -> None:
        """Ask somebody else."""
        if peer in self._waiting:
            self._waiting[peer].append(data)
            return
        self._waiting[peer] = [data]

        def decide() -> None:
            first, *others = self._waiting.pop(peer)
            super(DecidesSlowly, self).received_from_stranger(peer, first)
            for one in others:
                if peer.open:
                    self.received_text(peer, one)

        self.later(0.1, decide)
