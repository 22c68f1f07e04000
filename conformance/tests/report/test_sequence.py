"""The message sequence of a finding: order, gist, what matters, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest
from osint_events_conformance.findings import BY_KIND, WireEntry
from osint_events_conformance.report.diagram import Arrow, Fold, diagram
from osint_events_conformance.report.sequence import ABSENCES, Gap, Row, excerpt, lanes, sequence


def mattering(rows: list[Row]) -> list[str]:
    return [f"{row.conn} {row.label}" for row in rows if row.matters]


def test_absences_are_kinds_of_findings() -> None:
    assert set(BY_KIND) >= ABSENCES


def test_what_never_came_stands_where_it_was_missed(make_finding: Any) -> None:
    rows = sequence(make_finding())
    assert [row.direction for row in rows] == [
        "act",
        "sent",
        "received",
        "act",
        "received",
        "absent",
        "received",
    ]
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[5].at == pytest.approx(0.5)
    assert rows[5].text == 'not delivered: {"type": "task_started"}'


def test_the_request_the_publish_and_the_absence_matter(make_finding: Any) -> None:
    assert mattering(sequence(make_finding())) == [
        'b subscribe "inv-1"',
        'publisher publish "inv-1" "task_started"',
        'b not delivered: {"type": "task_start…',
    ]


def test_the_message_that_was_judged_matters(make_finding: Any) -> None:
    found = make_finding(kind="duplicate", conn="a", at=12.4, expected=None, got=make_finding().wire[4].text)
    assert mattering(sequence(found)) == [
        'publisher publish "inv-1" "task_started"',
        'a update "inv-1" "task_started"',
    ]


def test_an_end_that_was_logged_just_before_it_was_judged_matters(make_finding: Any) -> None:
    found = make_finding(kind="ended", expected=None, at=12.600_02)
    assert [row.direction for row in sequence(found)].count("absent") == 0
    assert mattering(sequence(found)) == ["b Close 1000 (OK)"]


def test_a_message_that_another_case_received_is_put_in(make_finding: Any) -> None:
    got = '{"type":"investigation_update","investigation_id":"inv-1","data":{"type":"task_started"}}'
    rows = sequence(make_finding(kind="stray", conn="bystander", at=12.45, expected=None, got=got))
    assert [row.label for row in rows if row.conn == "bystander"] == ['update "inv-1" "task_started"']
    assert [row.direction for row in rows if row.conn == "bystander"] == ["received"]


def test_a_ping_without_its_pong_matters(make_finding: Any) -> None:
    found = make_finding(
        kind="no_pong",
        message="no Pong with the payload 0x6162",
        expected=None,
        wire=(WireEntry(1, "b", ">", "Ping 0x61"), WireEntry(2, "b", ">", "Ping 0x6162")),
    )
    assert mattering(sequence(found)) == ["b Ping 0x6162", "b no Pong with the payload 0x6162"]


def test_a_publish_that_the_log_cut_matters_still(make_finding: Any) -> None:
    data = f'{{"type": "task_started", "text": "{"x" * 1000}"}}'
    found = make_finding(
        expected=data[:2000], wire=(WireEntry(1, "publisher", "*", f'publish "inv-1": {data[:400]}'),)
    )
    assert [row.matters for row in sequence(found)] == [True, True]


def test_a_finding_without_a_log_has_a_sequence(make_finding: Any) -> None:
    rows = sequence(
        make_finding(kind="refused_upgrade", message="the upgrade was answered with 400", wire=())
    )
    assert [(row.direction, row.at, row.matters) for row in rows] == [("absent", 0, True)]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('{"type": "subscribe_investigation", "investigation_id": "a\u0301"}', 'subscribe "a\\u0301"'),
        ('{"type": "hello", "extra": 1}', "hello"),
        ('{"type": "investigation_update", "investigation_id": 7, "data": []}', "update 7"),
        ('{"type": "investigation_update", "investigation_id": "x", "data": {}}', 'update "x" {}'),
        ('publish "a: b": {"message": "m"}', 'publish "a: b" "m"'),
        ('publish "x": {"a": "cut', 'publish "x" {"a": "cut'),
        ("[" * 2000, "[" * 35 + "…"),
        ("Pong 0x00", "Pong 0x00"),
    ],
)
def test_a_label_is_the_gist_of_a_message(make_finding: Any, text: str, label: str) -> None:
    assert sequence(make_finding(wire=(WireEntry(1, "a", ">", text),)))[0].label == label


def test_an_excerpt_keeps_what_matters_and_says_how_much_it_left_out(make_finding: Any) -> None:
    noise = tuple(WireEntry(number / 100, f"c{number % 7}", "<", "noise") for number in range(200))
    found = make_finding(wire=(*noise, *make_finding().wire, *noise[:50]))
    rows = sequence(found)
    shown = excerpt(rows, 20)
    kept = [row for row in shown if isinstance(row, Row)]
    assert len(kept) == 20
    assert [row for row in kept if row.matters] == [row for row in rows if row.matters]
    assert len(kept) + sum(row.rows for row in shown if isinstance(row, Gap)) == len(rows)
    assert [row.number for row in kept] == sorted(row.number for row in kept)


def test_an_excerpt_of_very_much_that_matters_is_short_too(make_finding: Any) -> None:
    publish = make_finding().wire[3]
    rows = sequence(make_finding(wire=(publish,) * 500))
    assert len([row for row in excerpt(rows, 20) if isinstance(row, Row)]) <= 20


def test_a_short_sequence_is_shown_whole(make_finding: Any) -> None:
    rows = sequence(make_finding())
    assert excerpt(rows, 20) == rows


def test_the_trigger_has_no_lane(make_finding: Any) -> None:
    assert lanes(sequence(make_finding())) == ["a", "b"]


def test_arrows_lead_from_and_to_the_servers_lane(make_finding: Any) -> None:
    drawn = diagram(sequence(make_finding()), 20)
    x = {lane.name: lane.x for lane in drawn.lanes}
    arrows = [item for item in drawn.items if isinstance(item, Arrow)]
    assert [(arrow.x1, arrow.x2) for arrow in arrows[:5]] == [
        (x["a"], x["a"]),
        (x["b"], x["server"]),
        (x["server"], x["b"]),
        (x["server"] - 18, x["server"]),
        (x["server"], x["a"]),
    ]
    assert x["a"] < arrows[5].x2 < x["b"], "what never came ends short of its lane"


def test_a_drawing_holds_all_that_is_in_it(make_finding: Any) -> None:
    noise = tuple(WireEntry(1, f"connection {number}", "<", "noise") for number in range(60))
    drawn = diagram(sequence(make_finding(wire=(*make_finding().wire, *noise))), 20)
    assert any(isinstance(item, Fold) for item in drawn.items)
    assert all(0 < item.y < drawn.height for item in drawn.items)
    assert all(0 < lane.x < drawn.width for lane in drawn.lanes)
    heights = [item.y for item in drawn.items]
    assert heights == sorted(set(heights))


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ('{"type": "hello", "protocol": 1, "features": ["replay", "flow"]}', "hello replay, flow"),
        ('{"type": "welcome", "protocol": 1, "features": []}', "welcome"),
        ('{"type": "unsubscribe_investigation", "investigation_id": "x"}', 'unsubscribe "x"'),
        ('{"type": "error", "code": "invalid_scope"}', "error invalid_scope"),
        ('{"type": "ping", "id": "s1"}', "ping"),
    ],
)
def test_messages_of_part_2_are_told_in_a_few_words(make_finding: Any, text: str, gist: str) -> None:
    found = make_finding(wire=(WireEntry(1, "b", ">", text),))
    assert sequence(found)[0].label == gist


def test_a_hello_that_was_never_answered_matters(make_finding: Any) -> None:
    hello = '{"type": "hello", "protocol": 1, "features": []}'
    found = make_finding(
        kind="no_welcome", message="no welcome", expected=None, wire=(WireEntry(1, "b", ">", hello),)
    )
    assert mattering(sequence(found)) == ["b hello", "b no welcome"]
