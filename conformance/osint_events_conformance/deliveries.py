"""Judges the updates that arrive: whether they are owed, whole, in order, and for whom they are."""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from itertools import chain
from typing import Literal

from osint_events.scopes import is_in_scope

from osint_events_conformance import values, verdicts
from osint_events_conformance.capabilities import WHOLE, Capabilities
from osint_events_conformance.debts import owe_broadcast, owe_event, pay
from osint_events_conformance.records import (
    KEPT_TEXT,
    Debt,
    Event,
    Investigation,
    Peer,
    Subscription,
)
from osint_events_conformance.wire import Message, Text

Fallback = Literal["on", "off", "any"]
_REMEMBERED = 256
_LONG_WAY = 0.5
"""Seconds that a loaded server may take from one of an event's receivers to another."""


class Deliveries:
    """Judges the updates that connections receive, those of the `investigations` that the model knows."""

    def __init__(
        self, capabilities: Capabilities, fallback: Fallback, investigations: dict[str, Investigation]
    ) -> None:
        self._capabilities = capabilities
        self._fallback = fallback
        self._investigations = investigations
        self._key = lru_cache(maxsize=_REMEMBERED)(_data_key)
        self.in_flight = 0.03
        """Seconds for which an event may be on its way to one connection after another has it (DEL-5)."""
        self.observing = False
        """Whether events of other publishers are judged too (EVT-2 to EVT-5)."""
        self.seen_kinds: Counter[str] = Counter()
        self.seen_fields: Counter[str] = Counter()

    def judge(self, peer: Peer, text: Text) -> None:
        """Judge one `investigation_update`."""
        investigation_id, data = text.value["investigation_id"], text.value["data"]
        if isinstance(data.get("type"), str):
            self.seen_kinds[data["type"]] += 1
        self.seen_fields.update(data.keys())
        investigation = self._investigations.get(investigation_id)
        if investigation is None:
            # Another publisher's: the server may serve others while it is tested.
            if self.observing:
                verdicts.judge_publisher(peer, investigation_id, data, text.at)
            return
        if investigation.triggers:
            event = self._observed(peer, investigation, text)
        else:
            event = self._match(peer, investigation, text)
        explained = False
        if peer.talk is not None and peer.talk.features is not None and not (peer.leaving or peer.gone):
            explained = self._capabilities.updated(peer, event, text.value, text.at)
        if event is None:
            self._unmatched(peer, investigation, text)
        elif peer not in event.received:
            self._delivered(peer, event, text)
        elif not explained:
            self._again(peer, event, text)

    def _match(self, peer: Peer, investigation: Investigation, text: Text) -> Event | None:
        """The published event that this is.

        Of equal ones the one that is owed; else a new one since the subscribe; else one from before that was
        still under way then; else one that it got already; else any from before.
        """
        data = text.value["data"]
        found = investigation.by_key.get(self._key(text.message), [])
        if data.get("investigation_id") == investigation.id:  # the server may have added it
            bare = {name: value for name, value in data.items() if name != "investigation_id"}
            found = found + investigation.by_key.get(values.key(bare), [])
        owed = min((event for event in found if peer in event.debts), key=_order, default=None)
        if owed is not None:
            return owed
        subscription = peer.subscriptions.get(investigation.id)
        since = -1.0 if subscription is None else subscription.sent_at - self.in_flight
        recent = [event for event in found if event.started >= since]
        new = (event for event in reversed(recent) if peer not in event.received)
        late = (event for event in found if peer not in event.received and _is_under_way(event, since))
        again = (event for event in reversed(recent) if peer in event.received)
        old = (event for event in reversed(found) if peer not in event.received)
        return next(chain(new, late, again, old, reversed(found)), None)

    def _observed(self, peer: Peer, investigation: Investigation, text: Text) -> Event | None:
        """An event that the checker did not write: whoever else was subscribed is owed it as well.

        As many equal ones may come as there were triggers; one more is a duplicate.
        """
        data, at = text.value["data"], text.at
        equal = investigation.by_key.setdefault(self._key(text.message), [])
        owed = next((event for event in equal if peer in event.debts), None)
        if owed is not None:
            return owed
        subscription = investigation.subscriptions.get(peer)
        if subscription is not None and subscription.confirmed_at is not None:
            since = subscription.confirmed_at
            others = (one for one in equal if peer not in one.received and one.started >= since)
            if (known := next(others, None)) is not None:
                return known
        if len(equal) >= investigation.triggers:
            return next((event for event in reversed(equal) if peer not in event.received), equal[-1])
        verdicts.judge_publisher(peer, investigation.id, data, at)
        case = investigation.case
        case.order += 1
        event = Event(
            investigation, case.order, data, values.key(data), None, at, accepted=True, done=at, written=False
        )
        investigation.events.append(event)
        equal.append(event)
        waiting = sorted((debt for one in investigation.subscriptions for debt in one.debts), key=_age)
        for other in investigation.subscriptions:
            asked = next(
                (debt for debt in waiting if debt.peer is other and _is_trigger(debt, investigation)), None
            )
            if asked is not None:
                asked.peer.debts.discard(asked)
                owe_event(other, event, "lost", at)
        return event

    def _unmatched(self, peer: Peer, investigation: Investigation, text: Text) -> None:
        if peer.leaving or peer.gone:
            return
        data = text.value["data"]
        owed = min(
            (debt.event for debt in peer.debts if debt.event and debt.event.investigation is investigation),
            key=_order,
            default=None,
        )
        case = investigation.case
        if investigation.shared:
            if owed is not None:  # perhaps it is this one, changed, and perhaps somebody else's
                pay(owed.debts.pop(peer), "DEL-1")
            return
        if owed is None:
            message = f"an update of {values.show(investigation.id)} that nobody published"
            case.find("invented", message, peer.name, text.at, got=text.raw[:KEPT_TEXT])
            return
        owed.received[peer] = text.at
        pay(owed.debts.pop(peer), "DEL-1")
        where = values.difference(owed.data, data) or "data differs"
        case.find(
            "changed",
            f"not delivered as published: {where}",
            peer.name,
            text.at,
            expected=json.dumps(owed.data)[:KEPT_TEXT],
            got=text.raw[:KEPT_TEXT],
        )

    def _again(self, peer: Peer, event: Event, text: Text) -> None:
        if peer.leaving or peer.gone or event.investigation.shared:
            return
        subscription = peer.subscriptions.get(event.investigation.id)
        shown = values.show(event.data)
        kind = "duplicate"
        if subscription is not None and self._is_old(peer, event.received[peer], subscription):
            kind = "replayed"
        # Perhaps it is an equal one from before, and late.
        racy = subscription is not None and any(
            peer not in one.received and _may_be_late(one, subscription)
            for one in event.investigation.by_key[event.key]
        )
        event.investigation.case.find(
            kind,
            f"delivered again on the same connection: {shown}",
            peer.name,
            text.at,
            clause="NEG-1" if subscription is not None and subscription.ignored_token else "",
            got=text.raw[:KEPT_TEXT],
            racy=racy,
        )

    def _delivered(self, peer: Peer, event: Event, text: Text) -> None:
        investigation = event.investigation
        case = investigation.case
        event.received[peer] = text.at
        debt = event.debts.pop(peer, None)
        if debt is not None:
            case.progressed_at = text.at
            if event.written:
                case.cases["EVT-1"] += 1
            pay(debt, "DEL-3" if debt.kind == "fallback_lost" else "DEL-1")
            if event.spelling is not None:
                verdicts.judge_spelling(peer, event, text)
        subscription = investigation.subscriptions.get(peer)
        if peer.leaving or peer.gone or investigation.shared:
            pass
        elif subscription is None:
            self._judge_unsubscribed(peer, event, text)
        else:
            if peer.talk is not None:
                self._judge_scope(peer, subscription, event, text)
            if not self._has_positions(peer):
                if self._is_old(peer, event.first_received, subscription):
                    message = "an event from before the subscribe was delivered after it"
                    clause = "NEG-1" if subscription.ignored_token else ""
                    shown = f"{message}: {values.show(event.data)}"
                    racy = event.ownerless or _may_be_late(event, subscription)
                    case.find("replayed", shown, peer.name, text.at, clause=clause, racy=racy)
                verdicts.judge_order(peer, subscription, event, text.at)
        if event.first_received is None:
            event.first_received = text.at
        verdicts.judge_strays(event)

    def _is_old(self, peer: Peer, seen: float | None, subscription: Subscription) -> bool:
        """Whether an event seen at that time cannot have been in flight when the subscribe was sent."""
        return seen is not None and not peer.has_stalled and seen + self.in_flight < subscription.sent_at

    def _has_positions(self, peer: Peer) -> bool:
        """Whether numbers say what is old and in which order things come."""
        return peer.talk is not None and peer.talk.uses("replay")

    def _judge_scope(self, peer: Peer, subscription: Subscription, event: Event, text: Text) -> None:
        """Judge whether an event belongs to a subscription's scope (SCP-1, SCP-3)."""
        if not subscription.takes(event.data):
            clause = "SCP-3" if subscription.switched and is_in_scope(event.data, subscription.before) else ""
            message = (
                f"scope {values.show(list(subscription.scope or WHOLE))} was sent {values.show(event.data)}"
            )
            event.investigation.case.find("wrong_scope", message, peer.name, text.at, clause=clause)

    def _judge_unsubscribed(self, peer: Peer, event: Event, text: Text) -> None:
        investigation = event.investigation
        case = investigation.case
        got = text.raw[:KEPT_TEXT]
        if peer.talk is not None and peer.talk.features is not None:
            shown = f"an update of {values.show(investigation.id)}"
            if investigation.id in peer.talk.ended and not verdicts.subscribers(event):
                peer.talk.after_end.append((event, text))  # perhaps it is broadcast to everybody (NEG-5)
                return
            if investigation.id in peer.talk.ended:
                message = f"{shown} arrived after unsubscribed"
                case.find("update_after_unsubscribed", message, peer.name, text.at, got=got)
                return
            if not verdicts.subscribers(event):
                message = f"{shown} was broadcast to a connection that said hello"
                racy = event.started < peer.talk.welcomed_at + _LONG_WAY
                case.find("broadcast_after_hello", message, peer.name, text.at, got=got, racy=racy)
                return
        if verdicts.subscribers(event):
            # A server that lost the subscription takes the event for one without subscribers: the loss
            # is what is wrong then, so the stray counts only if a subscriber gets the event as well.
            event.strays.append((peer, text))
            verdicts.judge_strays(event)
        elif self._fallback == "any" and (peer in event.bystanders or peer.case is not case):
            # Whether there is a fallback is not known before, but it is for all or for none.
            event.bystanders = [one for one in event.bystanders if one.serves and not one.may_end]
            owe_broadcast(event, text.at)
        elif self._fallback == "off":
            message = (
                f"an update of {values.show(investigation.id)} was broadcast although the fallback is off"
            )
            case.find("fallback_sent", message, peer.name, text.at, got=got)


def _data_key(message: Message) -> values.Key:
    return values.key(message.value["data"])


def _is_under_way(event: Event, since: float) -> bool:
    """Whether nobody had got it at that time, though somebody was to, or it was published just before."""
    if event.first_received is not None:
        return event.first_received >= since
    return bool(event.debts) or event.started + _LONG_WAY >= since


def _may_be_late(event: Event, subscription: Subscription) -> bool:
    """Whether a loaded server may have been busy with it since before the subscribe."""
    seen = event.first_received
    return seen is None or seen + _LONG_WAY >= subscription.sent_at


def _order(event: Event) -> int:
    return event.order


def _age(debt: Debt) -> float:
    return debt.since


def _is_trigger(debt: Debt, investigation: Investigation) -> bool:
    """Whether this is the debt of some update, whichever it will be."""
    return debt.event is not None and debt.event.data is None and debt.event.investigation is investigation
