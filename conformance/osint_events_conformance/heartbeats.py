"""HB-2: the pings that are due, and the end of who shows no sign of life.

A client's life is what it wrote, as its own side knows it: an end that came after a silence of ours is no
fault of the server's, whatever the reason for the silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osint_events.close_codes import CloseCode
from websockets.frames import Close

from osint_events_conformance.debts import owe, pay
from osint_events_conformance.records import Case, Debt, Peer

if TYPE_CHECKING:
    from osint_events_conformance.capabilities import Talk

_TIMED_OUT = CloseCode.HEARTBEAT_TIMEOUT
_EARLY = 0.95
"""Share of the time to live before which nobody may be given up: clocks differ a little."""
_LATE = 2.0
"""How many times the interval a ping may take, and a second: timers are coarse, machines busy."""
_SLACK = 1.0


def listening(peer: Peer, talk: Talk, at: float, *, dead: bool) -> None:
    """From now on a client sends nothing of its own accord: a ping is owed, and the end of who is dead."""
    if not talk.uses("heartbeat"):
        return
    talk.listens = not dead
    talk.ping_due = owe(peer, "no_ping", f"{_interval(talk):g}", at)
    if dead:
        talk.answers_pings, peer.link.is_mute, peer.may_end = False, True, True
        talk.end_due = owe(peer, "not_timed_out", f"{_life(talk):g}", at)


def judge_listener(peer: Peer, talk: Talk, at: float) -> None:
    """Judge that who only listens was pinged as often as it takes, up to now."""
    silence = at - peer.link.wrote_at
    if talk.listens and peer.serves and not peer.stalled and silence > _LATE * _interval(talk) + _SLACK:
        text = f"no further ping, though nothing came from the client for {silence:.1f} s"
        peer.case.find("no_ping", text, peer.name, at, expected=f"after {_interval(talk):g} s", racy=True)


def pinged(peer: Peer, talk: Talk, at: float) -> None:
    """A ping came: judge whether it came in time."""
    peer.case.cases["HB-2"] += 1
    debt, talk.ping_due = talk.ping_due, None
    if debt is None:
        return
    pay(debt, "HB-2")
    if is_late(debt, talk, at):
        text = f"the first ping came after {at - _quiet_since(debt):.1f} s of silence"
        peer.case.find("no_ping", text, peer.name, at, expected=f"after {_interval(talk):g} s")


def is_late(debt: Debt, talk: Talk, at: float) -> bool:
    """Whether a ping that is owed should have come by now."""
    return at - _quiet_since(debt) > _LATE * _interval(talk) + _SLACK


def _quiet_since(debt: Debt) -> float:
    """Since when one side or the other has been silent: what a server sends of its own counts, too."""
    link = debt.peer.link
    return max(debt.since, min(link.wrote_at, link.heard_at))


def judge_end(peer: Peer, talk: Talk, close: Close | None, at: float) -> bool:
    """Judge an end that has to do with silence; say whether it was one."""
    code = close.code if close is not None else None
    debt, talk.end_due = talk.end_due, None
    if debt is None and code != _TIMED_OUT:
        return False
    if debt is None and peer.has_stalled:
        return True  # it may have been ended before it read what asked for a sign of life
    case, silent = peer.case, at - peer.link.wrote_at
    is_late = debt is not None and silent > _LATE * _life(talk) + _SLACK
    _judge_missing_ping(case, peer, talk, at)
    if debt is not None and code != _TIMED_OUT:
        text = f"a client that is silent for {silent:.1f} s is ended with {code or 'no close frame'}"
    elif silent < _EARLY * _life(talk):
        text = f"a client that showed life {silent:.1f} s ago is ended with {_TIMED_OUT}"
    elif is_late:
        text = f"a client that is silent is ended only after {silent:.1f} s"
    else:
        text = ""
    if text:
        due = f"{_TIMED_OUT} after {_life(talk):g} s"
        case.find("wrong_timeout", text, peer.name, at, expected=due, doubtful=peer.was_mute, racy=is_late)
    case.cases["HB-2"] += 1
    return True


def _judge_missing_ping(case: Case, peer: Peer, talk: Talk, at: float) -> None:
    debt: Debt | None = talk.ping_due
    if debt is not None and at - _quiet_since(debt) > _interval(talk):
        text = f"ended with {_TIMED_OUT} without a ping before"
        case.find("no_ping", text, peer.name, at, doubtful=peer.was_mute)


def _interval(talk: Talk) -> float:
    """Seconds of silence after which a ping is due."""
    return float(talk.welcome.get("heartbeat", {}).get("interval_ms", 0)) / 1000


def _life(talk: Talk) -> float:
    """Seconds of silence after which a client is dead."""
    return _interval(talk) + float(talk.welcome.get("heartbeat", {}).get("timeout_ms", 0)) / 1000
