"""The checks: every script is well-formed and fresh, and every clause that binds servers is looked after."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from functools import cache

import pytest
from osint_events import contract
from osint_events.features import FEATURES
from osint_events_conformance import script as s
from osint_events_conformance import suite
from osint_events_conformance.findings import BY_KIND
from osint_events_conformance.suite import ids
from osint_events_conformance.suite.robustness import LARGEST, malformed

CHECKS = suite.checks()
BINDING = [clause for clause in contract.clauses() if clause.subject != "client" and clause.untested is None]
ON_ALL_TRAFFIC = frozenset(clause for clause, _ in BY_KIND.values()) | {"CONN-6", "HB-3"}


def kit(seed: int) -> suite.Kit:
    """What checks know of a server that offers everything, with times that can be waited for."""
    times = {"interval_ms": 1000, "timeout_ms": 1000}
    limits = {
        "max_message_bytes": 65_536,
        "max_queue_bytes": 1_048_576,
        "messages_per_second": 100,
        "burst": 512,
    }
    welcome = {"features": list(FEATURES), "heartbeat": times, "limits": limits}
    return suite.Kit(
        random.Random(seed), "on", welcome=welcome, can_restart=True,
        has_token=True, spoilings=("cut", "case"), forbidden_id="forbidden", trigger_may_see=True,
    )  # fmt: skip


@cache
def scripts(seed: int = 1) -> tuple[s.Script, ...]:
    given = kit(seed)
    return tuple(script for check in CHECKS for script in check.scripts(given))


ALL = scripts()


@pytest.mark.parametrize("clause", BINDING, ids=lambda clause: clause.id)
def test_every_clause_that_binds_servers_has_a_check_or_is_judged_on_all_traffic(
    clause: contract.Clause,
) -> None:
    assert clause.id in {check.clause for check in CHECKS} | ON_ALL_TRAFFIC


def test_every_check_names_a_clause_of_the_catalogue_and_says_what_it_does(
    catalogue: dict[str, str],
) -> None:
    for check in CHECKS:
        assert check.clause in catalogue, check.name
        assert check.about.endswith("."), check.name


def test_no_two_checks_are_called_the_same() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_every_check_has_scripts() -> None:
    assert {script.check for script in ALL} == {check.name for check in CHECKS}


def test_where_it_is_not_said_whether_there_is_a_fallback_only_what_it_would_be_is_tested() -> None:
    check = next(check for check in CHECKS if check.clause == "DEL-3")
    untold, told = (list(check.scripts(suite.Kit(random.Random(1), which))) for which in ("any", "on"))
    assert 0 < len(untold) < len(told)


def test_a_script_s_connections_are_opened_once_and_before_they_are_used() -> None:
    for script in ALL:
        opened: set[str] = set()
        for step in script.steps:
            if isinstance(step, s.Connect):
                assert step.conn not in opened
                opened.add(step.conn)
            assert opened.issuperset(s.connections(step))


def test_a_script_uses_no_connection_after_its_end_and_resumes_what_it_stalls() -> None:
    for script in ALL:
        ended: set[str] = set()
        stalled: set[str] = set()
        for step in script.steps:
            assert ended.isdisjoint(s.connections(step))
            if isinstance(step, s.Close | s.Abort):
                ended.add(step.conn)
            elif isinstance(step, s.Stall):
                stalled.add(step.conn)
            elif isinstance(step, s.Resume):
                stalled.remove(step.conn)
        assert not stalled


def test_a_script_s_ids_are_fresh() -> None:
    assert len({script.salts for script in ALL}) == len(ALL)
    for script, other in zip(ALL, scripts(2), strict=True):
        assert script.salts != other.salts
        mine, others = _client_ids(script), _client_ids(other)
        reserved = {one for one in mine if script.salts[0][:-2].lower() not in one.lower()}
        assert script.check == "client_ids_of_the_guaranteed_alphabet_are_served" or not reserved
        assert mine.isdisjoint(others) or reserved


def _client_ids(script: s.Script) -> set[str]:
    return {step.client_id for step in script.steps if isinstance(step, s.Connect)}


def test_a_script_s_subscribes_are_valid() -> None:
    for script in ALL:
        for step in s.flat(script.steps):
            if isinstance(step, s.Subscribe):
                message = json.loads(step.payload())
                assert message["type"] == "subscribe_investigation"
                assert message["investigation_id"] == step.investigation_id
                assert 1 <= len(step.investigation_id) <= ids.LONGEST
                assert len(step.payload()) <= LARGEST


def test_a_script_s_payloads_are_objects_and_judged_ones() -> None:
    for script in ALL:
        for step in s.flat(script.steps):
            if isinstance(step, s.Publish):
                data = json.loads(step.data)
                assert isinstance(data, dict)
                envelope = {"type": "investigation_update", "investigation_id": step.investigation_id}
                compact = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
                size = len(json.dumps(envelope, ensure_ascii=False).encode()) + len(compact.encode()) + 10
                assert size <= LARGEST
                assert _depth(data) <= 31
                compact.encode()  # no lone surrogates


def test_a_script_can_be_written_to_a_trace_and_read_again() -> None:
    for script in ALL:
        made = json.loads(json.dumps([s.to_json(step) for step in script.steps]))
        assert tuple(s.from_json(one) for one in made) == script.steps


def test_what_a_script_says_is_what_it_is_called() -> None:
    for script in ALL:
        for step in s.flat(script.steps):
            if isinstance(step, s.Say):
                assert _well_formed(step) == (step.role == "unknown")


def _depth(value: object) -> int:
    """Levels of nesting, counted without recursion: some messages are thousands of levels deep."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth


def _well_formed(step: s.Say) -> bool:
    """Whether a message is well-formed and of unknown type, as the protocol's text has it."""
    if step.binary or len(step.data) > LARGEST:
        return False
    try:
        value = json.loads(step.data.decode())
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(value, dict)
        and isinstance(value.get("type"), str)
        and value["type"] != "subscribe_investigation"
        and _depth(value) <= 32
    )


@pytest.mark.parametrize("about", [about for about, _ in malformed()])
def test_malformed_messages_are_told_apart_by_their_names(about: str) -> None:
    assert [one for one, _ in malformed()].count(about) == 1


def test_the_pairs_of_ids_are_pairs_of_different_ids() -> None:
    for one, other in ids.pairs(kit(1).names()):
        assert one != other
        assert 1 <= len(one) <= ids.LONGEST
        assert 1 <= len(other) <= ids.LONGEST


def test_scripts_are_the_same_for_the_same_seed() -> None:
    scripts.cache_clear()
    assert scripts() == ALL


def test_no_check_is_left_out_where_everything_is_offered_and_quick() -> None:
    assert [check.name for check in CHECKS if check.unless(kit(1))] == []


def test_what_takes_long_is_left_out_with_the_reason_unless_there_is_time() -> None:
    slow = suite.Kit(
        random.Random(1), "on", welcome={"heartbeat": {"interval_ms": 25_000, "timeout_ms": 10_000}}
    )
    assert "it takes 35 s" in str(slow.too_long(slow.interval + slow.timeout))
    assert replace(slow, patient=True).too_long(35.0) is None
    assert "tells no heartbeat times" in str(suite.Kit(random.Random(1), "on").too_long(math.inf))
