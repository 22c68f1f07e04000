"""Faults of the negotiation: NEG-1 to NEG-5."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault
from osint_events_conformance.faulty.server import Event, Server, valid_id

from . import tokens
from .negotiating import FEATURES
from .server import CapableServer
from .session import LONGEST_REF, Replay, Session, Subscription, valid_hello

if TYPE_CHECKING:
    from collections.abc import Iterable

    from osint_events_conformance.faulty.peer import Peer

    from .history import Kept


# NEG-1: the features are the intersection, and nothing of the others is used.


@fault("NEG-1")
class GrantsEverything(CapableServer):
    """Welcomes with all features that it has, whatever was asked for."""

    def granted(self, peer: Peer, asked: list[str]) -> list[str]:
        """Be generous."""
        del peer, asked
        return list(self.features)


@fault("NEG-1", subtle=True)
class GrantsUnknownFeatures(CapableServer):
    """Lists unknown features that were asked for in the welcome."""

    def granted(self, peer: Peer, asked: list[str]) -> list[str]:
        """Agree to everything."""
        del peer
        return list(dict.fromkeys(asked))


@fault("NEG-1", subtle=True)
class GrantsAllForNone(CapableServer):
    """Takes an empty list of features for no preference, and grants them all."""

    def granted(self, peer: Peer, asked: list[str]) -> list[str]:
        """Use `or` for a default."""
        return super().granted(peer, asked or list(FEATURES))


@fault("NEG-1", subtle=True)
class NumbersWithoutReplay(CapableServer):
    """Sends seq, prev and token in the updates of connections that said hello but have no replay."""

    def numbered(
        self, session: Session, subscription: Subscription, kept: Kept, *, replayed: bool = False
    ) -> bytes:
        """Build the frame once for all."""
        granted = session.features
        session.features = [*granted, "replay"]
        text = super().numbered(session, subscription, kept, replayed=replayed)
        session.features = granted
        return text


@fault("NEG-1", subtle=True)
class SharesFeaturesByClientId(CapableServer):
    """Keeps features by client_id: a hello changes those of an older twin, but for the heartbeat."""

    def hello(self, peer: Peer, message: dict[str, Any]) -> None:
        """Overwrite the entry."""
        super().hello(peer, message)
        shared = [feature for feature in self.sessions[peer].features if feature != "heartbeat"]
        for session in self.sessions.values():
            if session.peer.client_id == peer.client_id and session.peer is not peer:
                own = [feature for feature in session.features if feature == "heartbeat"]
                session.features = own + shared


@fault("NEG-1", subtle=True)
class ObeysScopeWithoutScopes(CapableServer):
    """Obeys the scope of a subscribe on connections that did not negotiate scopes."""

    def scope_of(self, session: Session, message: dict[str, Any]) -> list[str]:
        """Read the field where it is."""
        if "scopes" in session.features:
            return super().scope_of(session, message)
        scope = message.get("scope")
        return scope if scope in (["tasks"], ["summary"]) else ["all"]


@fault("NEG-1", subtle=True)
class UnsubscribesWithoutFeature(CapableServer):
    """Carries out an unsubscribe on connections that did not negotiate it."""

    def obey(self, session: Session, message: dict[str, Any]) -> None:
        """Know the message in any case."""
        if message["type"] == "unsubscribe_investigation":
            self.check_unsubscribe(session, message)
        else:
            super().obey(session, message)


@fault("NEG-1", subtle=True)
class UnsubscribesCore(CapableServer):
    """Carries out an unsubscribe on connections that said no hello."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Know the message in any case."""
        if message["type"] == "unsubscribe_investigation" and valid_id(message.get("investigation_id")):
            self.unsubscribe(peer, message["investigation_id"])


@fault("NEG-1", subtle=True)
class ReplaysToCore(CapableServer):
    """Obeys a good token on connections that said no hello, in updates as they know them."""

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Look at the field, and at nothing else."""
        super().subscribe(peer, message)
        investigation_id, token = message["investigation_id"], message.get("replay_token")
        position = tokens.verify(self.key, investigation_id, token) if isinstance(token, str) else None
        for kept in self.history.after(investigation_id, position.seq) or [] if position else []:
            peer.send(self.update(kept.event))


# NEG-2: hello is the first message, and welcome the first answer.


@fault("NEG-2", subtle=True)
class SecondHelloRenegotiates(CapableServer):
    """Obeys a second hello: it changes the features, and is welcomed."""

    def hello_again(self, session: Session, message: dict[str, Any]) -> None:
        """Start over."""
        if valid_hello(message):
            session.features = self.granted(session.peer, message["features"])
            self.welcome(session, message)


@fault("NEG-2", subtle=True)
class ClosesOnSecondHello(CapableServer):
    """Closes a connection that says hello twice."""

    def hello_again(self, session: Session, message: dict[str, Any]) -> None:
        """Take it for an attack."""
        del message
        session.peer.close(1008, "hello twice")


@fault("NEG-2", subtle=True)
class ConfirmsBeforeWelcome(CapableServer):
    """Needs 5 ms for a welcome, and meanwhile confirms what was sent along with the hello."""

    def welcome(self, session: Session, message: dict[str, Any]) -> None:
        """Look something up first."""
        self.later(0.005, lambda: super(ConfirmsBeforeWelcome, self).welcome(session, message))


@fault("NEG-2", subtle=True)
class WelcomesAnyTime(CapableServer):
    """Welcomes a hello that comes after other messages, and numbers the events from then on."""

    def receive_core(self, peer: Peer, data: bytes) -> None:
        """Keep no count of the messages."""
        self._begun.discard(peer)
        super().receive_core(peer, data)

    def hello(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take the subscriptions over."""
        super().hello(peer, message)
        for investigation_id in peer.subscriptions:
            head = self.history.head(investigation_id)
            self.sessions[peer].subscriptions[investigation_id] = Subscription(["all"], head)


@fault("NEG-2", subtle=True)
class WelcomesAfterUnknown(CapableServer):
    """Welcomes a hello that comes after a message of unknown type."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Forget it at once."""
        super().unknown(peer, message)
        self._begun.discard(peer)


# NEG-3: what is unknown in a hello is ignored.


class _IgnoresSomeHellos(CapableServer):
    """Leaves some hellos unanswered."""

    def ignores(self, message: dict[str, Any]) -> bool:
        """Say whether this one is ignored."""
        raise NotImplementedError

    def hello(self, peer: Peer, message: dict[str, Any]) -> None:
        """Answer the others."""
        if not self.ignores(message):
            super().hello(peer, message)


@fault("NEG-3")
class IgnoresUnknownFeatures(_IgnoresSomeHellos):
    """Leaves a hello with an unknown feature unanswered."""

    def ignores(self, message: dict[str, Any]) -> bool:
        """Validate against a closed list."""
        return not set(message["features"]) <= set(FEATURES)


@fault("NEG-3", subtle=True)
class IgnoresUnknownHelloFields(_IgnoresSomeHellos):
    """Leaves a hello with an unknown field unanswered."""

    def ignores(self, message: dict[str, Any]) -> bool:
        """Validate with additionalProperties false."""
        return not set(message) <= {"type", "protocol", "features", "client", "auth", "ref"}


@fault("NEG-3", subtle=True)
class IgnoresNewerProtocols(_IgnoresSomeHellos):
    """Leaves a hello with a protocol above 1 unanswered."""

    def ignores(self, message: dict[str, Any]) -> bool:
        """Compare with ==."""
        return bool(message["protocol"] != 1)


@fault("NEG-3", subtle=True)
class EchoesProtocol(CapableServer):
    """Welcomes with the protocol that the client said, however high."""

    def welcome_fields(self, session: Session, message: dict[str, Any]) -> dict[str, Any]:
        """Say yes."""
        return super().welcome_fields(session, message) | {"protocol": message["protocol"]}


@fault("NEG-3", subtle=True)
class ChecksAuthThoughOff(CapableServer):
    """Closes with 4501 after a hello with auth, although authentication is off."""

    def hello(self, peer: Peer, message: dict[str, Any]) -> None:
        """Find no such user."""
        if "auth" in message:
            peer.close(4501, "unauthorized")
        else:
            super().hello(peer, message)


# NEG-4: references.


@fault("NEG-4")
class ForgetsRefs(CapableServer):
    """Echoes no reference."""

    def reference(self, session: Session, message: dict[str, Any]) -> dict[str, str]:
        """Leave it out."""
        del session, message
        return {}


@fault("NEG-4", subtle=True)
class CutsLongRefs(CapableServer):
    """Echoes the first 63 characters of a reference of 64."""

    def reference(self, session: Session, message: dict[str, Any]) -> dict[str, str]:
        """Leave room for a NUL."""
        return {name: ref[: LONGEST_REF - 1] for name, ref in super().reference(session, message).items()}


@fault("NEG-4", subtle=True)
class DropsEmptyRefs(CapableServer):
    """Leaves a reference out that is the empty string."""

    def reference(self, session: Session, message: dict[str, Any]) -> dict[str, str]:
        """Ask whether it is true."""
        return {name: ref for name, ref in super().reference(session, message).items() if ref}


@fault("NEG-4", subtle=True)
class DropsLeadingZerosOfRefs(CapableServer):
    """Echoes a reference of digits without its leading zeros."""

    def reference(self, session: Session, message: dict[str, Any]) -> dict[str, str]:
        """Count requests."""
        found = super().reference(session, message)
        return {
            name: str(int(ref)) if re.fullmatch("[0-9]{1,64}", ref) else ref for name, ref in found.items()
        }


@fault("NEG-4", subtle=True)
class RemembersRefs(CapableServer):
    """Answers a message without a reference with the one of the message before it."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[Session, dict[str, str]] = {}

    def reference(self, session: Session, message: dict[str, Any]) -> dict[str, str]:
        """Reuse the object."""
        found = super().reference(session, message) or self._last.get(session, {})
        self._last[session] = found
        return found


@fault("NEG-4", subtle=True)
class ForgetsRefsOfReplays(CapableServer):
    """Sends replay_complete without the reference of the subscribe."""

    def send_complete(self, session: Session, replay: Replay) -> None:
        """Forget who asked."""
        replay.message = {name: value for name, value in replay.message.items() if name != "ref"}
        super().send_complete(session, replay)


@fault("NEG-4", subtle=True)
class ForgetsRefsOfErrors(CapableServer):
    """Sends errors without the reference of the message that they are about."""

    def report(self, session: Session, message: dict[str, Any], code: str, **fields: object) -> None:
        """Have it not at hand."""
        del message
        super().report(session, {}, code, **fields)


# NEG-5: no fallback after hello.


class _Broadcasts(CapableServer):
    """Sends fallback broadcasts to some connections that said hello, but of what they unsubscribed from."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: dict[Session, set[str]] = {}

    def gets_all(self, session: Session) -> bool:
        """Say whether this one gets them."""
        raise NotImplementedError

    def take_up(self, session: Session, message: dict[str, Any]) -> None:
        """Note what it was ever subscribed to."""
        self.ever.setdefault(session, set()).add(message["investigation_id"])
        super().take_up(session, message)

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Add them."""
        if event.investigation_id in self.subscribers:
            return super().receivers(event)
        more = [
            peer
            for peer, session in self.sessions.items()
            if peer.open
            and self.gets_all(session)
            and event.investigation_id not in self.ever.get(session, ())
        ]
        return [*super().receivers(event), *more]

    def offer(self, session: Session, kept: Kept) -> None:
        """Send it as it is, where there is no subscription."""
        if kept.event.investigation_id in session.subscriptions:
            super().offer(session, kept)
        else:
            session.peer.send(Server.update(self, kept.event))


@fault("NEG-5")
class BroadcastsAfterHello(_Broadcasts):
    """Sends fallback broadcasts to connections that said hello, too."""

    def gets_all(self, session: Session) -> bool:
        """Know no difference."""
        del session
        return True


@fault("NEG-5", subtle=True)
class BroadcastsUntilSubscribed(_Broadcasts):
    """Sends fallback broadcasts to connections that said hello and have not subscribed to anything yet."""

    def gets_all(self, session: Session) -> bool:
        """Wait for the first subscription."""
        return session not in self.ever
