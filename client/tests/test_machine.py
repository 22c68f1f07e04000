"""Whatever happens to the connection, the application's history is the server's, or says where it is not."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from osint_events import HelloClient
from osint_events.features import FEATURES
from osint_events.scopes import is_in_scope
from osint_events_client.items import Event, Gap, Item, Moved, Refused
from osint_events_client.session import Command, Deliver, Send, Session

from .world import Connection, FakeServer

EVENTS: list[dict[str, Any]] = [
    {"type": "task_started", "task_id": "t"},
    {"type": "investigation_paused"},
    {"type": "evidence_found"},
]
SCOPES = st.sampled_from([None, ["tasks"], ["summary"], ["tasks", "summary"]])


class HistoryMachine(RuleBasedStateMachine):
    """One client, one server, one investigation that is listened to all the time, and a wire that loses."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Item] = []
        self.connection: Connection | None = None
        self.published: list[tuple[int, int]] = []
        self.began: tuple[int, int] | None = None

    @initialize(scope=SCOPES, features=st.sampled_from([FEATURES, ("replay",), ("replay", "scopes")]))
    def begin(self, scope: list[Any] | None, features: tuple[str, ...]) -> None:
        self.scope = scope
        self.server = FakeServer(frozenset(features))
        self.session = Session(features=FEATURES, client=HelloClient(name="t"), interval=25, timeout=10)
        self.session.subscribe("X", scope)
        self.reconnect()

    def reconnect(self) -> None:
        self.connection = self.server.connect()
        self.carry_out(self.session.connected(0))

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send(text):
                    assert self.connection is not None
                    self.server.receive(self.connection, text)
                case Deliver(Moved()):
                    pass
                case Deliver(Event() | Gap() | Refused() as item):
                    self.items.append(item)
                case _:
                    raise AssertionError(command)

    @rule(data=st.sampled_from(EVENTS), investigation_id=st.sampled_from(["X", "X", "Y"]))
    def publish(self, data: dict[str, Any], investigation_id: str) -> None:
        seq = self.server.publish(investigation_id, data)
        if investigation_id == "X" and is_in_scope(data, self.scope):
            self.published.append((self.server.epoch, seq))

    @precondition(lambda self: self.connection is not None and self.connection.sent)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        assert self.connection is not None
        count = data.draw(st.integers(1, len(self.connection.sent)))
        for _ in range(count):
            message = self.connection.sent.pop(0)
            if message["type"] == "subscription_confirmed" and self.began is None:
                self.began = (self.server.epoch, message["seq"])
            self.carry_out(self.session.receive(json.dumps(message), 0))

    @precondition(lambda self: self.connection is not None)
    @rule()
    def lose_an_update_on_the_way(self) -> None:
        assert self.connection is not None
        kinds = [message["type"] for message in self.connection.sent]
        if "investigation_update" in kinds:
            del self.connection.sent[kinds.index("investigation_update")]

    @precondition(lambda self: self.connection is not None)
    @rule(reason=st.sampled_from(["unavailable", "maintenance"]))
    def announce_a_gap(self, reason: str) -> None:
        """The server missed everything that is still on its way."""
        assert self.connection is not None
        if self.began is None or "X" not in self.connection.scopes:
            return
        self.connection.sent = [
            message for message in self.connection.sent if message["type"] != "investigation_update"
        ]
        gap = self.server.position("gap", "X", reason=reason, epoch=str(self.server.epoch))
        self.connection.sent.append(gap)

    @rule()
    def evict(self) -> None:
        self.server.floor = self.server.head

    @precondition(lambda self: self.connection is not None)
    @rule()
    def disconnect(self) -> None:
        assert self.connection is not None
        self.server.disconnect(self.connection)
        self.connection = None
        self.session.disconnected()

    @precondition(lambda self: self.connection is None)
    @rule()
    def connect_again(self) -> None:
        self.reconnect()

    @precondition(lambda self: self.connection is None)
    @rule(keeps_keys=st.booleans())
    def restart(self, keeps_keys: bool) -> None:
        self.server.restart(keeps_keys=keeps_keys)

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        if self.connection is None:
            self.reconnect()
        # Whatever was lost is proved to be by an event that arrives.
        for _ in range(2):
            self.publish({"type": "evidence_found"}, "X")
            while self.connection is not None and self.connection.sent:
                message = self.connection.sent.pop(0)
                if message["type"] == "subscription_confirmed" and self.began is None:
                    self.began = (self.server.epoch, message["seq"])
                self.carry_out(self.session.receive(json.dumps(message), 0))
        self.check()

    def check(self) -> None:
        assert self.began is not None
        expected = [event for event in self.published if event > self.began]
        position, gap = 0, False
        last, anew = None, False
        for item in self.items:
            if isinstance(item, Gap):
                gap = True
                anew = anew or item.reason == "epoch_changed"
                continue
            assert isinstance(item, Event)
            assert item.token is not None
            epoch, seq = map(int, item.token.split("-"))
            assert (epoch, seq) in expected, "an event that was never due"
            index = expected.index((epoch, seq))
            assert index >= position, "a duplicate, or out of order"
            assert index == position or gap, "a loss that nobody was told of"
            assert last in {None, epoch} or anew, "a history that is gone without a word"
            position, gap = index + 1, False
            last, anew = epoch, False
        assert position == len(expected), "the last event did not arrive"


HistoryMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestHistory = HistoryMachine.TestCase
