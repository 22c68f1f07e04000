"""The protocol's client side, over all connections of a client: messages in, commands out.

No I/O, and no clock of its own: all times are given, as seconds of one monotonic clock.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from osint_events import (
    Backpressure,
    Error,
    Gap,
    Hello,
    HelloAuth,
    HelloClient,
    NegotiatedInvestigationUpdate,
    NegotiatedServerMessage,
    NegotiatedSubscribeInvestigation,
    NegotiatedSubscriptionConfirmed,
    Ping,
    Pong,
    Position,
    ReplayComplete,
    Unsubscribed,
    UnsubscribeInvestigation,
    Welcome,
    parse_negotiated_server_message,
)
from osint_events.features import is_used, used
from osint_events.handlers import MalformedMessage, decode
from osint_events.scopes import ScopeValue
from pydantic import ValidationError

from osint_events_client.heartbeat import Heartbeat, Pulse
from osint_events_client.items import Item, Moved, Refused
from osint_events_client.subscription import Outcome, Resume, Subscription, SubscriptionMessage

_log = logging.getLogger("osint_events_client")

_PROTOCOL: Final = 1
_RETRY_AFTER: Final = 1.0
"""Seconds before a message is sent again that could not be carried out, where the server says none."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text message."""

    text: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Send a Ping frame, whose Pong is a sign of life."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand this over: to the application, or to whom keeps its positions."""

    item: Item | Moved


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Drop the connection: the server is silent."""


Command = Send | Probe | Deliver | GiveUp


@dataclass(frozen=True, slots=True)
class _Request:
    """A message that awaits its answer, or its next attempt."""

    investigation_id: str
    unsubscribes: bool = False
    resumes: bool = False


class Session:
    """What a client wants, what a connection has granted, and what is expected next.

    Args:
        features: what is asked for; none: no hello is sent, and every connection is one of part 1.
        client: what the server is told about the client.
        interval: seconds of silence after which the server is probed; a server may say otherwise.
        timeout: seconds that it then has to answer; a server may say otherwise.

    """

    def __init__(
        self,
        *,
        features: Sequence[str],
        client: HelloClient,
        interval: float,
        timeout: float,
    ) -> None:
        self._wanted = tuple(features)
        self._client = client
        self._times = (interval, timeout)
        self._heartbeat = Heartbeat(interval, timeout)
        self._subscriptions: dict[str, Subscription] = {}
        self._next = 0
        self._begin()

    def _begin(self) -> None:
        """Forget what was true of the last connection alone."""
        self.features: frozenset[str] = frozenset()
        """What is used on this connection: `hello` and what the welcome granted; nothing on a core one."""
        self._is_settled = not self._wanted
        self._requests: dict[str, _Request] = {}
        self._retries: list[tuple[float, _Request]] = []
        self._left: set[str] = set()
        self.last_error: str | None = None
        """What the server said last that it did not carry out, on this connection."""

    def connected(self, now: float, auth_token: str | None = None) -> list[Command]:
        """Begin a connection: hello and all subscribes at once, since a core server ignores hello (NEG-2).

        The token says who the client is (SEC-1), where the server asks for it.
        """
        self._begin()
        self._heartbeat = Heartbeat(*self._times)
        self._heartbeat.heard(now)
        commands: list[Command] = []
        if self._wanted:
            hello = Hello(type="hello", protocol=_PROTOCOL, features=list(self._wanted), client=self._client)
            if auth_token is not None:
                hello.auth = HelloAuth(token=auth_token)
            commands.append(Send(hello.model_dump_json()))
        subscribes = (_Request(investigation_id, resumes=True) for investigation_id in self._subscriptions)
        return commands + [self._ask(request) for request in subscribes]

    def disconnected(self) -> None:
        """Take note that the connection ended."""
        for subscription in self._subscriptions.values():
            subscription.disconnected()

    def subscribe(
        self, investigation_id: str, scope: Iterable[ScopeValue] | None = None, token: str | None = None
    ) -> list[Command]:
        """Subscribe, or change the scope of a subscription; the commands are for the open connection.

        With a token an earlier position is resumed, which is lost where there is a subscription already.
        Raises ValueError where an argument breaks the protocol.
        """
        wanted = None if scope is None else tuple(scope)
        _check(investigation_id, wanted)
        subscription = self._subscriptions.get(investigation_id)
        if subscription is None or token is not None:
            subscription = self._subscriptions[investigation_id] = Subscription(investigation_id, token=token)
        subscription.scope = wanted
        self._left.discard(investigation_id)
        return [self._ask(_Request(investigation_id, resumes=token is not None))]

    def unsubscribe(self, investigation_id: str) -> list[Command]:
        """Want no more of an investigation; a server that cannot unsubscribe is not listened to."""
        if self._subscriptions.pop(investigation_id, None) is None:
            return []
        self._left.add(investigation_id)
        return self._leave() if self._is_settled else []

    def heard(self, now: float) -> None:
        """Take note of a frame that was no message, or that reading goes on after a pause."""
        self._heartbeat.heard(now)

    def deadline(self) -> float:
        """Give the time at which `tick` is due."""
        return min((self._heartbeat.deadline(), *(due for due, _ in self._retries)))

    def tick(self, now: float) -> list[Command]:
        """Do what is due."""
        due = [request for at, request in self._retries if at <= now]
        self._retries = [(at, request) for at, request in self._retries if at > now]
        commands: list[Command] = [self._ask(request) for request in due if self._is_wanted(request)]
        match self._heartbeat.check(now):
            case Pulse.PROBE if "heartbeat" in self.features:
                commands.append(Send(Ping(type="ping", id=self._reference()).model_dump_json()))
            case Pulse.PROBE:
                commands.append(Probe())
            case Pulse.DEAD:
                commands.append(GiveUp())
            case Pulse.ALIVE:
                pass
        return commands

    def receive(self, text: str, now: float) -> list[Command]:
        """Take a text message. What is not known or not valid is ignored (CLT-2)."""
        self._heartbeat.heard(now)
        try:
            message = decode(text)
            type_ = message.get("type")
            if not isinstance(type_, str) or not is_used(type_, self.features):
                return []
            parsed = parse_negotiated_server_message(used(message, self.features))
        except (MalformedMessage, ValidationError) as error:
            said = error.detail if isinstance(error, MalformedMessage) else _first(error)
            _log.warning("a message of the server is not valid and was ignored: %s", said)
            return []
        return list(self._handled(parsed, now))

    def _handled(self, message: NegotiatedServerMessage, now: float) -> Iterator[Command]:
        match message:
            case Welcome():
                yield from self._welcomed(message)
            case (
                NegotiatedSubscriptionConfirmed()
                | NegotiatedInvestigationUpdate()
                | ReplayComplete()
                | Position()
                | Gap()
            ):
                yield from self._passed_on(message)
            case Unsubscribed():
                self._answered(message.ref)
            case Ping(id=id_):
                yield Send(Pong(type="pong", id=id_).model_dump_json())
            case Error():
                yield from self._failed(message, now)
            case Backpressure():
                _log.info("the server says that its queue for this client is %s", message.state)
            case _:
                pass

    def _passed_on(self, message: SubscriptionMessage) -> Iterator[Command]:
        if isinstance(message, NegotiatedSubscriptionConfirmed):
            # Without a welcome before it, the server knows part 1 alone (NEG-2).
            self._is_settled = True
            self._answered(message.ref)
        if subscription := self._subscriptions.get(message.investigation_id):
            yield from self._commands(subscription, subscription.received(message))

    def _welcomed(self, message: Welcome) -> Iterator[Command]:
        if self._is_settled:
            return
        self._is_settled = True
        self.features = frozenset({"hello", *message.features} & {"hello", *self._wanted})
        if "heartbeat" in self.features and message.heartbeat is not None:
            times = message.heartbeat
            self._heartbeat.set_times(times.interval_ms / 1000, times.timeout_ms / 1000)
        yield from self._leave()

    def _answered(self, ref: str | None) -> _Request | None:
        if not self.features:
            self._requests.clear()  # a core server echoes no reference
        return self._requests.pop(ref, None) if ref is not None else None

    def _failed(self, message: Error, now: float) -> Iterator[Command]:
        self.last_error = f"{message.code}: {message.message}"
        _log.info("the server reports %s", self.last_error)
        request = self._answered(message.ref)
        if message.ref is None or request is None or not self._is_wanted(request):
            return
        if message.temporary:
            wait = _RETRY_AFTER if message.retry_after_ms is None else message.retry_after_ms / 1000
            self._retries.append((now + wait, request))
            return
        if request.unsubscribes:
            return
        subscription = self._subscriptions[request.investigation_id]
        yield Deliver(Refused(request.investigation_id, message.code, message.message))
        if subscription.is_confirmed:
            yield from self._commands(subscription, subscription.refused(message.ref, message.code))
        else:
            del self._subscriptions[request.investigation_id]

    def _commands(self, subscription: Subscription, outcomes: Iterable[Outcome]) -> Iterator[Command]:
        for outcome in outcomes:
            if isinstance(outcome, Resume):
                yield self._ask(_Request(subscription.investigation_id, resumes=True))
            else:
                yield Deliver(outcome)

    def _leave(self) -> list[Command]:
        left = [_Request(investigation_id, unsubscribes=True) for investigation_id in sorted(self._left)]
        self._left.clear()
        return [self._ask(request) for request in left] if "unsubscribe" in self.features else []

    def _is_wanted(self, request: _Request) -> bool:
        return request.unsubscribes != (request.investigation_id in self._subscriptions)

    def _ask(self, request: _Request) -> Send:
        ref = self._reference()
        self._requests[ref] = request
        if request.unsubscribes:
            message = UnsubscribeInvestigation(
                type="unsubscribe_investigation", investigation_id=request.investigation_id, ref=ref
            )
            return Send(message.model_dump_json())
        subscription = self._subscriptions[request.investigation_id]
        return Send(subscription.request(ref, resume=request.resumes).model_dump_json())

    def _reference(self) -> str:
        self._next += 1
        return str(self._next)


def _check(investigation_id: str, scope: tuple[ScopeValue, ...] | None) -> None:
    """Raise ValueError, in one line, where a subscribe would break its schema."""
    fields = {"investigation_id": investigation_id} | ({} if scope is None else {"scope": list(scope)})
    try:
        NegotiatedSubscribeInvestigation.model_validate({"type": "subscribe_investigation", **fields})
    except ValidationError as error:
        raise ValueError(_first(error)) from None


def _first(error: ValidationError) -> str:
    """Say what is wrong first, and where; nothing of the message itself is in it."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
