"""A world in which connections say `hello`: what they ask for, and what a server of Part 2 sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from osint_events.features import FEATURES
from osint_events_conformance.positions import Request, Token
from osint_events_conformance.records import Debt, Event, Peer

from .world import EVENT, World, X

TASK = '{"type": "task_started", "task_id": "t", "n": %d}'
SUMMARY = '{"type": "investigation_note", "n": %d}'


@dataclass
class NegotiatedWorld(World):
    """One case over one model, of a server that offers everything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.model.capabilities.offered = frozenset(FEATURES)

    # What the client does

    def hello(self, peer: Peer, *features: str, **fields: Any) -> None:
        """A hello goes out."""
        message = {"type": "hello", "protocol": 1, "features": list(features), **fields}
        self.model.capabilities.greeting(peer, message, self.tick())

    def greeted(self, name: str = "a", *features: str, client_id: str | None = None) -> Peer:
        """A connection whose hello was answered; it has every feature, unless some are named."""
        peer = self.connect(name, client_id)
        self.hello(peer, *(features or FEATURES))
        self.welcome(peer, *(features or FEATURES))
        return peer

    def follow(
        self,
        peer: Peer,
        id_: str = X,
        *,
        scope: tuple[str, ...] | None = None,
        ref: str | None = None,
        text: str | None = None,
        given: Token | None = None,
    ) -> None:
        """A subscribe goes out; `given` is a token that the server gave, `text` any other."""
        at = self.tick()
        debt = Debt("unconfirmed", peer, "")
        text = given.text if given is not None else text
        request = Request("subscribe", id_, ref, at, debt, scope, text, given)
        self.model.subscribing(peer, id_, at, request)

    def unfollow(self, peer: Peer, id_: str = X, **fields: Any) -> None:
        """An unsubscribe goes out."""
        message = {"type": "unsubscribe_investigation", "investigation_id": id_, **fields}
        self.model.capabilities.unfollowing(peer, message, self.tick())

    def ping(self, peer: Peer, id_: str, **fields: Any) -> None:
        """A `ping` goes out."""
        self.model.capabilities.pinging(peer, {"type": "ping", "id": id_, **fields}, self.tick())

    def mistake(self, peer: Peer, *codes: str, **fields: Any) -> None:
        """A message that is not to be carried out goes out."""
        self.model.capabilities.mistaken(peer, {"type": "x", **fields}, codes, self.tick())

    # What the server does

    def welcome(self, peer: Peer, *features: str, **fields: Any) -> None:
        """A welcome."""
        message = {"type": "welcome", "protocol": 1, "connection_id": "k", "features": list(features)}
        self.send(peer, message | fields)

    def position_of(self, seq: int, epoch: str = "e") -> dict[str, Any]:
        """The fields of a position."""
        return {"epoch": epoch, "seq": seq, "token": f"t-{seq}-{epoch}"}

    def confirm_at(self, peer: Peer, seq: int, id_: str = X, **fields: Any) -> None:
        """A confirmation with a position, of the whole unless a scope is given."""
        message = {"type": "subscription_confirmed", "investigation_id": id_, **self.position_of(seq)}
        self.send(peer, message | {"scope": ["all"]} | fields)

    def subscribed(self, name: str = "a", seq: int = 0, *, scope: tuple[str, ...] | None = None) -> Peer:
        """A connection with every feature that is subscribed from a number on."""
        peer = self.greeted(name)
        self.follow(peer, scope=scope)
        self.confirm_at(peer, seq, scope=list(scope or ("all",)))
        return peer

    def resume(self, peer: Peer, seq: int, count: int, *, since: float | None = None, **asked: Any) -> None:
        """A subscribe with the token of a number that came at `since` (now, unless said), and `complete`."""
        given = Token(seq, f"t-{seq}-e", "e", self.now if since is None else since)
        self.follow(peer, given=given, **asked)
        echoed = {"ref": asked["ref"]} if "ref" in asked else {}
        self.confirm_at(peer, seq, replay={"status": "complete", "count": count}, **echoed)

    def update(
        self, peer: Peer, seq: int, prev: int, data: str = EVENT, *, replayed: bool = False, **fields: Any
    ) -> None:
        """An update with its place."""
        head = f'{{"type": "investigation_update", "investigation_id": "{X}", "data": {data}'
        place = f', "seq": {seq}, "prev": {prev}, "token": "t-{seq}-e"'
        more = "".join(f', "{name}": {value}' for name, value in fields.items())
        self.send(peer, head + place + (', "replayed": true' if replayed else "") + more + "}")

    def move(self, peer: Peer, seq: int) -> None:
        """A `position`."""
        self.tell(peer, "position", investigation_id=X, seq=seq, token=f"t-{seq}-e")

    def complete(self, peer: Peer, seq: int, **fields: Any) -> None:
        """A `replay_complete`."""
        message = {"type": "replay_complete", "investigation_id": X, "seq": seq, "token": f"t-{seq}-e"}
        self.send(peer, message | fields)

    def published(self, count: int, witness: Peer | None = None) -> list[Event]:
        """Events numbered from 1, delivered to a witness if there is one."""
        made = []
        for number in range(1, count + 1):
            data = SUMMARY % number
            made.append(self.publish(data))
            if witness is not None:
                self.update(witness, number, number - 1, data)
        return made

    def tell(self, peer: Peer, type_: str, **fields: Any) -> None:
        """Any other message."""
        self.send(peer, {"type": type_, **fields})

    def error(self, peer: Peer, code: str, *, temporary: bool = False, **fields: Any) -> None:
        """An error."""
        self.tell(peer, "error", code=code, message="m", temporary=temporary, **fields)
