"""Faults of the confirmation: SUB-1 and SUB-7."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import unicodedata
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from .peer import Peer


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
class ExpandsDollars(Server):
    """Confirms an id with one dollar sign in place of two, and without a `$&`."""

    def confirmation(self, investigation_id: str) -> bytes:
        """Put it into a template."""
        return super().confirmation(investigation_id.replace("$$", "$").replace("$&", ""))


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


class IgnoresSome(Server):
    """Ignores a subscribe for some reason that the protocol does not know."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Say whether to ignore it."""
        raise NotImplementedError

    def subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        """Ignore it, or carry it out."""
        if not self.ignores(peer, message):
            super().subscribe(peer, message)


@fault("SUB-1", subtle=True)
class IgnoresPrototypeNames(IgnoresSome):
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
class IgnoresLongIds(IgnoresSome):
    """Ignores an id of more than 128 characters."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Count."""
        del peer
        return len(message["investigation_id"]) > 128


@fault("SUB-1", subtle=True)
class CountsIdsInBytes(IgnoresSome):
    """Counts an id's 255 characters in UTF-8 bytes, and ignores what is longer."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Count bytes."""
        del peer
        return len(message["investigation_id"].encode(errors="replace")) > 255


@fault("SUB-1", subtle=True)
class IgnoresIdsWithSlashes(IgnoresSome):
    """Ignores an id with a slash or a backslash, as a file name's check would."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Fear for a path."""
        del peer
        return any(c in message["investigation_id"] for c in "/\\")


@fault("SUB-1", subtle=True)
class IgnoresFalsyIds(IgnoresSome):
    """Ignores the ids `0`, `null`, `false` and `undefined`."""

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Take a name for a value."""
        del peer
        return message["investigation_id"] in {"0", "null", "false", "undefined"}


@fault("SUB-1", subtle=True)
class ExpectsTypeFirst(IgnoresSome):
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


@fault("CONN-6", subtle=True)
class TiresOfReconnects(IgnoresSome):
    """Ignores what a client_id subscribes to after two of its connections have ended."""

    def __init__(self) -> None:
        super().__init__()
        self._ended: dict[str, int] = {}

    def closed(self, peer: Peer) -> None:
        """Count ends."""
        super().closed(peer)
        self._ended[peer.client_id] = self._ended.get(peer.client_id, 0) + 1

    def ignores(self, peer: Peer, message: dict[str, Any]) -> bool:
        """Have enough."""
        del message
        return self._ended.get(peer.client_id, 0) >= 2


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


# --8<-- [start:fault]
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


# --8<-- [end:fault]
