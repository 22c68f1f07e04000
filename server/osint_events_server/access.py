"""Who one connection is, and until when (SEC-1)."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from osint_events_server.auth import Authentication, Principal

_LOOK_AGAIN: Final = 600.0  # seconds: the wall clock, which tokens expire by, may be set meanwhile


class Access:
    """The authentication of one connection; without any arguments everybody may see everything.

    Args:
        authentication: decides by the token of a `hello`; None where authentication is off.
        principal: whom the handshake's header stands for, where it had one.

    """

    __slots__ = (
        "_authentication",
        "_expired",
        "_principal",
        "_timer",
    )

    def __init__(
        self, authentication: Authentication | None = None, principal: Principal | None = None
    ) -> None:
        self._authentication = authentication
        self._principal = principal
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether it is still to be said who the client is."""
        return self._authentication is not None and self._principal is None

    def may_see(self, investigation_id: str) -> bool:
        """Say whether the client may see an investigation now."""
        if self._authentication is None:
            return True
        return self._principal is not None and self._principal.may_see(investigation_id)

    @property
    def restriction(self) -> Callable[[str], bool] | None:
        """`may_see`, where it restricts."""
        return None if self._authentication is None else self.may_see

    def watch(self, *, silent: Callable[[], None], expired: Callable[[], None]) -> None:
        """Begin to measure time.

        Args:
            silent: is called where nobody authenticated in time.
            expired: is called when the token expires.

        """
        if self._authentication is None:
            return
        self._expired = expired
        if self.is_awaited:
            self._timer = asyncio.get_running_loop().call_later(self._authentication.timeout, silent)
        else:
            self._watch_expiry()

    async def authenticate(self, token: str) -> None:
        """Take the token of a `hello`.

        Raises:
            Unauthorized: it proves nothing.
            AuthenticatorFailure: nothing is known of it.

        """
        assert self._authentication is not None
        self._principal = await self._authentication.principal(token)
        self._watch_expiry()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _watch_expiry(self) -> None:
        self.stop()
        if self._principal is None or self._principal.expires_at is None:
            return
        left = self._principal.expires_at - time.time()
        wake = asyncio.get_running_loop().call_later
        # Never at once: the connection may still be about to begin.
        if left <= 0:
            self._timer = wake(0, self._expired)
        else:
            self._timer = wake(min(left, _LOOK_AGAIN), self._watch_expiry)
