"""Faults of segments and fragments: CONN-7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.frames import Opcode

from .catalogue import fault
from .peer import Peer
from .server import Server

if TYPE_CHECKING:
    from websockets.frames import Frame


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
