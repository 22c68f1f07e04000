"""What a server owes, and what becomes of it: paid, forgiven, or overdue in the end (see `model`)."""

from __future__ import annotations

from osint_events_conformance.records import Debt, Event, Peer


def owe(peer: Peer, kind: str, about: str, at: float, event: Event | None = None) -> Debt:
    """Something is due on a connection from now on; `kind` is the finding that its absence is."""
    debt = Debt(kind, peer, about, event, at)
    peer.debts.add(debt)
    return debt


def owe_event(peer: Peer, event: Event, kind: str, at: float) -> None:
    """A connection is due an event."""
    event.debts[peer] = owe(peer, kind, "", at, event)


def owe_broadcast(event: Event, at: float) -> None:
    """What nobody is subscribed to is due to all connections of Part 1 (DEL-3)."""
    for peer in event.bystanders:
        if peer not in event.received:
            owe_event(peer, event, "fallback_lost", at)
    event.bystanders = []


def pay(debt: Debt, clause: str) -> None:
    """It came, so one more case of the clause was judged."""
    debt.peer.debts.discard(debt)
    debt.peer.case.cases[clause] += 1
    debt.peer.case.on_change()


def forgive(peer: Peer) -> None:
    """Nothing is due on a connection any more, since it ends."""
    for debt in peer.debts:
        if debt.event is not None:
            debt.event.debts.pop(peer, None)
    peer.debts.clear()
    peer.unconfirmed.clear()
    peer.pings.clear()


def forgive_broadcast(event: Event) -> None:
    """Somebody subscribes before the broadcast came: either outcome is right now (DEL-3)."""
    event.bystanders = []
    for peer, debt in list(event.debts.items()):
        if debt.kind == "fallback_lost":
            peer.debts.discard(debt)
            del event.debts[peer]
