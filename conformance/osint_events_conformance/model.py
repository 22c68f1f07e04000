"""Who must receive what: the oracle.

Fed with what was sent, published and received, in order of time, it keeps what the server owes
(`Debt`) and records findings. It does no I/O, knows no clock of its own and draws nothing, so it
stands apart from what generates the cases. Where the protocol allows several outcomes it judges
none: a subscription is owed events from its confirmation on and may get them from its request on.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from osint_events.scopes import is_in_scope

from osint_events_conformance import security, values, verdicts
from osint_events_conformance.capabilities import WHOLE, Capabilities
from osint_events_conformance.debts import forgive, forgive_broadcast, owe, owe_broadcast, owe_event, pay
from osint_events_conformance.deliveries import Deliveries, Fallback
from osint_events_conformance.positions import Request
from osint_events_conformance.records import (
    KEPT_TEXT,
    Case,
    Event,
    Investigation,
    Peer,
    Subscription,
)
from osint_events_conformance.wire import Ended, Link, Text

Problem = Callable[[dict[str, Any], bool], str | None]
"""Says why a server message breaks its schema, or None (MSG-2); the flag says that it is negotiated."""

_REMEMBERED = 256


class Model:
    """The oracle over all connections of a run: an event of one case may go astray to another's."""

    def __init__(self, fallback: Fallback, problem: Problem, clear_after: float = 1.0) -> None:
        self.fallback = fallback
        self._problem = lru_cache(maxsize=_REMEMBERED)(
            lambda message, is_negotiated: problem(message.value, is_negotiated)
        )
        self.capabilities = Capabilities()
        self.clear_after = clear_after
        """Seconds after the end of an investigation's last subscriber until the fallback is owed."""
        self.forbidden: str | None = None
        """The investigation that nobody may see who is not privileged (SEC-2)."""
        self.forbidden_refused = ""
        """Why an event of it could not be published, where that is so."""
        self.investigations: dict[str, Investigation] = {}
        self.deliveries = Deliveries(self.capabilities, fallback, self.investigations)
        self.seen_types: Counter[str] = Counter()

    # What the client does

    def connecting(self, case: Case, client_id: str) -> None:
        """A handshake begins: an older connection with the same client id may be closed (CONN-5)."""
        for other in case.peers:
            if other.link.client_id == client_id and other.serves:
                other.superseded = other.may_end = True

    def connected(self, case: Case, name: str, link: Link) -> Peer:
        """A handshake succeeded."""
        peer = Peer(name, case, link)
        case.peers.append(peer)
        return peer

    def investigation(self, case: Case, investigation_id: str) -> Investigation:
        """The record of an id; the case that names it first owns it."""
        known = self.investigations.get(investigation_id)
        if known is None or (known.case is not case and not known.subscriptions):
            shared = any(case.salts) and not any(salt in investigation_id for salt in case.salts)
            known = Investigation(investigation_id, case, shared=shared)
            self.investigations[investigation_id] = known
        case.investigations[investigation_id] = known
        return known

    def subscribing(
        self, peer: Peer, investigation_id: str, at: float, request: Request | None = None
    ) -> None:
        """A subscribe message goes out: one confirmation is owed (SUB-1)."""
        investigation = self.investigation(peer.case, investigation_id)
        subscription = peer.subscriptions.get(investigation_id)
        if subscription is None:
            subscription = Subscription(at)
            peer.subscriptions[investigation_id] = subscription
            investigation.subscriptions[peer] = subscription
        for event in investigation.events:
            forgive_broadcast(event)
        debt = owe(peer, "unconfirmed", values.show(investigation_id), at)
        peer.unconfirmed.append((investigation_id, debt))
        peer.spoke = True
        if peer.talk is not None:
            made = request or Request("subscribe", investigation_id, None, at, debt)
            made.debt = debt
            scope = made.scope
            if not self.capabilities.uses(peer, "scopes"):
                subscription.ignored, scope = scope, None
            made.scope = scope
            subscription.ignored_token = made.text is not None and not self.capabilities.uses(peer, "replay")
            subscription.switches.append(scope)
            is_switch = subscription.confirmed_at is not None and scope != subscription.scope
            for event in investigation.events:  # whichever comes first, the event or the switch
                if peer in event.debts and not is_in_scope(event.data, scope):
                    peer.debts.discard(event.debts.pop(peer))
                elif peer in event.debts and is_switch and event.debts[peer].kind == "lost":
                    event.debts[peer].clause = "SCP-3"
            self.capabilities.following(peer, made)
        elif request is not None:
            subscription.ignored, subscription.ignored_token = request.scope, request.text is not None

    def pinging(self, peer: Peer, payload: bytes, at: float) -> None:
        """A Ping frame goes out (CONN-3)."""
        peer.pings.append((payload, owe(peer, "no_pong", values.show(payload.hex()), at)))

    def misbehaving(self, peer: Peer, clause: str) -> None:
        """A malformed message goes out: the server may end the connection (ROB-2)."""
        peer.malformed.append(clause)
        peer.may_end = True

    def leaving(self, peer: Peer, at: float, *, handshake: bool) -> None:
        """The client starts to close, with a `handshake` or by a reset: no event is owed any more."""
        forgive(peer)
        peer.leaving = True
        self._ended(peer, at)
        if handshake:
            owe(peer, "unfinished_close", "", at)

    def publishing(
        self, case: Case, investigation_id: str, data: str | None, at: float, *, exact: bool = False
    ) -> Event:
        """A publish goes out. Every confirmed, open subscriber is owed it (DEL-1); `data` None: unknown."""
        investigation = self.investigation(case, investigation_id)
        case.order += 1
        parsed = None if data is None else json.loads(data)
        event = Event(investigation, case.order, parsed, values.key(parsed), data if exact else None, at)
        if data is None:
            investigation.triggers += 1
        else:
            investigation.events.append(event)
            investigation.by_key.setdefault(event.key, []).append(event)
        event.ownerless = self.fallback != "off" and not any(
            peer.serves and subscription.confirmed_at is not None
            for peer, subscription in investigation.subscriptions.items()
        )
        for peer, subscription in investigation.subscriptions.items():
            if subscription.confirmed_at is not None and peer.serves and subscription.owes(parsed):
                owe_event(peer, event, self.capabilities.kind_of_loss(peer, investigation_id), at)
                if event.debts[peer].kind == "lost":
                    event.debts[peer].clause = subscription.clause(parsed)
        if self._is_nobodys(investigation, at):
            event.bystanders = [
                peer for peer in case.peers if peer.serves and peer.talk is None and not peer.stranger
            ]
            if self.fallback == "on":
                owe_broadcast(event, at)
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
        message, got = text.message, text.raw[:KEPT_TEXT]
        if message.problem is not None:
            case.find("no_object", f"a server message is {message.problem}", peer.name, text.at, got=got)
            return
        if message.repeated_names:
            case.find("repeated_names", "an object repeats a name", peer.name, text.at, got=got)
        type_ = text.value["type"]
        self.seen_types[type_] += 1
        if self._is_not_for(peer, text):
            return
        if self._is_dialect(peer, text):
            return
        case.cases["MSG-2"] += 1
        problem = self._problem(message, peer.talk is not None)
        if problem is not None:
            if type_ == "subscription_confirmed" and peer.malformed:
                self._confirmed_malformed(peer, values.show(text.value.get("investigation_id")), text.at)
            case.find(
                "schema",
                f"{type_} breaks its schema: {problem}",
                peer.name,
                text.at,
                got=text.raw[:KEPT_TEXT],
            )
            return
        if type_ == "subscription_confirmed":
            refused = self.capabilities.is_refused(peer, text.value)
            if peer.talk is not None:
                self.capabilities.confirmed(peer, text.value, text.at)
            self._confirmed(peer, text.value["investigation_id"], text.at, refused=refused)
        elif type_ == "investigation_update":
            self.deliveries.judge(peer, text)
        else:
            self.capabilities.message(peer, text.value, text.at)

    def ponged(self, peer: Peer, payload: bytes) -> None:
        """A Pong came. RFC 6455 5.5.3: it may answer only the latest of several Pings."""
        for index, (sent, _) in enumerate(peer.pings):
            if sent == payload:
                for _, debt in peer.pings[: index + 1]:
                    pay(debt, "CONN-3")
                del peer.pings[: index + 1]
                return

    def ended(self, peer: Peer, at: float) -> None:
        """The server ended the connection, or finished its closing."""
        link = peer.link
        if link.framing_error is not None and not peer.gone:
            forgive(peer)
            peer.gone = True
            self._ended(peer, at)
            if peer.may_end:
                return  # broken frames are answered in kind
            peer.case.find("broken_frame", f"broken framing: {link.framing_error}", peer.name, at)
        elif peer.leaving:
            self._close_progress(peer)
        elif not peer.gone and (peer.stranger or peer.asked_forbidden):
            if peer.stranger:
                security.judge_end(peer, at)
            else:
                security.judge_end_after_refusal(peer, at)
            forgive(peer)
            self._ended(peer, at)
        elif not peer.gone:
            explained = self.capabilities.ended(peer, at)
            forgive(peer)
            peer.gone = True
            self._ended(peer, at)
            if explained:
                peer.case.on_change()
                return
            clause = self.capabilities.clause_of_end(peer)
            verdicts.judge_end(peer, link.ended, link.close_received, at, clause)
        peer.gone = peer.gone or not peer.leaving
        peer.case.on_change()

    def overdue(self, case: Case, at: float) -> None:
        """What is still owed never came: each debt becomes a finding."""
        for debt in case.owed:
            peer = debt.peer
            peer.debts.discard(debt)
            peer.unconfirmed = [item for item in peer.unconfirmed if item[1] is not debt]
            peer.pings = [item for item in peer.pings if item[1] is not debt]
            if not self.capabilities.is_due(debt, at):
                continue
            text, expected = verdicts.overdue_text(debt), verdicts.expected(debt)
            kind = self.capabilities.kind_overdue(debt)
            clause = debt.clause or self.capabilities.clause_overdue(debt)
            case.find(kind, text, peer.name, at, clause=clause, expected=expected)

    def fence_passed(self, case: Case, at: float) -> None:
        """What had not come until a fence never will: count the silences that were kept."""
        for peer in case.peers:
            self.capabilities.silent(peer, at)
        self.capabilities.judge_silence(case)
        for investigation in case.investigations.values():
            if investigation.id == self.forbidden:
                events = sum(bool(event.accepted) for event in investigation.events)
                others = sum(peer.serves and not peer.privileged for peer in case.peers)
                case.cases["SEC-2"] += events * others
                continue
            if not any(peer.serves for peer in investigation.subscriptions):
                continue  # its silence says nothing: the fallback may be off
            for event in investigation.events:
                if event.accepted:
                    others = sum(
                        peer.serves and peer not in investigation.subscriptions for peer in case.peers
                    )
                    case.cases["DEL-2"] += others

    # Inside

    def _is_dialect(self, peer: Peer, text: Text) -> bool:
        """Whether a message is none of Part 1, and nothing was negotiated: its type means nothing then."""
        type_ = text.value["type"]
        core = type_ in {"subscription_confirmed", "investigation_update"}
        if core or not (peer.talk is None or (peer.talk.features is None and type_ != "welcome")):
            return False
        got = text.raw[:KEPT_TEXT]
        has_heartbeat = "heartbeat" in (self.capabilities.offered or ())
        if (
            type_ == "ping"
            and peer.talk is None
            and has_heartbeat
            and self._problem(text.message, True) is None
        ):
            message = "`ping` was sent to a connection that said no hello"
            peer.case.find("not_granted", message, peer.name, text.at, clause="HB-3", got=got)
        if type_ == "welcome" and peer.greeted_late and self._problem(text.message, True) is None:
            peer.case.find("second_welcome", "a late hello was welcomed", peer.name, text.at, got=got)
        return True

    def _is_not_for(self, peer: Peer, text: Text) -> bool:
        """Judge what a connection may not be sent at all (SEC-1, SEC-2), and say whether this is it."""
        if peer.stranger:
            security.judge_message(peer, text)
            return True
        if self.forbidden is None or text.value.get("investigation_id") != self.forbidden or peer.privileged:
            return False
        return security.judge_forbidden(peer, text)

    def _ended(self, peer: Peer, at: float) -> None:
        """Note since when nobody may be subscribed; who leaves and does not read may be kept for long."""
        since = math.inf if peer.stalled else at
        for investigation_id in peer.subscriptions:
            investigation = self.investigations[investigation_id]
            investigation.last_end = max(since, investigation.last_end or since)

    def _is_nobodys(self, investigation: Investigation, at: float) -> bool:
        """Whether surely no connection is subscribed, nor was a moment ago."""
        if self.fallback == "off" or any(peer.serves for peer in investigation.subscriptions):
            return False
        if investigation.id == self.forbidden:
            return False
        return investigation.last_end is None or at - investigation.last_end > self.clear_after

    def _confirmed(self, peer: Peer, investigation_id: str, at: float, *, refused: bool = False) -> None:
        case = peer.case
        if refused:
            self._confirmed_unasked(peer, investigation_id, at, refused=True)
            return
        for index, (waiting, debt) in enumerate(peer.unconfirmed):
            if waiting == investigation_id:
                del peer.unconfirmed[index]
                self._take_effect(peer, investigation_id, at)
                case.progressed_at = at
                pay(debt, "SUB-1")
                case.cases["SUB-7"] += 1
                for other, earlier in peer.unconfirmed[:index]:
                    if self.capabilities.is_in_replay(peer, other):
                        continue  # until whose end it waits (RPL-5)
                    peer.overtaken.setdefault(earlier, investigation_id)
                overtaker = peer.overtaken.pop(debt, None)
                if overtaker is not None and overtaker != investigation_id:
                    shown, before = values.show(investigation_id), values.show(overtaker)
                    message = f"{before} was confirmed before {shown}, which was asked for first"
                    case.find("confirmed_out_of_order", message, peer.name, at)
                return
        if not (peer.leaving or peer.gone):
            self._confirmed_unasked(peer, investigation_id, at)

    def _confirmed_unasked(
        self, peer: Peer, investigation_id: str, at: float, *, refused: bool = False
    ) -> None:
        case, shown = peer.case, values.show(investigation_id)
        if refused:
            message = f"{shown} was confirmed after rate_limited said that it is not"
            case.find("carried_out", message, peer.name, at)
            return
        mistake = self.capabilities.mistake_about(peer, investigation_id)
        if mistake is not None and "invalid_scope" in mistake.codes:
            case.find("confirmed_bad_scope", f"a bad scope was confirmed for {shown}", peer.name, at)
        elif peer.malformed and (mistake is not None or investigation_id not in peer.subscriptions):
            self._confirmed_malformed(peer, shown, at)
        else:
            case.find(
                "confirmed_unasked", f"{shown} was confirmed without (another) request for it", peer.name, at
            )

    def _take_effect(self, peer: Peer, investigation_id: str, at: float) -> None:
        """A subscription is confirmed, or its scope is."""
        subscription = peer.subscriptions[investigation_id]
        is_first = subscription.confirmed_at is None
        if subscription.confirmed_at is None and not self._is_leaving(peer, investigation_id):
            subscription.confirmed_at = at
        if subscription.switches:
            scope = subscription.switches.pop(0)
            if self._switches(peer) and set(scope or WHOLE) != set(subscription.scope or WHOLE):
                subscription.before, subscription.switched = subscription.scope, not is_first
                subscription.scope = scope

    def _is_leaving(self, peer: Peer, investigation_id: str) -> bool:
        """Whether an unsubscribe is on its way."""
        requests = peer.talk.requests if peer.talk is not None else []
        return any((one.kind, one.investigation_id) == ("unsubscribe", investigation_id) for one in requests)

    def _switches(self, peer: Peer) -> bool:
        """Whether a confirmation also says a scope."""
        return peer.talk is not None and peer.talk.uses("scopes")

    def _confirmed_malformed(self, peer: Peer, shown: str, at: float) -> None:
        message = f"a message that must not be confirmed was: {shown}"
        peer.case.find("confirmed_malformed", message, peer.name, at, clause=peer.malformed[-1])

    def _close_progress(self, peer: Peer) -> None:
        if peer.link.ended is Ended.CLOSE_FRAME and peer.link.tcp_closed:
            for debt in [debt for debt in peer.debts if debt.kind == "unfinished_close"]:
                pay(debt, "CONN-4")
            peer.gone = True
