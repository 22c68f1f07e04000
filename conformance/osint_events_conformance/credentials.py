"""The tokens that a run was given, and what is made of one that must be refused (SEC-1).

Scripts, logs and reports name a token by a word: `own`, `none`, `trigger`, or how the own one is spoilt.
Its text is put in when it is sent, and nowhere else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Auth = Literal[
    "own", "none", "trigger", "flip_last", "flip_first", "cut", "longer", "twice", "case", "claims",
    "unsigned", "word", "empty", "basic",
]  # fmt: skip
"""Which token a connection presents."""
SPOILT: Final[tuple[Auth, ...]] = (
    "flip_last", "flip_first", "cut", "longer", "twice", "case", "claims", "unsigned", "word", "empty",
)  # fmt: skip
"""Ways in which a token is not the own one."""

_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_HIGHEST_BIT = 0b100000
"""Of six: the lowest ones of a last character need not say anything (RFC 4648 section 3.5)."""
_SEGMENTS = 3
_TELLING = 16
"""Characters of a part of a token that nobody may read either."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Bearer tokens. `own` is what connections present, `trigger` that of who makes the server emit."""

    own: str | None = field(default=None, repr=False)
    trigger: str | None = field(default=None, repr=False)

    def token(self, auth: Auth) -> str | None:
        """The token's text; None where there is none, or where it cannot be spoilt in this way."""
        if auth == "trigger":
            return self.trigger
        if auth in {"none", "basic"} or self.own is None:
            return None
        return self.own if auth == "own" else spoilt(self.own, auth)

    def headers(self, auth: Auth) -> dict[str, str]:
        """The `Authorization` header that presents it (RFC 6750 section 2.1), if any."""
        if auth == "basic":
            return {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}
        token = self.token(auth)
        return {} if token is None else {"Authorization": f"Bearer {token}".rstrip()}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not stand in any file: the tokens, what is made of them, and their telling parts."""
        found: set[str] = set()
        for token in (self.own, self.trigger):
            if token is not None:
                found.add(token)
                found.update(one for one in token.split(".") if len(one) >= _TELLING)
        if self.own is not None:
            made = (spoilt(self.own, how) for how in SPOILT if how != "word")
            found.update(one for one in made if one is not None and len(one) >= _TELLING)
        return tuple(sorted(found, key=len, reverse=True))


def spoilt(token: str, how: Auth) -> str | None:
    """The token changed so that it proves nothing; None where it has no such form.

    `claims` and `unsigned` are of JSON Web Tokens: others in place of what was signed, and no signature.
    """
    match how:
        case "flip_last":
            bare = token.rstrip("=")
            made = bare[:-1] + _flipped(bare[-1]) + token[len(bare) :]
        case "flip_first":
            at = token.rfind(".") + 1
            made = token[:at] + _flipped(token[at]) + token[at + 1 :] if at < len(token) else token
        case "cut":
            made = token[:-1]
        case "longer":
            made = token + token[-1]
        case "twice":
            made = token + token
        case "case":
            made = token.swapcase()
        case "claims":
            made = _with_other_claims(token) or token
        case "unsigned":
            made = _unsigned(token) or token
        case "word":
            made = "invalid"
        case _:
            made = ""
    return made if made != token else None


def _flipped(character: str) -> str:
    at = _BASE64URL.find(character)
    return _BASE64URL[at ^ _HIGHEST_BIT] if at >= 0 else "A"


def _with_other_claims(token: str) -> str | None:
    parts = _jwt(token)
    if parts is None:
        return None
    header, _, signature = token.split(".")
    return f"{header}.{_encoded({**parts[1], 'x-conformance': True})}.{signature}"


def _unsigned(token: str) -> str | None:
    parts = _jwt(token)
    return None if parts is None else f"{_encoded({**parts[0], 'alg': 'none'})}.{token.split('.')[1]}."


def _jwt(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Header and claims of a signed JSON Web Token (RFC 7519), or None."""
    segments = token.split(".")
    if len(segments) != _SEGMENTS:
        return None
    try:
        header, claims = (
            json.loads(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4))) for one in segments[:2]
        )
    except ValueError:  # no base64, no UTF-8, no JSON
        return None
    return (header, claims) if isinstance(header, dict) and isinstance(claims, dict) else None


def _encoded(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
