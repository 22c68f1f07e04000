"""Who a client is, and what it may do (SEC-1, SEC-2). Off unless a setting turns it on.

What decides is an `Authenticator`: the one for JSON Web Tokens (`jwt.py`), or a team's own (`hook.py`).
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol


class Unauthorized(Exception):
    """The token proves nothing. The message says why, and holds nothing of the token."""


class AuthenticatorFailure(Exception):
    """The authenticator raised something else, or took too long: nothing is known of the token."""


class Principal(Protocol):
    """Whom a token stands for. It is asked for as long as its connection lasts."""

    @property
    def expires_at(self) -> float | None:
        """When the token expires and its connection closes, in seconds since the Unix epoch; None: never."""

    def may_see(self, investigation_id: str) -> bool:
        """Say whether it may subscribe to an investigation, and is sent its fallback broadcasts (SEC-2)."""

    def may_publish(self, investigation_id: str) -> bool:
        """Say whether it may publish events of an investigation."""

    def may_inject(self, investigation_id: str) -> bool:
        """Say whether it may make the server emit, where the inject hook is on."""


class Authenticator(Protocol):
    """Decides by a bearer token."""

    async def authenticate(self, token: str) -> Principal:
        """Return whom a token stands for.

        Args:
            token: what an `Authorization` header carries after `Bearer`, or a `hello` as `auth.token`; any
                text, from anybody.

        Raises:
            Unauthorized: the token proves nothing.

        """


@dataclass(frozen=True, slots=True)
class Authentication:
    """How a server authenticates.

    Attributes:
        authenticator: decides.
        timeout: seconds that it has to decide, and that a connection without an `Authorization` header has
            for its `hello` (SEC-1).

    """

    authenticator: Authenticator
    timeout: float

    async def principal(self, token: str) -> Principal:
        """Return whom a token stands for.

        Raises:
            Unauthorized: it proves nothing.
            AuthenticatorFailure: the authenticator did not decide.

        """
        try:
            async with asyncio.timeout(self.timeout):
                principal = await self.authenticator.authenticate(token)
        except Unauthorized:
            raise
        # What fails is named without its own words, which may quote the token.
        except Exception as error:  # noqa: BLE001 - a team's own code may raise anything
            raise AuthenticatorFailure(type(error).__name__) from None
        if principal.expires_at is not None and principal.expires_at <= time.time():
            raise Unauthorized("the token has expired")
        return principal


def bearer(header: str) -> str:
    """Return the token of an `Authorization` header (RFC 6750, section 2.1).

    Raises:
        Unauthorized: it is of another scheme, or holds none.

    """
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("the Authorization header is not Bearer and a token")
    return token.strip()
