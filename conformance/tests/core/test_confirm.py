"""Which suspicions are taken up, and what is kept of them, with verdicts that a test writes itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pytest
from osint_events_conformance.confirm import Confirmer
from osint_events_conformance.findings import Finding
from osint_events_conformance.records import Case
from osint_events_conformance.results import ConfirmedFinding
from osint_events_conformance.script import Connect, Script

if TYPE_CHECKING:
    from osint_events_conformance.examine import Examiner, Suspicion


class Verdicts:
    """Stands for the examiner: lays the suspicion about each check to what the test says."""

    def __init__(self, **verdicts: tuple[str, bool, int]) -> None:
        self.verdicts = verdicts

    async def examine(self, suspicion: Suspicion) -> ConfirmedFinding:
        """Lay it to the clause, surely or not, as reproduced so many times of three."""
        script, finding = suspicion.script, suspicion.finding
        clause, surely, reproduced = self.verdicts[script.check]
        return ConfirmedFinding(
            clause, "MUST", finding.kind, "coverage", script.check, script.title, finding.message,
            finding.conn, finding.at, None, None, reproduced, 3, (), (), surely=surely,
        )  # fmt: skip


def confirmed(
    checks: Sequence[str], kinds: Sequence[str] = (), **verdicts: tuple[str, bool, int]
) -> list[tuple[str, bool]]:
    """Have each check find its kind (a refused handshake); return the clauses, and which are flaky."""
    runs = []
    for number, check in enumerate(checks):
        # The shortest script is examined first.
        steps = tuple(Connect(f"c{one}", "c") for one in range(number + 1))
        case = Case(check, lambda: None)
        kind = kinds[number] if kinds else "refused_upgrade"
        case.findings.append(Finding(kind, "it went wrong", "c0", 0.0))
        runs.append((Script(check, steps, "CONN-1", check), case))
    examiner = cast("Examiner", Verdicts(**verdicts))
    confirmer = Confirmer(examiner, lambda _: True, lambda: 60.0, lambda _: None)
    asyncio.run(confirmer.confirm("coverage", runs))
    return [(one.clause, one.flaky) for one in confirmer.confirmed]


def test_a_failure_that_comes_and_goes_does_not_explain_a_steady_one() -> None:
    found = confirmed(
        ["now_and_then", "always"], now_and_then=("CONN-1", False, 3), always=("CONN-5", True, 3)
    )
    assert found == [("CONN-5", False)]


def test_a_clause_that_is_not_sure_is_reported_where_nothing_surer_is_known() -> None:
    assert confirmed(["now_and_then"], now_and_then=("CONN-1", False, 3)) == [("CONN-1", False)]


def test_once_a_kind_is_laid_to_its_own_clause_special_scenarios_prove_nothing_new() -> None:
    found = confirmed(["plain", "special"], plain=("CONN-1", True, 3), special=("CONN-5", True, 3))
    assert found == [("CONN-1", False)]


def test_special_scenarios_each_have_their_clause() -> None:
    found = confirmed(["twins", "ends"], twins=("CONN-5", True, 3), ends=("CONN-6", True, 3))
    assert found == [("CONN-5", False), ("CONN-6", False)]


def test_a_flaky_finding_is_reported_unless_a_steady_one_of_its_kind_says_it() -> None:
    assert confirmed(["once"], once=("CONN-1", True, 1)) == [("CONN-1", True)]
    found = confirmed(["once", "always"], once=("CONN-1", True, 1), always=("CONN-5", True, 3))
    assert found == [("CONN-5", False)]


@pytest.mark.parametrize("times", [1, 3])
def test_positions_that_go_wrong_where_a_new_epoch_is_not_told_are_no_finding_of_their_own(
    times: int,
) -> None:
    found = confirmed(
        ["goes_back", "begins_anew"],
        ["wrong_prev", "unannounced_epoch"],
        goes_back=("RPL-2", True, times),
        begins_anew=("RPL-7", True, 3),
    )
    assert found == [("RPL-7", False)]
