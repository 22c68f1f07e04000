"""Replay tokens: a client's position in an investigation, signed, and opaque to the client (RPL-3).

A token is URL-safe base64 without padding (RFC 4648, section 5) of

    version (1 byte) | seq (8 bytes, big-endian) | epoch (UTF-8) | MAC (16 bytes)

The MAC is HMAC-SHA-256 (RFC 2104), truncated to 128 bits, over all that stands before it and the id of the
investigation. The id itself is not in the token, so that it is short whatever the id, and says nothing of it.
A token is bound neither to a connection nor to a scope: there is one for each event.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_TOKEN_LENGTH: Final = 512
"""Characters of a token, which are bytes too (RPL-3)."""

MIN_KEY_BYTES: Final = 32
"""Bytes of a key: no fewer than the hash has (RFC 2104, section 3)."""

MAX_EPOCH_BYTES: Final = 255
"""Bytes of an epoch's UTF-8, so that a token keeps within its length."""

_VERSION: Final = b"\x01"
_SEQ_BYTES: Final = 8
_MAC_BYTES: Final = 16
_MAX_SEQ: Final = 2**53 - 1
_EPOCH_START: Final = len(_VERSION) + _SEQ_BYTES


class InvalidToken(Exception):
    """The token was not made for this investigation with one of the keys; it says no more, on purpose."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an investigation's sequence: all up to `seq` was received.

    Attributes:
        epoch: which sequence `seq` counts in (RPL-8).
        seq: 0 to 2^53 - 1 (RPL-1); 0 is before the first event.

    """

    epoch: str
    seq: int


class Tokens:
    """Makes and verifies tokens.

    Args:
        keys: secrets of `MIN_KEY_BYTES` at least. The first one signs, all of them verify: a new key is put
            first, and the old one is dropped when the tokens made with it are older than any history.

    Raises:
        ValueError: there is no key, or one that is too short.

    """

    __slots__ = ("_signers",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        if min(map(len, keys)) < MIN_KEY_BYTES:
            raise ValueError(f"a key has {MIN_KEY_BYTES} bytes at least")
        # Keyed once: a copy costs less than a new one.
        self._signers = tuple(hmac.new(key, digestmod="sha256") for key in keys)

    def issue(self, investigation_id: str, position: Position) -> str:
        """Return the token of a position.

        Raises:
            ValueError: `seq` is out of its range, or the epoch longer than `MAX_EPOCH_BYTES`.

        """
        epoch = position.epoch.encode()
        if not 0 <= position.seq <= _MAX_SEQ or len(epoch) > MAX_EPOCH_BYTES:
            raise ValueError(f"no position that a token can hold: {position}")
        signed = _VERSION + position.seq.to_bytes(_SEQ_BYTES, "big") + epoch
        return _encode(signed + _mac(self._signers[0], signed, investigation_id))

    def verify(self, investigation_id: str, token: str) -> Position:
        """Return the position that a token stands for.

        Args:
            investigation_id: the investigation that it is presented for.
            token: any text.

        Raises:
            InvalidToken: forged, truncated, too long, or made for something else.

        """
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            raise InvalidToken
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            raise InvalidToken from None
        signed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        # All keys are tried, so that the time taken does not tell which one it was.
        matches = [
            hmac.compare_digest(mac, _mac(signer, signed, investigation_id)) for signer in self._signers
        ]
        # base64 has several spellings of the same bytes: only the one that was issued is a token.
        if not any(matches) or signed[:1] != _VERSION or _encode(raw) != token:
            raise InvalidToken
        seq = int.from_bytes(signed[len(_VERSION) : _EPOCH_START], "big")
        return Position(signed[_EPOCH_START:].decode(), seq)


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _mac(signer: hmac.HMAC, signed: bytes, investigation_id: str) -> bytes:
    """Return the MAC. The length tells where the signed bytes end and the id begins."""
    mac = signer.copy()
    # An id from JSON may hold lone surrogates, which plain UTF-8 has not.
    mac.update(len(signed).to_bytes(2, "big") + signed + investigation_id.encode(errors="surrogatepass"))
    return mac.digest()[:_MAC_BYTES]
