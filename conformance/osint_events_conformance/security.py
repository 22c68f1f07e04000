"""Single questions of judgement about who may connect, and who may see what (SEC-1 to SEC-3).

A stranger is a connection that has not authenticated. The model and the executor ask.
"""

from __future__ import annotations

from http import HTTPStatus

from osint_events_conformance import values
from osint_events_conformance.records import KEPT_TEXT, Case, Peer
from osint_events_conformance.script import Knock, TurnedAway
from osint_events_conformance.wire import Refused, Text

TURNED_AWAY, TIMED_OUT = 4501, 4504
"""How the connection of a stranger ends who says something else than a hello with a token, or nothing."""
_ABOUT_NOTHING = frozenset({"error", "unsubscribed"})
"""Messages that may name a forbidden investigation: they say nothing of it."""


def judge_knock(case: Case, step: Knock, refused: Refused | None, at: float) -> None:
    """Judge how a handshake ended that must be refused; `refused` is None where it was not."""
    about = "origin" if step.status == HTTPStatus.FORBIDDEN else "token"
    case.cases["SEC-3" if about == "origin" else "SEC-1"] += 1
    what = f"origin {values.show(step.origin)}" if about == "origin" else f"a bad token ({step.auth})"
    if refused is None:
        told = f"a handshake with {what} was accepted"
        case.find(f"{about}_taken", told, step.conn, at, expected=f"status {step.status}")
    elif refused.status != step.status:
        told = f"a handshake with {what}: {refused}"
        case.find(f"{about}_refused_otherwise", told, step.conn, at, expected=f"status {step.status}")


def judge_refusal(case: Case, conn: str, refused: Refused, at: float, *, knows_hello: bool) -> None:
    """Judge a handshake without a token that was refused: a hello may bring one (SEC-1).

    A server of Part 1 takes none but in the handshake.
    """
    case.cases["SEC-1"] += 1
    if knows_hello or refused.status != HTTPStatus.UNAUTHORIZED:
        case.find("stranger_refused", f"a handshake without a token: {refused}", conn, at)


def judge_message(peer: Peer, text: Text) -> None:
    """Judge what a stranger is sent: nothing, but perhaps an error just before the end (ERR-1)."""
    if peer.turned_away and text.value["type"] == "error":
        return
    told = f"`{text.value['type']}` was sent to a connection that has not authenticated"
    peer.case.find("sent_to_stranger", told, peer.name, text.at, got=text.raw[:KEPT_TEXT])


def judge_end(peer: Peer, at: float) -> None:
    """Judge the end of a stranger that had not said anything wrong."""
    close = peer.link.close_received
    if peer.turned_away or (close is not None and close.code == TIMED_OUT):
        return
    how = "TCP was dropped" if close is None else f"it was closed with {close.code}"
    told = f"a connection without a token had no chance to say hello with one: {how}"
    peer.case.find("stranger_ended", told, peer.name, at)


def judge_turned_away(peer: Peer, step: TurnedAway, at: float) -> None:
    """Judge what became of a stranger that said something else than a hello with a good token."""
    peer.case.cases["SEC-1"] += 1
    close = peer.link.close_received
    if peer.gone and close is not None and close.code == step.code:
        return
    how = f"with {close.code}" if close is not None else "without a close frame"
    how = f"was ended {how}" if peer.gone else "was not ended"
    what = "said nothing"
    if step.text is not None:
        what = f"said something else than a hello with a good token ({step.auth})"
    told = f"a connection that {what} {how}"
    peer.case.find("not_turned_away", told, peer.name, at, expected=f"close {step.code}")


def judge_forbidden(peer: Peer, text: Text) -> bool:
    """Judge a message that names the investigation that the principal may not see (SEC-2).

    Say whether it should not have come.
    """
    type_ = text.value["type"]
    if type_ in _ABOUT_NOTHING:
        return False
    kind = "forbidden_confirmed" if type_ == "subscription_confirmed" else "forbidden_sent"
    told = f"`{type_}` of the forbidden {values.show(text.value['investigation_id'])}"
    peer.case.find(kind, told, peer.name, text.at, got=text.raw[:KEPT_TEXT])
    return True


def judge_end_after_refusal(peer: Peer, at: float) -> None:
    """Judge an end after a subscribe to the forbidden: a way to refuse it, where the error came first."""
    owed = next((debt for debt in peer.debts if debt.clause == "SEC-2"), None)
    if owed is not None and not peer.told_forbidden:
        told = "a subscribe to the forbidden investigation was answered by the connection's end alone"
        peer.case.find("no_error", told, peer.name, at, clause="SEC-2")
