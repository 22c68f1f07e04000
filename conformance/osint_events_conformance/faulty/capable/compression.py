"""Faults of permessage-deflate: CMP-1 and CMP-2."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from websockets.extensions.permessage_deflate import PerMessageDeflate

from osint_events_conformance.faulty.catalogue import fault
from osint_events_conformance.faulty.peer import frame

from .peer import CapablePeer
from .server import CapableServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.extensions import Extension

    from osint_events_conformance.faulty.peer import Peer

_LARGE = 32 * 1024
_NO_LIMIT = 64 * 1024 * 1024


def _marked(made: bytes) -> bytes:
    """Return a frame with the bit of compressed messages (RFC 7692 section 6)."""
    return bytes((made[0] | 0x40,)) + made[1:]


# CMP-1: the same messages.


@fault("CMP-1", subtle=True)
class KeepsCompressionContext(CapableServer):
    """Agrees to compress each message by itself, and refers to earlier ones all the same."""

    def __init__(self) -> None:
        super().__init__()
        self._deflaters: dict[Peer, zlib._Compress] = {}

    def deflated(self, peer: CapablePeer, message: bytes) -> bytes:
        """Keep the window."""
        deflater = self._deflaters.setdefault(peer, zlib.compressobj(wbits=-zlib.MAX_WBITS))
        data = deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return _marked(frame(data[:-4]))

    def forget(self, peer: Peer) -> None:
        """Drop the window."""
        super().forget(peer)
        self._deflaters.pop(peer, None)


@fault("CMP-1", subtle=True)
class MarksPongsAsCompressed(CapableServer):
    """Sets the bit of compressed messages on pong frames, too."""

    def pong(self, peer: Peer, pong: bytes) -> None:
        """Set it on every frame."""
        assert isinstance(peer, CapablePeer)
        super().pong(peer, _marked(pong) if peer.extensions else pong)


@fault("CMP-1", subtle=True)
class LosesLargeCompressedMessages(CapableServer):
    """Loses messages of more than 32 KiB on compressed connections."""

    def deflated(self, peer: CapablePeer, message: bytes) -> bytes:
        """Overrun a buffer."""
        return super().deflated(peer, message) if len(message) <= _LARGE else b""


@fault("CMP-1", subtle=True)
class CompressesLargeMessagesAsLatin1(CapableServer):
    """Writes `?` for what is not Latin-1 in compressed messages of more than 8 KiB."""

    def deflated(self, peer: CapablePeer, message: bytes) -> bytes:
        """Go through the wrong codec."""
        if len(message) > 8192:  # noqa: PLR2004 - as the docstring says
            message = message.decode().encode("latin-1", "replace").decode("latin-1").encode()
        return super().deflated(peer, message)


@fault("CMP-1", subtle=True)
class MixesCompressedBursts(CapableServer):
    """Compresses an event once for all receivers, and takes another of the same length for it within 1 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, bytes] = {}

    def deflated(self, peer: CapablePeer, message: bytes) -> bytes:
        """Look the frame up by a key that is too short."""
        if not self._made:
            self.later(0.001, self._made.clear)
        return self._made.setdefault(len(message), super().deflated(peer, message))


class _ForgetsContext(CapablePeer):
    """Inflates each message by itself."""

    def extend(self, extensions: Sequence[Extension]) -> None:
        """Do as if the client had agreed to that."""
        super().extend(extensions)
        for extension in extensions:
            assert isinstance(extension, PerMessageDeflate)
            extension.remote_no_context_takeover = True


@fault("CMP-1", subtle=True)
class ForgetsCompressionContext(CapableServer):
    """Inflates each message by itself, though the client may refer to its earlier ones."""

    peer_class = _ForgetsContext


# CMP-2: what inflates to too much.


class _NeverTooBig(CapablePeer):
    """Inflates whatever comes."""

    def extend(self, extensions: Sequence[Extension]) -> None:
        """Have no limit."""
        super().extend(extensions)
        if extensions:
            self._frames.max_message_size = _NO_LIMIT


@fault("CMP-2")
class InflatesWithoutLimit(CapableServer):
    """Carries out a message that is small on the wire, however large it inflates."""

    peer_class = _NeverTooBig

    def oversized(self, peer: Peer) -> None:
        """Measure the wire only."""


@fault("CMP-2", subtle=True)
class RefusesInflatedWith1008(CapableServer):
    """Closes with 1008 after a message that inflates to too much."""

    peer_class = _NeverTooBig

    def oversized(self, peer: Peer) -> None:
        """Close by the wrong code."""
        peer.close(1008, "too big")
