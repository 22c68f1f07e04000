"""Faults of the connection: CONN-1 to CONN-7."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from websockets.frames import Opcode

from .catalogue import fault
from .peer import Peer
from .server import Reply, Server

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from websockets.frames import Frame

    from .server import Event

_BAD = Reply(400, b"bad client_id\n")
_TAKEN = Reply(409, b"client_id in use\n")

# CONN-1: the handshake.


@fault("CONN-1")
class RefusesUnderscores(Server):
    """Refuses a client_id with an underscore, as a host-name check would."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Check by the wrong pattern."""
        return _BAD if "_" in client_id else super().handshake(client_id, headers)


@fault("CONN-1", subtle=True)
class RefusesLongClientIds(Server):
    """Refuses a client_id of more than 64 characters."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Expect something like a UUID."""
        return _BAD if len(client_id) > 64 else super().handshake(client_id, headers)


@fault("CONN-1", subtle=True)
class RefusesLeadingDashes(Server):
    """Refuses a client_id that begins with a dash or an underscore."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Take the client_id for an identifier."""
        return _BAD if client_id.startswith(("-", "_")) else super().handshake(client_id, headers)


@fault("CONN-1", subtle=True)
class RefusesNonAsciiClientIds(Server):
    """Refuses a client_id with percent-encoded characters beyond ASCII (a SHOULD)."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Decode nothing beyond ASCII."""
        return super().handshake(client_id, headers) if client_id.isascii() else _BAD


# CONN-2: a plain GET.


@fault("CONN-2")
class AnswersPlainGetWithPage(Server):
    """Answers a plain GET on the path with 200 and a page."""

    def plain_get(self, client_id: str) -> Reply | None:
        """Serve the single-page application's index."""
        del client_id
        return Reply(200, b"<!doctype html><title>events</title>", (("Content-Type", "text/html"),))


@fault("CONN-2")
class CrashesOnPlainGet(Server):
    """Answers a plain GET on the path with 500."""

    def plain_get(self, client_id: str) -> Reply | None:
        """Miss a header."""
        del client_id
        return Reply(500, b"KeyError: 'sec-websocket-key'\n")


@fault("CONN-2")
class HangsUpOnPlainGet(Server):
    """Closes the TCP connection on a plain GET, without an answer."""

    def plain_get(self, client_id: str) -> None:
        """Say nothing."""


# CONN-3: ping and pong. A pong of up to 125 bytes has a head of two.


@fault("CONN-3")
class NeverPongs(Server):
    """Answers no ping."""

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Stay silent."""


@fault("CONN-3", subtle=True)
class PongsWithoutPayload(Server):
    """Answers a ping with an empty pong, whatever the ping carried."""

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Leave the payload out."""
        super().pong(peer, pong[:1] + b"\0")


@fault("CONN-3", subtle=True)
class CutsLongPongs(Server):
    """Cuts a pong's payload at 64 bytes."""

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Copy into a small buffer."""
        payload = pong[2:66]
        super().pong(peer, pong[:1] + bytes((len(payload),)) + payload)


@fault("CONN-3", subtle=True)
class PongsWithNextMessage(Server):
    """Holds a pong back until the client's next message, as a reader that sleeps in between does."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[Peer, list[bytes]] = {}

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Hold it."""
        self._held.setdefault(peer, []).append(pong)

    def received_text(self, peer: Peer, data: bytes) -> None:
        """Wake up."""
        for pong in self._held.pop(peer, ()):
            super().pong(peer, pong)
        super().received_text(peer, data)

    def forget(self, peer: Peer) -> None:
        """Drop what is held."""
        super().forget(peer)
        self._held.pop(peer, None)


class _MissesPings(Peer):
    """Notes the pings that come between fragments."""

    def __init__(self, server: Server, client_id: str, transport: asyncio.Transport) -> None:
        super().__init__(server, client_id, transport)
        self.missed: list[bytes] = []

    def assemble(self, event: Frame) -> None:
        """Note it."""
        if event.opcode is Opcode.PING and self.fragmented is not None:
            self.missed.append(bytes(event.data))
        super().assemble(event)


@fault("CONN-3", subtle=True)
class MissesPingsBetweenFragments(Server):
    """Answers no ping that comes between the fragments of a message."""

    peer_class = _MissesPings

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Leave those out."""
        if isinstance(peer, _MissesPings) and pong[2:] in peer.missed:
            peer.missed.remove(pong[2:])
        else:
            super().pong(peer, pong)


# CONN-4: the closing handshake. A close frame's code is in the third and fourth byte.


@fault("CONN-4")
class NeverAnswersClose(Server):
    """Ends the stream after the client's close frame without one of its own."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Stay silent."""


@fault("CONN-4", subtle=True)
class DropsCloseWithoutCode(Server):
    """Leaves a close frame without a code unanswered."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Look for the code that is not there."""
        if len(close) > 2:
            super().answer_close(peer, close)


@fault("CONN-4", subtle=True)
class DropsApplicationCloseCodes(Server):
    """Leaves a close frame with a code from 3000 on unanswered."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Know RFC 6455's own codes only."""
        if int.from_bytes(close[2:4], "big") < 3000:
            super().answer_close(peer, close)


@fault("CONN-4", subtle=True)
class DropsCloseOfSubscribers(Server):
    """Leaves the close frame of a client that holds subscriptions unanswered: the clean-up raises first."""

    def answer_close(self, peer: Peer, close: bytes) -> None:
        """Clean up, and forget the answer."""
        if not peer.subscriptions:
            super().answer_close(peer, close)


# CONN-5: two connections with one client_id.


def _twins(server: Server, peer: Peer) -> list[Peer]:
    """Return the open connections with this one's client_id, the oldest first."""
    return [other for other in server.peers if other.client_id == peer.client_id]


@fault("CONN-5")
class RefusesTwins(Server):
    """Refuses a client_id that is connected already."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Take the client_id for a lock."""
        if any(peer.client_id == client_id for peer in self.peers):
            return _TAKEN
        return super().handshake(client_id, headers)


class _ForgetsPeers(Server):
    """Can forget a connection: it stays open, and nothing it says is heard."""

    fallback = False

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: set[Peer] = set()

    def lose(self, peer: Peer) -> None:
        """Forget one."""
        Server.closed(self, peer)
        self.forgotten.add(peer)

    def forget(self, peer: Peer) -> None:
        """Clean up."""
        super().forget(peer)
        self.forgotten.discard(peer)

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Hear only who is known."""
        if peer not in self.forgotten:
            super().received(peer, message)


@fault("CONN-5")
class ForgetsOlderTwin(_ForgetsPeers):
    """Keeps connections by client_id: a new one replaces the older, which stays open and is forgotten."""

    def opened(self, peer: Peer) -> None:
        """Overwrite the entry."""
        super().opened(peer)
        for other in _twins(self, peer)[:-1]:
            self.lose(other)


@fault("CONN-5", subtle=True)
class ForgetsThirdTwin(_ForgetsPeers):
    """Accepts a third connection with the same client_id and never serves it."""

    def opened(self, peer: Peer) -> None:
        """Have room for two."""
        super().opened(peer)
        if len(_twins(self, peer)) > 2:
            self.lose(peer)


@fault("CONN-5", subtle=True)
class ConfirmsToNewestTwin(Server):
    """Sends a confirmation to the newest connection with that client_id, whichever asked."""

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Look the connection up by client_id."""
        super().confirm((_twins(self, peer) or [peer])[-1], investigation_id)


@fault("CONN-5", subtle=True)
class DeliversToOneTwin(Server):
    """Sends an update only once to each client_id, though two of its connections are subscribed."""

    def receivers(self, event: Event) -> tuple[Peer, ...]:
        """Collect by client_id; the newest wins."""
        return tuple({peer.client_id: peer for peer in super().receivers(event)}.values())


# CONN-6: the end of a connection. Without the fallback, which would turn a loss into strays.


@fault("CONN-6")
class LeaverClearsInvestigation(Server):
    """Ends every connection's subscription to an investigation when one of its subscribers leaves."""

    fallback = False

    def closed(self, peer: Peer) -> None:
        """Delete the whole entry."""
        for investigation_id in list(peer.subscriptions):
            for other in list(self.subscribers.get(investigation_id, ())):
                self.unsubscribe(other, investigation_id)
        super().closed(peer)


class _DropsOthers(Server):
    """Can end another connection's subscriptions."""

    fallback = False

    def drop(self, peer: Peer) -> None:
        """End them; the connection stays."""
        for investigation_id in list(peer.subscriptions):
            self.unsubscribe(peer, investigation_id)


@fault("CONN-6", subtle=True)
class OldConnectionTakesSubscriptionsAlong(_DropsOthers):
    """Keeps subscriptions by client_id, so that the end of an older connection ends the newer one's."""

    def closed(self, peer: Peer) -> None:
        """Clean up by name."""
        for other in _twins(self, peer):
            self.drop(other)
        super().closed(peer)


@fault("CONN-6", subtle=True)
class CleansUpLate(_DropsOthers):
    """Cleans up by client_id 100 ms after the end, and takes a quick reconnect's subscriptions along."""

    def closed(self, peer: Peer) -> None:
        """Leave a time for grace."""
        super().closed(peer)
        self.later(0.1, lambda: self._clean_up(peer))

    def _clean_up(self, peer: Peer) -> None:
        for other in _twins(self, peer):
            self.drop(other)


@fault("CONN-6", subtle=True)
class LeaverTakesPrefixesAlong(_DropsOthers):
    """Ends the subscriptions of every client_id that begins with the leaver's, as a scan for keys does."""

    def closed(self, peer: Peer) -> None:
        """Delete by pattern."""
        super().closed(peer)
        for other in list(self.peers):
            if other.client_id.startswith(peer.client_id) and other.client_id != peer.client_id:
                self.drop(other)


@fault("CONN-6", subtle=True)
class LeaverTakesLastSubscriberAlong(Server):
    """Removes the last subscriber of a list along with the leaver, by an index that has moved."""

    fallback = False

    def closed(self, peer: Peer) -> None:
        """Remove twice."""
        wanted = list(peer.subscriptions)
        super().closed(peer)
        for investigation_id in wanted:
            rest = list(self.subscribers.get(investigation_id, ()))
            if len(rest) > 1:
                self.unsubscribe(rest[-1], investigation_id)


@fault("CONN-6", subtle=True)
class AbortClearsInvestigation(LeaverClearsInvestigation):
    """Ends everyone's subscription to an investigation when a subscriber's TCP connection drops."""

    def closed(self, peer: Peer) -> None:
        """Handle the exception in the wrong place."""
        if peer.said_goodbye:
            Server.closed(self, peer)
        else:
            super().closed(peer)


# CONN-7: segments and fragments.


class _FirstOfSegment(Peer):
    """Reads the first message of a segment."""

    def data_received(self, data: bytes) -> None:
        """Drop what came along with it."""
        self.inbox.clear()
        super().data_received(data)

    def assemble(self, event: Frame) -> None:
        """Take one message only."""
        super().assemble(event)
        while len(self.inbox) > 1:
            self.inbox.pop()


@fault("CONN-7")
class ReadsFirstOfSegment(Server):
    """Reads the first message of a TCP segment and drops the others."""

    peer_class = _FirstOfSegment


class _LastTwice(Peer):
    """Reads the last message of a segment again and again."""

    def assemble(self, event: Frame) -> None:
        """Bind the variable late."""
        super().assemble(event)
        if self.inbox:
            last = self.inbox[-1]
            for index in range(len(self.inbox)):
                self.inbox[index] = last


@fault("CONN-7", subtle=True)
class ReadsLastOfSegmentTwice(Server):
    """Takes every message of a TCP segment for the last one, as a closure that binds late does."""

    peer_class = _LastTwice


class _FragmentsAreMessages(Peer):
    """Ignores the FIN bit."""

    def assemble(self, event: Frame) -> None:
        """Take each frame for a whole message."""
        if event.opcode is Opcode.CONT:
            self.inbox.append((Opcode.TEXT, bytes(event.data)))
        elif event.opcode in (Opcode.TEXT, Opcode.BINARY):
            self.inbox.append((event.opcode, bytes(event.data)))


@fault("CONN-7")
class TakesFragmentsForMessages(Server):
    """Takes each fragment for a whole message, and ignores it as bad JSON."""

    peer_class = _FragmentsAreMessages


class _DecodesApart(Peer):
    """Decodes each fragment by itself."""

    def joined(self, fragments: list[bytes]) -> bytes:
        """Lose the characters that a cut goes through."""
        if len(fragments) == 1:
            return fragments[0]
        return "".join(part.decode(errors="replace") for part in fragments).encode()


@fault("CONN-7", subtle=True)
class DecodesFragmentsApart(Server):
    """Decodes each fragment by itself, which destroys a character that is cut in two."""

    peer_class = _DecodesApart


class _PingResets(Peer):
    """Has one buffer for all frames."""

    def assemble(self, event: Frame) -> None:
        """Overwrite what had come."""
        super().assemble(event)
        if event.opcode is Opcode.PING:
            self.fragments.clear()


@fault("CONN-7", subtle=True)
class PingClearsFragments(Server):
    """Loses the fragments that came before a ping in the middle of a message."""

    peer_class = _PingResets


class _EmptyEnds(Peer):
    """Takes an empty frame for the end of the message."""

    def joined(self, fragments: list[bytes]) -> bytes:
        """Stop at nothing."""
        return b"".join(fragments[: fragments.index(b"")] if b"" in fragments else fragments)


@fault("CONN-7", subtle=True)
class StopsAtEmptyFragment(Server):
    """Drops what comes after an empty fragment of a message."""

    peer_class = _EmptyEnds


class _FewFragments(Peer):
    """Has room for eight fragments."""

    def joined(self, fragments: list[bytes]) -> bytes:
        """Drop the others."""
        return b"".join(fragments[:8])


@fault("CONN-7", subtle=True)
class JoinsEightFragments(Server):
    """Drops every fragment of a message after the eighth."""

    peer_class = _FewFragments


class _WholeHeads(Peer):
    """Reads at least a frame's head at once."""

    def data_received(self, data: bytes) -> None:
        """Drop a lone byte, as a read that was too short."""
        if len(data) > 1:
            super().data_received(data)


@fault("CONN-7", subtle=True)
class DropsLoneBytes(Server):
    """Drops a TCP segment of a single byte, and so loses its place in the stream of frames."""

    peer_class = _WholeHeads
