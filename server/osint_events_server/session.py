"""One connection's protocol state: a message in, commands out. No I/O, and no clock of its own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from osint_events import (
    Error,
    Hello,
    NegotiatedSubscribeInvestigation,
    Ping,
    Pong,
    Unsubscribed,
    UnsubscribeInvestigation,
    Welcome,
)
from osint_events.features import TEMPORARY_ERRORS, ErrorCode, Feature
from osint_events.handlers import MalformedMessage, decode, dispatch, ref_of

from osint_events_server import frames
from osint_events_server.frames import Frames
from osint_events_server.offer import PROTOCOL, Offer
from osint_events_server.positions import Positions, ReplayFailure
from osint_events_server.replay import Confirmation
from osint_events_server.scope import Scope


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe this connection, before what follows is sent (SUB-2).

    Attributes:
        investigation_id: what to.
        scope: what part of it.
        sequenced: whether events say their `seq`, `prev` and `token`.
        after: a number up to which the client has everything already (RPL-9).
        ref: the message's reference, where it had one (NEG-4).

    """

    investigation_id: str
    scope: Scope = Scope.ALL
    sequenced: bool = False
    after: int = 0
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """Confirm the subscription just made with its position, and replay what was asked for (RPL-4).

    Attributes:
        confirmation: what else is said.
        scope: what part of the investigation to replay.
        resume: the number after which to replay, or why there is nothing to; None where it was not asked for.

    """

    confirmation: Confirmation
    scope: Scope
    resume: int | ReplayFailure | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """End a subscription, before what follows is sent (UNS-1)."""

    investigation_id: str


@dataclass(frozen=True, slots=True)
class Negotiated:
    """From here on these features are used."""

    features: frozenset[str]


@dataclass(frozen=True, slots=True)
class Send:
    """Send this to this connection.

    Attributes:
        frames: what.
        first: whether ahead of what waits (HB-1).

    """

    frames: Frames
    first: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """The message is not carried out; who is not told by what follows is not told (ROB-2, ROB-3, ERR-1).

    Attributes:
        code: why, as the protocol's error codes have it.
        detail: why, in words; they may quote the message.

    """

    code: ErrorCode
    detail: str


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Decide by a token, and go on with `Session.authenticated` before anything else is taken (SEC-1).

    Attributes:
        token: what the client says.
        hello: the message that it came with.

    """

    token: str = field(repr=False)
    hello: Hello = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """The connection is to be closed with 4501 (SEC-1).

    Attributes:
        detail: why; nothing of the message is in it.

    """

    detail: str


Command = Subscribe | Confirm | Unsubscribe | Negotiated | Send | Ignored | Authenticate | Unauthenticated

_CORE: frozenset[str] = frozenset()
_AUTH = frozenset({"auth"})


@cache  # there are few, and many connections with each
def _used(granted: tuple[Feature, ...]) -> frozenset[str]:
    return frozenset(("hello", *granted))


class Session:
    """The protocol's server side for one connection; the handler of each client message.

    Args:
        max_subscriptions: investigations that the connection may be subscribed to at a time (SUB-3).
        offer: what a `hello` is granted; without it every connection stays as it is without `hello`.
        positions: makes and reads tokens.
        connection_id: the connection's name in `welcome`.
        may_see: whether an investigation may be subscribed to (SEC-2).
        awaits_token: whether the first message has to be a `hello` that authenticates (SEC-1).

    """

    __slots__ = (
        "_awaits_token",
        "_connection_id",
        "_features",
        "_has_begun",
        "_is_first",
        "_max_subscriptions",
        "_may_see",
        "_offer",
        "_positions",
        "_subscriptions",
    )

    def __init__(
        self,
        *,
        max_subscriptions: int,
        offer: Offer | None = None,
        positions: Positions | None = None,
        connection_id: str = "-",
        may_see: Callable[[str], bool] = lambda _: True,
        awaits_token: bool = False,
    ) -> None:
        self._max_subscriptions = max_subscriptions
        self._offer = offer
        self._positions = positions
        self._connection_id = connection_id
        self._may_see = may_see
        self._awaits_token = awaits_token
        self._subscriptions: set[str] = set()
        self._features = _CORE
        self._has_begun = False
        self._is_first = False

    def receive(self, text: str) -> Sequence[Command]:
        """Take one text message and return what is to be done, in order."""
        self._is_first, self._has_begun = not self._has_begun, True
        if self._awaits_token:
            return self._introduce(text)
        try:
            return dispatch(text, self, self._features)
        except MalformedMessage as error:
            return self.refuse(error.code, error.detail, ref=error.ref)

    def _introduce(self, text: str) -> Sequence[Command]:
        """Take the message that is to say who the client is."""
        refused = (Unauthenticated("the first message is no hello with a token"),)
        try:
            if not self._is_first or decode(text).get("type") != "hello":
                return refused
            return dispatch(text, self, _AUTH)
        except MalformedMessage:
            return refused

    def authenticated(self, hello: Hello, may_see: Callable[[str], bool]) -> Sequence[Command]:
        """Go on with the hello that authenticated."""
        self._awaits_token = False
        self._may_see = may_see
        return self.on_hello(hello)

    def rate_limited(self, text: str, *, seconds: float) -> Sequence[Command]:
        """Take one text message that is not to be carried out, since it came too fast (FLW-3).

        Args:
            text: the message, looked at for its reference only.
            seconds: after which it may be sent again.

        """
        try:
            ref = ref_of(decode(text))
        except MalformedMessage as error:
            ref = error.ref
        return self.refuse("rate_limited", "too many messages", ref=ref, retry_after=seconds)

    def unavailable(self, investigation_id: str, *, ref: str | None, retry_after: float) -> Sequence[Command]:
        """Take back a subscription that the store could not serve."""
        self._subscriptions.discard(investigation_id)
        detail = "the events cannot be reached now"
        return self.refuse("unavailable", detail, ref=ref, retry_after=retry_after)

    def refuse(
        self, code: ErrorCode, detail: str, *, ref: str | None = None, retry_after: float | None = None
    ) -> Sequence[Command]:
        """Return what it takes to not carry out a message: an error for those who are told (ERR-1)."""
        ignored = Ignored(code, detail)
        is_told = "errors" in self._features or (code == "rate_limited" and "flow" in self._features)
        if not is_told:
            return (ignored,)
        optional = {
            "ref": ref,
            "retry_after_ms": None if retry_after is None else math.ceil(retry_after * 1000),
        }
        error = Error.model_validate(
            {
                "type": "error",
                "code": code,
                "message": detail,
                "temporary": code in TEMPORARY_ERRORS,
                **{name: value for name, value in optional.items() if value is not None},
            }
        )
        return (ignored, Send(frames.message(error)))

    def on_hello(self, message: Hello) -> Sequence[Command]:
        """Grant what is asked for and offered (NEG-1), if it is the first message (NEG-2)."""
        if self._awaits_token:
            if message.auth is None:
                return (Unauthenticated("the hello has no token"),)
            return (Authenticate(message.auth.token, message),)
        if self._offer is None:
            return self.on_unknown(message.type, {})
        if not self._is_first:
            return self.refuse("already_initialized", "hello is the first message", ref=message.ref)
        granted = [feature for feature in self._offer.features if feature in message.features]
        self._features = _used(tuple(granted))
        welcome = {
            "type": "welcome",
            "protocol": min(message.protocol, PROTOCOL),
            "connection_id": self._connection_id,
            "features": granted,
            **({} if message.ref is None else {"ref": message.ref}),
            **({"heartbeat": self._offer.heartbeat} if "heartbeat" in granted else {}),
            "limits": self._offer.limits,
        }
        return (Negotiated(self._features), Send(frames.message(Welcome.model_validate(welcome))))

    def on_subscribe_investigation(self, message: NegotiatedSubscribeInvestigation) -> Sequence[Command]:
        """Subscribe and confirm, again where it was before (SUB-1, SUB-4, SCP-3)."""
        investigation_id = message.investigation_id
        if not self._may_see(investigation_id):
            return self.refuse("forbidden", "this investigation may not be seen", ref=message.ref)
        if investigation_id not in self._subscriptions:
            if len(self._subscriptions) >= self._max_subscriptions:
                detail = f"{self._max_subscriptions} subscriptions are held"
                return self.refuse("subscription_limit", detail, ref=message.ref)
            self._subscriptions.add(investigation_id)
        if not self._features:
            core = Frames(frames.text_frame(frames.confirmation(investigation_id)))
            return (Subscribe(investigation_id), Send(core))
        values = None
        if "scopes" in self._features:
            values = message.scope or ["all"]
        confirmation = Confirmation(investigation_id, message.ref, values)
        scope = Scope.of_values(values or ["all"])
        if "replay" not in self._features:
            return (Subscribe(investigation_id, scope, ref=message.ref), Send(confirmation.frames()))
        resume = self._resume(investigation_id, message.replay_token)
        after = resume if isinstance(resume, int) else 0
        return (
            Subscribe(investigation_id, scope, sequenced=True, after=after, ref=message.ref),
            Confirm(confirmation, scope, resume),
        )

    def _resume(self, investigation_id: str, token: str | None) -> int | ReplayFailure | None:
        assert self._positions is not None  # where it is offered
        return None if token is None else self._positions.resume(investigation_id, token)

    def on_unsubscribe_investigation(self, message: UnsubscribeInvestigation) -> Sequence[Command]:
        """End a subscription, or say again that there is none (UNS-1)."""
        self._subscriptions.discard(message.investigation_id)
        answer = Unsubscribed.model_validate(
            {
                "type": "unsubscribed",
                "investigation_id": message.investigation_id,
                **({} if message.ref is None else {"ref": message.ref}),
            }
        )
        return (Unsubscribe(message.investigation_id), Send(frames.message(answer)))

    def on_ping(self, message: Ping) -> Sequence[Command]:
        """Answer it, ahead of what waits (HB-1)."""
        ref = {} if message.ref is None else {"ref": message.ref}
        pong = Pong.model_validate({"type": "pong", "id": message.id, **ref})
        return (Send(frames.message(pong), first=True),)

    def on_pong(self, message: Pong) -> Sequence[Command]:  # noqa: ARG002 - handler protocol
        """Do nothing: whatever comes is a sign of life, and others are ignored (HB-2, HB-3)."""
        return ()

    def on_unknown(self, type_: str, message: dict[str, Any]) -> Sequence[Command]:
        """Tolerate a message of a type that this server does not know (ROB-3)."""
        return self.refuse("unknown_type", f"type {type_[:64]!r}", ref=ref_of(message))
