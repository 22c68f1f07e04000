"""The positions that clients hold as tokens, in the epoch of this server's store (RPL-3, RPL-8)."""

from collections.abc import Callable
from typing import Literal

from osint_events_server.tokens import InvalidToken, Position, Tokens

ReplayFailure = Literal["expired", "epoch_changed", "invalid", "unavailable"]
"""Why nothing is replayed (RPL-4)."""


class Positions:
    """Makes tokens, and says what one stands for.

    Args:
        tokens: signs and verifies them.
        epoch: gives the store's epoch, which may change while it is followed.

    """

    def __init__(self, tokens: Tokens, epoch: Callable[[], str]) -> None:
        self._tokens = tokens
        self._epoch = epoch

    @property
    def epoch(self) -> str:
        """The epoch of the tokens that are issued now."""
        return self._epoch()

    def issue(self, investigation_id: str, seq: int) -> str:
        """Return the token that resumes an investigation after a number."""
        return self._tokens.issue(investigation_id, Position(self._epoch(), seq))

    def resume(self, investigation_id: str, token: str) -> int | ReplayFailure:
        """Return the number after which a token resumes, or why it does not."""
        try:
            position = self._tokens.verify(investigation_id, token)
        except InvalidToken:
            return "invalid"
        return position.seq if position.epoch == self._epoch() else "epoch_changed"
