"""JSON Web Tokens (RFC 7519), verified with a shared secret or a set of public keys.

The claims that count, besides the registered ones:

- `investigations`: a list of ids that the principal may see, each exactly (SEC-2).
- `investigation_patterns`: a list of patterns of ids, in which `*` stands for any characters, also none, and
  every other character for itself.
- `permissions`: a list of what the principal may do to these investigations besides subscribing: `publish`,
  `inject`.

Whatever is not said is not allowed. `exp` is required.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt

from osint_events_server.auth import Unauthorized

_SYMMETRIC: Final = ("HS256", "HS384", "HS512")
_ASYMMETRIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)

Key = Callable[[Mapping[str, Any]], tuple[jwt.PyJWK | bytes, Sequence[str]]]
"""Gives the key and the algorithms that are allowed with it, by a token's header; raises Unauthorized."""


class KeysError(Exception):
    """A file of keys cannot be used; the message says which, and why, and holds nothing of a key."""


@dataclass(frozen=True, slots=True)
class JwtPrincipal:
    """A `Principal` as its claims have it.

    Attributes:
        expires_at: `exp`, and the leeway.
        investigations: the ids.
        patterns: patterns of ids.
        permissions: what it may do.

    """

    expires_at: float | None
    investigations: frozenset[str]
    patterns: tuple[str, ...]
    permissions: frozenset[str]

    def may_see(self, investigation_id: str) -> bool:
        """Say whether an id is named, or matched as a whole."""
        return investigation_id in self.investigations or any(
            matches(pattern, investigation_id) for pattern in self.patterns
        )

    def may_publish(self, investigation_id: str) -> bool:
        """Say whether it may publish, and the id is one of its own."""
        return "publish" in self.permissions and self.may_see(investigation_id)

    def may_inject(self, investigation_id: str) -> bool:
        """Say whether it may inject, and the id is one of its own."""
        return "inject" in self.permissions and self.may_see(investigation_id)


class JwtAuthenticator:
    """Verifies tokens.

    Args:
        key: gives what to verify with.
        issuer: the `iss` that is required; None: any.
        audience: one that `aud` has to name; None: a token with an audience is refused, being for another.
        leeway: seconds by which the clocks of issuer and server may differ.

    """

    def __init__(
        self,
        key: Key,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        leeway: float = 0,
    ) -> None:
        self._key = key
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway

    async def authenticate(self, token: str) -> JwtPrincipal:
        """Return what the claims of a token allow.

        Raises:
            Unauthorized: it is not signed by whom it should be, has expired, or has claims of a wrong shape.

        """
        try:
            key, algorithms = self._key(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": ["exp"]},
            )
        # PyJWT's own words may quote a header or a claim; the name of the error does not. The library lets
        # some other errors through where a token's parts have types that it does not expect.
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Unauthorized(f"the token is not accepted: {type(error).__name__}") from None
        return JwtPrincipal(
            expires_at=float(claims["exp"]) + self._leeway,
            investigations=frozenset(_strings(claims, "investigations")),
            patterns=tuple(_strings(claims, "investigation_patterns")),
            permissions=frozenset(_strings(claims, "permissions")),
        )


def shared_secret(secret: bytes) -> Key:
    """Verify with one secret, by HMAC alone."""
    return lambda _header: (secret, _SYMMETRIC)


class KeySet:
    """Public keys of a JWKS file (RFC 7517), chosen by `kid`; each with its own algorithm alone.

    Raises KeysError, when made and wherever it reads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = _read(path)

    def reload(self) -> None:
        """Read the file again; where that fails, the keys stay as they were."""
        self._keys = _read(self._path)

    def __call__(self, header: Mapping[str, Any]) -> tuple[jwt.PyJWK, Sequence[str]]:
        """Return the key that a token's header names; one that names none takes the only one there is."""
        kid = header.get("kid")
        if kid is None and len(self._keys) == 1:
            (key,) = self._keys.values()
        else:
            found = self._keys.get(kid) if isinstance(kid, str) else None
            if found is None:
                raise Unauthorized("the token names no key that is known")
            key = found
        return key, (key.algorithm_name,)


def matches(pattern: str, text: str) -> bool:
    """Say whether a pattern, in which `*` stands for any characters, fits a whole text; in linear time."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *between, last = others
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or end < len(first):
        return False
    at = len(first)
    for part in between:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _read(path: Path) -> Mapping[str | None, jwt.PyJWK]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["keys"]
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError):
        entries = None
    if not isinstance(entries, list):
        raise KeysError(f'{path}: no JSON object with a list "keys" (RFC 7517, section 5)')
    keys: dict[str | None, jwt.PyJWK] = {}
    for number, entry in enumerate(entries, 1):
        # What PyJWT says of a key that it cannot use quotes the key.
        try:
            if entry.get("use", "sig") != "sig":
                continue
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            raise KeysError(f"{path}: key {number} cannot be used") from None
        if key.algorithm_name not in _ASYMMETRIC or "d" in entry:
            raise KeysError(f"{path}: key {number} is no public key for signatures")
        if key.key_id in keys:
            raise KeysError(f"{path}: key {number} has the kid of another")
        keys[key.key_id] = key
    if not keys:
        raise KeysError(f"{path}: holds no key for signatures")
    return keys


def _strings(claims: Mapping[str, Any], name: str) -> Sequence[str]:
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unauthorized(f"the token's claim {name} is no list of strings")
    return value
