"""Numbers, tokens and replays: where a connection is in an investigation, and what it must get after that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from osint_events.scopes import is_in_scope

from osint_events_conformance import values
from osint_events_conformance.debts import owe, pay
from osint_events_conformance.records import Case, Debt, Event, Investigation, Peer

_URL_SAFE = re.compile(r"[A-Za-z0-9._~-]+")
"""RFC 3986, 2.3: the characters that a URL never needs escaped (RPL-3)."""
_LONGEST_TOKEN = 512
_ORDER_WINDOW = 200


@dataclass(frozen=True, slots=True)
class Token:
    """A token that the server gave (RPL-3): the number after which it resumes, and when it came."""

    seq: int
    text: str
    epoch: object
    at: float


@dataclass(eq=False, slots=True)
class Request:
    """A message that is answered with its `ref` (NEG-4)."""

    kind: str
    investigation_id: str
    ref: str | None
    sent_at: float
    debt: Debt
    scope: tuple[str, ...] | None = None
    text: str | None = None
    """The token that was sent."""
    token: Token | None = None
    """What the server gave it for, where it gave it for this investigation."""


@dataclass(slots=True)
class Replay:
    """A replay that is under way: of `count` updates after the number `after`."""

    request: Request
    after: int
    count: int
    done: Debt
    seen: int = 0
    grew: bool = False
    """Whether something was replayed that was published only after it was asked for."""
    early: list[tuple[str, str, float]] = field(default_factory=list)
    """What came after the last replayed update and before `replay_complete`, if that does come: findings."""


@dataclass(slots=True)
class Position:
    """Where a connection is in an investigation (RPL-2)."""

    last: int
    epoch: object
    updated: int | None = None
    """The number of the last update, where the scope has not changed since."""
    replay: Replay | None = None
    handed_over: Replay | None = None
    """The last replay that was completed."""
    tokens: list[Token] = field(default_factory=list)
    confirmed: Token | None = None
    due: Debt | None = None
    """The `position` that is owed since the store moved on (RPL-6)."""
    told_at: float = 0.0
    """When the last `gap` or `position` came."""
    no_gap: Debt | None = None
    """The `gap` that is owed since another connection was told of another epoch (RPL-7)."""


# Confirmations


def confirmed(
    peer: Peer,
    positions: dict[str, Position],
    request: Request,
    message: Mapping[str, Any],
    at: float,
) -> None:
    """Judge the position in a confirmation, and how it answers a token."""
    if not _is_whole(peer, message, at, ("epoch", "seq", "token")):
        return
    seq, epoch = message["seq"], message["epoch"]
    position = positions.setdefault(request.investigation_id, Position(seq, epoch))
    position.last, position.epoch, position.updated = seq, epoch, None
    _told(position)
    position.confirmed = Token(seq, message["token"], epoch, at)
    position.tokens.append(position.confirmed)
    peer.case.cases["RPL-3"] += 1
    _judge_epoch(peer, position, request, at)
    if not _begins_replay(peer, position, request, message, at):
        _judge_head(peer, position, request, message, at)


def _judge_epoch(peer: Peer, position: Position, request: Request, at: float) -> None:
    """Who is connected and holds another epoch must be told of it (RPL-7, RPL-8)."""
    case, id_ = peer.case, request.investigation_id
    investigation = case.investigations.get(id_)
    if case.restarted:
        case.cases["RPL-8"] += 1
        if request.token is not None and request.token.epoch == position.epoch:
            case.cases["RPL-9"] += 1
    for other in investigation.subscriptions if investigation else ():
        theirs = other.talk.positions.get(id_) if other.talk else None
        if other is peer or theirs is None or not other.serves or other.stalled:
            continue
        case.cases["RPL-7"] += 1
        if theirs.epoch != position.epoch and theirs.no_gap is None:
            theirs.no_gap = owe(other, "no_gap", values.show(id_), at)


def _begins_replay(
    peer: Peer, position: Position, request: Request, message: Mapping[str, Any], at: float
) -> bool:
    """Judge how a token is answered (RPL-3, RPL-4); say whether a replay follows."""
    case, replay = peer.case, message.get("replay")
    if request.text is None:
        if replay is not None:
            case.find("wrong_replay", "a replay that nobody asked for", peer.name, at)
        return False
    if replay is None:
        case.find("wrong_replay", "a token was not answered by `replay`", peer.name, at)
        return False
    reason, token = replay.get("reason"), request.token
    is_complete: bool = replay["status"] == "complete"
    if token is None:
        case.cases["RPL-3"] += 1
        if is_complete or reason != "invalid":
            text = f"a forged or foreign token was answered {values.show(replay)}"
            case.find("wrong_token", text, peer.name, at)
    elif is_complete:
        _begin(peer, position, request, message, at)
    elif token.epoch == position.epoch and reason in {"invalid", "epoch_changed"}:
        text = f"a token of the server's own, of this epoch, was answered {values.show(replay)}"
        clause = "RPL-9" if case.restarted else "RPL-3"
        case.find("wrong_token", text, peer.name, at, clause=clause)
    elif reason == "invalid" and not case.restarted:
        case.find("wrong_token", "a token of the server's own was called invalid", peer.name, at)
    return is_complete


def _begin(peer: Peer, position: Position, request: Request, message: Mapping[str, Any], at: float) -> None:
    """What came after the token is owed: what was published before it was asked for, and since."""
    case, token = peer.case, request.token
    assert token is not None
    if position.last != token.seq:
        text = f"a replay after seq {token.seq} is confirmed with seq {position.last}"
        case.find("wrong_replay", text, peer.name, at)
        position.last = token.seq
    most = _limit(peer, "max_replay_events")
    if most is not None and message["replay"]["count"] > most:
        text = f"{message['replay']['count']} events are replayed, where at most {most} are"
        case.find("wrong_replay", text, peer.name, at)
    pending = [one for one in _requests(peer) if one.investigation_id == request.investigation_id]
    for event in _since(case.investigations.get(request.investigation_id), token):
        event.received.pop(peer, None)
        if peer not in event.debts and is_in_scope(event.data, request.scope):
            before = event.done is not None and event.done < request.sent_at
            if not before and not _outlasts(event, pending):
                continue
            debt = owe(peer, "not_replayed" if before else "lost_at_hand_over", "", at)
            debt.event = event
            event.debts[peer] = debt
    done = owe(peer, "no_replay_complete", values.show(request.investigation_id), at)
    position.replay = Replay(request, token.seq, message["replay"]["count"], done)


def _judge_head(
    peer: Peer, position: Position, request: Request, message: Mapping[str, Any], at: float
) -> None:
    """Judge whether a confirmation or `replay_complete` knows what was delivered long before (RPL-4)."""
    investigation = peer.case.investigations.get(request.investigation_id)
    known = [
        event
        for event in (investigation.events if investigation else ())
        if event.seq is not None
        and event.epoch == position.epoch
        and event.first_received is not None
        and event.first_received < request.sent_at
        and is_in_scope(event.data, request.scope)
    ]
    head = max((event.seq or 0 for event in known), default=0)
    if message["seq"] < head:
        text = f"{message['type']} says seq {message['seq']}, but {head} was delivered before"
        kind = "epoch_kept" if peer.case.restarted else "wrong_head"
        peer.case.find(kind, text, peer.name, at)


# Updates


def updated(
    peer: Peer,
    position: Position | None,
    event: Event | None,
    message: Mapping[str, Any],
    at: float,
) -> bool:
    """Judge an update's number and place; say whether that explains that it came again."""
    if position is None or not _is_whole(peer, message, at, ("seq", "prev", "token")):
        return False
    seq, case = message["seq"], peer.case
    case.cases["RPL-1"] += 1
    case.cases["RPL-2"] += 1
    again = event is not None and peer in event.received
    if event is not None:
        _number(peer, position, event, seq, at)
    replay = position.replay
    if (message.get("replayed") is True) is not (replay is not None):
        text = "a live update within a replay" if replay else "a replayed update outside a replay"
        disturbed(peer, position, "live_in_replay", f"{text}, seq {seq}", at)
        if replay is not None:
            replay.grew = True
    elif replay is not None:
        case.progressed_at = at  # however much more is replayed than surely was missed
        replay.seen += 1
        replay.grew = replay.grew or event is None or not _before(event, replay.request)
    explained = False
    if seq <= position.last:
        explained = _judge_late(peer, position, event, seq, at, again=again)
    else:
        _judge_prev(peer, position, event, message, at)
    position.last = max(position.last, seq)
    position.updated = seq
    position.tokens.append(Token(seq, message["token"], position.epoch, at))
    return again and explained


def _judge_late(
    peer: Peer, position: Position, event: Event | None, seq: int, at: float, *, again: bool
) -> bool:
    """Judge an update that a client drops, since its number is not new (RPL-2)."""
    case, last = peer.case, position.last
    subscription = peer.subscriptions.get(event.investigation.id) if event is not None else None
    place = position.replay or position.handed_over
    live = place is None and position.updated is None
    if live and subscription is not None and subscription.switched:
        text = f"a switch of the scope was followed by seq {seq}, which is not beyond {last}"
        case.find("duplicate", text, peer.name, at, clause="SCP-3")
        return True
    text = f"seq {seq} comes after {last}"
    if position.replay is not None and seq <= position.replay.after:
        case.find("wrong_replay", f"seq {seq} is replayed after {position.replay.after}", peer.name, at)
    elif place is not None and event is not None and seq > place.after:
        if again and _before(event, place.request):
            case.find("wrong_replay", f"seq {seq} comes a second time in a replay", peer.name, at)
        else:
            text = f"{text}, {'in' if position.replay else 'after'} a replay"
            case.find("wrong_hand_over", text, peer.name, at)
    elif again:
        return False
    elif event is not None and event.first_received is not None and _is_old(position, event):
        case.find("wrong_replay", f"{text}, though nobody asked for a replay", peer.name, at)
    else:
        _not_increasing(peer, position, event, text, at)
    return True


def _is_old(position: Position, event: Event) -> bool:
    """Whether an event was delivered elsewhere before the subscription was confirmed."""
    confirmed = position.confirmed
    return confirmed is not None and (event.first_received or 0.0) < confirmed.at


def _judge_prev(
    peer: Peer, position: Position, event: Event | None, message: Mapping[str, Any], at: float
) -> None:
    seq, prev = message["seq"], message["prev"]
    kind = "wrong_prev"
    if prev > position.last:
        text = f"prev {prev} is beyond the position {position.last}: it says that something was lost"
        if event is not None and _was_skipped_for_slowness(peer, event):
            kind = "sent_after_loss"
    elif prev >= seq:
        text = f"prev is {prev}, and seq {seq}"
    elif position.updated is not None and prev < position.updated:
        text = f"prev is {prev}, but the event before it has {position.updated}: a loss would not be seen"
    else:
        return
    peer.case.find(kind, text, peer.name, at)


def _was_skipped_for_slowness(peer: Peer, event: Event) -> bool:
    """Whether something before the event is missing on a connection that was not read for a while (FLW-2)."""
    if peer.talk is None or not (peer.talk.uses("flow") and peer.has_stalled):
        return False
    return any(
        owed is not event and owed.done is not None and owed.done < event.started
        for owed in (debt.event for debt in _debts(peer, event.investigation.id))
        if owed is not None
    )


def _number(peer: Peer, position: Position, event: Event, seq: int, at: float) -> None:
    """Take note of an event's number: given once, to one event, in the order of publication (RPL-1)."""
    if event.seq is not None:
        if event.epoch == position.epoch and event.seq != seq:
            text = f"an event that has seq {event.seq} elsewhere has {seq} here"
            peer.case.find("renumbered", text, peer.name, at)
        return
    event.seq, event.epoch = seq, position.epoch
    for other in event.investigation.events[-_ORDER_WINDOW:]:
        if other is event or other.seq is None or other.epoch != event.epoch:
            continue
        after = other.done is not None and other.done < event.started
        before = event.done is not None and event.done < other.started
        if other.seq == seq or (after and other.seq > seq) or (before and other.seq < seq):
            text = f"an event has seq {seq}, and one that was published {'earlier' if after else 'later'}"
            _not_increasing(peer, position, event, f"{text} {other.seq}", at)
            return


def _not_increasing(peer: Peer, position: Position, event: Event | None, text: str, at: float) -> None:
    """Numbers go back: within the epoch (RPL-1), unless a new one began unannounced (RPL-7)."""
    case = event.investigation.case if event is not None else peer.case
    case.find("epoch_kept" if case.restarted else "not_increasing", text, peer.name, at)
    if event is not None:
        case.doubts.setdefault(event.investigation.id, position.epoch)


def resolve(case: Case, investigation_id: str, epoch: object) -> None:
    """The epoch is known that numbers belong to which went back: another one was never announced."""
    if epoch != case.doubts.pop(investigation_id, epoch):
        for finding in case.findings:
            if finding.kind in {"not_increasing", "no_position_message"}:
                finding.kind, finding.clause = "unannounced_epoch", "RPL-7"


# What sets the position besides


def replay_complete(
    peer: Peer, position: Position | None, message: Mapping[str, Any], at: float
) -> Replay | None:
    """Judge the end of a replay, and give the replay."""
    case = peer.case
    if position is None or position.replay is None:
        case.find("wrong_replay", "replay_complete without a replay", peer.name, at)
        return None
    replay, position.replay = position.replay, None
    position.handed_over = replay
    for kind, text, when in replay.early:
        case.find(kind, text, peer.name, when)
    pay(replay.done, "RPL-4")
    case.cases["RPL-5"] += 1
    case.progressed_at = at
    owed = _debts(peer, replay.request.investigation_id)
    missing = any(debt.kind in {"not_replayed", "lost_at_hand_over"} for debt in owed)
    if replay.seen != replay.count and not missing and not replay.grew:
        text = f"count is {replay.count}, but {replay.seen} were replayed"
        case.find("wrong_replay", text, peer.name, at)
    _judge_head(peer, position, replay.request, message, at)
    _moved(peer, position, message, at, "wrong_hand_over" if replay.grew else "wrong_replay")
    return replay


def disturbed(peer: Peer, position: Position, kind: str, text: str, at: float) -> bool:
    """Something came within a replay that has no place there; say whether the replay is cut short.

    Where all was replayed already, perhaps `replay_complete` is what never comes.
    """
    replay = position.replay
    if replay is not None and replay.seen == replay.count:
        replay.early.append((kind, text, at))
        return False
    peer.case.find(kind, text, peer.name, at)
    return replay is not None


def awaited(peer: Peer, position: Position, investigation_id: str, at: float) -> Debt | None:
    """A `position` is due (RPL-6), if the store moved on since the connection was told where it is."""
    investigation = peer.case.investigations.get(investigation_id)
    last = investigation.events[-1] if investigation and investigation.events else None
    if last is None or not last.accepted or last.started <= position.told_at:
        return None
    position.due = owe(peer, "no_position_message", values.show(investigation_id), at)
    peer.case.doubts.setdefault(investigation_id, position.epoch)
    return position.due


def position(peer: Peer, position: Position | None, message: Mapping[str, Any], at: float) -> None:
    """Judge a `position` (RPL-6)."""
    if position is not None:
        peer.case.cases["RPL-6"] += 1
        position.told_at = at
        _moved(peer, position, message, at, "wrong_position")
        if position.due is not None:
            pay(position.due, "RPL-6")
            position.due = None


def gap(peer: Peer, position: Position | None, message: Mapping[str, Any], at: float) -> None:
    """What may have been missed is said: nothing before it is owed any more (RPL-7)."""
    peer.case.cases["RPL-7"] += 1
    if position is not None and _is_whole(peer, message, at, ("epoch", "seq", "token")):
        position.last, position.updated, position.epoch = message["seq"], None, message["epoch"]
        position.tokens.append(Token(message["seq"], message["token"], position.epoch, at))
        _told(position)
        position.told_at = at
        if position.due is not None:
            pay(position.due, "RPL-6")
            position.due = None
    drop(peer, message["investigation_id"])


def _told(position: Position) -> None:
    """A connection is told of the epoch."""
    if position.no_gap is not None:
        pay(position.no_gap, "RPL-7")
        position.no_gap = None


def _moved(peer: Peer, position: Position, message: Mapping[str, Any], at: float, kind: str) -> None:
    """A message sets the position: it never goes back."""
    if message["seq"] < position.last:
        text = f"{message['type']} goes back from {position.last} to {message['seq']}"
        peer.case.find(kind, text, peer.name, at)
    if _is_whole(peer, message, at, ("seq", "token")):
        position.last, position.updated = max(message["seq"], position.last), None
        position.tokens.append(Token(message["seq"], message["token"], position.epoch, at))


def _is_whole(peer: Peer, message: Mapping[str, Any], at: float, names: Sequence[str]) -> bool:
    """Judge whether what replay needs is there, and the token of the right kind."""
    clauses = {"seq": "RPL-1", "prev": "RPL-2", "token": "RPL-3", "epoch": "RPL-8"}
    missing = [name for name in names if name not in message]
    for name in missing:
        text = f"{message['type']} has no {name}"
        peer.case.find("no_position", text, peer.name, at, clause=clauses[name])
    token = message.get("token", "x")
    if not (len(token) <= _LONGEST_TOKEN and _URL_SAFE.fullmatch(token)):
        text = f"a token is {values.show(token)}: not URL-safe, or too long"
        peer.case.find("bad_token", text, peer.name, at)
    return not missing


def drop(peer: Peer, investigation_id: str, *, replayed: bool = True) -> None:
    """Events of an investigation are not owed any more; unless `replayed`, those of a replay still are."""
    for debt in _debts(peer, investigation_id):
        assert debt.event is not None
        if replayed or debt.kind != "not_replayed":
            peer.debts.discard(debt)
            debt.event.debts.pop(peer, None)
    peer.case.on_change()


def _debts(peer: Peer, investigation_id: str) -> list[Debt]:
    return [one for one in peer.debts if one.event and one.event.investigation.id == investigation_id]


def _since(investigation: Investigation | None, token: Token) -> Iterator[Event]:
    """The events after a token: by their numbers where those are known, else by time."""
    for event in investigation.events if investigation else ():
        if event.done is not None and not event.accepted:
            continue
        if event.seq is not None and event.epoch == token.epoch:
            if event.seq > token.seq:
                yield event
        elif event.started > token.at:
            yield event


def _before(event: Event, request: Request) -> bool:
    """Whether an event had surely been published when the replay was asked for."""
    return event.done is not None and event.done < request.sent_at


def _limit(peer: Peer, name: str) -> int | None:
    """A limit that the welcome told."""
    limits = peer.talk.welcome.get("limits", {}) if peer.talk else {}
    limit: int | None = limits.get(name)
    return limit


def _requests(peer: Peer) -> list[Request]:
    """What a connection has asked for and got no answer to."""
    return peer.talk.requests if peer.talk is not None else []


def _outlasts(event: Event, pending: Iterable[Request]) -> bool:
    """Whether an event is wanted after all that was asked for already, perhaps before it was published."""
    return all(one.kind == "subscribe" and is_in_scope(event.data, one.scope) for one in pending)
