"""What the capabilities of Part 2 ask of a server, on connections that said `hello`.

The oracle (`model`) hands over every message of such a connection. Without a `welcome` it is a connection of
Part 1 like any other, and the names that Part 2 uses mean nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from osint_events.features import FEATURES, TEMPORARY_ERRORS

from osint_events_conformance import flow, heartbeats, positions, values
from osint_events_conformance.debts import owe, pay
from osint_events_conformance.pace import Bucket
from osint_events_conformance.positions import Position, Request, drop
from osint_events_conformance.records import KEPT_TEXT, Case, Debt, Event, Peer
from osint_events_conformance.wire import Text

WHOLE = ("all",)
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
_PROMISED = {"already_initialized": "NEG-2", "invalid_scope": "SCP-2", "forbidden": "SEC-2"}
"""Errors that must be told to who negotiated `errors`, and where that stands; others may be (ROB-2)."""
_TOLERATED = {**_PROMISED, "unknown_type": "ROB-3"}
"""Errors about messages that may not end the connection, and where that stands."""
_MALFORMED = frozenset({"invalid_json", "invalid_message", "message_too_large"})
"""Errors about messages that may end the connection (ROB-2)."""


@dataclass(eq=False, slots=True)
class Mistake:
    """A message that is not to be carried out, and the error codes that say so (ERR-1)."""

    codes: tuple[str, ...]
    ref: str | None
    investigation_id: str | None
    debt: Debt | None


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
    after_end: list[tuple[Event, Text]] = field(default_factory=list)
    """Updates that came after `unsubscribed`, while nobody was subscribed."""
    pressure: str = "normal"
    limited: int = 0
    """Messages that were refused as too many."""
    welcomed_at: float = math.inf
    """When the answer to `hello` came."""
    unasked_errors: list[tuple[float, str]] = field(default_factory=list)
    provoked: str = ""
    """The clause that an end of the connection would break, by what was said last."""
    answers_pings: bool = True
    listens: bool = False
    """Whether it says nothing of its own accord, and answers pings."""
    pongs: int = 0
    """Pongs that nobody asked for, and that no fence was passed after (HB-3)."""
    ping_due: Debt | None = None
    end_due: Debt | None = None
    """The end that is owed to who shows no sign of life (HB-2)."""
    normal_due: Debt | None = None
    was_pressed: bool = False
    """Whether `backpressure high` came."""
    ended_slow: bool = False
    held_for: float = 0.0
    """Seconds of that stall."""
    held: int = 0
    """Bytes that had been published for it when it read again after a stall."""
    bucket: Bucket | None = None
    """How much it may say now, once its welcome told (FLW-3)."""
    refused: set[str] = field(default_factory=set)
    """The `ref`s of what was refused as too much, and is not to be carried out (FLW-3)."""

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


class Capabilities:
    """Judges what Part 2 says."""

    def __init__(self) -> None:
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
        self.compresses = False
        """Whether the server agrees on permessage-deflate."""
        self.protocol = 1
        self.welcome: Mapping[str, Any] = {}
        """The welcome of who asks for everything."""
        self.checks_origins = False
        """Whether the server refuses a page from anywhere (SEC-3)."""
        self.trigger_may_see = False
        """Whether who makes the server emit may subscribe to the forbidden investigation."""

    # What the client does

    def greeting(self, peer: Peer, message: Mapping[str, Any], at: float) -> None:
        """A `hello` goes out. Only the first message can be one (NEG-2)."""
        if peer.talk is not None or peer.spoke:
            peer.greeted_late = peer.talk is None
            self.mistaken(peer, message, ("already_initialized",), at)
            return
        # Whether it knows hello at all is for the probe to see.
        debt = owe(peer, "no_welcome", "", at) if self.offered is not None else None
        if debt is not None and peer.stranger:
            debt.clause = "SEC-1"
        elif debt is not None and _is_unusual(message):
            debt.clause = "NEG-3"
        features = tuple(one for one in message["features"] if isinstance(one, str))
        peer.talk = Talk(features, message["protocol"], _ref(message), debt)

    def following(self, peer: Peer, request: Request) -> None:
        """A subscribe goes out on a connection that said hello."""
        assert peer.talk is not None
        peer.talk.provoked = ""
        peer.talk.requests.append(request)

    def unfollowing(self, peer: Peer, message: Mapping[str, Any], at: float) -> None:
        """An `unsubscribe_investigation` goes out (UNS-1)."""
        assert peer.talk is not None
        id_ = message["investigation_id"]
        subscription = peer.subscriptions.get(id_)
        if not self.uses(peer, "unsubscribe"):
            if subscription is not None:
                subscription.ignored = ()
            self.mistaken(peer, message, ("unknown_type",), at)
            return
        peer.talk.provoked = ""
        if subscription is not None:
            subscription.confirmed_at = None  # from now on whichever comes first, an event or the end
            drop(peer, id_, replayed=False)
        debt = owe(peer, "not_unsubscribed", values.show(id_), at)
        peer.talk.requests.append(Request("unsubscribe", id_, _ref(message), at, debt))

    def pinging(self, peer: Peer, message: Mapping[str, Any], at: float) -> None:
        """A `ping` goes out (HB-1)."""
        assert peer.talk is not None
        if not self.uses(peer, "heartbeat"):
            self.mistaken(peer, message, ("unknown_type",), at)
            return
        peer.talk.provoked = ""
        id_ = message["id"]
        peer.talk.pings.append((id_, _ref(message), owe(peer, "no_app_pong", values.show(id_), at)))

    def mistaken(self, peer: Peer, message: object, codes: tuple[str, ...], at: float) -> None:
        """A message goes out that is not to be carried out; some mistakes must be told (ERR-1)."""
        talk = peer.talk
        if codes and _MALFORMED.issuperset(codes):
            peer.malformed.append("ROB-2")
            peer.may_end = True
        if talk is None or (talk.features is None and self.offered is None):
            return
        talk.provoked = next((_TOLERATED[code] for code in codes if code in _TOLERATED), "")
        fields = message if isinstance(message, dict) else {}
        if fields.get("type") == "pong" and self.uses(peer, "heartbeat"):
            talk.provoked = "HB-3"
            talk.pongs += 1
        clause = next((_PROMISED[code] for code in codes if code in _PROMISED), None)
        debt = None
        if clause is not None and self.uses(peer, "errors"):
            debt = owe(peer, "no_error", ", ".join(codes), at)
            debt.clause = clause
        talk.mistakes.append(Mistake(codes, _ref(fields), fields.get("investigation_id"), debt))

    def uses(self, peer: Peer, feature: str) -> bool:
        """Whether a feature is in use on a connection, or will be once its welcome has come."""
        talk = peer.talk
        if talk is None:
            return False
        if talk.features is not None:
            return feature in talk.features
        return feature in talk.asked and feature in (self.offered or FEATURES)

    # What the server says

    def message(self, peer: Peer, message: Mapping[str, Any], at: float) -> None:
        """Judge a message that is neither a confirmation nor an update."""
        talk = peer.talk
        assert talk is not None
        if peer.leaving or peer.gone:
            return  # nothing is owed any more, nor what was counted
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
        if peer.leaving or peer.gone:
            return
        if talk.features is None:
            if talk.debt is not None:
                self._late_welcome(peer, talk, at)
            return
        request = self._answered(peer, talk, "subscribe", message, at)
        talk.ended.discard(id_)
        if request is None:
            return
        self._judge_scope(peer, talk, request, message, at)
        if talk.uses("replay"):
            positions.confirmed(peer, talk.positions, request, message, at)
        else:
            self._judge_not_granted(peer, message, at)

    def updated(self, peer: Peer, event: Event | None, message: Mapping[str, Any], at: float) -> bool:
        """Judge an update's number and its place; say whether that explains that it came again."""
        talk = peer.talk
        assert talk is not None
        if not talk.uses("replay"):
            self._judge_not_granted(peer, message, at)
            return False
        if message["investigation_id"] in talk.ended:
            return False  # that it came at all is what is wrong
        position = talk.positions.get(message["investigation_id"])
        return positions.updated(peer, position, event, message, at)

    def resolve(self, case: Case, peer: Peer, investigation_id: str) -> None:
        """A connection was opened only to learn an investigation's epoch, where its numbers went back."""
        position = peer.talk.positions.get(investigation_id) if peer.talk else None
        if position is not None:
            positions.resolve(case, investigation_id, position.epoch)

    def awaiting(self, peer: Peer, investigation_id: str, at: float) -> Debt | None:
        """The store moved on, and nothing was sent for a subscription: a `position` is due (RPL-6)."""
        position = peer.talk.positions.get(investigation_id) if peer.talk else None
        return None if position is None else positions.awaited(peer, position, investigation_id, at)

    def kind_of_loss(self, peer: Peer, investigation_id: str) -> str:
        """What it is when an event does not come that is published now."""
        position = peer.talk.positions.get(investigation_id) if peer.talk else None
        return "lost_at_hand_over" if position is not None and position.replay is not None else "lost"

    def is_in_replay(self, peer: Peer, investigation_id: str) -> bool:
        """Whether a replay of an investigation is under way on a connection."""
        position = peer.talk.positions.get(investigation_id) if peer.talk else None
        return position is not None and position.replay is not None

    def clause_of_end(self, peer: Peer) -> str:
        """The clause that the end of a connection breaks, where what was said last names it."""
        talk = peer.talk
        if talk is None:
            return ""
        return talk.debt.clause if talk.debt is not None else talk.provoked

    def is_refused(self, peer: Peer, message: Mapping[str, Any]) -> bool:
        """Whether a confirmation is of what was refused as too much, and nothing else has its `ref`."""
        talk, ref = peer.talk, message.get("ref")
        if talk is None or ref not in talk.refused:
            return False
        return not any(one.ref == ref for one in talk.requests)

    def kind_overdue(self, debt: Debt) -> str:
        """What it is that a debt was never paid: a reader that stalled has lost the rest, too (FLW-2)."""
        peer = debt.peer
        slow = debt.kind == "lost" and peer.has_stalled and peer.talk and peer.talk.uses("flow")
        return "sent_after_loss" if slow else debt.kind

    def clause_overdue(self, debt: Debt) -> str:
        """The clause that a loss breaks which only a compressed connection suffers (CMP-1)."""
        if debt.event is None or not debt.peer.link.compresses:
            return ""
        return "CMP-1" if any(not peer.link.compresses for peer in debt.event.received) else ""

    def judge_silence(self, case: Case) -> None:
        """Judge what was not said of full queues (FLW-1)."""
        flow.judge_silence(case)

    def resuming(self, peer: Peer, published: int, seconds: float) -> None:
        """A client reads again after so long, for which so many bytes have been published."""
        if peer.talk is not None:
            peer.talk.held, peer.talk.held_for = published, seconds

    def resumed(self, peer: Peer, at: float) -> None:
        """A client that reads again was served all that waited for it."""
        if peer.talk is not None:
            flow.judge_held(peer, peer.talk, at)

    def flooding(self, peer: Peer) -> None:
        """A subscribe went out among too many: it is confirmed or refused (FLW-3)."""
        peer.unconfirmed[-1][1].kind = "unanswered"

    def flooded(self, peer: Peer, sent: int, seconds: float, at: float) -> None:
        """All of a flood was answered, or should have been (FLW-3)."""
        if peer.talk is not None:
            flow.judge_flood(peer, peer.talk, sent, seconds, at)

    def abused(self, peer: Peer, sent: int, at: float) -> None:
        """A flood that goes on has ended (FLW-3)."""
        flow.judge_abuse(peer, sent, at)

    def listening(self, peer: Peer, at: float, *, dead: bool = False, deaf: bool = False) -> None:
        """A client sends nothing more of its own accord (HB-2), or nothing that answers pings (`deaf`)."""
        if peer.talk is not None and deaf:
            peer.talk.answers_pings = False
        elif peer.talk is not None:
            heartbeats.listening(peer, peer.talk, at, dead=dead)

    def ended(self, peer: Peer, at: float) -> bool:
        """Judge an end by what was negotiated, before what is owed is forgiven; say whether that is all."""
        talk, close = peer.talk, peer.link.close_received
        if talk is None and "flow" in (self.offered or ()):
            flow.judge_slow_end(peer, None, close, at)
        if talk is None or talk.features is None:
            return False
        if talk.uses("heartbeat") and heartbeats.judge_end(peer, talk, close, at):
            return True
        flow.judge_slow_end(peer, talk, close, at)
        return False

    def is_due(self, debt: Debt, at: float) -> bool:
        """Whether what did not come should have: nobody pings while both sides talk (HB-2)."""
        talk = debt.peer.talk
        return debt.kind != "no_ping" or talk is None or heartbeats.is_late(debt, talk, at)

    def mistake_about(self, peer: Peer, investigation_id: str) -> Mistake | None:
        """A message about an investigation that was not to be carried out."""
        mistakes = peer.talk.mistakes if peer.talk else []
        return next((one for one in reversed(mistakes) if one.investigation_id == investigation_id), None)

    def silent(self, peer: Peer, at: float) -> None:
        """A fence was passed: what came just before a close would be excused by it by now (ERR-1)."""
        talk = peer.talk
        if talk is None:
            return
        for event, message in talk.after_end:
            self._after_end(peer, event, message)
        talk.after_end.clear()
        if not peer.serves:
            return
        heartbeats.judge_listener(peer, talk, at)
        peer.case.cases["HB-3"] += talk.pongs
        talk.pongs = 0
        for told_at, code in talk.unasked_errors:
            text = f"error {code} was sent, but errors was not granted"
            peer.case.find("unasked_error", text, peer.name, told_at)
        talk.unasked_errors.clear()

    # Inside

    def _after_end(self, peer: Peer, event: Event, text: Text) -> None:
        """Judge an update that came after `unsubscribed`, when it is known who else got it."""
        investigation = event.investigation
        strangers = (
            one for one in event.received if one is not peer and one not in investigation.subscriptions
        )
        ended = (one.talk is not None and investigation.id in one.talk.ended for one in strangers)
        shown = f"an update of {values.show(investigation.id)}"
        if all(ended):
            kind, message = "update_after_unsubscribed", f"{shown} arrived after unsubscribed"
        else:
            kind, message = "broadcast_after_hello", f"{shown} was broadcast to a connection that said hello"
        investigation.case.find(kind, message, peer.name, text.at, got=text.raw[:KEPT_TEXT])

    def _welcomed(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        case = peer.case
        if talk.features is not None:
            case.find("second_welcome", "a second welcome", peer.name, at)
            return
        granted: list[str] = list(message["features"])
        talk.features, talk.welcome, talk.welcomed_at = frozenset(granted), message, at
        if talk.debt is not None:
            pay(talk.debt, "NEG-2")
            talk.debt = None
        case.cases["NEG-1"] += 1
        wrong = [one for one in granted if one not in talk.asked or one not in FEATURES]
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
        clause, talk.debt = talk.debt.clause, None
        text = "a hello was not answered before what came after it"
        peer.case.find("late_welcome", text, peer.name, at, clause=clause)

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
        position = talk.positions.get(id_)
        if position is not None and position.replay is not None:
            text = f"{message['type']} within a replay of the investigation"
            if positions.disturbed(peer, position, "answered_in_replay", text, at):
                peer.debts.discard(position.replay.done)
                position.replay = None
                drop(peer, id_)
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

    def _replay_complete(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        position = talk.positions.get(message["investigation_id"])
        replay = positions.replay_complete(peer, position, message, at)
        if replay is not None:
            self._judge_ref(peer, replay.request.ref, message, at)

    def _position(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        positions.position(peer, talk.positions.get(message["investigation_id"]), message, at)

    def _gap(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        positions.gap(peer, talk.positions.get(message["investigation_id"]), message, at)

    def _unsubscribed(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        request = self._answered(peer, talk, "unsubscribe", message, at)
        if request is None:
            peer.case.find("unasked_unsubscribed", "unsubscribed without a request", peer.name, at)
            return
        id_ = request.investigation_id
        pay(request.debt, "UNS-1")
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
                pay(debt, "HB-1")
                flow.ponged(peer, talk, debt.since, at)
                peer.case.progressed_at = at
                return

    def _ping(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        heartbeats.pinged(peer, talk, at)
        if talk.answers_pings and peer.serves:
            peer.answer("pong", message["id"])

    def _backpressure(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        flow.pressed(peer, talk, message, at)

    def _error(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> None:
        code, ref, case = message["code"], message.get("ref"), peer.case
        case.cases["ERR-1"] += 1
        if not (talk.uses("errors") or (code == "rate_limited" and talk.uses("flow"))):
            talk.unasked_errors.append((at, code))
        known = code in _KNOWN_CODES or code in TEMPORARY_ERRORS
        if known and message["temporary"] is not (code in TEMPORARY_ERRORS):
            text = f"error {code} says temporary: {values.show(message['temporary'])}"
            case.find("wrong_error", text, peer.name, at)
        peer.told_forbidden = peer.told_forbidden or code == "forbidden"
        if code == "rate_limited":
            flow.limited(peer, talk, message, at)
        request = self._told(peer, talk, message, at)
        if request is not None:
            if code in REFUSALS:
                self._refused(peer, talk, request)
            return  # else the answer stays owed: the message was right
        mistake = next((one for one in talk.mistakes if one.ref == ref), None)
        mistake = mistake or next((one for one in talk.mistakes if code in one.codes), None)
        if mistake is None:
            return  # an error about something else: dialects have their own
        talk.mistakes.remove(mistake)
        self._judge_ref(peer, mistake.ref, message, at)
        if mistake.debt is not None:
            pay(mistake.debt, "ERR-1")
            case.progressed_at = at
        if known and code not in mistake.codes and code not in {"rate_limited", "unavailable"}:
            text = f"error {code}, where {' or '.join(mistake.codes)} is what is wrong"
            clause = "SEC-2" if "forbidden" in mistake.codes else ""
            case.find("wrong_error", text, peer.name, at, clause=clause)

    def _told(self, peer: Peer, talk: Talk, message: Mapping[str, Any], at: float) -> Request | None:
        """The request that an error answers, if any."""
        code, ref = message["code"], message.get("ref")
        request = next((one for one in talk.requests if ref is not None and one.ref == ref), None)
        if request is None and code == "rate_limited" and ref is None:
            # Of a flood all are alike: which one was refused is not what FLW-3 asks for.
            return next((one for one in talk.requests if one.debt and one.debt.kind == "unanswered"), None)
        if request is None and code == "subscription_limit":  # answers keep the order of what they answer
            request = next((one for one in talk.requests if one.kind == "subscribe"), None)
            if request is not None:
                self._judge_ref(peer, request.ref, message, at)
        return request

    def _refused(self, peer: Peer, talk: Talk, request: Request) -> None:
        """A request that was refused is owed no answer any more."""
        id_ = request.investigation_id
        if request.kind == "subscribe" and (subscription := peer.subscriptions.get(id_)) is not None:
            same = [one for one in talk.requests if (one.kind, one.investigation_id) == ("subscribe", id_)]
            del subscription.switches[same.index(request)]
        talk.requests.remove(request)
        peer.debts.discard(request.debt)
        peer.unconfirmed = [item for item in peer.unconfirmed if item[1] is not request.debt]
        peer.case.on_change()


def _is_unusual(message: Mapping[str, Any]) -> bool:
    """Whether a hello has something that is to be ignored (NEG-3)."""
    known = {"type", "protocol", "features", "ref", "client"}
    return (
        message["protocol"] != 1
        or not known.issuperset(message)
        or not set(FEATURES).issuperset(message["features"])
    )


def _ref(message: Mapping[str, Any]) -> str | None:
    ref = message.get("ref")
    return ref if isinstance(ref, str) else None
