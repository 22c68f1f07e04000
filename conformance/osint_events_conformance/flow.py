"""FLW: what is said of a full queue, how a slow consumer ends, and what becomes of too many messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osint_events.close_codes import CloseCode
from websockets.frames import Close

from osint_events_conformance.debts import owe, pay
from osint_events_conformance.records import Case, Peer

if TYPE_CHECKING:
    from osint_events_conformance.capabilities import Talk

_MAY_END_SLOW = frozenset(
    {
        CloseCode.GOING_AWAY,
        CloseCode.SERVICE_RESTART,
        CloseCode.TRY_AGAIN_LATER,
        CloseCode.HEARTBEAT_TIMEOUT,
        CloseCode.SLOW_CONSUMER,
    }
)
"""Codes with which a connection that was not read may end; the others say something else."""
_STEP = 1 / 4
"""How much of the queue two readers may differ by for the one to tell what the other's was like."""
_NORMAL = 0.4
"""Share of the queue above which nothing is normal: a quarter, and what one event may be more."""
_BRISK = 0.9
"""Seconds of a stall that no server takes for long."""
WAYS = 11_000_000
"""Bytes that kernels and proxies on the way to a reader may hold, beside the server's queue for it."""
_SLACK = 1.5
"""How many times the messages of the time that passed a server may take beyond the burst."""


def pressed(peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
    """Judge `backpressure`: high and normal alternate, and high is followed by normal in the end (FLW-1)."""
    state = message["state"]
    peer.case.cases["FLW-1"] += 1
    waiting, most = message.get("queued_bytes", 0), _limit(talk) * _NORMAL
    if state == "normal" and most and waiting > most:
        text = f"backpressure is normal again with {waiting} bytes waiting"
        peer.case.find("not_alternating", text, peer.name, at, expected=f"about a quarter of {_limit(talk)}")
    if state == talk.pressure:
        text = f"backpressure says {talk.pressure} twice, or normal at first"
        peer.case.find("not_alternating", text, peer.name, at)
    talk.pressure = state
    if talk.pressure == "high":
        talk.was_pressed = True
        if talk.normal_due is None:
            talk.normal_due = owe(peer, "no_normal", "", at)
    elif talk.normal_due is not None:
        pay(talk.normal_due, "FLW-1")
        talk.normal_due = None
        peer.case.progressed_at = at


def ponged(peer: Peer, talk: Talk, since: float, at: float) -> None:
    """Judge a pong on a connection whose queue was half full: it comes ahead of what waits (HB-1)."""
    before = [
        event
        for investigation in peer.case.investigations.values()
        for event in investigation.events
        if event.done is not None and event.done < since and peer in investigation.subscriptions
    ]
    if talk.was_pressed and peer.has_stalled and before and all(peer in event.received for event in before):
        text = "a pong came behind all events, though the queue was half full"
        peer.case.find("pong_behind", text, peer.name, at)


def judge_slow_end(peer: Peer, talk: Talk | None, close: Close | None, at: float) -> None:
    """Judge the end of a connection that was not read for a while (FLW-2); `talk` is None for a core one."""
    case = peer.case
    if not peer.has_stalled:
        return
    if talk is None:
        if close is not None and close.code == CloseCode.SLOW_CONSUMER:
            text = f"a slow connection that said no hello was ended with {close.code}"
            case.find("wrong_slow_end", text, peer.name, at, expected=f"{CloseCode.TRY_AGAIN_LATER}")
        return
    if not talk.uses("flow"):
        return
    talk.ended_slow = True
    case.cases["FLW-2"] += 1
    if close is not None and close.code not in _MAY_END_SLOW:
        text = f"a slow consumer was ended with {close.code}"
        case.find(
            "wrong_slow_end", text, peer.name, at, expected=f"{CloseCode.SLOW_CONSUMER}, or TCP aborted"
        )
    for debt in peer.debts:
        lost = debt.event
        if lost is None or lost.done is None or debt.kind != "lost":
            continue
        later = [one for one in lost.investigation.events if one.started > lost.done and peer in one.received]
        if later:
            text = f"{len(later)} later events were sent although one was lost"
            case.find("sent_after_loss", text, peer.name, at)
            return


def judge_held(peer: Peer, talk: Talk, at: float) -> None:
    """Judge that a reader was served, for which more waited than its queue may hold (FLW-2)."""
    limit = _limit(talk)
    if not (talk.uses("flow") and limit and talk.held > limit + WAYS):
        return
    peer.case.cases["FLW-2"] += 1
    text = f"{talk.held} bytes waited for a reader that stalled, and it was sent all of them"
    peer.case.find("held_too_much", text, peer.name, at, expected=f"the end, with {limit} bytes waiting")


def judge_silence(case: Case) -> None:
    """Readers that stalled, of which one is ended and one that had little less waiting is not told (FLW-1).

    What waits in kernels on the way is not known, but the same for readers of one kind: so the one that is
    ended shows how much was in the queue of the next. Who stalled for long may have been ended for that.
    """
    slow = [
        (peer, peer.talk)
        for peer in case.peers
        if peer.talk is not None and peer.talk.uses("flow") and peer.talk.held
    ]
    if any(talk.was_pressed for _, talk in slow):
        return
    limit = max((_limit(talk) for _, talk in slow), default=0)
    ended = (talk.held for _, talk in slow if talk.ended_slow and talk.held_for < _BRISK)
    full = min((held for held in ended if held > limit), default=0)
    served = [(peer, talk) for peer, talk in slow if peer.serves and talk.held < full]
    if not served:
        return
    peer, talk = max(served, key=lambda pair: pair[1].held)
    case.cases["FLW-1"] += 1
    if full - talk.held <= _STEP * limit:
        text = f"with {talk.held} bytes waiting no backpressure was said, with {full} the connection ended"
        case.find("no_pressure", text, peer.name, case.progressed_at)


def _limit(talk: Talk) -> int:
    return int(talk.welcome.get("limits", {}).get("max_queue_bytes", 0))


def limited(peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
    """Judge a `rate_limited`: what it is about is not carried out, and may be tried again (FLW-3)."""
    peer.case.cases["FLW-3"] += 1
    talk.limited += 1
    if isinstance(ref := message.get("ref"), str):
        talk.refused.add(ref)
    if "retry_after_ms" not in message:
        peer.case.find("no_retry_after", "rate_limited without retry_after_ms", peer.name, at)


def judge_flood(peer: Peer, talk: Talk, sent: int, seconds: float, at: float) -> None:
    """Judge whether too many messages were refused at all: `sent` in so many seconds (FLW-3)."""
    limits = talk.welcome.get("limits", {})
    burst, rate = limits.get("burst"), limits.get("messages_per_second")
    if burst is None or rate is None:
        return
    peer.case.cases["FLW-3"] += 1
    most = burst + _SLACK * rate * (seconds + 1)
    if sent > most and not talk.limited and peer.serves:
        text = f"{sent} messages within {seconds:.1f} s, none of them refused"
        peer.case.find("not_limited", text, peer.name, at, expected=f"{burst}, and {rate:g} a second")


def judge_abuse(peer: Peer, sent: int, at: float) -> None:
    """Judge what became of a connection that went on sending too much (FLW-3)."""
    close = peer.link.close_received
    peer.case.cases["FLW-3"] += 1
    if not peer.gone:
        text = f"{sent} messages, as fast as they go, did not end the connection"
        peer.case.find("abuse_borne", text, peer.name, at, expected=str(CloseCode.RATE_ABUSE))
    elif close is not None and close.code != CloseCode.RATE_ABUSE:
        # No close frame proves nothing: who closes while more comes in has TCP reset the connection.
        text = f"sustained abuse is ended with {close.code}"
        peer.case.find("abuse_borne", text, peer.name, at, expected=str(CloseCode.RATE_ABUSE))
