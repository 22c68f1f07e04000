"""permessage-deflate (RFC 7692), the server's side: an event is deflated once for all its receivers (CMP-3).

One frame can only be right for all of them if it refers to nothing that was sent before (no context takeover)
and needs no larger window than any of them has. So every message is deflated on its own, with a window of
4 KiB: some clients ask for no more, a smaller window than was agreed is right too, and a message of an
event's size deflates ten times as fast as with the largest window, to the same length.

What aiohttp's own compressor does never mixes with this: it keeps a context for each connection. So on a
connection that compresses, data frames are written to the transport, and never sent by `send_str` and the
like of `WebSocketResponse`. Control frames are never compressed, by either. What comes in, aiohttp inflates;
`max_deflated` says what its limit has to be for the server's own to be exact.
"""

import re
import zlib
from collections.abc import Iterable
from typing import Final

from osint_events_server.frames import text_frame

MIN_BYTES: Final = 128
"""Bytes from which on a message is deflated. A shorter one hardly shrinks without a context."""

_RSV1: Final = 0x40  # "this message is compressed" (RFC 7692, section 6)
_WINDOW_BITS: Final = 12
_MEMORY_LEVEL: Final = 5  # hash tables of 32 KiB in all: clearing larger ones takes longer than deflating
_TAIL: Final = b"\x00\x00\xff\xff"
_PARAMETER: Final = re.compile(
    r"(?:(?P<flag>server_no_context_takeover|client_no_context_takeover|client_max_window_bits)"
    r'|(?P<name>(?:server|client)_max_window_bits)[ \t]*=[ \t]*(?P<quote>"?)(?P<bits>[89]|1[0-5])(?P=quote))'
)


def deflated_frame(payload: bytes) -> bytes:
    """Return the frame of one text message whose UTF-8 is `payload`, compressed where that makes it shorter.

    It is for connections whose handshake `accept` answered, and for all of these.
    """
    if len(payload) < MIN_BYTES:
        return text_frame(payload)
    compressor = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL)
    deflated = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    deflated = deflated.removesuffix(_TAIL)  # RFC 7692, section 7.2.1
    if len(deflated) >= len(payload):
        return text_frame(payload)
    frame = text_frame(deflated)
    return bytes((frame[0] | _RSV1,)) + frame[1:]


def accept(offers: Iterable[str]) -> str | None:
    """Return the answer to what a client offers, or None where there is no offer that can be taken.

    Args:
        offers: the values of the request's `Sec-WebSocket-Extensions` headers.

    Returns:
        The value of the response's header (RFC 7692, section 7.1). It says what is true of `deflated_frame`:
        no context takeover, and where the client limits the window, a small one.

    """
    for offer in ",".join(offers).split(","):
        name, *parameters = (part.strip(" \t") for part in offer.split(";"))
        if name == "permessage-deflate" and (answer := _answer(parameters)) is not None:
            return answer
    return None


def max_deflated(size: int) -> int:
    """Return the bytes to which any compressor of a client may blow up a message of `size` bytes.

    A limit for inbound messages has to be as high as that on the wire, so that one of the full size is taken
    even where it does not compress; what it inflates to is then held against the limit itself (ROB-4, CMP-2).
    """
    return size + size // 8 + size // 64 + 64  # zlib's bound for its least memory, which is the worst


def _answer(parameters: Iterable[str]) -> str | None:
    answer = "permessage-deflate; server_no_context_takeover"
    seen = set()
    for parameter in parameters:
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            return None
        name = match["flag"] or match["name"]
        if name in seen:
            return None
        seen.add(name)
        if name == "server_max_window_bits":
            if int(match["bits"]) < _WINDOW_BITS:
                return None
            answer += f"; server_max_window_bits={_WINDOW_BITS}"
    return answer
