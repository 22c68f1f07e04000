"""What the model remembers: cases, connections, investigations, events, and what is owed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from osint_events.scopes import is_in_scope

from osint_events_conformance import values
from osint_events_conformance.findings import Finding, WireEntry
from osint_events_conformance.wire import Link, Text

if TYPE_CHECKING:
    from osint_events_conformance.capabilities import Talk

KEPT_TEXT = 70_000
"""Characters of a message that a finding quotes."""
_KEPT_WIRE = 600
_KEPT_LINE = 2000


def _no_answer(_type: str, _id: str) -> None:
    """Send nothing."""


@dataclass(eq=False, slots=True)
class Debt:
    """Something that the server owes: `kind` is the finding that it becomes when it never comes."""

    kind: str
    peer: Peer
    about: str
    event: Event | None = None
    since: float = 0.0
    clause: str = ""
    """The clause that it breaks where it is not the kind's own."""


@dataclass(eq=False, slots=True)
class Subscription:
    """One connection's interest in one investigation."""

    sent_at: float
    confirmed_at: float | None = None
    last_order: int = -1
    scope: tuple[str, ...] | None = None
    """What part of the investigation is wanted (SCP-1); None is the whole."""
    switches: list[tuple[str, ...] | None] = field(default_factory=list)
    """Scopes that were asked for and not confirmed yet, the oldest first (SCP-3)."""
    before: tuple[str, ...] | None = None
    """The scope before the last switch."""
    switched: bool = False
    ended: bool = False
    """Whether it was ended by `unsubscribed`."""
    ignored: tuple[str, ...] | None = None
    """A scope, or the end, that was asked for but not negotiated, so that it means nothing (NEG-1)."""
    ignored_token: bool = False
    """Whether a token was sent though replay was not negotiated."""

    def owes(self, data: Any) -> bool:
        """Whether an event surely belongs to it, now and whatever is being switched to."""
        if self.scope is None and not self.switches:
            return True
        scopes = (self.scope, *self.switches)
        return isinstance(data, dict) and all(is_in_scope(data, scope) for scope in scopes)

    def takes(self, data: Any) -> bool:
        """Whether an event may be delivered to it."""
        return any(is_in_scope(data, scope) for scope in (self.scope, *self.switches))

    def clause(self, data: Any) -> str:
        """The clause that the loss of an event breaks, where the kind of the finding does not say it."""
        if self.ignored is not None and not is_in_scope(data, self.ignored):
            return "NEG-1"
        if self.switches or self.switched:
            return "SCP-3"
        return "" if self.scope is None or "all" in self.scope else "SCP-1"


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
    written: bool = True
    """Whether the checker wrote the payload itself."""
    first_received: float | None = None
    size: int = 0
    """Bytes of what was published."""
    seq: int | None = None
    """The number that the server gave it, where one was seen (RPL-1)."""
    epoch: object = None
    """The epoch of that number."""
    ownerless: bool = False
    """Whether nobody was surely subscribed when it was published, so that it may go to all (DEL-3)."""
    bystanders: list[Peer] = field(default_factory=list)
    """Connections that all get it, or none does, since nobody is subscribed (DEL-3)."""
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
    shared: bool = False
    """Whether others who test the same server may use the id too, so that what is unexpected is theirs."""
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
    stalled_at: float = 0.0
    was_mute: bool = False
    """Whether this process got no processor just before the end, so that perhaps nothing was answered."""
    leaving: bool = False
    gone: bool = False
    talk: Talk | None = None
    """What was negotiated, on a connection that said `hello`."""
    spoke: bool = False
    """Whether it sent a data message."""
    stranger: bool = False
    """Whether it has not authenticated yet (SEC-1)."""
    turned_away: bool = False
    """Whether it said, as a stranger, what is no hello with a good token, or waits until it is ended."""
    privileged: bool = False
    """Whether it may see the forbidden investigation."""
    asked_forbidden: bool = False
    """Whether it has tried to subscribe to the forbidden investigation (SEC-2)."""
    told_forbidden: bool = False
    """Whether `error forbidden` answered that."""
    greeted_late: bool = False
    """Whether it said `hello` after another message, which is to be ignored (NEG-2)."""
    answer: Callable[[str, str], None] = _no_answer
    """Sends an application-level message of a type with an id (HB-2)."""
    debts: set[Debt] = field(default_factory=set)

    @property
    def serves(self) -> bool:
        """Whether the server still owes it service."""
        return not self.leaving and not self.gone


class Case:
    """One run of one script: its debts, findings, counts and wire log."""

    def __init__(self, name: str, on_change: Callable[[], None], salts: tuple[str, str] = ("", "")) -> None:
        self.name = name
        self.salts = salts
        self.on_change = on_change
        self.findings: list[Finding] = []
        self.cases: Counter[str] = Counter()
        self.peers: list[Peer] = []
        self.investigations: dict[str, Investigation] = {}
        self.progressed_at = 0.0
        self.refused_payloads = 0
        self.restarted = False
        """Whether the server was restarted in it."""
        self.doubts: dict[str, object] = {}
        """Investigations whose numbers did not increase, and the epoch that they belonged to (RPL-7)."""
        self.cut_short = False
        """Whether its last steps were left out: there was no time, or enough was found."""
        self.wire: list[WireEntry] = []
        self.order = 0

    @property
    def is_broken(self) -> bool:
        """Whether something was found that breaks a MUST."""
        return any(finding.level == "MUST" for finding in self.findings)

    @property
    def owed(self) -> list[Debt]:
        """What is still owed, but to readers that stall."""
        return [debt for peer in self.peers if not peer.stalled for debt in peer.debts]

    @property
    def settled(self) -> bool:
        """Whether nothing is owed now."""
        return all(peer.stalled or not peer.debts for peer in self.peers)

    def disturber(self, peer: Peer) -> str | None:
        """The clause that forbids what another connection does here to harm this one, if one does."""
        others = [other for other in self.peers if other is not peer]
        if any(other.stalled for other in others):
            return "ROB-5"
        return "ROB-1" if any(other.may_end and not other.superseded for other in others) else None

    def log(self, at: float, conn: str, direction: Literal[">", "<", "*"], text: str) -> None:
        """Keep what went over the wire, for the report; the oldest half goes when it grows long."""
        if len(self.wire) >= _KEPT_WIRE:
            del self.wire[: _KEPT_WIRE // 2]
        self.wire.append(WireEntry(at, conn, direction, text[:_KEPT_LINE]))

    def find(
        self, kind: str, message: str, conn: str, at: float, *,
        clause: str = "", expected: str | None = None, got: str | None = None,
        doubtful: bool = False, racy: bool = False,
    ) -> None:  # fmt: skip
        """Record a finding."""
        finding = Finding(
            kind, message, conn, at, clause, expected=expected, got=got, doubtful=doubtful, racy=racy
        )
        self.findings.append(finding)
        self.on_change()
