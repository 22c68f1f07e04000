"""The session core under any sequence of messages: text in, commands out, against a model of the protocol."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from osint_events.features import FEATURES, TEMPORARY_ERRORS
from osint_events_server.offer import Offer
from osint_events_server.positions import Positions
from osint_events_server.session import (
    Command,
    Confirm,
    Ignored,
    Negotiated,
    Send,
    Session,
    Subscribe,
    Unsubscribe,
)
from osint_events_server.settings import Settings
from osint_events_server.tokens import Position, Tokens

MAX_SUBSCRIPTIONS = 3
EPOCH = "now"
TOKENS = Tokens([b"k" * 32])
OFFER = Offer.of(Settings())

IDS = st.sampled_from(["a", "b", "c", "d", "é", "🦊" * 255])
BAD_IDS = st.sampled_from([None, "", 1, ["a"], "x" * 256])
REFS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
VALUES = st.lists(st.sampled_from(["all", "tasks", "summary"]), min_size=1, max_size=3)
BAD_SCOPES: st.SearchStrategy[object] = st.sampled_from([[], None, "tasks", ["other"], ["tasks", 1], {}])
FEATURE_LISTS = st.lists(st.sampled_from([*FEATURES, "unknown"]), max_size=7)


def message(sent: Send) -> dict[str, Any]:
    """The message of a frame; those of a session are short or middling."""
    wire = sent.frames.wire
    value: dict[str, Any] = json.loads(wire[4 if wire[1] == 126 else 2 :])
    return value


class Machine(RuleBasedStateMachine):
    """A client that says anything, and what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session(
            max_subscriptions=MAX_SUBSCRIPTIONS,
            offer=OFFER,
            positions=Positions(TOKENS, lambda: EPOCH),
            connection_id="c",
        )
        self.said_anything = False
        self.features: set[str] | None = None  # None: a core connection
        self.subscribed: set[str] = set()

    def say(self, type_: str, **fields: object) -> Sequence[Command]:
        fields = {name: value for name, value in fields.items() if value is not ...}
        commands = self.session.receive(json.dumps({"type": type_, **fields}))
        self.said_anything = True
        self.check(commands, ref=fields.get("ref"))
        return commands

    def check(self, commands: Sequence[Command], *, ref: object) -> None:
        """What holds for everything that a session does."""
        answers = [message(command) for command in commands if isinstance(command, Send)]
        assert len(answers) <= 1, "answered more than once"
        for answer in answers:
            if self.features is None:
                assert set(answer) == {"type", "investigation_id"}, "part 2 on a core connection"
                assert answer["type"] == "subscription_confirmed"
            elif isinstance(ref, str) and len(ref) <= 64:
                assert answer.get("ref") == ref

    def has(self, feature: str) -> bool:
        return self.features is not None and feature in self.features

    def expect_refused(self, commands: Sequence[Command], code: str, *, told_by: str = "errors") -> None:
        assert isinstance(commands[0], Ignored)
        assert commands[0].code == code
        if self.has("errors") or self.has(told_by):
            (_, sent) = commands
            assert isinstance(sent, Send)
            error = message(sent)
            assert (error["type"], error["code"]) == ("error", code)
            assert error["temporary"] == (code in TEMPORARY_ERRORS)
        else:
            assert len(commands) == 1, "told something that was not negotiated"

    @initialize(greets=st.booleans(), features=FEATURE_LISTS)
    def greet(self, greets: bool, features: list[str]) -> None:
        """Begin with a hello more often than chance would."""
        if greets:
            self.hello(features, 1, None)

    @rule(features=FEATURE_LISTS, protocol=st.integers(1, 10**6), ref=REFS)
    def hello(self, features: list[str], protocol: int, ref: str | None) -> None:
        is_first = not self.said_anything
        if is_first:
            self.features = {feature for feature in features if feature in FEATURES}
        extra = {} if ref is None else {"ref": ref}
        commands = self.say("hello", protocol=protocol, features=features, **extra)
        if not is_first:
            self.expect_refused(commands, "already_initialized")
            return
        negotiated, sent = commands
        assert isinstance(sent, Send)
        welcome = message(sent)
        assert welcome["type"] == "welcome"
        assert welcome["protocol"] == 1
        assert set(welcome["features"]) == self.features
        assert ("heartbeat" in welcome) == self.has("heartbeat")
        assert negotiated == Negotiated(frozenset({"hello"} | (self.features or set())))

    @rule(fields=st.sampled_from([{}, {"protocol": 0}, {"protocol": 1, "features": [1]}, {"features": []}]))
    def malformed_hello(self, fields: dict[str, object]) -> None:
        self.expect_refused(self.say("hello", **fields), "invalid_message")

    @rule(
        investigation_id=IDS,
        ref=REFS,
        scope=st.just(...) | VALUES,
        seq=st.none() | st.integers(0, 2**53 - 1),
        epoch=st.sampled_from([EPOCH, "another"]),
        signed_for=st.none() | IDS,
    )
    def subscribe(  # noqa: PLR0917 - hypothesis passes them by name
        self,
        investigation_id: str,
        ref: str | None,
        scope: Any,
        seq: int | None,
        epoch: str,
        signed_for: str | None,
    ) -> None:
        signed_for = signed_for or investigation_id
        token = ... if seq is None else TOKENS.issue(signed_for, Position(epoch, seq))
        extra = {} if ref is None else {"ref": ref}
        commands = self.say(
            "subscribe_investigation",
            investigation_id=investigation_id,
            scope=scope,
            replay_token=token,
            **extra,
        )
        if investigation_id not in self.subscribed and len(self.subscribed) == MAX_SUBSCRIPTIONS:
            self.expect_refused(commands, "subscription_limit")
            return
        self.subscribed.add(investigation_id)
        subscribe, confirm = commands
        assert isinstance(subscribe, Subscribe)
        assert subscribe.investigation_id == investigation_id
        assert subscribe.sequenced == self.has("replay")
        wanted = scope if self.has("scopes") and scope is not ... else ["all"]
        parts = {"tasks": 1, "summary": 2, "all": 3}
        union = 0
        for value in wanted:
            union |= parts[value]
        assert subscribe.scope == union
        if not self.has("replay"):
            assert subscribe.after == 0
            assert isinstance(confirm, Send)
            confirmed = message(confirm)
            assert confirmed["investigation_id"] == investigation_id
            assert confirmed.get("scope") == (wanted if self.has("scopes") else None)
            return
        assert isinstance(confirm, Confirm)
        assert confirm.confirmation.investigation_id == investigation_id
        assert confirm.confirmation.ref == ref
        resume = seq if epoch == EPOCH else "epoch_changed"
        if seq is None:
            resume = None
        elif signed_for != investigation_id:
            resume = "invalid"
        assert confirm.resume == resume
        assert subscribe.after == (resume if isinstance(resume, int) else 0)

    @rule(investigation_id=BAD_IDS, ref=REFS)
    def subscribe_to_no_id(self, investigation_id: object, ref: str | None) -> None:
        extra = {} if ref is None else {"ref": ref}
        commands = self.say("subscribe_investigation", investigation_id=investigation_id, **extra)
        self.expect_refused(commands, "invalid_message")

    @precondition(lambda self: self.has("scopes"))
    @rule(investigation_id=IDS, scope=BAD_SCOPES)
    def subscribe_to_a_bad_scope(self, investigation_id: str, scope: object) -> None:
        commands = self.say("subscribe_investigation", investigation_id=investigation_id, scope=scope)
        self.expect_refused(commands, "invalid_scope")

    @precondition(lambda self: self.features is not None)
    @rule(investigation_id=IDS, ref=st.sampled_from([1, None, "x" * 65, {}]))
    def subscribe_with_a_bad_reference(self, investigation_id: str, ref: object) -> None:
        commands = self.say("subscribe_investigation", investigation_id=investigation_id, ref=ref)
        self.expect_refused(commands, "invalid_message")

    @rule(investigation_id=IDS)
    def unsubscribe(self, investigation_id: str) -> None:
        commands = self.say("unsubscribe_investigation", investigation_id=investigation_id)
        if not self.has("unsubscribe"):
            self.expect_refused(commands, "unknown_type")
            return
        self.subscribed.discard(investigation_id)
        unsubscribe, sent = commands
        assert unsubscribe == Unsubscribe(investigation_id)
        assert isinstance(sent, Send)
        assert message(sent) == {"type": "unsubscribed", "investigation_id": investigation_id}

    @rule(id_=st.text(st.characters(exclude_categories=["Cs"]), max_size=64))
    def ping(self, id_: str) -> None:
        commands = self.say("ping", id=id_)
        if not self.has("heartbeat"):
            self.expect_refused(commands, "unknown_type")
            return
        (sent,) = commands
        assert isinstance(sent, Send)
        assert sent.first
        assert message(sent) == {"type": "pong", "id": id_}

    @precondition(lambda self: self.has("heartbeat"))
    @rule(id_=st.sampled_from(["x" * 65, "x" * 60_000, 1, None, ["a"]]))
    def bad_ping(self, id_: object) -> None:
        self.expect_refused(self.say("ping", id=id_), "invalid_message")

    @rule(id_=st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
    def unsolicited_pong(self, id_: str) -> None:
        commands = self.say("pong", id=id_)
        if self.has("heartbeat"):
            assert commands == ()
        else:
            self.expect_refused(commands, "unknown_type")

    @rule(
        type_=st.sampled_from(["greeting", "welcome ", "", "Hello", "error", "gap", "investigation_update"])
    )
    def unknown(self, type_: str) -> None:
        self.expect_refused(self.say(type_), "unknown_type")

    @rule(text=st.sampled_from(["", "{", "[]", "null", '{"type": 1}', "[" * 5000]))
    def malformed(self, text: str) -> None:
        commands = self.session.receive(text)
        self.said_anything = True
        ignored = commands[0]
        assert isinstance(ignored, Ignored)
        assert ignored.code in {"invalid_json", "invalid_message"}
        self.expect_refused(commands, ignored.code)

    @precondition(lambda self: self.has("flow") or self.has("errors"))
    @rule(ref=REFS, seconds=st.floats(0.001, 10))
    def too_fast(self, ref: str | None, seconds: float) -> None:
        extra = {} if ref is None else {"ref": ref}
        text = json.dumps({"type": "subscribe_investigation", "investigation_id": "new", **extra})
        commands = self.session.rate_limited(text, seconds=seconds)
        self.check(commands, ref=ref)
        self.expect_refused(commands, "rate_limited", told_by="flow")
        assert isinstance(commands[1], Send)
        assert message(commands[1])["retry_after_ms"] >= seconds * 1000


TestSession = Machine.TestCase
TestSession.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
