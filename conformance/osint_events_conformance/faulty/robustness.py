"""Faults in the face of what must be tolerated: ROB-3 and ROB-4, and LEG-5."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from .catalogue import fault
from .jsontext import dump
from .malformed import GoesDeaf
from .peer import Peer
from .server import Server

# ROB-3: unknown types.


@fault("ROB-3")
class ClosesOnUnknownType(Server):
    """Closes the connection after a message of unknown type."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Be strict where the protocol is lenient."""
        del message
        peer.close(1008, "unknown type")


@fault("ROB-3", subtle=True)
class ClosesOnEmptyType(Server):
    """Closes the connection after a message whose type is the empty string."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take it for missing."""
        if not message["type"]:
            peer.close(1008, "type is missing")


@fault("ROB-3", subtle=True)
class ClosesOnTenthUnknown(Server):
    """Closes the connection after its tenth message of unknown type."""

    def __init__(self) -> None:
        super().__init__()
        self._strikes: dict[Peer, int] = {}

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Count strikes."""
        del message
        self._strikes[peer] = self._strikes.get(peer, 0) + 1
        if self._strikes[peer] == 10:
            peer.close(1008, "too many errors")

    def forget(self, peer: Peer) -> None:
        """Clean up."""
        super().forget(peer)
        self._strikes.pop(peer, None)


@fault("ROB-3", subtle=True)
class CallsMethodsByType(Server):
    """Looks a handler up by the message's type, and so runs its own `close` or `disconnect`."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Run it."""
        if message["type"] in {"close", "disconnect", "constructor", "__init__", "__class__"}:
            peer.close(1000)


@fault("ROB-3", subtle=True)
class GoesDeafOnUnknownType(GoesDeaf):
    """Reads nothing more after a message of unknown type, and keeps the connection open."""

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """End the reader."""
        del message
        self.deaf.add(peer)


@fault("ROB-3", subtle=True)
class UnknownTypeEndsSubscriptions(Server):
    """Ends a connection's subscriptions when it sends a message of unknown type."""

    fallback = False

    def unknown(self, peer: Peer, message: dict[str, Any]) -> None:
        """Start anew."""
        del message
        for investigation_id in list(peer.subscriptions):
            self.unsubscribe(peer, investigation_id)


@fault("ROB-3", subtle=True)
class FoldsTypes(Server):
    """Takes SUBSCRIBE_INVESTIGATION, an unknown type, for the one that it knows, and confirms it."""

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Ignore case and spaces."""
        super().received(peer, {**message, "type": message["type"].strip().lower()})


# ROB-4: 64 KiB.


@fault("ROB-4")
class LimitsMessagesTo32K(Server):
    """Closes the connection after a message of more than 32 KiB."""

    limits = replace(Server.limits, message_bytes=32 * 1024)


@fault("ROB-4", subtle=True)
class LimitsMessagesOneByteShort(Server):
    """Closes the connection after a message of exactly 64 KiB."""

    limits = replace(Server.limits, message_bytes=64 * 1024 - 1)


@fault("ROB-4", subtle=True)
class IgnoresLargeMessages(Server):
    """Ignores a message of more than 16 KiB."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Fill the buffer, and give up."""
        if len(data) <= 16 * 1024:
            super().received_text(peer, data)


@fault("ROB-4", subtle=True)
class CountsEscapedSize(Server):
    """Counts a message's size after escaping what is not ASCII, and ignores what is over 80 KiB then."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Count escapes."""
        if len(json.dumps(data.decode(errors="replace"))) <= 80 * 1024:
            super().received_text(peer, data)


# LEG-5: clients that know only Part 1.


@fault("LEG-5", subtle=True)
class WantsHeartbeats(Server):
    """Sends pings of its own as messages, and closes a connection that leaves one unanswered for a second."""

    def opened(self, peer: Peer) -> None:
        """Begin to ask."""
        super().opened(peer)
        self.later(0.5, lambda: self._ask(peer))

    def _ask(self, peer: Peer) -> None:
        if peer.open:
            peer.send(dump({"type": "ping", "id": "1"}))
            self.later(1, lambda: peer.close(4001, "no pong"))


@fault("LEG-5", subtle=True)
class WantsEarlySubscribes(Server):
    """Closes a connection that is not subscribed to anything after a second."""

    def opened(self, peer: Peer) -> None:
        """Give it a second."""
        super().opened(peer)
        self.later(1, lambda: self._look_at(peer))

    def _look_at(self, peer: Peer) -> None:
        if not peer.subscriptions:
            peer.close(4504, "nothing was asked for")


@fault("LEG-5", subtle=True)
class WantsHello(Server):
    """Closes a connection that has not said hello within a second."""

    def opened(self, peer: Peer) -> None:
        """Give it a second."""
        super().opened(peer)
        self.later(1, lambda: peer.close(4504, "authentication timeout"))


@fault("LEG-5", subtle=True)
class ClosesQuietConnections(Server):
    """Closes a connection that has sent nothing for a second, though it is subscribed and gets events."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: dict[Peer, float] = {}

    def opened(self, peer: Peer) -> None:
        """Start the timer."""
        super().opened(peer)
        self._heard[peer] = time.monotonic()
        self.later(1, lambda: self._check(peer))

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Start it again."""
        self._heard[peer] = time.monotonic()
        super().received_text(peer, data)

    def _check(self, peer: Peer) -> None:
        rest = self._heard[peer] + 1 - time.monotonic()
        if rest > 0:
            self.later(rest, lambda: self._check(peer))
            return
        del self._heard[peer]
        peer.close(1000, "idle")
