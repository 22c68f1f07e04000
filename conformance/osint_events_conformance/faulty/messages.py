"""Faults of the messages' form: MSG-1 and MSG-2."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from websockets.frames import Opcode

from .catalogue import fault
from .jsontext import dump
from .peer import Peer, frame
from .server import Server, update_text

if TYPE_CHECKING:
    from .server import Event

# MSG-1: text frames, one JSON object each.


@fault("MSG-1")
class SendsBinaryFrames(Server):
    """Sends its JSON in binary frames."""

    def frames(self, message: bytes) -> bytes:
        """Use the wrong opcode."""
        return frame(message, Opcode.BINARY)


@fault("MSG-1", subtle=True)
class SendsLargeMessagesBinary(Server):
    """Sends a message of more than 4 KiB in a binary frame."""

    def frames(self, message: bytes) -> bytes:
        """Take a shortcut for buffers."""
        return frame(message, Opcode.BINARY if len(message) > 4096 else Opcode.TEXT)  # noqa: PLR2004 - 4 KiB


@fault("MSG-1")
class EndsMessagesWithNul(Server):
    """Ends each message with a NUL, as a C string."""

    def frames(self, message: bytes) -> bytes:
        """Copy one byte too many."""
        return super().frames(message + b"\0")


@fault("MSG-1")
class BeginsMessagesWithBom(Server):
    """Begins each message with a byte order mark, which RFC 8259 forbids."""

    def frames(self, message: bytes) -> bytes:
        """Encode as utf-8-sig."""
        return super().frames(b"\xef\xbb\xbf" + message)


@fault("MSG-1", subtle=True)
class CutsMessagesAt16K(Server):
    """Cuts a message after 16 KiB."""

    def frames(self, message: bytes) -> bytes:
        """Fill one buffer, send it."""
        return super().frames(message[: 16 * 1024])


@fault("MSG-1", subtle=True)
class EncodesAsCesu8(Server):
    """Writes a character beyond the BMP as two encoded surrogates, which is no UTF-8."""

    def frames(self, message: bytes) -> bytes:
        """Encode UTF-16's units one by one, as MySQL's utf8 or Java's DataOutput do."""
        units = message.decode().encode("utf-16-le")
        text = "".join(chr(low | high << 8) for low, high in zip(units[::2], units[1::2], strict=True))
        return super().frames(text.encode("utf-8", "surrogatepass"))


@fault("MSG-1", subtle=True)
class WritesSingleQuotes(Server):
    """Writes a payload that holds a list or an object as Python's repr does, not as JSON."""

    def payload(self, event: Event) -> bytes:
        """Format the object itself."""
        if any(isinstance(value, (dict, list)) for value in event.data.values()):
            return repr(event.data).encode(errors="backslashreplace")
        return super().payload(event)


@fault("MSG-1", subtle=True)
class SendsBareKeepAlive(Server):
    """Sends the text `ping`, which is no JSON, to a connection that is 300 ms old."""

    def opened(self, peer: Peer) -> None:
        """Keep it alive."""
        super().opened(peer)
        self.later(0.3, lambda: peer.send(b"ping"))


@fault("MSG-1")
class GreetsWithoutType(Server):
    """Greets with an object that has no type."""

    def opened(self, peer: Peer) -> None:
        """Greet."""
        super().opened(peer)
        peer.send(b'{"message":"welcome"}')


@fault("MSG-1", subtle=True)
class ReportsErrorsByNumber(Server):
    """Answers malformed input with an object whose type is a number."""

    def malformed(self, peer: Peer) -> None:
        """Give the type of the error."""
        peer.send(b'{"type":400,"message":"bad request"}')


@fault("MSG-1", subtle=True)
class RepeatsNames(Server):
    """Writes investigation_id twice into an update whose payload has one too (a SHOULD)."""

    def update(self, event: Event) -> bytes:
        """Merge by hand."""
        text = super().update(event)
        if "investigation_id" in event.data:
            return text[:-1] + b',"investigation_id":' + dump(event.investigation_id) + b"}"
        return text


class _Gathers(Peer):
    """Joins what is due in one turn of the event loop into one message."""

    separator: ClassVar[bytes] = b"\n"
    around: ClassVar[tuple[bytes, bytes]] = (b"", b"")

    def __init__(self, server: Server, client_id: str, transport: asyncio.Transport) -> None:
        super().__init__(server, client_id, transport)
        self._due: list[bytes] = []

    def send(self, message: bytes) -> None:
        """Wait for company."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._send_due)
        self._due.append(message)

    def _send_due(self) -> None:
        first, last = self.around
        due, self._due = self._due, []
        super().send(first + self.separator.join(due) + last if len(due) > 1 else due[0])


@fault("MSG-1", subtle=True)
class JoinsDueMessages(Server):
    """Sends messages that are due at the same moment in one frame, a line each."""

    peer_class = _Gathers


class _GathersLists(_Gathers):
    """Joins them as a JSON array."""

    separator = b","
    around = (b"[", b"]")


@fault("MSG-1", subtle=True)
class ListsDueMessages(Server):
    """Sends messages that are due at the same moment as one JSON array."""

    peer_class = _GathersLists


# MSG-2: the schemas.


@fault("MSG-2")
class NamesIdInCamelCase(Server):
    """Sends investigationId in place of investigation_id in updates."""

    def update(self, event: Event) -> bytes:
        """Rename the field."""
        return super().update(event).replace(b'"investigation_id"', b'"investigationId"', 1)


@fault("MSG-2")
class EncodesPayloadTwice(Server):
    """Sends the payload as a string that holds JSON."""

    def payload(self, event: Event) -> bytes:
        """Encode what is encoded."""
        return dump(event.text)


@fault("MSG-2")
class SpreadsPayload(Server):
    """Spreads the payload's fields over the envelope, without data."""

    def update(self, event: Event) -> bytes:
        """Merge the two."""
        envelope: dict[str, Any] = {**event.data, "type": "investigation_update"}
        return dump({**envelope, "investigation_id": event.investigation_id})


@fault("MSG-2", subtle=True)
class WritesEmptyPayloadAsList(Server):
    """Sends [] in place of an empty payload, as PHP's json_encode does."""

    def payload(self, event: Event) -> bytes:
        """Have one kind of array."""
        return super().payload(event) if event.data else b"[]"


@fault("MSG-2", subtle=True)
class LeavesEmptyPayloadOut(Server):
    """Leaves data out where the payload is empty."""

    def update(self, event: Event) -> bytes:
        """Omit what is empty."""
        if event.data:
            return super().update(event)
        return dump({"type": "investigation_update", "investigation_id": event.investigation_id})


@fault("MSG-2", subtle=True)
class WritesDigitsAsNumber(Server):
    """Writes the id of an update as a number where it consists of digits."""

    def update(self, event: Event) -> bytes:
        """Let the types be guessed."""
        ascii_digits = event.investigation_id.isascii() and event.investigation_id.isdigit()
        number = str(int(event.investigation_id)) if ascii_digits else None
        if number is None:
            return super().update(event)
        return update_text("", self.payload(event)).replace(b'""', number.encode(), 1)


@fault("MSG-2", subtle=True)
class UpdatesWithoutIdInBursts(Server):
    """Leaves the id out of an update that comes in the same turn as another of its investigation."""

    def __init__(self) -> None:
        super().__init__()
        self._just: set[str] = set()

    def update(self, event: Event) -> bytes:
        """Say what is new only."""
        text = super().update(event)
        if event.investigation_id in self._just:
            return b'{"type":"investigation_update","data":' + self.payload(event) + b"}"
        self._just.add(event.investigation_id)
        self.later(0.002, lambda: self._just.discard(event.investigation_id))
        return text
