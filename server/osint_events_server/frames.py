"""Messages become wire bytes: once per event, whatever the number of receivers.

Frames are text frames of RFC 6455, section 5.2, unfragmented and, as a server's are, unmasked.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel

_FIN_TEXT = 0x81  # FIN and opcode 1
_MAX_7_BIT = 125
_MAX_16_BIT = 65535

# The transport's default high-water mark: what is joined for one write stays near it, so that a connection's
# write buffer does too.
JOIN_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Frames:
    """Whole frames that are written together.

    Attributes:
        wire: the bytes, headers included.
        messages: how many messages they are, at least 1.

    """

    wire: bytes
    messages: int = 1


def text_frame(payload: bytes) -> bytes:
    """Return the frame of one text message whose UTF-8 is `payload`."""
    length = len(payload)
    if length <= _MAX_7_BIT:
        return bytes((_FIN_TEXT, length)) + payload
    if length <= _MAX_16_BIT:
        return struct.pack("!BBH", _FIN_TEXT, 126, length) + payload
    return struct.pack("!BBQ", _FIN_TEXT, 127, length) + payload


def confirmation(investigation_id: str) -> bytes:
    """Return the text of a `subscription_confirmed` (SUB-1)."""
    return b'{"type":"subscription_confirmed","investigation_id":%b}' % _json_string(investigation_id)


def update(investigation_id: str, data: bytes) -> bytes:
    """Return the text of an `investigation_update`, with `data` as it was published (EVT-1, EVT-6)."""
    return b'{"type":"investigation_update","investigation_id":%b,"data":%b}' % (
        _json_string(investigation_id),
        data,
    )


def sequenced_update(
    investigation_id: str, data: bytes, *, seq: int, prev: int, token: str, replayed: bool = False
) -> bytes:
    """Return the text of an `investigation_update` for who negotiated `replay` (RPL-2)."""
    return (
        b'{"type":"investigation_update","investigation_id":%b,"seq":%d,"prev":%d,"token":"%b"%b,"data":%b}'
        % (
            _json_string(investigation_id),
            seq,
            prev,
            token.encode(),
            b',"replayed":true' if replayed else b"",
            data,
        )
    )


def message(model: BaseModel) -> Frames:
    """Return the frame of a message that is made from its model."""
    return Frames(text_frame(model.model_dump_json().encode()))


def join(frames: Iterable[bytes], *, limit: int = JOIN_BYTES) -> Iterator[Frames]:
    """Join single frames, in order, into as few writes of up to `limit` bytes as that takes.

    A frame that is longer than `limit` makes a write of its own.
    """
    pending: list[bytes] = []
    size = 0
    for frame in frames:
        if pending and size + len(frame) > limit:
            yield Frames(b"".join(pending), len(pending))
            pending, size = [], 0
        pending.append(frame)
        size += len(frame)
    if pending:
        yield Frames(b"".join(pending), len(pending))


@lru_cache(maxsize=1024)  # the ids of events, of which there are many with the same one
def _json_string(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()
