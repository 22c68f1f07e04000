"""Faults in the face of malformed input: ROB-1 and ROB-2."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

from .catalogue import fault
from .jsontext import NotJson, parse
from .peer import Peer
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .server import Event


# ROB-1: malformed input is nobody else's business.


@fault("ROB-1")
class MalformedClosesEveryone(Server):
    """Closes every other connection after malformed input."""

    def malformed(self, peer: Peer) -> None:
        """Let one exception end the loop of all."""
        for other in list(self.peers):
            if other is not peer:
                other.close(1011, "internal error")


@fault("ROB-1", subtle=True)
class MalformedStopsDeliveries(Server):
    """Delivers nothing for 50 ms after malformed input, until the dispatcher is started again."""

    def __init__(self) -> None:
        super().__init__()
        self._down = False

    def malformed(self, peer: Peer) -> None:
        """Kill the dispatcher."""
        del peer
        self._down = True
        self.later(0.05, self._restart)

    def _restart(self) -> None:
        self._down = False

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Find nobody while it is down."""
        lost = self._down and event.investigation_id in self.subscribers
        return () if lost else super().receivers(event)


@fault("ROB-1", subtle=True)
class NonObjectsClearSubscriptions(Server):
    """Forgets every subscription of every connection after a JSON value that is no object."""

    fallback = False

    def malformed(self, peer: Peer) -> None:
        """Forget only when the text was JSON."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Start the registry anew after an exception."""
        super().received_text(peer, data)
        try:
            value = parse(data.decode(errors="replace"))
        except NotJson:
            return
        if not isinstance(value, dict):
            for other in list(self.peers):
                for investigation_id in list(other.subscriptions):
                    self.unsubscribe(other, investigation_id)


@fault("ROB-1", subtle=True)
class CrashesOnDeepNesting(Server):
    """Drops every connection after a message nested more than 500 deep: the process is started again."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Exhaust the stack."""
        if data.count(b"[") + data.count(b"{") > 500:
            for other in list(self.peers):
                other.abort()
        else:
            super().received_text(peer, data)


@fault("ROB-1", subtle=True)
class BinaryLosesNextEvent(Server):
    """Loses the next event for all after a binary message."""

    def __init__(self) -> None:
        super().__init__()
        self._broken = False

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Leave an exception for the next one to find."""
        super().received_binary(peer, data)
        self._broken = True

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Find it."""
        if self._broken and event.investigation_id in self.subscribers:
            self._broken = False
            return ()
        return super().receivers(event)


@fault("ROB-1", subtle=True)
class OversizeClosesNeighbour(Server):
    """Closes the oldest other connection when a message is too large, as if they shared a buffer."""

    def closed(self, peer: Peer) -> None:
        """Take the neighbour along."""
        neighbour = next((other for other in self.peers if other is not peer), None)
        super().closed(peer)
        if peer.too_big and neighbour is not None:
            neighbour.close(1009, "message too big")


@fault("ROB-1", subtle=True)
class UnfinishedMessageBlocksOthers(Server):
    """Reads nobody else's messages while a client has sent a part of a fragmented one (for up to 2 s)."""

    def __init__(self) -> None:
        super().__init__()
        self._since: float | None = None

    def throttle(self, peer: Peer) -> float:
        """Wait for the one that holds the lock."""
        if not any(other is not peer and other.fragmented is not None for other in self.peers):
            self._since = None
            return super().throttle(peer)
        now = time.monotonic()
        self._since = self._since or now
        return 0.01 if now - self._since < 2 else super().throttle(peer)


# ROB-2: what may be done about malformed input.


@fault("ROB-2")
class DropsTcpOnMalformed(Server):
    """Drops the TCP connection without a close frame after malformed input (a SHOULD)."""

    def malformed(self, peer: Peer) -> None:
        """Hang up."""
        peer.abort()


@fault("ROB-2")
class ClosesWith1011OnMalformed(Server):
    """Closes with 1011, an internal error, after malformed input."""

    def malformed(self, peer: Peer) -> None:
        """Let the framework handle the exception."""
        peer.close(1011, "internal error")


@fault("ROB-2", subtle=True)
class ClosesWith1000OnBinary(Server):
    """Closes with 1000 after a binary message."""

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Take it for a good-bye."""
        del data
        peer.close(1000)


@fault("ROB-2", subtle=True)
class DropsTcpOnBinary(Server):
    """Drops the TCP connection after a binary message: the framework looks for a text in it (a SHOULD)."""

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Fail with a KeyError."""
        del data
        peer.abort()


@fault("ROB-2", subtle=True)
class DropsTcpOnInvalidUtf8(Server):
    """Drops the TCP connection without a close frame after invalid UTF-8 (a SHOULD)."""

    def not_text(self, peer: Peer) -> None:
        """Hang up."""
        peer.abort()


class GoesDeaf(Server):
    """Can stop to read a connection that stays open."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf: set[Peer] = set()

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Read, unless the reader has ended."""
        if peer not in self.deaf:
            super().received_text(peer, data)

    def forget(self, peer: Peer) -> None:
        """Clean up."""
        super().forget(peer)
        self.deaf.discard(peer)


@fault("ROB-2", subtle=True)
class GoesDeafOnBadJson(GoesDeaf):
    """Neither closes nor reads on after malformed input: its reader has ended silently."""

    def malformed(self, peer: Peer) -> None:
        """End the reader."""
        self.deaf.add(peer)


@fault("ROB-2", subtle=True)
class GoesDeafOnNonObjects(GoesDeaf):
    """Neither closes nor reads on after a JSON value that is no object."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Call a method that a list does not have."""
        super().received_text(peer, data)
        try:
            value = parse(data.decode(errors="replace"))
        except NotJson:
            return
        if not isinstance(value, dict):
            self.deaf.add(peer)


@fault("ROB-2", subtle=True)
class ConfirmsBinary(Server):
    """Confirms a subscribe that comes in a binary message."""

    def received_binary(self, peer: Peer, data: bytes) -> None:
        """Read bytes as text."""
        self.received_text(peer, data)


class _Repairs(Server):
    """Reads more than JSON."""

    def repaired(self, text: bytes) -> bytes:
        """Return what to read."""
        raise NotImplementedError

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Repair it, and read."""
        super().received_text(peer, self.repaired(data))


@fault("ROB-2", subtle=True)
class ConfirmsNan(_Repairs):
    """Confirms a subscribe with a NaN or an Infinity in an unknown field, which is no JSON."""

    def repaired(self, text: bytes) -> bytes:
        """Read as Python does by default."""
        return re.sub(rb"(?<=[:,\[])(\s*)(?:NaN|-?Infinity)(?=\s*[,\]}])", rb"\1null", text)


@fault("ROB-2", subtle=True)
class ConfirmsTrailingText(_Repairs):
    """Confirms a subscribe that has something behind it in the same message."""

    def repaired(self, text: bytes) -> bytes:
        """Stop at the end of the first value."""
        try:
            decoded = text.decode()
            return decoded[: json.JSONDecoder().raw_decode(decoded)[1]].encode()
        except (ValueError, RecursionError):
            return text


@fault("ROB-2", subtle=True)
class ConfirmsTrailingCommas(_Repairs):
    """Confirms a subscribe with a comma behind its last member."""

    def repaired(self, text: bytes) -> bytes:
        """Read JSON5."""
        return re.sub(rb",\s*\}\s*$", b"}", text)


@fault("ROB-2", subtle=True)
class ConfirmsInvalidUtf8(_Repairs):
    """Confirms a subscribe that is no valid UTF-8, with U+FFFD in the place of what is wrong."""

    def repaired(self, text: bytes) -> bytes:
        """Replace."""
        return text.decode(errors="replace").encode()


@fault("ROB-2", subtle=True)
class ConfirmsBatches(_Repairs):
    """Confirms the subscribes in a JSON array, as a batch."""

    def repaired(self, text: bytes) -> bytes:
        """Take the only one out."""
        stripped = text.strip()
        return stripped[1:-1] if stripped[:1] == b"[" and stripped[-1:] == b"]" else text


@fault("ROB-2", subtle=True)
class ComparesTypesLoosely(Server):
    """Confirms a subscribe whose type is a list with the right string in it, as JavaScript's == would."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Compare as strings."""
        super().received_text(peer, re.sub(rb'"type"\s*:\s*\[\s*("[a-z_]*")\s*\]', rb'"type":\1', data))
