"""Faults of subscribing: SUB-1 to SUB-8."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import unicodedata
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from .catalogue import fault
from .server import Server, valid_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .peer import Peer
    from .server import Event

# SUB-1: one confirmation, with the same id.


@fault("SUB-1")
class ConfirmsTwice(Server):
    """Confirms each subscribe twice."""

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Confirm at both ends of a queue."""
        super().confirm(peer, investigation_id)
        super().confirm(peer, investigation_id)


@fault("SUB-1")
class ConfirmsToEveryone(Server):
    """Sends each confirmation to every connection."""

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Broadcast."""
        del peer
        for other in list(self.peers):
            super().confirm(other, investigation_id)


@fault("SUB-1", subtle=True)
class ConfirmsToCoSubscribers(Server):
    """Sends a confirmation to the investigation's other subscribers too."""

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Send it to the room."""
        del peer
        for other in list(self.subscribers[investigation_id]):
            super().confirm(other, investigation_id)


@fault("SUB-1", subtle=True)
class TrimsConfirmedIds(Server):
    """Confirms an id without the spaces around it."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Trim."""
        return super().confirmation(investigation_id.strip() or investigation_id)


@fault("SUB-1", subtle=True)
class FoldsConfirmedIds(Server):
    """Confirms an id in lower case."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Lower."""
        return super().confirmation(investigation_id.lower())


@fault("SUB-1", subtle=True)
class NormalisesConfirmedIds(Server):
    """Confirms an id in Unicode's NFC."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Compose."""
        return super().confirmation(unicodedata.normalize("NFC", investigation_id))


@fault("SUB-1", subtle=True)
class DropsLeadingZeros(Server):
    """Confirms an id of digits without its leading zeros."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Go through an integer."""
        digits = investigation_id.isascii() and investigation_id.isdigit()
        return super().confirmation(str(int(investigation_id)) if digits else investigation_id)


@fault("SUB-1", subtle=True)
class CutsConfirmedIds(Server):
    """Confirms the first 200 characters of an id."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Fit a column."""
        return super().confirmation(investigation_id[:200])


@fault("SUB-1", subtle=True)
class ConfirmsNonBmpAsReplacement(Server):
    """Confirms an id with U+FFFD in place of every character beyond the BMP."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Know three bytes of UTF-8."""
        return super().confirmation("".join(c if ord(c) < 0x10000 else "\ufffd" for c in investigation_id))


@fault("SUB-1", subtle=True)
class DropsControlCharacters(Server):
    """Confirms an id without its control characters."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Sanitise."""
        clean = "".join(c for c in investigation_id if unicodedata.category(c) != "Cc")
        return super().confirmation(clean or investigation_id)


@fault("SUB-1", subtle=True)
class UnquotesConfirmedIds(Server):
    """Confirms an id with its %-escapes and plus signs decoded, as if it were a query."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Unquote what was not quoted."""
        return super().confirmation(
            investigation_id.replace("+", " ").replace("%20", " ").replace("%25", "%")
        )


class _IgnoresSome(Server):
    """Ignores a subscribe for some reason that the protocol does not know."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Say whether to ignore it."""
        raise NotImplementedError

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Ignore it, or carry it out."""
        if not self.ignores(peer, message):
            super().subscribe(peer, message)


@fault("SUB-1", subtle=True)
class IgnoresPrototypeNames(_IgnoresSome):
    """Ignores an id that is a property of JavaScript's Object.prototype: `subs[id]` is there already."""

    names: ClassVar[frozenset[str]] = frozenset(
        {
            "__proto__",
            "constructor",
            "hasOwnProperty",
            "isPrototypeOf",
            "toString",
            "valueOf",
        }
    )

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Find the property."""
        del peer
        return message["investigation_id"] in self.names


@fault("SUB-1", subtle=True)
class IgnoresLongIds(_IgnoresSome):
    """Ignores an id of more than 128 characters."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Count."""
        del peer
        return len(message["investigation_id"]) > 128


@fault("SUB-1", subtle=True)
class CountsIdsInBytes(_IgnoresSome):
    """Counts an id's 255 characters in UTF-8 bytes, and ignores what is longer."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Count bytes."""
        del peer
        return len(message["investigation_id"].encode(errors="replace")) > 255


@fault("SUB-1", subtle=True)
class IgnoresIdsWithSlashes(_IgnoresSome):
    """Ignores an id with a slash or a backslash, as a file name's check would."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Fear for a path."""
        del peer
        return any(c in message["investigation_id"] for c in "/\\")


@fault("SUB-1", subtle=True)
class IgnoresFalsyIds(_IgnoresSome):
    """Ignores the ids `0`, `null`, `false` and `undefined`."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Take a name for a value."""
        del peer
        return message["investigation_id"] in {"0", "null", "false", "undefined"}


@fault("SUB-1", subtle=True)
class ExpectsTypeFirst(_IgnoresSome):
    """Ignores a subscribe whose first member is not type."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Look at the first."""
        del peer
        return next(iter(message)) != "type"


@fault("SUB-1", subtle=True)
class ReadsIdsWithoutUnescaping(Server):
    """Finds the id by a regular expression, and takes the escapes in it as they stand."""

    def received_text(self, peer: Peer, data: bytes) -> None:
        r"""Keep \u and \n as characters."""
        super().received_text(peer, data.replace(b"\\", b"\\\\") if self._plain(data) else data)

    @staticmethod
    def _plain(data: bytes) -> bool:
        return data.count(b"\\") > 0 and b'\\"' not in data and b"\\\\" not in data


@fault("SUB-1", subtle=True)
class TiresOfReconnects(_IgnoresSome):
    """Ignores what the third and later connection of a client_id subscribes to."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, list[Peer]] = {}

    def opened(self, peer: Peer) -> None:
        """Count connections."""
        super().opened(peer)
        self._seen.setdefault(peer.client_id, []).append(peer)

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Have enough."""
        del message
        return peer in self._seen[peer.client_id][2:]


# SUB-2: effective from the confirmation on. Without the fallback, which would deliver the event all the same.


@fault("SUB-2", subtle=True)
class SubscribesLate(Server):
    """Confirms at once and lets the subscription become effective 30 ms later."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Write behind."""
        if investigation_id not in peer.subscriptions:
            self.later(
                0.03, lambda: super(SubscribesLate, self).add(peer, investigation_id) if peer.open else None
            )


@fault("SUB-2", subtle=True)
class FirstEventMakesTopic(Server):
    """Loses the first event after an investigation's first subscribe: it creates the topic only."""

    fallback = False

    def __init__(self) -> None:
        super().__init__()
        self._topics: set[str] = set()

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Create it."""
        found = super().receivers(event)
        if found and event.investigation_id not in self._topics:
            self._topics.add(event.investigation_id)
            return ()
        return found


@fault("SUB-2", subtle=True)
class LosesNonBmpSubscriptions(Server):
    """Confirms an id with a character beyond the BMP, and never finds the subscription again."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Store it in MySQL's utf8."""
        if all(ord(c) < 0x10000 for c in investigation_id):
            super().add(peer, investigation_id)


@fault("SUB-2", subtle=True)
class TrimsStoredIds(Server):
    """Confirms an id as it came, and subscribes to it without the spaces around it."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Trim."""
        super().add(peer, investigation_id.strip() or investigation_id)


@fault("SUB-2", subtle=True)
class CutsStoredIds(Server):
    """Confirms an id as it came, and subscribes to its first 254 characters."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Leave room for the NUL."""
        super().add(peer, investigation_id[:254])


@fault("SUB-2", subtle=True)
class LosesPipelinedSubscriptions(Server):
    """Confirms every subscribe, but of those within 1 ms only the first becomes effective."""

    fallback = False

    def __init__(self) -> None:
        super().__init__()
        self._busy: set[Peer] = set()

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Try a lock, and go on without it."""
        if peer in self._busy:
            return
        super().add(peer, investigation_id)
        self._busy.add(peer)
        self.later(0.001, lambda: self._busy.discard(peer))


# SUB-3: 128 subscriptions. Without the fallback, which would turn a loss into strays.


@fault("SUB-3")
class KeepsOneSubscription(Server):
    """Ends a connection's earlier subscription when it subscribes to something else."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Have one field for it."""
        for other in [known for known in peer.subscriptions if known != investigation_id]:
            self.unsubscribe(peer, other)
        super().add(peer, investigation_id)


@fault("SUB-3", subtle=True)
class HoldsHundredSubscriptions(Server):
    """Confirms the 101st subscription of a connection, and forgets its oldest."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Use an LRU cache."""
        super().add(peer, investigation_id)
        while len(peer.subscriptions) > 100:
            self.unsubscribe(peer, next(iter(peer.subscriptions)))


@fault("SUB-3", subtle=True)
class RefusesHundredthSubscription(_IgnoresSome):
    """Leaves the hundredth subscription of a connection unconfirmed."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Limit them."""
        return len(peer.subscriptions) > 98 and message["investigation_id"] not in peer.subscriptions


@fault("SUB-3", subtle=True)
class ClosesAt127Subscriptions(Server):
    """Closes a connection that subscribes to its 128th investigation: one off."""

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Compare with >= where > is right."""
        if len(peer.subscriptions) >= 127 and message["investigation_id"] not in peer.subscriptions:
            peer.close(1008, "too many subscriptions")
        else:
            super().subscribe(peer, message)


# SUB-4: subscribing again.


@fault("SUB-4")
class ConfirmsOnce(_IgnoresSome):
    """Does not confirm a subscribe to what is subscribed already."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Take a second subscribe for noise."""
        return message["investigation_id"] in peer.subscriptions


@fault("SUB-4", subtle=True)
class DebouncesSubscribes(_IgnoresSome):
    """Does not confirm a subscribe within 20 ms of the same one."""

    def __init__(self) -> None:
        super().__init__()
        self._recent: set[tuple[Peer, str]] = set()

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Wait until it is quiet."""
        key = peer, message["investigation_id"]
        if key in self._recent:
            return True
        self._recent.add(key)
        self.later(0.02, lambda: self._recent.discard(key))
        return False


class _CountsSubscribes(Server):
    """Delivers an update as often as `times` says."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[tuple[Peer, str], int] = {}

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Append to a list."""
        super().add(peer, investigation_id)
        key = peer, investigation_id
        self.asked[key] = self.asked.get(key, 0) + 1

    def unsubscribe(self, peer: Peer, investigation_id: str) -> None:
        """Remove from the list."""
        super().unsubscribe(peer, investigation_id)
        self.asked.pop((peer, investigation_id), None)

    def times(self, peer: Peer, investigation_id: str) -> int:
        """Return how often to deliver."""
        return self.asked.get((peer, investigation_id), 1)

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Deliver once for each entry."""
        for _ in range(self.times(peer, event.investigation_id)):
            super().deliver(peer, event, message)


@fault("SUB-4")
class SubscribesAgainTwice(_CountsSubscribes):
    """Delivers an update once for each time that the connection subscribed."""


@fault("SUB-4", subtle=True)
class FourthSubscribeDoubles(_CountsSubscribes):
    """Delivers an update twice once the connection has subscribed for the fourth time."""

    def times(self, peer: Peer, investigation_id: str) -> int:
        """Count up to the fourth."""
        return 2 if super().times(peer, investigation_id) >= 4 else 1


@fault("SUB-4", subtle=True)
class SubscribingAgainDoublesAfterLeave(_CountsSubscribes):
    """Delivers twice to who subscribes again after another subscriber of the investigation left."""

    def __init__(self) -> None:
        super().__init__()
        self._left: set[str] = set()

    def closed(self, peer: Peer) -> None:
        """Rebuild the list, and lose the index that keeps doubles out."""
        self._left.update(peer.subscriptions)
        super().closed(peer)

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Keep doubles out while the index is good."""
        Server.add(self, peer, investigation_id)
        key = peer, investigation_id
        doubled = key in self.asked and investigation_id in self._left
        self.asked[key] = 2 if doubled else self.asked.get(key, 1)


@fault("SUB-4", subtle=True)
class SubscribingAgainToggles(Server):
    """Confirms a second subscribe to the same investigation, and ends the subscription by it."""

    fallback = False

    def add(self, peer: Peer, investigation_id: str) -> None:
        """Toggle."""
        if investigation_id in peer.subscriptions:
            self.unsubscribe(peer, investigation_id)
        else:
            super().add(peer, investigation_id)


# SUB-5: unknown fields.


@fault("SUB-5")
class RefusesUnknownFields(_IgnoresSome):
    """Ignores a subscribe that has a field it does not know."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Be strict where the protocol is lenient."""
        del peer
        return len(message) > 2


@fault("SUB-5", subtle=True)
class RefusesUnknownObjects(_IgnoresSome):
    """Ignores a subscribe with an unknown field that holds an object or a list."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Expect flat messages."""
        del peer
        return any(isinstance(value, (dict, list)) for value in message.values())


@fault("SUB-5", subtle=True)
class RefusesUnknownNulls(_IgnoresSome):
    """Ignores a subscribe with an unknown field that is null."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Call a method on it."""
        del peer
        return None in message.values()


@fault("SUB-5", subtle=True)
class ReadsOtherIdFields(Server):
    """Prefers the fields id and investigationId, where they are strings, to investigation_id."""

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Serve an older dialect."""
        for name in ("id", "investigationId"):
            if valid_id(message.get(name)):
                message = {**message, "investigation_id": message[name]}
        super().subscribe(peer, message)


@fault("SUB-5", subtle=True)
class ReadsOneKilobyteOfFields(_IgnoresSome):
    """Ignores a subscribe whose unknown fields hold a string of more than 1000 characters."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Limit strings."""
        del peer
        return any(isinstance(value, str) and len(value) > 1000 for value in message.values())


@fault("SUB-5", subtle=True)
class ObeysUnknownFilter(Server):
    """Takes the unknown field `filter` for a list of kinds, and delivers no others."""

    fallback = False

    def __init__(self) -> None:
        super().__init__()
        self._filters: dict[tuple[Peer, str], list[Any]] = {}

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Note the filter."""
        if isinstance(message.get("filter"), list):
            self._filters[peer, message["investigation_id"]] = message["filter"]
        super().subscribe(peer, message)

    def deliver(self, peer: Peer, event: Event, message: bytes) -> None:
        """Obey it."""
        kinds = self._filters.get((peer, event.investigation_id))
        if kinds is None or event.data.get("type") in kinds:
            super().deliver(peer, event, message)


# SUB-6: no valid id.


class _Coerces(Server):
    """Makes an id of what is none."""

    def coerced(self, value: object) -> str | None:
        """Return an id, or None."""
        raise NotImplementedError

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Coerce and carry on."""
        value = message.get("investigation_id")
        if message["type"] == "subscribe_investigation" and not isinstance(value, str):
            made = self.coerced(value)
            if made is not None:
                message = {**message, "investigation_id": made}
        super().received(peer, message)


@fault("SUB-6")
class ConfirmsMissingIds(_Coerces):
    """Confirms a subscribe without an id, as one to `None`."""

    def coerced(self, value: object) -> str | None:
        """Format nothing."""
        return "None" if value is None else None


@fault("SUB-6", subtle=True)
class ConfirmsNumbers(_Coerces):
    """Confirms a number for an id, as a string."""

    def coerced(self, value: object) -> str | None:
        """Format it."""
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


@fault("SUB-6", subtle=True)
class ConfirmsListedIds(_Coerces):
    """Confirms a list that holds one id, as JavaScript's comparison and its String() would have it."""

    def coerced(self, value: object) -> str | None:
        """Take it out of the list."""
        return value[0] if isinstance(value, list) and len(value) == 1 and valid_id(value[0]) else None


@fault("SUB-6", subtle=True)
class ConfirmsEmptyIds(Server):
    """Confirms the empty id."""

    def malformed(self, peer: Peer) -> None:
        """Do nothing, as ever."""

    def received(self, peer: Peer, message: dict[str, Any]) -> None:
        """Check the type only."""
        if message["type"] == "subscribe_investigation" and message.get("investigation_id") == "":
            self.confirm(peer, "")
        else:
            super().received(peer, message)


# SUB-7: confirmations in order (a SHOULD).


@fault("SUB-7")
class ConfirmsInReverse(Server):
    """Confirms the subscribes of one turn of the event loop last first."""

    def __init__(self) -> None:
        super().__init__()
        self._due: list[tuple[Peer, str]] = []

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Put it on a stack."""
        if not self._due:
            self.later(0.001, self._confirm_due)
        self._due.append((peer, investigation_id))

    def _confirm_due(self) -> None:
        while self._due:
            super().confirm(*self._due.pop())


@fault("SUB-7", subtle=True)
class ConfirmsAsWorkersFinish(Server):
    """Confirms a subscribe after 0 to 2 ms, as a pool of workers does."""

    def __init__(self) -> None:
        super().__init__()
        self._random = Random(7)

    def confirm(self, peer: Peer, investigation_id: str) -> None:
        """Leave it to a worker."""
        delay = self._random.uniform(0, 0.002)
        self.later(delay, lambda: super(ConfirmsAsWorkersFinish, self).confirm(peer, investigation_id))


# SUB-8: subscriptions end with their connection.


@fault("SUB-8")
class RemembersSubscriptions(Server):
    """Gives a new connection the subscriptions that its client_id had before."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, dict[str, None]] = {}

    def remembers(self, peer: Peer) -> bool:
        """Say whether a closed connection's subscriptions are kept."""
        del peer
        return True

    def closed(self, peer: Peer) -> None:
        """Keep them."""
        if self.remembers(peer):
            self._known.setdefault(peer.client_id, {}).update(peer.subscriptions)
        super().closed(peer)

    def opened(self, peer: Peer) -> None:
        """Restore them."""
        super().opened(peer)
        for investigation_id in self._known.pop(peer.client_id, {}):
            self.add(peer, investigation_id)


@fault("SUB-8", subtle=True)
class RemembersAfterAbort(RemembersSubscriptions):
    """Gives a new connection the subscriptions that its client_id had when its TCP connection dropped."""

    def remembers(self, peer: Peer) -> bool:
        """Forget only after a good-bye."""
        return not peer.said_goodbye


@fault("SUB-8", subtle=True)
class RemembersManySubscriptions(RemembersSubscriptions):
    """Gives a new connection the subscriptions that its client_id had, where they were three or more."""

    def remembers(self, peer: Peer) -> bool:
        """Spare a busy client the work."""
        return len(peer.subscriptions) >= 3
