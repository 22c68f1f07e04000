"""The correct server that demands tokens (SEC-1, SEC-2)."""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

from osint_events_conformance.faulty.jsontext import NotJson, parse
from osint_events_conformance.faulty.server import Event, Reply

from .server import CapableServer
from .session import Session, valid_hello

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from osint_events_conformance.faulty.peer import Peer

FORBIDDEN_ID: Final = "forbidden-1"
"""What the principal `runner` may not see."""
HELLO_WITHIN: Final = 1.0
"""Seconds that a connection without a token has for its hello."""
_KEY: Final = b"the zoo's own key, which is no secret"


def signed(subject: str) -> str:
    """Return the token of a principal: a JSON Web Token, but that it never expires."""
    head, claims = (_encoded(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"sub": subject}))
    return f"{head}.{claims}.{signature(f'{head}.{claims}')}"


def signature(text: str) -> str:
    """Return the signature of what stands before it in a token."""
    return _encoded(hmac.digest(_KEY, text.encode(), "sha256"))


def claims(token: str) -> dict[str, Any] | None:
    """Return what a token claims, whoever signed it."""
    try:
        _, middle, _ = token.split(".")
        found = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


TOKEN: Final = signed("runner")
TRIGGER_TOKEN: Final = signed("publisher")


class GuardedServer(CapableServer):
    """A server that wants to know who is there. A peer without a principal is a stranger."""

    guarded: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.principals: dict[Peer, str] = {}
        self._arriving: str | None = None

    # Who is there.

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Refuse a bad token (SEC-1); who brings none is a stranger for now."""
        refusal = super().handshake(client_id, headers)
        if refusal is not None:
            return refusal
        self._arriving = None
        if "Authorization" in headers:
            self._arriving = self.bearer(headers["Authorization"])
            if self._arriving is None:
                return self.unauthorized()
        return None

    def bearer(self, header: str) -> str | None:
        """Return the principal of an `Authorization` header."""
        scheme, _, token = header.partition(" ")
        return self.principal(token) if scheme.lower() == "bearer" else None

    def unauthorized(self) -> Reply:
        """Return what answers a bad header."""
        return Reply(401, b"unauthorized\n", (("WWW-Authenticate", "Bearer"),))

    def principal(self, token: object) -> str | None:
        """Return whom a token stands for."""
        if not isinstance(token, str) or not token.isascii():
            return None
        text, _, given = token.rpartition(".")
        if not hmac.compare_digest(given, signature(text)):
            return None
        return (claims(token) or {}).get("sub")

    def opened(self, peer: Peer) -> None:
        """Take a connection in."""
        super().opened(peer)
        if self._arriving is not None:
            self.principals[peer] = self._arriving
        else:
            self.wait_for_hello(peer)

    def wait_for_hello(self, peer: Peer) -> None:
        """Give a stranger its time."""

        def over() -> None:
            if peer not in self.principals:
                peer.close(4504, "authentication timeout")

        self.later(HELLO_WITHIN, over)

    def forget(self, peer: Peer) -> None:
        """Forget who it was."""
        super().forget(peer)
        self.principals.pop(peer, None)

    def is_stranger(self, peer: Peer) -> bool:
        """Say whether it is not known who this is."""
        return peer not in self.principals

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Take a hello with a token from a stranger, and nothing else."""
        if self.is_stranger(peer):
            self.received_from_stranger(peer, data)
        else:
            super().received_text(peer, data)

    def received_from_stranger(self, peer: Peer, data: bytes) -> None:
        """See whether this says who it is."""
        hello = hello_of(data)
        principal = None if hello is None else self.hello_principal(hello)
        if principal is None:
            self.turn_away(peer, hello)
        else:
            self.principals[peer] = principal
            super().received_text(peer, data)

    def hello_principal(self, hello: dict[str, Any]) -> str | None:
        """Return whom a hello stands for."""
        auth = hello.get("auth")
        return self.principal(auth.get("token")) if isinstance(auth, dict) else None

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Take nothing of the kind from a stranger."""
        if self.is_stranger(peer):
            self.turn_away(peer, None)
        else:
            super().received_binary(peer, data)

    def turn_away(self, peer: Peer, hello: dict[str, Any] | None) -> None:  # noqa: ARG002 - for overrides
        """End a stranger that does not say who it is."""
        peer.close(4501, "unauthorized")

    # What it may see.

    def may_see(self, peer: Peer, investigation_id: str) -> bool:
        """Say whether a connection may see an investigation (SEC-2)."""
        principal = self.principals.get(peer)
        return principal == "publisher" or (principal is not None and investigation_id != FORBIDDEN_ID)

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Leave what may not be seen unanswered."""
        if self.may_see(peer, message["investigation_id"]):
            super().subscribe(peer, message)
        else:
            self.forbid_core(peer, message)

    def forbid_core(self, peer: Peer, message: dict[str, Any]) -> None:
        """Refuse to who knows only Part 1."""

    def take_up(self, session: Session, message: dict[str, Any]) -> None:
        """Refuse what may not be seen."""
        if self.may_take_up(session, message):
            super().take_up(session, message)
        else:
            self.forbid(session, message)

    def may_take_up(self, session: Session, message: dict[str, Any]) -> bool:
        """Say whether a subscribe may be carried out."""
        return self.may_see(session.peer, message["investigation_id"])

    def forbid(self, session: Session, message: dict[str, Any]) -> None:
        """Refuse to who said hello."""
        self.refuse(session, message, "forbidden")

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Leave out who may not see it."""
        return [peer for peer in super().receivers(event) if self.may_be_sent(peer, event)]

    def may_be_sent(self, peer: Peer, event: Event) -> bool:
        """Say whether an event may go to a connection."""
        return self.may_see(peer, event.investigation_id)


def hello_of(data: bytes) -> dict[str, Any] | None:
    """Return a message if it is a hello."""
    try:
        message = parse(data.decode())
    except (UnicodeDecodeError, NotJson):
        return None
    if not isinstance(message, dict) or message.get("type") != "hello" or not valid_hello(message):
        return None
    return message
