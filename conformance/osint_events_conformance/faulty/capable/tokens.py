"""Tokens of a capable server: `seq-epoch-signature`, where the signature covers the investigation (RPL-3)."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

_SHAPE = re.compile(r"([0-9]{1,16})-([0-9a-f]{1,32})-[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True)
class Position:
    """Where a token resumes: after `seq` of the sequence called `epoch`."""

    epoch: str
    seq: int


def issue(key: bytes, investigation_id: str, position: Position) -> str:
    """Return the token of a position."""
    signed = f"{position.seq}-{position.epoch}"
    text = f"{signed}-{investigation_id}".encode(errors="surrogatepass")
    return f"{signed}-{hmac.digest(key, text, 'sha256').hex()[:32]}"


def verify(key: bytes, investigation_id: str, token: str) -> Position | None:
    """Return the position of a token; None where it was not issued for this investigation."""
    shape = _SHAPE.fullmatch(token)
    if shape is None:
        return None
    position = Position(shape[2], int(shape[1]))
    return position if hmac.compare_digest(issue(key, investigation_id, position), token) else None
