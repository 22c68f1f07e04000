"""Who must receive what: the oracle.

Fed with what was sent, published and received, in order of time, it keeps what the server owes
(`Debt`) and records findings. It does no I/O, knows no clock of its own and draws nothing, so it
stands apart from what generates the cases. Where the protocol allows several outcomes it judges
none: a subscription is owed events from its confirmation on and may get them from its request on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from websockets.frames import Close

from osint_events_conformance import values
from osint_events_conformance.findings import Finding, WireEntry
from osint_events_conformance.wire import Ended, Link, Message, Text

Fallback = Literal["on", "off", "any"]
Problem = Callable[[dict[str, Any]], str | None]
"""Says why a server message breaks its schema, or None (MSG-2)."""

ALLOWED_CLOSE_CODES = frozenset({1002, 1003, 1007, 1008, 1009})
"""ROB-2; 4xxx codes are allowed too."""
_REMEMBERED = 256
_KEPT_WIRE = 600
_KEPT_TEXT = 2000


@dataclass(eq=False, slots=True)
class Debt:
    """Something that the server owes: `kind` is the finding that it becomes when it never comes."""

    kind: str
    peer: Peer
    about: str
    event: Event | None = None
    since: float = 0.0


@dataclass(eq=False, slots=True)
class Subscription:
    """One connection's interest in one investigation."""

    sent_at: float
    confirmed_at: float | None = None
    last_order: int = -1


@dataclass(eq=False, slots=True)
class Event:
    """One published payload. `data` is None-like (`observed`) where the checker did not write it."""

    investigation: Investigation
    order: int
    data: Any
    key: values.Key
    spelling: str | None
    started: float
    accepted: bool | None = None
    """True once accepted, False once refused, None while (or for ever) unknown."""
    done: float | None = None
    received: dict[Peer, float] = field(default_factory=dict)
    debts: dict[Peer, Debt] = field(default_factory=dict)
    first_received: float | None = None
    strays: list[tuple[Peer, Text]] = field(default_factory=list)
    """Receipts by connections that are not subscribed, until it is known whether a subscriber got it."""


@dataclass(eq=False, slots=True)
class Investigation:
    """All that is known of one investigation id."""

    id: str
    case: Case
    subscriptions: dict[Peer, Subscription] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    by_key: dict[values.Key, list[Event]] = field(default_factory=dict)
    triggers: int = 0
    """How often the server was asked to emit something of its own choice."""
    last_end: float | None = None
    """When a connection that was subscribed to it ended last."""


@dataclass(eq=False, slots=True)
class Peer:
    """What the model knows of one connection."""

    name: str
    case: Case
    link: Link
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    unconfirmed: list[tuple[str, Debt]] = field(default_factory=list)
    overtaken: dict[Debt, str] = field(default_factory=dict)
    """Confirmations still owed although a later request was confirmed, and which (SUB-7)."""
    pings: list[tuple[bytes, Debt]] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    """Clauses of the malformed messages that it sent."""
    may_end: bool = False
    """Whether the server may end it: raw bytes were sent, it stalls, or a newer one took its client id."""
    superseded: bool = False
    stalled: bool = False
    has_stalled: bool = False
    leaving: bool = False
    gone: bool = False
    debts: set[Debt] = field(default_factory=set)

    @property
    def serves(self) -> bool:
        """Whether the server still owes it service."""
        return not self.leaving and not self.gone


class Case:
    """One run of one script: its debts, findings, counts and wire log."""

    def __init__(self, name: str, on_change: Callable[[], None]) -> None:
        self.name = name
        self.on_change = on_change
        self.findings: list[Finding] = []
        self.cases: Counter[str] = Counter()
        self.peers: list[Peer] = []
        self.investigations: dict[str, Investigation] = {}
        self.progressed_at = 0.0
        self.refused_payloads = 0
        self.cut_short = False
        """Whether its last steps were left out for want of time."""
        self.wire: list[WireEntry] = []
        self.order = 0

    @property
    def owed(self) -> list[Debt]:
        """What is still owed, but to readers that stall."""
        return [debt for peer in self.peers if not peer.stalled for debt in peer.debts]

    @property
    def settled(self) -> bool:
        """Whether nothing is owed now."""
        return all(peer.stalled or not peer.debts for peer in self.peers)

    def log(self, at: float, conn: str, direction: Literal[">", "<", "*"], text: str) -> None:
        """Keep what went over the wire, for the report; the oldest half goes when it grows long."""
        if len(self.wire) >= _KEPT_WIRE:
            del self.wire[: _KEPT_WIRE // 2]
        self.wire.append(WireEntry(at, conn, direction, text[:_KEPT_TEXT]))

    def find(
        self, kind: str, message: str, conn: str, at: float, *,
        clause: str = "", expected: str | None = None, got: str | None = None,
    ) -> None:  # fmt: skip
        """Record a finding."""
        self.findings.append(Finding(kind, message, conn, at, clause, expected=expected, got=got))
        self.on_change()


class Model:
    """The oracle over all connections of a run: an event of one case may go astray to another's."""

    def __init__(self, fallback: Fallback, problem: Problem, clear_after: float = 1.0) -> None:
        self.fallback = fallback
        self._problem = lru_cache(maxsize=_REMEMBERED)(lambda message: problem(message.value))
        self._key = lru_cache(maxsize=_REMEMBERED)(_data_key)
        self.in_flight = 0.03
        """Seconds for which an event may be on its way to one connection after another has it (DEL-5)."""
        self.clear_after = clear_after
        """Seconds after the end of an investigation's last subscriber until the fallback is owed."""
        self.investigations: dict[str, Investigation] = {}
        self.seen_types: Counter[str] = Counter()
        self.seen_kinds: Counter[str] = Counter()
        self.seen_fields: Counter[str] = Counter()

    # What the client does

    def connected(self, case: Case, name: str, link: Link) -> Peer:
        """A handshake succeeded. An older connection with the same client id may be closed (CONN-5)."""
        for other in case.peers:
            if other.link.client_id == link.client_id and other.serves:
                other.superseded = other.may_end = True
        peer = Peer(name, case, link)
        case.peers.append(peer)
        return peer

    def investigation(self, case: Case, investigation_id: str) -> Investigation:
        """The record of an id; the case that names it first owns it."""
        known = self.investigations.get(investigation_id)
        if known is None or (known.case is not case and not known.subscriptions):
            known = Investigation(investigation_id, case)
            self.investigations[investigation_id] = known
        case.investigations[investigation_id] = known
        return known

    def subscribing(self, peer: Peer, investigation_id: str, at: float) -> None:
        """A subscribe message goes out: one confirmation is owed (SUB-1)."""
        investigation = self.investigation(peer.case, investigation_id)
        subscription = peer.subscriptions.get(investigation_id)
        if subscription is None:
            subscription = Subscription(at)
            peer.subscriptions[investigation_id] = subscription
            investigation.subscriptions[peer] = subscription
        for event in investigation.events:
            self._forgive_fallback(event)
        debt = self._owe(peer, "unconfirmed", values.show(investigation_id), at)
        peer.unconfirmed.append((investigation_id, debt))

    def pinging(self, peer: Peer, payload: bytes, at: float) -> None:
        """A Ping frame goes out (CONN-3)."""
        peer.pings.append((payload, self._owe(peer, "no_pong", values.show(payload.hex()), at)))

    def misbehaving(self, peer: Peer, clause: str) -> None:
        """A malformed message goes out: the server may end the connection (ROB-2)."""
        peer.malformed.append(clause)
        peer.may_end = True

    def leaving(self, peer: Peer, at: float, *, handshake: bool) -> None:
        """The client starts to close, with a `handshake` or by a reset: no event is owed any more."""
        self._forgive(peer)
        peer.leaving = True
        self._ended(peer, at)
        if handshake:
            self._owe(peer, "unfinished_close", "", at)

    def publishing(
        self, case: Case, investigation_id: str, data: str | None, at: float, *, exact: bool = False
    ) -> Event:
        """A publish goes out. Every confirmed, open subscriber is owed it (DEL-1); `data` None: unknown."""
        investigation = self.investigation(case, investigation_id)
        case.order += 1
        parsed = None if data is None else json.loads(data)
        event = Event(
            investigation, case.order, parsed, values.key(parsed), data if exact else None, at
        )  # fmt: skip
        if data is None:
            investigation.triggers += 1
        else:
            investigation.events.append(event)
            investigation.by_key.setdefault(event.key, []).append(event)
        for peer, subscription in investigation.subscriptions.items():
            if subscription.confirmed_at is not None and peer.serves:
                self._owe_event(peer, event, "lost", at)
        if self._fallback_owed(investigation, at):
            for peer in case.peers:
                if peer.serves:
                    self._owe_event(peer, event, "fallback_lost", at)
        return event

    def published(self, event: Event, *, accepted: bool | None, at: float) -> None:
        """The publish was answered; one that was refused, or whose answer is unknown, is not owed."""
        event.accepted = accepted
        event.done = at
        if not accepted:
            for debt in event.debts.values():
                debt.peer.debts.discard(debt)
            event.debts.clear()
        event.investigation.case.on_change()

    # What the server does

    def received(self, peer: Peer, text: Text) -> None:
        """Judge one data message from the server."""
        case = peer.case
        case.cases["MSG-1"] += 1
        message, got = text.message, text.raw[:_KEPT_TEXT]
        if message.problem is not None:
            case.find("no_object", f"a server message is {message.problem}", peer.name, text.at, got=got)
            return
        if message.repeated_names:
            case.find("repeated_names", "an object repeats a name", peer.name, text.at, got=got)
        type_ = text.value["type"]
        self.seen_types[type_] += 1
        if type_ not in ("subscription_confirmed", "investigation_update"):
            return
        case.cases["MSG-2"] += 1
        problem = self._problem(message)
        if problem is not None:
            case.find(
                "schema",
                f"{type_} breaks its schema: {problem}",
                peer.name,
                text.at,
                got=text.raw[:_KEPT_TEXT],
            )
            return
        if type_ == "subscription_confirmed":
            self._confirmed(peer, text.value["investigation_id"], text.at)
        else:
            self._update(peer, text)

    def ponged(self, peer: Peer, payload: bytes) -> None:
        """A Pong came. RFC 6455 5.5.3: it may answer only the latest of several Pings."""
        for index, (sent, _) in enumerate(peer.pings):
            if sent == payload:
                for _, debt in peer.pings[: index + 1]:
                    self._pay(debt, "CONN-3")
                del peer.pings[: index + 1]
                return

    def ended(self, peer: Peer, at: float) -> None:
        """The server ended the connection, or finished its closing."""
        link = peer.link
        if link.framing_error is not None and not peer.gone:
            peer.case.find("broken_frame", f"broken framing: {link.framing_error}", peer.name, at)
        elif peer.leaving:
            self._close_progress(peer)
        elif not peer.gone:
            self._forgive(peer)
            peer.gone = True
            self._ended(peer, at)
            self._judge_end(peer, link.ended, link.close_received, at)
        peer.gone = peer.gone or not peer.leaving
        peer.case.on_change()

    def overdue(self, case: Case, at: float) -> None:
        """What is still owed never came: each debt becomes a finding."""
        for debt in case.owed:
            peer = debt.peer
            peer.debts.discard(debt)
            peer.unconfirmed = [item for item in peer.unconfirmed if item[1] is not debt]
            peer.pings = [item for item in peer.pings if item[1] is not debt]
            case.find(debt.kind, self._overdue_text(debt), peer.name, at, expected=self._expected(debt))

    def fence_passed(self, case: Case) -> None:
        """What had not come until a fence never will: count the silences that were kept."""
        for investigation in case.investigations.values():
            for event in investigation.events:
                if event.accepted:
                    others = sum(
                        peer.serves and peer not in investigation.subscriptions for peer in case.peers
                    )
                    case.cases["DEL-2"] += others

    # Inside

    def _owe(self, peer: Peer, kind: str, about: str, at: float, event: Event | None = None) -> Debt:
        debt = Debt(kind, peer, about, event, at)
        peer.debts.add(debt)
        return debt

    def _owe_event(self, peer: Peer, event: Event, kind: str, at: float) -> None:
        event.debts[peer] = self._owe(peer, kind, "", at, event)

    def _pay(self, debt: Debt, clause: str) -> None:
        debt.peer.debts.discard(debt)
        debt.peer.case.cases[clause] += 1
        debt.peer.case.on_change()

    def _forgive(self, peer: Peer) -> None:
        for debt in peer.debts:
            if debt.event is not None:
                debt.event.debts.pop(peer, None)
        peer.debts.clear()
        peer.unconfirmed.clear()
        peer.pings.clear()

    def _ended(self, peer: Peer, at: float) -> None:
        for investigation_id in peer.subscriptions:
            self.investigations[investigation_id].last_end = at

    def _fallback_owed(self, investigation: Investigation, at: float) -> bool:
        if self.fallback != "on" or any(peer.serves for peer in investigation.subscriptions):
            return False
        return investigation.last_end is None or at - investigation.last_end > self.clear_after

    def _forgive_fallback(self, event: Event) -> None:
        """Somebody subscribes before the broadcast came: either outcome is right now (DEL-3)."""
        for peer, debt in list(event.debts.items()):
            if debt.kind == "fallback_lost":
                peer.debts.discard(debt)
                del event.debts[peer]

    def _confirmed(self, peer: Peer, investigation_id: str, at: float) -> None:
        case = peer.case
        for index, (waiting, debt) in enumerate(peer.unconfirmed):
            if waiting == investigation_id:
                del peer.unconfirmed[index]
                subscription = peer.subscriptions[investigation_id]
                if subscription.confirmed_at is None:
                    subscription.confirmed_at = at
                case.progressed_at = at
                self._pay(debt, "SUB-1")
                case.cases["SUB-7"] += 1
                for _, earlier in peer.unconfirmed[:index]:
                    peer.overtaken.setdefault(earlier, investigation_id)
                overtaker = peer.overtaken.pop(debt, None)
                if overtaker is not None and overtaker != investigation_id:
                    shown, before = values.show(investigation_id), values.show(overtaker)
                    message = f"{before} was confirmed before {shown}, which was asked for first"
                    case.find("confirmed_out_of_order", message, peer.name, at)
                return
        if peer.leaving or peer.gone:
            return
        shown = values.show(investigation_id)
        if peer.malformed and investigation_id not in peer.subscriptions:
            clause = peer.malformed[-1]
            case.find(
                "confirmed_malformed",
                f"a message that must not be confirmed was: {shown}",
                peer.name,
                at,
                clause=clause,
            )
        else:
            case.find(
                "confirmed_unasked", f"{shown} was confirmed without (another) request for it", peer.name, at
            )

    def _update(self, peer: Peer, text: Text) -> None:
        investigation_id, data = text.value["investigation_id"], text.value["data"]
        if isinstance(data.get("type"), str):
            self.seen_kinds[data["type"]] += 1
        self.seen_fields.update(data.keys())
        investigation = self.investigations.get(investigation_id)
        if investigation is None:
            return  # another publisher's: the server may serve others while it is tested
        if investigation.triggers:
            event = self._observed(peer, investigation, text)
        else:
            event = self._match(peer, investigation, text)
        if event is None:
            self._unmatched(peer, investigation, text)
        elif peer in event.received:
            self._again(peer, event, text)
        else:
            self._delivered(peer, event, text)

    def _match(self, peer: Peer, investigation: Investigation, text: Text) -> Event | None:
        """The published event that this is; of equal ones, the one that is owed, else the latest that is new."""
        data = text.value["data"]
        found = investigation.by_key.get(self._key(text.message), [])
        if not found and data.get("investigation_id") == investigation.id:
            bare = {name: value for name, value in data.items() if name != "investigation_id"}
            found = investigation.by_key.get(values.key(bare), [])
        owed = next((event for event in found if peer in event.debts), None)
        new = next((event for event in reversed(found) if peer not in event.received), None)
        return owed or new or (found[-1] if found else None)

    def _observed(self, peer: Peer, investigation: Investigation, text: Text) -> Event | None:
        """An event that the checker did not write: whoever else was subscribed is owed it as well.

        As many equal ones may come as there were triggers; one more is a duplicate.
        """
        data, at = text.value["data"], text.at
        equal = investigation.by_key.setdefault(self._key(text.message), [])
        owed = next((event for event in equal if peer in event.debts), None)
        if owed is not None:
            return owed
        if len(equal) >= investigation.triggers:
            return next((event for event in reversed(equal) if peer not in event.received), equal[-1])
        self._judge_publisher(peer, investigation, data, at)
        case = investigation.case
        case.order += 1
        event = Event(investigation, case.order, data, values.key(data), None, at, accepted=True, done=at)
        investigation.events.append(event)
        equal.append(event)
        waiting = sorted((debt for one in investigation.subscriptions for debt in one.debts), key=_age)
        for other in investigation.subscriptions:
            asked = next(
                (debt for debt in waiting if debt.peer is other and _is_trigger(debt, investigation)), None
            )
            if asked is not None:
                asked.peer.debts.discard(asked)
                self._owe_event(other, event, "lost", at)
        return event

    def _judge_publisher(
        self, peer: Peer, investigation: Investigation, data: dict[str, Any], at: float
    ) -> None:
        case, got = peer.case, values.show(data, 400)
        mirror, progress, kind = data.get("investigation_id"), data.get("progress"), data.get("type")
        case.cases["EVT-5"] += 1
        if "investigation_id" in data:
            case.cases["EVT-2"] += 1
            if mirror != investigation.id:
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
            case.find(
                "no_kind", "an event without `type`: the legacy rules classify it", peer.name, at, got=got
            )

    def _unmatched(self, peer: Peer, investigation: Investigation, text: Text) -> None:
        if peer.leaving or peer.gone:
            return
        data = text.value["data"]
        owed = next(
            (debt.event for debt in sorted(peer.debts, key=_age) if debt.event and debt.event.investigation is investigation),
            None,
        )  # fmt: skip
        case = investigation.case
        if owed is None:
            message = f"an update of {values.show(investigation.id)} that nobody published"
            case.find("invented", message, peer.name, text.at, got=text.raw[:_KEPT_TEXT])
            return
        owed.received[peer] = text.at
        self._pay(owed.debts.pop(peer), "DEL-1")
        where = values.difference(owed.data, data) or "data differs"
        case.find(
            "changed", f"not delivered as published: {where}", peer.name, text.at,
            expected=json.dumps(owed.data)[:_KEPT_TEXT], got=text.raw[:_KEPT_TEXT],
        )  # fmt: skip

    def _again(self, peer: Peer, event: Event, text: Text) -> None:
        if peer.leaving or peer.gone:
            return
        subscription = peer.subscriptions.get(event.investigation.id)
        shown = values.show(event.data)
        kind = "duplicate"
        if subscription is not None and self._is_old(peer, event.received[peer], subscription):
            kind = "replayed"
        event.investigation.case.find(
            kind,
            f"delivered again on the same connection: {shown}",
            peer.name,
            text.at,
            got=text.raw[:_KEPT_TEXT],
        )

    def _delivered(self, peer: Peer, event: Event, text: Text) -> None:
        investigation = event.investigation
        case = investigation.case
        event.received[peer] = text.at
        debt = event.debts.pop(peer, None)
        if debt is not None:
            case.progressed_at = text.at
            case.cases["EVT-1"] += 1
            self._pay(debt, "DEL-3" if debt.kind == "fallback_lost" else "DEL-1")
            if event.spelling is not None:
                self._judge_spelling(peer, event, text)
        subscription = investigation.subscriptions.get(peer)
        if peer.leaving or peer.gone:
            pass
        elif subscription is None:
            self._judge_unsubscribed(peer, event, text)
        else:
            if self._is_old(peer, event.first_received, subscription):
                message = "an event from before the subscribe was delivered after it"
                case.find("replayed", f"{message}: {values.show(event.data)}", peer.name, text.at)
            self._judge_order(peer, subscription, event, text.at)
        if event.first_received is None:
            event.first_received = text.at
        self._judge_strays(event)

    def _is_old(self, peer: Peer, seen: float | None, subscription: Subscription) -> bool:
        """Whether an event seen at that time cannot have been in flight when the subscribe was sent."""
        return seen is not None and not peer.has_stalled and seen + self.in_flight < subscription.sent_at

    def _judge_order(self, peer: Peer, subscription: Subscription, event: Event, at: float) -> None:
        case = event.investigation.case
        if len(event.investigation.by_key[event.key]) > 1:
            return  # equal events cannot be told apart
        later = [
            other for other in event.investigation.events[-_ORDER_WINDOW:]
            if peer in other.received and event.done is not None and other.started > event.done and other is not event
        ]  # fmt: skip
        if later:
            message = f"{values.show(event.data)} arrived after {values.show(later[0].data)}, published later"
            case.find("out_of_order", message, peer.name, at)
        elif subscription.last_order >= 0:
            case.cases["DEL-4"] += 1
        subscription.last_order = max(subscription.last_order, event.order)

    def _judge_unsubscribed(self, peer: Peer, event: Event, text: Text) -> None:
        investigation = event.investigation
        case = investigation.case
        got = text.raw[:_KEPT_TEXT]
        if self._subscribers(event):
            # A server that lost the subscription takes the event for one without subscribers: the loss
            # is what is wrong then, so the stray counts only if a subscriber gets the event as well.
            event.strays.append((peer, text))
            self._judge_strays(event)
        elif self.fallback == "off":
            message = (
                f"an update of {values.show(investigation.id)} was broadcast although the fallback is off"
            )
            case.find("fallback_sent", message, peer.name, text.at, got=got)

    def _subscribers(self, event: Event) -> list[Peer]:
        """Who was surely subscribed when the event was published, and is still."""
        return [
            peer
            for peer, subscription in event.investigation.subscriptions.items()
            if peer.serves
            and subscription.confirmed_at is not None
            and subscription.confirmed_at < event.started
        ]

    def _judge_strays(self, event: Event) -> None:
        if not event.strays:
            return
        subscriber = next((peer for peer in self._subscribers(event) if peer in event.received), None)
        if subscriber is None:
            return
        for peer, text in event.strays:
            shown = values.show(event.investigation.id)
            event.investigation.case.find(
                "stray",
                f"an update of {shown} reached a connection that is not subscribed to it, while {subscriber.name} is",
                peer.name,
                text.at,
                got=text.raw[:_KEPT_TEXT],
            )
        event.strays.clear()

    def _judge_spelling(self, peer: Peer, event: Event, text: Text) -> None:
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
                got=text.raw[:_KEPT_TEXT],
            )

    def _judge_end(self, peer: Peer, how: Ended | None, close: Close | None, at: float) -> None:
        case = peer.case
        code = close.code if close is not None else None
        shown = f"with code {code}" if how is Ended.CLOSE_FRAME else "by dropping TCP"
        if peer.malformed and peer.superseded:
            return  # either may be the reason
        if peer.malformed:
            clause = next((clause for clause in peer.malformed if clause == "ROB-3"), "")
            if how is Ended.DROPPED:
                case.find(
                    "dropped", "TCP was dropped without a close frame after malformed input", peer.name, at
                )
            elif code not in ALLOWED_CLOSE_CODES and not 4000 <= (code or 0) < 5000:  # noqa: PLR2004 - RFC 6455 7.4.2
                case.find(
                    "bad_close",
                    f"malformed input was answered by a close {shown}",
                    peer.name,
                    at,
                    clause=clause,
                )
            else:
                case.cases["ROB-2"] += 1
        elif peer.superseded:
            case.find("older_ended", f"the older of two connections was ended {shown}", peer.name, at)
        elif not peer.may_end:
            case.find("ended", f"the server ended a healthy connection {shown}", peer.name, at)

    def _close_progress(self, peer: Peer) -> None:
        if peer.link.ended is Ended.CLOSE_FRAME and peer.link.tcp_closed:
            for debt in [debt for debt in peer.debts if debt.kind == "unfinished_close"]:
                self._pay(debt, "CONN-4")
            peer.gone = True

    def _overdue_text(self, debt: Debt) -> str:
        event = "" if debt.event is None else values.show(debt.event.data)
        if debt.event is not None and debt.event.data is None:
            event = "any update after the trigger"
        match debt.kind:
            case "unconfirmed":
                return f"no confirmation of {debt.about}"
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

    def _expected(self, debt: Debt) -> str | None:
        if debt.event is None or debt.event.data is None:
            return None
        update = {"investigation_id": debt.event.investigation.id, "data": debt.event.data}
        return json.dumps(update)[:_KEPT_TEXT]


_ORDER_WINDOW = 200


def _data_key(message: Message) -> values.Key:
    return values.key(message.value["data"])


def _age(debt: Debt) -> float:
    return debt.since


def _is_trigger(debt: Debt, investigation: Investigation) -> bool:
    """Whether this is the debt of some update, whichever it will be."""
    return debt.event is not None and debt.event.data is None and debt.event.investigation is investigation
