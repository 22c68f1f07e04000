"""What the capabilities of Part 2 ask of a server, on connections that said `hello`.

The oracle (`model`) hands over every message of such a connection. Without a `welcome` it is a connection of
Part 1 like any other, and the names that Part 2 uses mean nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from osint_events.features import TEMPORARY_ERRORS
from osint_events.scopes import is_in_scope

from osint_events_conformance import values
from osint_events_conformance.records import Debt, Event, Peer

WHOLE = ("all",)
_URL_SAFE = re.compile(r"[A-Za-z0-9._~-]+")
_LONGEST_TOKEN = 512
_OF_REPLAY = frozenset({"seq", "prev", "token", "replayed", "epoch", "replay"})
_KNOWN_CODES = frozenset(
    {
        "invalid_json",
        "invalid_message",
        "unknown_type",
        "already_initialized",
        "invalid_scope",
        "message_too_large",
        "unauthorized",
        "forbidden",
        "subscription_limit",
    }
)
REFUSALS = frozenset({"subscription_limit", "rate_limited", "unavailable", "internal", "forbidden"})
"""Errors by which a server may refuse a message that is right (SUB-1)."""


@dataclass(eq=False, slots=True)
class Request:
    """A message that is answered with its `ref` (NEG-4)."""

    kind: str
    investigation_id: str
    ref: str | None
    sent_at: float
    debt: Debt
    scope: tuple[str, ...] | None = None
    token: str | None = None
    resumes: int | None = None
    """The number after which the token resumes, where the server gave it for this investigation."""
    forged: bool = False


@dataclass(eq=False, slots=True)
class Mistake:
    """A message that is not to be carried out, and the error codes that say so (ERR-1)."""

    codes: tuple[str, ...]
    ref: str | None
    debt: Debt | None


@dataclass(slots=True)
class Replay:
    """A replay that is under way."""

    count: int
    request: Request
    owed: list[Debt]
    done: Debt
    seen: int = 0


@dataclass(slots=True)
class Position:
    """Where a connection is in an investigation (RPL-2)."""

    last: int
    epoch: object
    updated: int | None = None
    """The number of the last update, where the scope has not changed since."""
    replay: Replay | None = None
    tokens: list[tuple[int, str]] = field(default_factory=list)
    confirmed: tuple[int, str] | None = None


@dataclass(slots=True)
class Talk:
    """What a connection that said `hello` has come to with the server."""

    asked: tuple[str, ...]
    protocol: int
    ref: str | None
    debt: Debt | None
    features: frozenset[str] | None = None
    welcome: Mapping[str, Any] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    pings: list[tuple[str, str | None, Debt]] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    """Investigations that were unsubscribed from and not subscribed to again."""
    pressure: str = "normal"
    limited: int = 0
    """Messages that were refused as too many."""
    unasked_errors: list[tuple[float, str]] = field(default_factory=list)
    answers_pings: bool = True
    last_ping: float | None = None

    def uses(self, feature: str) -> bool:
        """Whether a feature was granted."""
        return self.features is not None and feature in self.features


_Handler = Callable[[Peer, Talk, Mapping[str, Any], float], None]
_FEATURE_OF = {
    "replay_complete": "replay",
    "position": "replay",
    "gap": "replay",
    "unsubscribed": "unsubscribe",
    "ping": "heartbeat",
    "pong": "heartbeat",
    "backpressure": "flow",
}
"""Which feature a message type belongs to; `error` is for all who said hello (ERR-1)."""
Owe = Callable[[Peer, str, str, float], Debt]
Pay = Callable[[Debt, str], None]


class Capabilities:
    """Judges what Part 2 says. `owe` and `pay` are the oracle's own."""

    def __init__(self, owe: Owe, pay: Pay) -> None:
        self._owe = owe
        self._pay = pay
        self._handlers: dict[str, _Handler] = {
            "replay_complete": self._replay_complete,
            "position": self._position,
            "gap": self._gap,
            "unsubscribed": self._unsubscribed,
            "ping": self._ping,
            "pong": self._pong,
            "backpressure": self._backpressure,
            "error": self._error,
        }
        self.offered: frozenset[str] | None = None
        """What the server grants who asks for everything; None while it is not known to know `hello`."""
        self.protocol = 1

    # What the client does

    def greeting(self, peer: Peer, message: Mapping[str, Any], at: float) -> None:
        """A `hello` goes out. Only the first message can be one (NEG-2)."""
        if peer.talk is not None or peer.spoke:
            self.mistaken(peer, ("already_initialized",), _ref(message), at)
            return
        # Whether it knows hello at all is for the probe to see.
        debt = self._owe(peer, "no_welcome", "", at) if self.offered is not None else None
        features = tuple(one for one in message["features"] if isinstance(one, str))
        peer.talk = Talk(features, message["protocol"], _ref(message), debt)

    def following(self, peer: Peer, request: Request) -> None:
        """A subscribe goes out on a connection that said hello."""
        assert peer.talk is not None
        peer.talk.requests.append(request)

    def unfollowing(self, peer: Peer, investigation_id: str, ref: str | None, at: float) -> None:
        """An `unsubscribe_investigation` goes out (UNS-1)."""
        assert peer.talk is not None
        if not self._uses(peer.talk, "unsubscribe"):
            self.mistaken(peer, ("unknown_type",), ref, at)
            return
        debt = self._owe(peer, "not_unsubscribed", values.show(investigation_id), at)
        peer.talk.requests.append(Request("unsubscribe", investigation_id, ref, at, debt))

    def pinging(self, peer: Peer, id_: str, ref: str | None, at: float) -> None:
        """A `ping` goes out (HB-1)."""
        assert peer.talk is not None
        if not self._uses(peer.talk, "heartbeat"):
            self.mistaken(peer, ("unknown_type",), ref, at)
            return
        peer.talk.pings.append((id_, ref, self._owe(peer, "no_app_pong", values.show(id_), at)))

    def mistaken(self, peer: Peer, codes: tuple[str, ...], ref: str | None, at: float) -> None:
        """A message goes out that is not to be carried out; where errors are told, one is owed."""
        talk = peer.talk
        if talk is None or (talk.features is None and self.offered is None):
            return
        debt = self._owe(peer, "no_error", ", ".join(codes), at) if self._uses(talk, "errors") else None
        talk.mistakes.append(Mistake(codes, ref, debt))

    def _uses(self, talk: Talk, feature: str) -> bool:
        """Whether a feature is in use, or will be once the welcome has come."""
        granted = talk.features
        if granted is None:
            granted = (self.offered or frozenset()) & set(talk.asked)
        return feature in granted

    # What the server says

    def message(self, peer: Peer, message: Mapping[str, Any], at: float) -> None:
        """Judge a message that is neither a confirmation nor an update."""
        talk = peer.talk
        assert talk is not None
        type_ = message["type"]
        if type_ == "welcome":
            self._welcomed(peer, talk, message, at)
        elif talk.features is None:
            return
        elif (feature := _FEATURE_OF.get(type_)) is not None and not talk.uses(feature):
            clause = "HB-3" if feature == "heartbeat" else "NEG-1"
            text = f"`{type_}` was sent, but {feature} was not granted"
            peer.case.find("not_granted", text, peer.name, at, clause=clause)
        elif (handle := self._handlers.get(type_)) is not None:
            handle(peer, talk, message, at)

    def confirmed(self, peer: Peer, message: Mapping[str, Any], at: float) -> None:
        """Judge what a confirmation says beside the id."""
        talk, id_ = peer.talk, message["investigation_id"]
        assert talk is not None
        if talk.features is None:
            if talk.debt is not None:
                self._late_welcome(peer, talk, at)
            return
        request = self._answered(peer, talk, "subscribe", message, at)
        talk.ended.discard(id_)
        if request is None:
            return
        self._judge_scope(peer, talk, request, message, at)
        if not talk.uses("replay"):
            self._judge_not_granted(peer, message, at)
            return
        if not self._has_position(peer, message, at, ("epoch", "seq", "token")):
            return
        position = talk.positions.setdefault(id_, Position(message["seq"], message["epoch"]))
        position.last, position.epoch, position.updated = message["seq"], message["epoch"], None
        position.confirmed = (message["seq"], message["token"])
        position.tokens.append(position.confirmed)
        peer.case.cases["RPL-3"] += 1
        self._judge_replay(peer, position, request, message, at)

    def updated(self, peer: Peer, message: Mapping[str, Any], at: float) -> bool:
        """Judge an update's number and its place; say whether it belongs to a replay."""
        talk, id_ = peer.talk, message["investigation_id"]
        assert talk is not None
        if not talk.uses("replay"):
            self._judge_not_granted(peer, message, at)
            return False
        position = talk.positions.get(id_)
        if position is None or not self._has_position(peer, message, at, ("seq", "prev", "token")):
            return False
        seq, prev, case = message["seq"], message["prev"], peer.case
        replay, replayed = position.replay, message.get("replayed") is True
        case.cases["RPL-1"] += 1
        case.cases["RPL-2"] += 1
        if seq <= position.last:
            text = f"seq {seq} comes after {position.last}"
            case.find("not_increasing", text, peer.name, at)
        elif prev > position.last:
            text = f"prev {prev} is beyond the position {position.last}: it says that something was lost"
            case.find("wrong_prev", text, peer.name, at)
        elif prev >= seq or (position.updated is not None and prev < position.updated):
            text = f"prev is {prev}, but seq is {seq} and the event before has {position.updated}"
            case.find("wrong_prev", text, peer.name, at)
        if replay is not None and not replayed:
            case.find("live_in_replay", f"a live update, seq {seq}, within a replay", peer.name, at)
        elif replay is None and replayed:
            case.find("live_in_replay", f"a replayed update, seq {seq}, outside a replay", peer.name, at)
        elif replay is not None:
            replay.seen += 1
        position.last = max(position.last, seq)
        position.updated = seq
        position.tokens.append((seq, message["token"]))
        return replayed

    def numbered(self, peer: Peer, event: Event, seq: object, at: float) -> None:
        """Take note of an event's number: it is the same for all (RPL-1)."""
        if not isinstance(seq, int) or isinstance(seq, bool):
            return
        if event.seq is None:
            event.seq = seq
        elif event.seq != seq:
            text = f"an event that has seq {event.seq} elsewhere has {seq} here"
            peer.case.find("renumbered", text, peer.name, at)

    def silent(self, peer: Peer) -> None:
        """A fence was passed: what came just before a close would be excused by it by now (ERR-1)."""
        talk = peer.talk
        if talk is None or not peer.serves:
            return
        for at, code in talk.unasked_errors:
            text = f"error {code} was sent, but errors was not granted"
            peer.case.find("unasked_error", text, peer.name, at)
        talk.unasked_errors.clear()

    # Inside

    def _welcomed(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        case = peer.case
        if talk.features is not None:
            case.find("second_welcome", "a second welcome", peer.name, at)
            return
        granted: list[str] = list(message["features"])
        talk.features, talk.welcome = frozenset(granted), message
        if talk.debt is not None:
            self._pay(talk.debt, "NEG-2")
            talk.debt = None
        case.cases["NEG-1"] += 1
        wrong = [one for one in granted if one not in talk.asked]
        missing = [one for one in self.offered or () if one in talk.asked and one not in granted]
        if wrong or missing or len(set(granted)) < len(granted):
            text = f"features are {values.show(granted)} where {values.show(list(talk.asked))} was asked for"
            case.find("wrong_features", text, peer.name, at)
        case.cases["NEG-3"] += 1
        if message["protocol"] != min(talk.protocol, self.protocol):
            text = f"protocol is {message['protocol']} where {talk.protocol} was asked for"
            case.find("wrong_protocol", text, peer.name, at)
        self._judge_ref(peer, talk.ref, message, at)

    def _late_welcome(self, peer: Peer, talk: Talk, at: float) -> None:
        assert talk.debt is not None
        peer.debts.discard(talk.debt)
        talk.debt = None
        peer.case.find("late_welcome", "a hello was not answered before what came after it", peer.name, at)

    def _answered(
        self, peer: Peer, talk: Talk, kind: str, message: Mapping[str, Any], at: float
    ) -> Request | None:
        """The request that a message answers; its `ref` is judged (NEG-4)."""
        id_ = message["investigation_id"]
        found = [one for one in talk.requests if one.kind == kind and one.investigation_id == id_]
        request = next((one for one in found if one.ref == message.get("ref")), found[0] if found else None)
        if request is None:
            return None
        talk.requests.remove(request)
        self._judge_ref(peer, request.ref, message, at)
        return request

    def _judge_ref(self, peer: Peer, ref: str | None, message: Mapping[str, Any], at: float) -> None:
        if ref is not None:
            peer.case.cases["NEG-4"] += 1
        if message.get("ref") != ref:
            text = f"{message['type']} has ref {values.show(message.get('ref'))}, not {values.show(ref)}"
            peer.case.find("wrong_ref", text, peer.name, at)

    def _judge_not_granted(self, peer: Peer, message: Mapping[str, Any], at: float) -> None:
        used = sorted(_OF_REPLAY & message.keys())
        if used:
            text = f"{message['type']} has {', '.join(used)}, but replay was not granted"
            peer.case.find("not_granted", text, peer.name, at)

    def _judge_scope(
        self, peer: Peer, talk: Talk, request: Request, message: Mapping[str, Any], at: float
    ) -> None:
        said = message.get("scope")
        if not talk.uses("scopes"):
            if said is not None:
                text = "the confirmation has a scope, but scopes was not granted"
                peer.case.find("not_granted", text, peer.name, at)
            return
        asked = request.scope or WHOLE
        peer.case.cases["SCP-1"] += 1
        if not isinstance(said, list) or set(said) != set(asked):
            text = f"scope {values.show(list(asked))} was confirmed as {values.show(said)}"
            peer.case.find("wrong_scope_echo", text, peer.name, at)

    def _has_position(self, peer: Peer, message: Mapping[str, Any], at: float, names: Sequence[str]) -> bool:
        """Judge whether what replay needs is there, and the token of the right kind."""
        clauses = {"seq": "RPL-1", "prev": "RPL-2", "token": "RPL-3", "epoch": "RPL-8"}
        missing = [name for name in names if name not in message]
        for name in missing:
            text = f"{message['type']} has no {name}"
            peer.case.find("no_position", text, peer.name, at, clause=clauses[name])
        token = message.get("token", "x")
        if not (isinstance(token, str) and len(token) <= _LONGEST_TOKEN and _URL_SAFE.fullmatch(token)):
            text = f"a token is {values.show(token)}: not URL-safe, or too long"
            peer.case.find("bad_token", text, peer.name, at)
        return not missing

    def _judge_replay(
        self, peer: Peer, position: Position, request: Request, message: Mapping[str, Any], at: float
    ) -> None:
        """Judge how a confirmation answers a token (RPL-3, RPL-4)."""
        case, replay = peer.case, message.get("replay")
        if request.token is None:
            if replay is not None:
                case.find("wrong_replay", "a replay that nobody asked for", peer.name, at)
            return
        if replay is None:
            case.find("wrong_replay", "a token was not answered by `replay`", peer.name, at)
            return
        status, reason = replay.get("status"), replay.get("reason")
        if request.forged:
            case.cases["RPL-3"] += 1
            if (status, reason) != ("failed", "invalid"):
                text = f"a forged or foreign token was answered {values.show(replay)}"
                case.find("wrong_token", text, peer.name, at)
        elif status == "failed" and reason == "invalid":
            case.find("wrong_token", "a token of the server's own was refused as invalid", peer.name, at)
        elif status == "failed" and reason == "epoch_changed":
            case.find("wrong_epoch", "a token of this epoch was refused for another epoch", peer.name, at)
        elif status == "complete":
            self._begin_replay(peer, position, request, message, at)

    def _begin_replay(
        self, peer: Peer, position: Position, request: Request, message: Mapping[str, Any], at: float
    ) -> None:
        case, count = peer.case, message["replay"].get("count")
        if not isinstance(count, int):
            case.find("wrong_replay", "a complete replay says no count", peer.name, at)
            count = -1
        if message["seq"] != request.resumes:
            text = f"a token of seq {request.resumes} resumes at {message['seq']}"
            case.find("wrong_token", text, peer.name, at)
        owed = []
        investigation = case.investigations.get(request.investigation_id)
        for event in investigation.events if investigation else ():
            missed = event.seq is not None and request.resumes is not None and event.seq > request.resumes
            before = event.accepted and event.done is not None and event.done < request.sent_at
            if missed and before and is_in_scope(event.data, request.scope) and peer not in event.debts:
                debt = self._owe(peer, "not_replayed", "", at)
                debt.event = event
                event.debts[peer] = debt
                owed.append(debt)
        done = self._owe(peer, "no_replay_complete", values.show(request.investigation_id), at)
        position.replay = Replay(count, request, owed, done)

    def _replay_complete(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        case, position = peer.case, talk.positions.get(message["investigation_id"])
        if position is None or position.replay is None:
            case.find("wrong_replay", "replay_complete without a replay", peer.name, at)
            return
        replay, position.replay = position.replay, None
        self._judge_ref(peer, replay.request.ref, message, at)
        self._pay(replay.done, "RPL-4")
        case.cases["RPL-5"] += 1
        if replay.seen != replay.count >= 0:
            text = f"count is {replay.count}, but {replay.seen} were replayed"
            case.find("wrong_replay", text, peer.name, at)
        for debt in replay.owed:
            if debt in peer.debts and debt.event is not None:
                peer.debts.discard(debt)
                debt.event.debts.pop(peer, None)
                text = f"missing from a complete replay: {values.show(debt.event.data)}"
                case.find("not_replayed", text, peer.name, at)
        self._moved(peer, position, message, at)

    def _position(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        position = talk.positions.get(message["investigation_id"])
        if position is not None:
            peer.case.cases["RPL-6"] += 1
            self._moved(peer, position, message, at)

    def _moved(self, peer: Peer, position: Position, message: Mapping[str, Any], at: float) -> None:
        """A message sets the position: it never goes back."""
        if message["seq"] < position.last:
            text = f"{message['type']} goes back from {position.last} to {message['seq']}"
            peer.case.find("went_back", text, peer.name, at)
        if self._has_position(peer, message, at, ("seq", "token")):
            position.last, position.updated = max(message["seq"], position.last), None
            position.tokens.append((message["seq"], message["token"]))

    def _gap(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        """What may have been missed is said: nothing before it is owed any more (RPL-7)."""
        id_ = message["investigation_id"]
        position = talk.positions.get(id_)
        if position is not None and self._has_position(peer, message, at, ("epoch", "seq", "token")):
            position.last, position.updated, position.epoch = message["seq"], None, message["epoch"]
            position.tokens.append((message["seq"], message["token"]))
        for debt in [one for one in peer.debts if one.event and one.event.investigation.id == id_]:
            assert debt.event is not None
            peer.debts.discard(debt)
            debt.event.debts.pop(peer, None)
        peer.case.on_change()

    def _unsubscribed(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        request = self._answered(peer, talk, "unsubscribe", message, at)
        if request is None:
            peer.case.find("unasked_unsubscribed", "unsubscribed without a request", peer.name, at)
            return
        id_ = request.investigation_id
        self._pay(request.debt, "UNS-1")
        peer.case.progressed_at = at
        later = [one for one in talk.requests if one.investigation_id == id_ and one.kind == "subscribe"]
        if not later:
            talk.ended.add(id_)
            if (subscription := peer.subscriptions.pop(id_, None)) is not None:
                subscription.ended = True
            investigation = peer.case.investigations.get(id_)
            if investigation is not None:
                investigation.subscriptions.pop(peer, None)
                investigation.last_end = at

    def _pong(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        for entry in talk.pings:
            id_, ref, debt = entry
            if id_ == message["id"]:
                talk.pings.remove(entry)
                self._judge_ref(peer, ref, message, at)
                self._pay(debt, "HB-1")
                peer.case.progressed_at = at
                return

    def _ping(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        peer.case.cases["HB-2"] += 1
        talk.last_ping = at
        if talk.answers_pings and peer.serves:
            peer.answer("pong", message["id"])

    def _backpressure(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        peer.case.cases["FLW-1"] += 1
        if message["state"] == talk.pressure:
            text = f"backpressure says {talk.pressure} twice, or normal at first"
            peer.case.find("not_alternating", text, peer.name, at)
        talk.pressure = message["state"]

    def _error(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        code, ref, case = message["code"], message.get("ref"), peer.case
        case.cases["ERR-1"] += 1
        if not (talk.uses("errors") or (code == "rate_limited" and talk.uses("flow"))):
            talk.unasked_errors.append((at, code))
        known = code in _KNOWN_CODES or code in TEMPORARY_ERRORS
        if known and message["temporary"] is not (code in TEMPORARY_ERRORS):
            text = f"error {code} says temporary: {values.show(message['temporary'])}"
            case.find("wrong_error", text, peer.name, at)
        if code == "rate_limited":
            talk.limited += 1
            if "retry_after_ms" not in message:
                case.find("no_retry_after", "rate_limited without retry_after_ms", peer.name, at)
        if code in REFUSALS and self._refused(peer, talk, ref):
            return
        mistake = next((one for one in talk.mistakes if one.ref == ref), None)
        mistake = mistake or next(iter(talk.mistakes), None)
        if mistake is None:
            return  # an error about something else: dialects have their own
        talk.mistakes.remove(mistake)
        self._judge_ref(peer, mistake.ref, message, at)
        if mistake.debt is not None:
            self._pay(mistake.debt, "ERR-1")
            case.progressed_at = at
        if code not in mistake.codes and code != "rate_limited":
            text = f"error {code}, where {' or '.join(mistake.codes)} is what is wrong"
            case.find("wrong_error", text, peer.name, at)

    def _refused(self, peer: Peer, talk: Talk, ref: object) -> bool:
        """A request that was refused is owed no answer any more."""
        request = next((one for one in talk.requests if one.ref == ref and ref is not None), None)
        if request is None:
            return False
        talk.requests.remove(request)
        peer.debts.discard(request.debt)
        peer.unconfirmed = [item for item in peer.unconfirmed if item[1] is not request.debt]
        peer.case.on_change()
        return True


def _ref(message: Mapping[str, Any]) -> str | None:
    ref = message.get("ref")
    return ref if isinstance(ref, str) else None
