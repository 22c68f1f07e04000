"""One client connection to the server under test: frames in and out, and what happened when.

Built on the sans-I/O core of `websockets`, so that the checks can do what no polite client
does: several messages in one segment, one message in many, raw bytes, a reader that stalls.
Nothing here judges; the model does.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol, Self
from urllib.parse import quote, urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from osint_events_conformance import values
from osint_events_conformance.credentials import Auth, Credentials

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""More than any server of this protocol sends (outbound events are at most 256 KiB): a bound, not a rule."""

_SMALL_SEGMENT = 1000
"""Bytes of a TCP segment where little is to wait on the way: kernels size a sender's buffer by it."""
_PONG = 0x8A
_LEFT_OPEN = 1.0
_REMEMBERED = 256


@dataclass(frozen=True)
class Endpoint:
    """Where the server under test listens, and how a client reaches it.

    `url` is the channel without its last segment (`ws://host/ws`); a `client_id` is appended,
    percent-encoded.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None
    subprotocol: str | None = None
    tls: ssl.SSLContext | None = None
    credentials: Credentials = field(default_factory=Credentials)

    @property
    def own_origin(self) -> str:
        """The origin of a page that the server itself would serve (RFC 6454)."""
        parts = urlsplit(self.url)
        return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc.lower()}"

    def address(self, client_id: str) -> str:
        """The URL of `client_id`'s channel."""
        return f"{self.url.rstrip('/')}/{quote(client_id, safe='')}"


class Ended(Enum):
    """How a connection ended, seen from here."""

    CLOSE_FRAME = "a close frame"
    DROPPED = "TCP ended without a close frame"
    PROTOCOL_ERROR = "the server broke RFC 6455 framing"


class Unreachable(OSError):
    """The TCP or TLS connection could not be made. Carries one clear line."""


class Refused(Exception):
    """The server answered the handshake with something else than a valid 101."""

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """What a data message says. One object for all equal messages that come close together.

    `value` is what its JSON means; `problem` is why it is not one RFC 8259 object in a text frame
    with a string `type`, or None.
    """

    raw: str
    value: Any
    problem: str | None
    repeated_names: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A data message from the server, reassembled, and when it came."""

    at: float
    message: Message

    @property
    def raw(self) -> str:
        """The message's text."""
        return self.message.raw

    @property
    def value(self) -> Any:
        """What the message's JSON means."""
        return self.message.value


class Listener(Protocol):
    """Who wants to know what a link receives."""

    def text(self, message: Text) -> None:
        """Take a data message."""

    def pong(self, payload: bytes) -> None:
        """Take a Pong frame's payload."""

    def end(self) -> None:
        """Take note that a close frame came, that TCP ended, or that framing was broken."""


class Link(asyncio.Protocol):
    """A WebSocket connection as the checks use it. Made by `Link.open`."""

    def __init__(
        self,
        endpoint: Endpoint,
        client_id: str,
        clock: Callable[[], float],
        *,
        compress: bool = False,
        auth: Auth = "own",
        origin: str | None = None,
    ) -> None:
        self.client_id = client_id
        self.clock = clock
        self._listener: Listener | None = None
        self._backlog: list[Callable[[Listener], None]] = []
        self.ended: Ended | None = None
        self.close_received: Close | None = None
        self.close_sent = False
        self.tcp_closed = False
        self.framing_error: str | None = None
        self.handshake_status: int | None = None
        self.wrote_at = clock()
        """When something was written last, a Pong too: a sign of life (HB-2)."""
        self.heard_at = clock()
        """When a frame came last, and had been told; HB-2 asks who was silent, and which side."""
        self.is_mute = False
        """Whether Pings are left unanswered, as by a client that is dead."""
        origin = endpoint.origin or None if origin is None else origin
        subprotocols = [Subprotocol(endpoint.subprotocol)] if endpoint.subprotocol else None
        self._uri = parse_uri(endpoint.address(client_id))
        self._protocol = ClientProtocol(
            self._uri,
            origin=Origin(origin) if origin is not None else None,
            subprotocols=subprotocols,
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=None)] if compress else None,
            max_size=MAX_MESSAGE_BYTES,
        )
        self._headers = {**endpoint.headers, **endpoint.credentials.headers(auth)}
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Who waited may have been cancelled meanwhile: then nobody asks, and that is no fault.
        self._opened.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._fragments: list[bytes] = []
        self._message_opcode: Opcode | None = None
        self._whole = True
        """Whether what was written ends with a whole frame; else our own pongs must wait."""
        self._drained = asyncio.Event()
        self._drained.set()

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        client_id: str,
        clock: Callable[[], float],
        *,
        within: float,
        receive_buffer: int | None = None,
        compress: bool = False,
        auth: Auth = "own",
        origin: str | None = None,
    ) -> Self:
        """Connect and shake hands within `within` seconds.

        `receive_buffer` (bytes) makes the kernel's buffer small, so that a stalled reader is
        felt by the server early. `compress` offers permessage-deflate (RFC 7692). `auth` says which token
        goes with it, `origin` replaces the endpoint's. Raises `Unreachable` or `Refused`.
        """
        loop = asyncio.get_running_loop()
        link = cls(endpoint, client_id, clock, compress=compress, auth=auth, origin=origin)
        uri = link._uri
        try:
            async with asyncio.timeout(within):
                sock = await _connect(uri.host, uri.port, receive_buffer)
                tls = endpoint.tls or (ssl.create_default_context() if uri.secure else None)
                await loop.create_connection(
                    lambda: link,
                    sock=sock,
                    ssl=tls if uri.secure else None,
                    server_hostname=uri.host if uri.secure else None,
                )
                await link._opened
        except asyncio.CancelledError:
            link.abort()
            raise
        except TimeoutError:
            connected = link._transport is not None
            link.abort()
            link._opened.cancel()
            if connected:
                raise Refused(None, f"the handshake was not answered within {within:.1f} s") from None
            raise Unreachable(f"cannot connect to {uri.host}:{uri.port}: timed out") from None
        except OSError as error:
            link._opened.cancel()
            text = error.strerror or str(error)
            raise Unreachable(f"cannot connect to {uri.host}:{uri.port}: {text}") from error
        return link

    def attach(self, listener: Listener) -> None:
        """Give `listener` all that came so far and all that will come."""
        self._listener = listener
        for item in self._backlog:
            item(listener)
        self._backlog.clear()

    def _tell(self, item: Callable[[Listener], None]) -> None:
        if self._listener is None:
            self._backlog.append(item)
        else:
            item(self._listener)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Parse frames; answer pings and close frames as RFC 6455 asks of a client."""
        self._protocol.receive_data(data)
        self._handle_events()
        self._flush()

    def eof_received(self) -> bool:
        """Let the transport close: the server ended TCP."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how the connection ended. A reset (`exc`) counts as TCP ended."""
        del exc
        self.tcp_closed = True
        self._drained.set()
        if not self._opened.done():
            self._opened.set_exception(Refused(None, "TCP ended during the handshake"))
        if self.ended is None:
            self.ended = Ended.DROPPED
        self._tell(_end)

    def pause_writing(self) -> None:
        """The kernel's buffer is full: `drain` waits."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """Room again."""
        self._drained.set()

    # Sending

    @property
    def is_open(self) -> bool:
        """Whether data frames may be sent and are expected."""
        return self.ended is None and not self.close_sent and not self.tcp_closed

    @property
    def compresses(self) -> bool:
        """Whether permessage-deflate was agreed on."""
        return bool(self.extensions)

    @property
    def extensions(self) -> Sequence[Extension]:
        """That, or nothing. It compresses in the order of writing."""
        return self._protocol.extensions

    def framed(self, text: bytes, *, alone: bool = False) -> bytes:
        """A text message as one masked frame, which has to be written next.

        Compressed `alone` it refers to none before, and is understood by who forgets those, too.
        """
        for extension in self.extensions if alone else ():
            assert isinstance(extension, PerMessageDeflate)
            if not extension.local_no_context_takeover:
                extension.encoder.flush(zlib.Z_FULL_FLUSH)  # an empty block, which nobody will miss
        return Frame(Opcode.TEXT, text).serialize(mask=True, extensions=self.extensions)

    def write(self, data: bytes, *, whole: bool = True) -> None:
        """Write raw bytes in one call: one TCP segment, as far as they fit.

        Unless they end a frame (`whole`), no Pong of ours goes out before the next call.
        """
        self._whole = whole
        if self._transport is not None and not self._transport.is_closing():
            self.wrote_at = self.clock()
            self._transport.write(data)
        self._flush()

    async def drain(self) -> None:
        """Wait until the kernel takes more."""
        await self._drained.wait()

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Start the closing handshake (RFC 6455 section 7.1.2); `code` None sends an empty close."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self.close_sent = True
            self._flush()

    def abort(self) -> None:
        """Reset TCP, as a crashed client does."""
        self.close_sent = True
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            if raw is not None and raw.fileno() != -1:
                linger_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
            self._transport.abort()

    def hang_up_soon(self) -> None:
        """Leave the connection to itself: what is still open a while after is reset."""
        asyncio.get_running_loop().call_later(_LEFT_OPEN, self.abort)

    def pause_reading(self) -> None:
        """Stop reading, as a stalled client does."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again what waits."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # Receiving

    def _flush(self) -> None:
        if not self._whole:
            return
        for data in self._protocol.data_to_send():
            if self._transport is None or self._transport.is_closing():
                return
            if data[:1] == bytes((_PONG,)) and self.is_mute:
                continue
            if data:
                self.wrote_at = self.clock()
                self._transport.write(data)
            else:
                self._transport.close()

    def _handle_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._handshake(event)
            elif isinstance(event, Frame):
                self._frame(event)
        error = self._protocol.handshake_exc
        if error is not None and not self._opened.done():
            self._opened.set_exception(Refused(None, f"no valid HTTP answer: {error}"))
        if self._protocol.parser_exc is not None and self.ended is None:
            self.framing_error = str(self._protocol.parser_exc)
            self.ended = Ended.PROTOCOL_ERROR
            self._tell(_end)

    def _handshake(self, response: Response) -> None:
        self.handshake_status = response.status_code
        error = self._protocol.handshake_exc
        if self._opened.done():
            return
        if error is None:
            self._opened.set_result(None)
            return
        status = response.status_code
        if status == HTTPStatus.SWITCHING_PROTOCOLS and isinstance(error, InvalidHandshake):
            self._opened.set_exception(Refused(status, f"the 101 answer is no valid handshake: {error}"))
        else:
            self._opened.set_exception(Refused(status, f"the upgrade was answered with {status}"))

    def _frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY or opcode is Opcode.CONT:
            if opcode is not Opcode.CONT:
                self._message_opcode = opcode
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                payload = b"".join(self._fragments)
                self._fragments.clear()
                message = Text(self.clock(), _parse(payload, binary=self._message_opcode is Opcode.BINARY))
                self._tell(lambda listener: listener.text(message))
        elif opcode is Opcode.PONG:
            payload = bytes(frame.data)
            self._tell(lambda listener: listener.pong(payload))
        elif opcode is Opcode.CLOSE:
            self.close_received = self._protocol.close_rcvd
            if self.ended is None:
                self.ended = Ended.CLOSE_FRAME
                self._tell(_end)
        self.heard_at = self.clock()


async def _connect(host: str, port: int, receive_buffer: int | None) -> socket.socket:
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    try:  # what is an address already needs no thread to look it up, for each of thousands of connections
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, proto, _, address in found:
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if hasattr(socket, "TCP_MAXSEG"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SMALL_SEGMENT)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            last = error
        except asyncio.CancelledError:
            sock.close()
            raise
        else:
            return sock
    raise last or OSError(f"{host} has no address")


def _end(listener: Listener) -> None:
    listener.end()


_SURELY_SHALLOW = 200
"""Brackets in a message that cannot be nested too deeply."""


class _NotJSON(ValueError):
    pass


def _reject_constant(name: str) -> None:
    raise _NotJSON(f"{name} is no JSON (RFC 8259)")


@lru_cache(maxsize=_REMEMBERED)
def _parse(payload: bytes, *, binary: bool) -> Message:
    """Judge the form of one message (MSG-1); its meaning is the model's business.

    Cached, since an event reaches many connections in the same bytes.
    """
    repeated = False

    def pairs(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        made = dict(items)
        repeated = repeated or len(made) != len(items)
        return made

    try:
        raw = payload.decode()
    except UnicodeDecodeError as error:
        return Message(payload.decode(errors="replace"), None, f"invalid UTF-8: {error}")
    if binary:
        return Message(raw, None, "a binary frame")
    try:
        value = json.loads(raw, object_pairs_hook=pairs, parse_constant=_reject_constant)
        if raw.count("[") + raw.count("{") > _SURELY_SHALLOW:
            values.key(value)  # what is compared later must be walked, which takes more stack than reading
    except RecursionError:
        return Message(raw, None, "nested too deeply to be read")
    except ValueError as error:
        return Message(raw, None, f"not one JSON text: {error}")
    if not isinstance(value, dict):
        return Message(raw, value, "no JSON object")
    if not isinstance(value.get("type"), str):
        return Message(raw, value, "no string `type`")
    return Message(raw, value, None, repeated)
