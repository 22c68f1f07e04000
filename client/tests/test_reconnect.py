"""After how long a client comes back."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from osint_events_client.reconnect import Backoff


class Highest(random.Random):
    """Always waits as long as it may."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0, "full jitter begins at 0"
        return b


def test_the_ceiling_doubles_from_half_a_second_to_twenty() -> None:
    backoff = Backoff(Highest())
    assert [backoff.delay() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 20, 20]


def test_a_connection_that_lasted_begins_anew_and_one_that_did_not_goes_on() -> None:
    backoff = Backoff(Highest())
    assert [backoff.delay(), backoff.delay()] == [0.5, 1]
    backoff.lasted(19.9)
    assert backoff.delay() == 2
    backoff.lasted(20)
    assert backoff.delay() == 0.5


@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_it_never_waits_longer_than_twenty_seconds(attempts: int, seed: int) -> None:
    backoff = Backoff(random.Random(seed))
    for _ in range(min(attempts, 50)):
        assert 0 <= backoff.delay() <= 20
