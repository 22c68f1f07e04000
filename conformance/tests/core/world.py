"""A world without sockets: what a client did and a server sent, told to the model at times of our own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

from osint_events_conformance.deliveries import Fallback
from osint_events_conformance.findings import Finding
from osint_events_conformance.model import Model
from osint_events_conformance.oracle import schema_problem
from osint_events_conformance.records import Case, Event, Peer
from osint_events_conformance.wire import Ended, Link, Text, _parse
from websockets.frames import Close

X = "inv-1"
"""An investigation."""
PROBLEM = schema_problem()
EVENT = '{"type": "finding", "n": 1}'


@dataclass
class FakeLink:
    """A connection as the model sees it: nothing is behind it, and it ends when a test says so."""

    client_id: str
    ended: Ended | None = None
    close_received: Close | None = None
    framing_error: str | None = None
    tcp_closed: bool = False
    wrote_at: float = 0.0
    heard_at: float = 0.0
    is_mute: bool = False
    compresses: bool = False


@dataclass
class World:
    """One case over one model. Each act takes a second, unless a test moves `now` itself."""

    fallback: Fallback = "any"
    now: float = 0.0
    changes: int = 0
    model: Model = field(init=False)
    case: Case = field(init=False)

    def __post_init__(self) -> None:
        self.model = Model(self.fallback, PROBLEM)
        self.case = self.another_case()

    def another_case(self) -> Case:
        """A second script that runs beside the first."""
        return Case("a case", self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def tick(self, seconds: float = 1.0) -> float:
        """Let time pass, and say what time it is."""
        self.now += seconds
        return self.now

    # What the client does

    def connect(self, name: str = "a", client_id: str | None = None, case: Case | None = None) -> Peer:
        """A connection; a client id of its own, unless one is given."""
        link = FakeLink(client_id or f"c-{name}")
        self.model.connecting(case or self.case, link.client_id)
        return self.model.connected(case or self.case, name, cast("Link", link))

    def ask(self, peer: Peer, investigation_id: str = X) -> None:
        """A subscribe goes out."""
        self.model.subscribing(peer, investigation_id, self.tick())

    def subscriber(self, name: str = "a", *investigation_ids: str, case: Case | None = None) -> Peer:
        """A connection whose subscriptions are confirmed."""
        peer = self.connect(name, case=case)
        for one in investigation_ids or (X,):
            self.ask(peer, one)
            self.confirm(peer, one)
        return peer

    def publish(
        self,
        data: str | None = EVENT,
        investigation_id: str = X,
        *,
        accepted: bool | None = True,
        exact: bool = False,
    ) -> Event:
        """A publish that was answered before anything else happens."""
        event = self.start_publish(data, investigation_id, exact=exact)
        self.model.published(event, accepted=accepted, at=self.tick())
        return event

    def start_publish(
        self, data: str | None = EVENT, investigation_id: str = X, *, exact: bool = False
    ) -> Event:
        """A publish that is not answered yet."""
        return self.model.publishing(self.case, investigation_id, data, self.tick(), exact=exact)

    def malformed(self, peer: Peer, clause: str = "ROB-2") -> None:
        """A malformed message goes out."""
        self.model.misbehaving(peer, clause)

    def leave(self, peer: Peer, *, handshake: bool = True) -> None:
        """The client closes, or resets."""
        self.model.leaving(peer, self.tick(), handshake=handshake)

    # What the server does

    def send(self, peer: Peer, message: Any) -> None:
        """A data message from the server: a value, or text as it is spelt, or bytes."""
        if isinstance(message, bytes):
            raw = message
        else:
            raw = (message if isinstance(message, str) else json.dumps(message)).encode()
        self.model.received(peer, Text(self.tick(), _parse(raw, binary=False)))

    def confirm(self, peer: Peer, investigation_id: str = X) -> None:
        """A confirmation."""
        self.send(peer, {"type": "subscription_confirmed", "investigation_id": investigation_id})

    def deliver(self, peer: Peer, data: str = EVENT, investigation_id: str = X) -> None:
        """An update, with the payload as it is spelt."""
        head = f'{{"type": "investigation_update", "investigation_id": {json.dumps(investigation_id)}'
        self.send(peer, f'{head}, "data": {data}}}')

    def close(self, peer: Peer, code: int | None) -> None:
        """The server closes; `code` None is an empty close frame."""
        link = cast("FakeLink", peer.link)
        link.ended, link.close_received = Ended.CLOSE_FRAME, Close(code or 1005, "")
        self.model.ended(peer, self.tick())

    def drop(self, peer: Peer) -> None:
        """The server drops TCP."""
        link = cast("FakeLink", peer.link)
        link.ended, link.tcp_closed = link.ended or Ended.DROPPED, True
        self.model.ended(peer, self.tick())

    def break_frames(self, peer: Peer) -> None:
        """The server sends what is no frame."""
        link = cast("FakeLink", peer.link)
        link.ended, link.framing_error = Ended.PROTOCOL_ERROR, "a reserved bit is set"
        self.model.ended(peer, self.tick())

    # What is found

    def overdue(self, case: Case | None = None) -> None:
        """The deadline passes."""
        self.model.overdue(case or self.case, self.tick())

    @property
    def found(self) -> list[tuple[str, str]]:
        """The kind of each finding and the clause that it breaks."""
        return [(one.kind, one.clause) for one in self.case.findings]

    @property
    def kinds(self) -> list[str]:
        """The kinds of the findings."""
        return [one.kind for one in self.case.findings]

    @property
    def only(self) -> Finding:
        """The one finding."""
        [finding] = self.case.findings
        return finding
