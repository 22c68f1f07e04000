"""What becomes of a suspicion when its script is run again, with runs that a test writes itself."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Literal, cast

import pytest
from osint_events_conformance.confirm import Confirmer
from osint_events_conformance.examine import Examiner
from osint_events_conformance.records import Case
from osint_events_conformance.script import Connect, Pause, Script

if TYPE_CHECKING:
    from osint_events_conformance.execute import Executor

SCRIPT = Script("a long one", (Connect("a", "c"), Pause(1.0)), "LEG-5", "check", mode="long")
Outcome = Literal["surely", "doubtful", "racy"] | None
"""What a run ends with: an end of a connection, which may be excused, or nothing."""
ENDED: Outcome = "surely"
DOUBTFUL: Outcome = "doubtful"
RACY: Outcome = "racy"


class Runs:
    """Stands for the executor: each run ends with what the test says, `None` for no finding."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)

    async def run(self, script: Script, **_: object) -> Case:
        """The next of them."""
        return case(script, self.outcomes.pop(0))


def case(script: Script, outcome: Outcome) -> Case:
    made = Case(script.title, lambda: None)
    if outcome is not None:
        doubtful, racy = outcome == DOUBTFUL, outcome == RACY
        made.find("ended", "the server ended it", "a", 0.0, doubtful=doubtful, racy=racy)
    return made


def confirmed(*outcomes: Outcome) -> tuple[list[tuple[int, int]], int]:
    """Suspect what the first run shows, have the others follow; how often it was seen, and what is left."""
    examiner = Examiner(cast("Executor", Runs(*outcomes[1:])), random.Random(1), lambda: 60.0)
    confirmer = Confirmer(examiner, lambda _: True, lambda: 60.0, lambda _: None)
    asyncio.run(confirmer.confirm("coverage", [(SCRIPT, case(SCRIPT, outcomes[0]))]))
    return [(one.reproduced, one.attempts) for one in confirmer.confirmed], confirmer.unexamined


@pytest.mark.parametrize(
    ("runs", "seen"),
    [
        ((ENDED, ENDED, ENDED), (3, 3)),
        ((ENDED, None, ENDED), (2, 3)),
        ((ENDED, None, None), (1, 3)),
        ((ENDED, DOUBTFUL, ENDED), (2, 2)),
        ((DOUBTFUL, ENDED, ENDED), (2, 2)),
        ((DOUBTFUL, None, ENDED), (1, 2)),
        ((RACY, RACY, RACY), (2, 2)),
        ((RACY, None, RACY), (1, 2)),
    ],
)
def test_a_finding_counts_as_often_as_it_is_surely_the_servers(
    runs: tuple[Outcome, ...], seen: tuple[int, int]
) -> None:
    assert confirmed(*runs) == ([seen], 0)


@pytest.mark.parametrize("runs", [(DOUBTFUL, None, None), (DOUBTFUL, None, DOUBTFUL), (RACY, None, None)])
def test_a_finding_that_may_be_excused_and_does_not_come_back_is_none(runs: tuple[Outcome, ...]) -> None:
    assert confirmed(*runs) == ([], 0)


def test_what_is_doubtful_each_time_counts_as_not_examined() -> None:
    assert confirmed(DOUBTFUL, DOUBTFUL, DOUBTFUL) == ([], 1)
