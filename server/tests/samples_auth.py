"""What the documentation shows of authentication; `test_samples_auth.py` runs it."""

import time

# --8<-- [start:token]
import jwt


def issue(secret: str, case: str) -> str:
    """Return a token that may watch a case and all its parts for an hour, and publish to them."""
    claims = {
        "exp": time.time() + 3600,
        "investigations": [case],
        "investigation_patterns": [f"{case}/*"],
        "permissions": ["publish"],
    }
    return jwt.encode(claims, secret, algorithm="HS256")


# --8<-- [end:token]

# --8<-- [start:hook]
from osint_events_server.auth import Principal, Unauthorized  # noqa: E402 - each sample is whole

MEMBERS = {"token-of-ada": {"1234", "1235"}}


class Member:
    """One of us, who may see and write what is theirs."""

    expires_at: float | None = None  # or seconds since the Unix epoch

    def __init__(self, cases: set[str]) -> None:
        self._cases = cases

    def may_see(self, investigation_id: str) -> bool:
        """Say whether it is one of theirs."""
        return investigation_id in self._cases

    may_publish = may_see

    def may_inject(self, investigation_id: str) -> bool:  # noqa: ARG002 - as the server asks
        """Say no."""
        return False


class Members:
    """Decides by a list."""

    async def authenticate(self, token: str) -> Principal:
        """Return the member whose token it is."""
        if token not in MEMBERS:
            raise Unauthorized("not one of us")
        return Member(MEMBERS[token])


make = Members
# --8<-- [end:hook]
