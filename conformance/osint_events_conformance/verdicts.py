"""Single questions of judgement, each about one event, one connection or one debt. The model asks them."""

from __future__ import annotations

import json
from typing import Any

from osint_events.close_codes import CloseCode
from websockets.frames import Close
from websockets.frames import CloseCode as RfcCode

from osint_events_conformance import values
from osint_events_conformance.records import KEPT_TEXT, Case, Debt, Event, Peer, Subscription
from osint_events_conformance.wire import Ended, Text

ALLOWED_CLOSE_CODES = frozenset(
    {
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_PAYLOAD,
        CloseCode.POLICY_VIOLATION,
        CloseCode.MESSAGE_TOO_BIG,
    }
)
"""ROB-2; 4xxx codes are allowed too."""
_ORDER_WINDOW = 200


def judge_publisher(peer: Peer, investigation_id: str, data: dict[str, Any], at: float) -> None:
    """Judge an event that the checker did not write by EVT-2 to EVT-5."""
    case, got = peer.case, values.show(data, 400)
    mirror, progress, kind = data.get("investigation_id"), data.get("progress"), data.get("type")
    case.cases["EVT-5"] += 1
    if "investigation_id" in data:
        case.cases["EVT-2"] += 1
        if mirror != investigation_id:
            case.find(
                "wrong_mirror", f"data.investigation_id is {values.show(mirror)}", peer.name, at, got=got
            )
    if "progress" in data:
        case.cases["EVT-3"] += 1
        if isinstance(progress, bool) or not isinstance(progress, int | float) or not 0 <= progress <= 1:
            case.find("progress_range", f"progress is {values.show(progress)}", peer.name, at, got=got)
    if isinstance(kind, str) and kind.startswith("task_"):
        case.cases["EVT-4"] += 1
        task_id = data.get("task_id")
        if not isinstance(task_id, str) or not task_id:
            case.find("no_task_id", f"{kind} has task_id {values.show(task_id)}", peer.name, at, got=got)
    if not isinstance(kind, str) or not kind:
        case.find("no_kind", "an event without `type`: the legacy rules classify it", peer.name, at, got=got)


def judge_order(peer: Peer, subscription: Subscription, event: Event, at: float) -> None:
    """Judge whether an event came after one that was published later (DEL-4)."""
    case = event.investigation.case
    if len(event.investigation.by_key[event.key]) > 1:
        return  # equal events cannot be told apart
    later = [
        other
        for other in event.investigation.events[-_ORDER_WINDOW:]
        if peer in other.received
        and event.done is not None
        and other.started > event.done
        and other is not event
    ]
    if later:
        message = f"{values.show(event.data)} arrived after {values.show(later[0].data)}, published later"
        case.find("out_of_order", message, peer.name, at)
    elif subscription.last_order >= 0:
        case.cases["DEL-4"] += 1
    subscription.last_order = max(subscription.last_order, event.order)


def subscribers(event: Event) -> list[Peer]:
    """Who was surely subscribed when the event was published, and is still."""
    return [
        peer
        for peer, subscription in event.investigation.subscriptions.items()
        if peer.serves and subscription.confirmed_at is not None and subscription.confirmed_at < event.started
    ]


def judge_strays(event: Event) -> None:
    """Judge what reached connections without a subscription, once a subscriber has it too (DEL-2)."""
    if not event.strays:
        return
    subscriber = next((peer for peer in subscribers(event) if peer in event.received), None)
    if subscriber is None:
        return
    for peer, text in event.strays:
        shown = values.show(event.investigation.id)
        message = f"an update of {shown} reached a connection that is not subscribed to it"
        event.investigation.case.find(
            "stray", f"{message}, while {subscriber.name} is", peer.name, text.at, got=text.raw[:KEPT_TEXT]
        )
    event.strays.clear()


def judge_spelling(peer: Peer, event: Event, text: Text) -> None:
    """Compare how numbers are spelt with how they were published (EVT-6)."""
    case = event.investigation.case
    case.cases["EVT-6"] += 1
    expected, got = values.spellings(event.spelling or ""), values.spellings(text.raw)["data"]
    got = {name: value for name, value in got.items() if name in expected}
    where = values.difference(expected, got)
    if where:
        case.find(
            "respelt",
            f"a number was written anew: {where}",
            peer.name,
            text.at,
            expected=(event.spelling or "")[:KEPT_TEXT],
            got=text.raw[:KEPT_TEXT],
        )


def judge_end(peer: Peer, how: Ended | None, close: Close | None, at: float, clause: str = "") -> None:
    """Judge a connection's end that the client did not ask for (ROB-2, CONN-5).

    `clause` is what it breaks where that is known.
    """
    case = peer.case
    code = close.code if close is not None else None
    shown = f"with code {code}" if how is Ended.CLOSE_FRAME else "by dropping TCP"
    if peer.superseded and (peer.malformed or case.disturber(peer)):
        return  # either may be the reason
    if peer.malformed:
        tolerated = next((one for one in peer.malformed if one == "ROB-3"), "")
        if how is Ended.DROPPED:
            case.find("dropped", "TCP was dropped without a close frame after malformed input", peer.name, at)
        elif code == RfcCode.NO_STATUS_RCVD:  # an empty close frame
            case.find("dropped", "malformed input was answered by a close without a code", peer.name, at)
        elif code not in ALLOWED_CLOSE_CODES and not 4000 <= (code or 0) < 5000:  # noqa: PLR2004 - RFC 6455 7.4.2
            case.find(
                "bad_close",
                f"malformed input was answered by a close {shown}",
                peer.name,
                at,
                clause=tolerated,
            )
        else:
            case.cases["ROB-2"] += 1
    elif peer.superseded:
        text = f"the older of two connections was ended {shown}"
        case.find("older_ended", text, peer.name, at, doubtful=peer.was_mute)
    elif not peer.may_end:
        text = f"the server ended a healthy connection {shown}"
        racy = code == CloseCode.SLOW_CONSUMER  # perhaps this process read late
        case.find("ended", text, peer.name, at, clause=clause, doubtful=peer.was_mute, racy=racy)


def judge_delay(
    case: Case, conn: str, clause: str | None, *, seconds: float, limit: float, at: float
) -> None:
    """Judge what took `seconds` while another connection misbehaves, by the clause that protects it."""
    if clause is not None and seconds > limit:
        what = "not delivered" if conn == "publisher" else "not confirmed"
        doing = "stalls" if clause == "ROB-5" else "misbehaves"
        message = f"{what} within {seconds:.2f} s, while another connection {doing}"
        case.find("delayed", message, conn, at, clause=clause, expected=f"within {limit:.2f} s")


NEVER_CAME = {
    "unconfirmed": "no confirmation of {}",
    "no_welcome": "hello was not answered by welcome, though it was on another connection",
    "no_app_pong": "ping {} was not answered by pong",
    "not_unsubscribed": "no answer to unsubscribe_investigation of {}",
    "no_replay_complete": "no replay_complete for {}",
    "no_position_message": "no position of {}, though the store moved on and nothing was sent for it",
    "no_gap": "a new epoch of {} was told to another connection, and no gap to this one",
    "unanswered": "a message among too many was neither carried out nor refused: {}",
    "no_ping": "no ping, though nothing was sent for {} s",
    "not_timed_out": "a client that was silent for {} s, and more, was not ended",
    "no_normal": "backpressure high was never followed by normal, though nothing waits any more",
    "no_error": "no error for a message that is not to be carried out ({})",
}
"""What is said of an answer that is owed and never came, by the kind of finding."""


def overdue_text(debt: Debt) -> str:
    """Say in words what never came."""
    event = "" if debt.event is None else values.show(debt.event.data)
    if debt.event is not None and debt.event.data is None:
        event = "any update after the trigger"
    if debt.kind in NEVER_CAME:
        return NEVER_CAME[debt.kind].format(debt.about)
    match debt.kind:
        case "no_pong":
            return f"no Pong with the payload 0x{debt.about.strip(chr(34))}"
        case "unfinished_close":
            if debt.peer.link.ended is Ended.CLOSE_FRAME:
                return "the close frame was answered, but TCP was not closed"
            if debt.peer.link.tcp_closed:
                return "TCP ended without a close frame in answer to ours"
            return "our close frame was not answered"
        case "fallback_lost":
            return f"no subscriber, but not broadcast to all: {event}"
        case _:
            return f"not delivered: {event}"


def expected(debt: Debt) -> str | None:
    """What should have come, as JSON text, where the debt is an event that the checker wrote."""
    if debt.event is None or debt.event.data is None:
        return None
    update = {"investigation_id": debt.event.investigation.id, "data": debt.event.data}
    return json.dumps(update)[:KEPT_TEXT]
