"""The one correct server. Every fault and every oddity is a subclass that overrides a method or two of it.

It keeps all of Part 1, with the strictest limits that the protocol allows and short times where the protocol
has long ones. It is the control: a check that fails against it is wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from unicodedata import category

from .jsontext import NotJson, dump, members, parse
from .peer import Peer, frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from websockets.extensions import ServerExtensionFactory

LONGEST_ID = 255
LARGEST_BODY = 4 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    message_bytes: int = 64 * 1024
    subscriptions: int = 128
    queue_bytes: int = 1024 * 1024
    queue_messages: int = 1024
    stalled_write: float = 1.0
    closing: float = 1.0
    rate: float | None = None
    """Client messages a second that are read after the first `burst` ones; None reads all at once."""
    burst: int = 20


@dataclass(frozen=True)
class Event:
    """What was published: the payload as a value and as the text that spelt it (EVT-1, EVT-6)."""

    investigation_id: str
    data: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


Answer: TypeAlias = Reply | Awaitable[Reply]
ACCEPTED = Reply(202, b'{"accepted":true}', (("Content-Type", "application/json"),))


class Server:
    """The correct server: who is connected, who subscribed to what, and what is sent to whom."""

    limits: ClassVar[Limits] = Limits()
    peer_class: ClassVar[type[Peer]] = Peer
    fallback: ClassVar[bool] = True
    capable: ClassVar[bool] = False
    """Whether it answers `hello`."""
    guarded: ClassVar[bool] = False
    """Whether it demands tokens: the judge needs those of `capable.guarded`."""
    extensions: ClassVar[Sequence[ServerExtensionFactory]] = ()

    def __init__(self) -> None:
        self.peers: dict[Peer, None] = {}
        self.subscribers: dict[str, dict[Peer, None]] = {}
        self.published = 0
        self.transports: set[asyncio.Transport] = set()
        self._allowance: dict[Peer, tuple[float, float]] = {}
        self._timers: set[asyncio.TimerHandle] = set()

    # HTTP.

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:  # noqa: ARG002 - for overrides
        """Return a refusal of the upgrade, or None to accept it (CONN-1)."""
        if client_id in ("", ".", "..") or "/" in client_id or any(category(c) == "Cc" for c in client_id):
            return Reply(404, b"no such endpoint\n")
        return None

    def plain_get(self, client_id: str) -> Reply | None:  # noqa: ARG002 - for overrides
        """Answer a GET without upgrade on the WebSocket's path (CONN-2); None hangs up."""
        return Reply(426, b"this is a WebSocket\n", (("Upgrade", "websocket"),))

    def inject(self, body: bytes) -> Answer:
        """Publish what the body says, keeping the payload's own text."""
        try:
            found = members(body.decode())
            investigation_id = found["investigation_id"][0]
            data, text = found["data"]
        except (NotJson, UnicodeDecodeError) as error:
            return Reply(400, f"{error}\n".encode(errors="replace"))
        except KeyError as error:
            return Reply(422, f"{error} is missing\n".encode())
        if not valid_id(investigation_id) or not isinstance(data, dict):
            return Reply(422, b"investigation_id must be a string of 1 to 255 characters, data an object\n")
        return self.accept(Event(investigation_id, data, text))

    def accept(self, event: Event) -> Answer:
        """Publish an event that was well injected, and say so."""
        self.published += 1
        self.publish(event)
        return ACCEPTED

    def restart(self) -> Reply:
        """Start anew, as far as a client can tell; a server without a memory has nothing to forget."""
        for peer in list(self.peers):
            peer.close(1012, "the server restarts")
        return Reply(204)

    def trigger(self, investigation_id: str) -> Reply:
        """Make the server emit an event of its own (EVT-2 to EVT-5 are about these)."""
        if not valid_id(investigation_id):
            return Reply(404, b"no such investigation\n")
        for data in self.own_events(investigation_id):
            self.accept(Event(investigation_id, data, dump(data).decode()))
        return Reply(202)

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Return the payloads that one trigger makes the server publish."""
        task = {"task_id": "task-1", "name": "domain_recon", "investigation_id": investigation_id}
        return (
            {"type": "task_started", "status": "running", "progress": 0, **task},
            {"type": "task_completed", "status": "completed", "progress": 1.0, **task},
        )

    # A connection's life.

    def opened(self, peer: Peer) -> None:
        """Take a new connection in; it starts without subscriptions (SUB-8)."""
        self.peers[peer] = None

    def closed(self, peer: Peer) -> None:
        """End the subscriptions of this connection and of no other (CONN-6, SUB-8)."""
        self.peers.pop(peer, None)
        for investigation_id in list(peer.subscriptions):
            self.unsubscribe(peer, investigation_id)

    def forget(self, peer: Peer) -> None:
        """Drop what was kept about a connection whose TCP connection is gone."""
        self._allowance.pop(peer, None)

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Send the pong frame that answers a ping (CONN-3)."""
        peer.write(pong)

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Send the close frame that answers the client's (CONN-4)."""
        peer.write(close)

    def stalled(self, peer: Peer) -> None:
        """End a connection whose client has read nothing for `Limits.stalled_write` (ROB-5)."""
        peer.abort()

    def overflowed(self, peer: Peer) -> None:
        """End a connection for which too much waits; what waited is gone already (ROB-5)."""
        peer.close(1013, "too slow")

    def queue_is_full(self, peer: Peer, messages: int, size: int) -> bool:  # noqa: ARG002 - for overrides
        """Say whether no more may wait for this client (ROB-5)."""
        return messages > self.limits.queue_messages or size > self.limits.queue_bytes

    def throttle(self, peer: Peer) -> float:
        """Return how long the client's next message must wait, in seconds; 0 spends a token of its bucket."""
        rate = self.limits.rate
        if rate is None:
            return 0
        now = time.monotonic()
        tokens, since = self._allowance.get(peer, (float(self.limits.burst), now))
        tokens = min(float(self.limits.burst), tokens + (now - since) * rate)
        if tokens >= 1:
            self._allowance[peer] = (tokens - 1, now)
            return 0
        self._allowance[peer] = (tokens, now)
        return (1 - tokens) / rate

    # Client messages.

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Take a text message apart."""
        try:
            message = parse(data.decode())
        except UnicodeDecodeError:
            self.not_text(peer)
        except NotJson:
            self.malformed(peer)
        else:
            if isinstance(message, dict) and isinstance(message.get("type"), str):
                self.received(peer, message)
            else:
                self.malformed(peer)

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Take a binary message, which this protocol has none of (ROB-2)."""
        del data
        self.malformed(peer)

    def not_text(self, peer: Peer) -> None:
        """Fail the connection after invalid UTF-8, as RFC 6455 section 8.1 asks."""
        peer.close(1007, "invalid UTF-8")

    def malformed(self, peer: Peer) -> None:
        """Ignore what cannot be understood (ROB-2)."""

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Carry a message out by its type."""
        if message["type"] != "subscribe_investigation":
            self.unknown(peer, message)
        elif valid_id(message.get("investigation_id")):
            self.subscribe(peer, message)
        else:
            self.malformed(peer)

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Tolerate a message of unknown type (ROB-3)."""

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Carry a valid subscribe out, then confirm it (SUB-1, SUB-2)."""
        investigation_id: str = message["investigation_id"]
        if investigation_id in peer.subscriptions or len(peer.subscriptions) < self.limits.subscriptions:
            self.add(peer, investigation_id)
            self.confirm(peer, investigation_id)

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Make a subscription effective; twice is once (SUB-4)."""
        peer.subscriptions[investigation_id] = None
        self.subscribers.setdefault(investigation_id, {})[peer] = None

    def unsubscribe(self, peer: Peer, investigation_id: str) -> None:
        """Remove one subscription of one connection."""
        peer.subscriptions.pop(investigation_id, None)
        subscribers = self.subscribers.get(investigation_id, {})
        subscribers.pop(peer, None)
        if not subscribers:
            self.subscribers.pop(investigation_id, None)

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Send the confirmation."""
        peer.send(self.confirmation(investigation_id))

    def confirmation(self, investigation_id: str) -> bytes:
        """Return a confirmation's text."""
        return dump({"type": "subscription_confirmed", "investigation_id": investigation_id})

    # Events.

    def publish(self, event: Event) -> None:
        """Deliver an event to everyone who must have it."""
        message = self.update(event)
        for peer in self.receivers(event):
            self.deliver(peer, event, message)

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Return the investigation's subscribers, or everyone where it has none (DEL-1 to DEL-3)."""
        subscribers = self.subscribers.get(event.investigation_id)
        if subscribers:
            return tuple(subscribers)
        return tuple(self.peers) if self.fallback else ()

    def update(self, event: Event) -> bytes:
        """Return an update's text, with the payload as it was published (EVT-1, EVT-6)."""
        try:
            payload = self.payload(event)
        except RecursionError:  # an override that walks the value: EVT-1 judges 32 levels of nesting only
            payload = event.text.encode()
        return update_text(event.investigation_id, payload)

    def payload(self, event: Event) -> bytes:
        """Return the payload's text."""
        return event.text.encode()

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:  # noqa: ARG002 - for overrides
        """Send an update to one client."""
        peer.send(message)

    def framed(self, message: bytes) -> bytes:
        """Return a message's frames, whatever its nesting."""
        try:
            return self.frames(message)
        except RecursionError:  # as in `update`
            return frame(message)

    def frames(self, message: bytes) -> bytes:
        """Return the frames that carry one message."""
        return frame(message)

    # Time.

    def later(self, delay: float, action: Callable[[], object]) -> None:
        """Do something after a delay in seconds, unless the server has ended by then."""

        def run() -> None:
            self._timers.discard(handle)
            action()

        handle = asyncio.get_running_loop().call_later(delay, run)
        self._timers.add(handle)

    def stop(self) -> None:
        """Say good-bye to everyone."""
        for timer in self._timers:
            timer.cancel()
        for peer in list(self.peers):
            peer.close(1001, "the server ends")


def valid_id(value: object) -> bool:
    """Say whether a value is an investigation's id: a string of 1 to 255 characters."""
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_ID


def update_text(investigation_id: str, payload: bytes) -> bytes:
    """Return an envelope around a payload's text."""
    head = b'{"type":"investigation_update","investigation_id":'
    return head + dump(investigation_id) + b',"data":' + payload + b"}"
