"""One connection's protocol state: a message in, commands out. No I/O, and no clock of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from osint_events import Hello, NegotiatedSubscribeInvestigation, Ping, Pong, UnsubscribeInvestigation
from osint_events.handlers import MalformedMessage, dispatch

from osint_events_server import frames
from osint_events_server.frames import Frames


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe this connection, before what follows is sent (SUB-2)."""

    investigation_id: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send this to this connection."""

    frames: Frames


@dataclass(frozen=True, slots=True)
class Ignored:
    """The message is not carried out, and a core client is not told (ROB-2, ROB-3).

    Attributes:
        code: why, as the protocol's error codes have it.
        detail: why, for the log.

    """

    code: str
    detail: str


Command = Subscribe | Send | Ignored


class Session:
    """The protocol's server side for one connection; the handler of each client message.

    Args:
        max_subscriptions: investigations that the connection may be subscribed to at a time (SUB-3).

    """

    __slots__ = ("_max_subscriptions", "_subscriptions")

    def __init__(self, *, max_subscriptions: int) -> None:
        self._max_subscriptions = max_subscriptions
        self._subscriptions: set[str] = set()

    def receive(self, text: str) -> Sequence[Command]:
        """Take one text message and return what is to be done, in order."""
        try:
            return dispatch(text, self)
        except MalformedMessage as error:
            return (Ignored(error.code, error.detail),)

    def on_subscribe_investigation(self, message: NegotiatedSubscribeInvestigation) -> Sequence[Command]:
        """Subscribe and confirm, again where it was before (SUB-1, SUB-4)."""
        investigation_id = message.investigation_id
        if investigation_id not in self._subscriptions:
            if len(self._subscriptions) >= self._max_subscriptions:
                return (Ignored("subscription_limit", f"{self._max_subscriptions} subscriptions are held"),)
            self._subscriptions.add(investigation_id)
        confirmation = Frames(frames.text_frame(frames.confirmation(investigation_id)))
        return (Subscribe(investigation_id), Send(confirmation))

    def on_hello(self, message: Hello) -> Sequence[Command]:
        """Ignore it: this server knows part 1 alone."""
        return self.on_unknown(message.type, message.model_dump())

    def on_unsubscribe_investigation(self, message: UnsubscribeInvestigation) -> Sequence[Command]:
        """Ignore it: this server knows part 1 alone."""
        return self.on_unknown(message.type, message.model_dump())

    def on_ping(self, message: Ping) -> Sequence[Command]:
        """Ignore it: this server knows part 1 alone."""
        return self.on_unknown(message.type, message.model_dump())

    def on_pong(self, message: Pong) -> Sequence[Command]:
        """Ignore it: this server knows part 1 alone."""
        return self.on_unknown(message.type, message.model_dump())

    def on_unknown(self, type_: str, message: dict[str, Any]) -> Sequence[Command]:  # noqa: ARG002 - handler protocol
        """Tolerate a message of a type that this server does not know (ROB-3)."""
        return (Ignored("unknown_type", f"type {type_[:64]!r}"),)
