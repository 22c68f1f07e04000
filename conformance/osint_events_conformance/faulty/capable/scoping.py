"""Faults of the scopes: SCP-1 to SCP-3; and of subscriptions with `hello`: DEL-1, UNS-1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osint_events_conformance.faulty.catalogue import fault

from .server import CapableServer
from .session import SCOPE_VALUES

if TYPE_CHECKING:
    from collections.abc import Collection

    from osint_events_conformance.faulty.server import Event

    from .history import Kept
    from .session import Session, Subscription

_ALL = ("all", "tasks", "summary")


# DEL-1: who is subscribed at the limit.


@fault("DEL-1", subtle=True)
class ForgetsOldestSubscription(CapableServer):
    """Makes room at the limit of subscriptions by forgetting the oldest."""

    def is_full(self, session: Session, message: dict[str, Any]) -> bool:
        """Be never full."""
        if super().is_full(session, message):
            oldest = next(iter(session.subscriptions))
            del session.subscriptions[oldest]
            self.unsubscribe(session.peer, oldest)
        return False


# SCP-1: which events are in a scope.


@fault("SCP-1")
class NeverFilters(CapableServer):
    """Delivers everything, whatever the scope."""

    def scopes(self, event: Event) -> Collection[str]:
        """Filter nothing."""
        del event
        return _ALL


@fault("SCP-1", subtle=True)
class ClassifiesByTaskId(CapableServer):
    """Takes an event with a task_id for one of tasks, any other for one of the summary, whatever its kind."""

    def scopes(self, event: Event) -> Collection[str]:
        """Look at one field."""
        return ("all", "tasks") if event.data.get("task_id") else ("all", "summary")


@fault("SCP-1", subtle=True)
class ClassifiesByTypeOnly(CapableServer):
    """Classifies by `type` alone, without the legacy rules."""

    def scopes(self, event: Event) -> Collection[str]:
        """Know the present form only."""
        data = (
            event.data if "type" in event.data else {"type": "note"} | {"task_id": event.data.get("task_id")}
        )
        kind = data.get("type")
        if isinstance(kind, str) and kind.startswith(("task_", "investigation_")):
            return super().scopes(event)
        return ("all", "tasks") if isinstance(data.get("task_id"), str) and data["task_id"] else _ALL


@fault("SCP-1", subtle=True)
class KnowsStartupsInLowerCase(CapableServer):
    """Takes a legacy startup event for one only where its message says so in lower case."""

    def scopes(self, event: Event) -> Collection[str]:
        """Compare as it is."""
        scopes, message = super().scopes(event), event.data.get("message")
        is_shouted = isinstance(message, str) and message != message.lower()
        return _ALL if is_shouted and not {"type", "event"} & event.data.keys() else scopes


@fault("SCP-1", subtle=True)
class OtherKindsAreSummary(CapableServer):
    """Takes an event of another kind without a task_id for one of the summary only."""

    def scopes(self, event: Event) -> Collection[str]:
        """Forget that it is in both."""
        scopes = super().scopes(event)
        return ("all", "summary") if len(scopes) == len(_ALL) else scopes


@fault("SCP-1", subtle=True)
class EmptyTaskIdsCount(CapableServer):
    """Takes an event of another kind with an empty task_id for one of tasks."""

    def scopes(self, event: Event) -> Collection[str]:
        """Ask whether the field is there."""
        scopes = super().scopes(event)
        return ("all", "tasks") if len(scopes) == len(_ALL) and "task_id" in event.data else scopes


@fault("SCP-1", subtle=True)
class LastScopeCounts(CapableServer):
    """Confirms a scope of several values, and delivers what is in the last one."""

    def is_in_scope(self, session: Session, subscription: Subscription, kept: Kept) -> bool:
        """Overwrite in a loop."""
        del session
        return subscription.scope[-1] in kept.prev


@fault("SCP-1")
class ConfirmsAnotherScope(CapableServer):
    """Says `all` in each confirmation, and filters as it was asked to."""

    def confirm_scope(
        self, session: Session, message: dict[str, Any], subscription: Subscription, **fields: object
    ) -> None:
        """Echo the default."""
        scope, subscription.scope = subscription.scope, ["all"]
        super().confirm_scope(session, message, subscription, **fields)
        subscription.scope = scope


# SCP-2: what is no scope.


class _RepairsScopes(CapableServer):
    """Makes something of a scope that is none."""

    def repaired(self, scope: object) -> list[str] | None:
        """Return what it makes of it, if anything."""
        raise NotImplementedError

    def check_subscribe(self, session: Session, message: dict[str, Any]) -> None:
        """Repair it."""
        repaired = self.repaired(message.get("scope", ["all"])) if session.has("scopes") else None
        super().check_subscribe(session, message if repaired is None else message | {"scope": repaired})


@fault("SCP-2", subtle=True)
class TakesNoScopeForAll(_RepairsScopes):
    """Takes an empty list for everything, and confirms it."""

    def repaired(self, scope: object) -> list[str] | None:
        """Use `or` for a default."""
        return ["all"] if scope == [] else None


@fault("SCP-2", subtle=True)
class LeavesUnknownScopesOut(_RepairsScopes):
    """Leaves unknown values of a scope out, and confirms the rest."""

    def repaired(self, scope: object) -> list[str] | None:
        """Filter."""
        if not isinstance(scope, list):
            return None
        return [value for value in scope if isinstance(value, str) and value in SCOPE_VALUES] or None


@fault("SCP-2", subtle=True)
class TakesBareScopes(_RepairsScopes):
    """Takes a scope that is a string for a list of it, and confirms it."""

    def repaired(self, scope: object) -> list[str] | None:
        """Be lenient."""
        return [scope] if isinstance(scope, str) and scope in SCOPE_VALUES else None


@fault("SCP-2", subtle=True)
class AppliesFirstOfBadScopes(CapableServer):
    """Refuses a scope with an unknown value, and delivers by its first value from then on."""

    def refuse_scope(self, session: Session, message: dict[str, Any]) -> None:
        """Write first, check then."""
        subscription, scope = session.subscriptions.get(message["investigation_id"]), message["scope"]
        if subscription is not None and isinstance(scope, list) and scope[:1] in (["tasks"], ["summary"]):
            subscription.scope = scope[:1]
        super().refuse_scope(session, message)


@fault("SCP-2", subtle=True)
class BadScopeEndsSubscription(CapableServer):
    """Refuses a bad scope, and ends the subscription that there was."""

    def refuse_scope(self, session: Session, message: dict[str, Any]) -> None:
        """Have deleted it first."""
        self.unsubscribe(session.peer, message["investigation_id"])
        session.subscriptions.pop(message["investigation_id"], None)
        super().refuse_scope(session, message)


@fault("SCP-2", subtle=True)
class BadScopeWidensSubscription(CapableServer):
    """Refuses a bad scope, and delivers everything from then on."""

    def refuse_scope(self, session: Session, message: dict[str, Any]) -> None:
        """Fall back to the default."""
        if message["investigation_id"] in session.subscriptions:
            session.subscriptions[message["investigation_id"]].scope = ["all"]
        super().refuse_scope(session, message)


# SCP-3: switching.


@fault("SCP-3")
class KeepsFirstScope(CapableServer):
    """Confirms another scope, and stays with the first one."""

    def take_up(self, session: Session, message: dict[str, Any]) -> None:
        """Find that it is subscribed."""
        had = session.subscriptions.get(message["investigation_id"])
        super().take_up(session, message)
        if had is not None:
            session.subscriptions[message["investigation_id"]].scope = had.scope


@fault("SCP-3", subtle=True)
class AddsScopes(CapableServer):
    """Delivers what is in the scope before as well as in the new one."""

    def take_up(self, session: Session, message: dict[str, Any]) -> None:
        """Add to a set."""
        had = session.subscriptions.get(message["investigation_id"])
        super().take_up(session, message)
        if had is not None:
            subscription = session.subscriptions[message["investigation_id"]]
            subscription.scope = [*subscription.scope, *had.scope]


@fault("SCP-3", subtle=True)
class SwitchLosesForAMoment(CapableServer):
    """Delivers nothing for the 20 ms before it confirms another scope."""

    def take_up(self, session: Session, message: dict[str, Any]) -> None:
        """Leave one topic before it joins the other."""
        subscription = session.subscriptions.get(message["investigation_id"])
        if subscription is None or subscription.scope == message.get("scope"):
            super().take_up(session, message)
            return
        subscription.scope = ["none"]

        def join() -> None:
            if session.peer.open:
                super(SwitchLosesForAMoment, self).take_up(session, message)

        self.later(0.02, join)


@fault("SCP-3", subtle=True)
class SwitchSendsLastAgain(CapableServer):
    """Sends the investigation's latest event again after a switch, where the new scope has it."""

    def take_up(self, session: Session, message: dict[str, Any]) -> None:
        """Start from the event before."""
        investigation_id = message["investigation_id"]
        had = session.subscriptions.get(investigation_id)
        super().take_up(session, message)
        subscription = session.subscriptions[investigation_id]
        if had is None or had.scope == subscription.scope or "replay_token" in message:
            return
        for kept in (self.history.after(investigation_id, subscription.last - 1) or ())[-1:]:
            subscription.last = kept.seq - 1
            self.pass_on(session, kept)


# UNS-1: unsubscribing.


@fault("UNS-1")
class UnsubscribesInWordOnly(CapableServer):
    """Answers an unsubscribe, and goes on delivering."""

    def end(self, session: Session, message: dict[str, Any]) -> None:
        """Say so."""
        fields = {"type": "unsubscribed", "investigation_id": message["investigation_id"]}
        self.answer(session, message, fields)


@fault("UNS-1", subtle=True)
class SecondUnsubscribeIsSilent(CapableServer):
    """Does not answer an unsubscribe from what is not subscribed."""

    def end(self, session: Session, message: dict[str, Any]) -> None:
        """Find nothing to do."""
        if message["investigation_id"] in session.subscriptions:
            super().end(session, message)


@fault("UNS-1", subtle=True)
class UnsubscribesLate(CapableServer):
    """Answers an unsubscribe 20 ms before it is effective."""

    def end(self, session: Session, message: dict[str, Any]) -> None:
        """Write behind."""
        fields = {"type": "unsubscribed", "investigation_id": message["investigation_id"]}
        self.answer(session, message, fields)
        self.later(0.02, lambda: self._leave(session, message["investigation_id"]))

    def _leave(self, session: Session, investigation_id: str) -> None:
        if investigation_id not in session.replays:
            self.unsubscribe(session.peer, investigation_id)
            session.subscriptions.pop(investigation_id, None)


@fault("UNS-1", subtle=True)
class UnsubscribedOvertakesEvents(CapableServer):
    """Answers an unsubscribe ahead of the events that wait for the client."""

    def answer(
        self, session: Session, message: dict[str, Any], fields: dict[str, Any], *, first: bool = False
    ) -> None:
        """Take the fast lane."""
        super().answer(session, message, fields, first=first or fields["type"] == "unsubscribed")
