"""The tests' own client, which sees every frame and writes any byte, and one server with its clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import aiohttp
from osint_events_conformance.faulty import RunningServer, start
from osint_events_conformance.faulty.capable.guarded import TOKEN
from osint_events_conformance.faulty.server import Event
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from osint_events_conformance.faulty.server import Server
    from websockets.extensions import ClientExtensionFactory

DROPPED = 1006


class Client(asyncio.Protocol):
    """One connection. What came is in `frames`, `messages`, `pongs` and `ended`; `waits` until it has."""

    def __init__(
        self,
        url: str,
        extensions: Sequence[ClientExtensionFactory] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._headers = headers
        self._protocol = ClientProtocol(parse_uri(url), max_size=None, extensions=list(extensions) or None)
        self._changed = asyncio.Event()
        self._fragments: list[bytes] = []
        self._opcode = Opcode.TEXT
        self._numbers = count()
        self.status: int | None = None
        self.frames: list[tuple[Opcode, bytes]] = []
        """Data messages, reassembled."""
        self.messages: list[dict[str, Any]] = []
        """Their JSON, as far as it is objects."""
        self.pongs: list[bytes] = []
        self.ended: int | None = None
        """The close code that came, or `DROPPED`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self.status = event.status_code
            elif isinstance(event, Frame):
                self._take(event)
        self._flush()
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.ended = self.ended or DROPPED
        self._changed.set()

    def _take(self, event: Frame) -> None:
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if event.opcode is not Opcode.CONT:
                self._opcode = event.opcode
            self._fragments.append(bytes(event.data))
            if event.fin:
                data = b"".join(self._fragments)
                self._fragments.clear()
                self.frames.append((self._opcode, data))
                with contextlib.suppress(ValueError):
                    value = json.loads(data.decode(errors="replace"))
                    self.messages += [value] if isinstance(value, dict) else []
        elif event.opcode is Opcode.PONG:
            self.pongs.append(bytes(event.data))
        elif event.opcode is Opcode.CLOSE and self._protocol.close_rcvd is not None:
            self.ended = self._protocol.close_rcvd.code

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if self.transport.is_closing():
                return
            if data:
                self.transport.write(data)
            else:
                self.transport.close()

    async def waits(self, until: Callable[[], bool], patience: float) -> bool:
        """Wait until something is so or the connection has ended; say whether it is so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not until() and not self.transport.is_closing():
                    self._changed.clear()
                    await self._changed.wait()
        return until()

    def confirmed(self) -> list[Any]:
        """The ids that were confirmed."""
        return [m.get("investigation_id") for m in self.messages if m.get("type") == "subscription_confirmed"]

    def payloads(self, investigation_id: str) -> list[Any]:
        """The payloads that came for an id."""
        return [
            m.get("data")
            for m in self.messages
            if m.get("type") == "investigation_update" and m.get("investigation_id") == investigation_id
        ]

    async def gets(self, number: int, investigation_id: str, patience: float) -> bool:
        """Wait for so many updates of an id."""
        return await self.waits(lambda: len(self.payloads(investigation_id)) >= number, patience)

    async def ends(self, patience: float) -> bool:
        """Wait for the end of the connection."""
        return await self.waits(lambda: self.ended is not None, patience)

    def write(self, *frames: bytes) -> None:
        """Write bytes in one segment."""
        self.transport.write(b"".join(frames))

    def say(self, text: str) -> None:
        """Send a text message."""
        self.write(masked(text.encode()))

    async def subscribe(self, investigation_id: str, patience: float) -> bool:
        """Subscribe and wait for the confirmation; say whether it came."""
        before = self.confirmed().count(investigation_id)
        self.say(subscribe_text(investigation_id))
        return await self.waits(lambda: self.confirmed().count(investigation_id) > before, patience)

    async def works(self, patience: float) -> bool:
        """Say whether a fresh subscribe is confirmed: all that had been on its way is there then."""
        return await self.subscribe(f"fence-{next(self._numbers)}-{id(self)}", patience)

    def close(self, code: int | None = 1000) -> None:
        """Start the closing handshake."""
        self._protocol.send_close(code)
        self._flush()

    def abort(self) -> None:
        """Reset the TCP connection."""
        linger_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        self.transport.abort()


class World:
    """A server and its clients. `patience` is how long to wait for what must come, in seconds."""

    def __init__(self, running: RunningServer, session: aiohttp.ClientSession, patience: float) -> None:
        self.running = running
        self.patience = patience
        self._session = session
        self._clients: list[Client] = []
        self.surprises: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(self._surprise)

    @classmethod
    async def of(cls, name: str | None, patience: float = 2.0) -> Self:
        """Start a server of the zoo."""
        return cls(await start(name), aiohttp.ClientSession(), patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()
        assert self.surprises == [], self.surprises

    def _surprise(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        self.surprises.append(context)

    async def _close(self) -> None:
        await self._session.close()
        for client in self._clients:
            client.transport.abort()
        await self.running.close()

    @property
    def server(self) -> Server:
        return self.running.server

    async def knock(
        self,
        client_id: str,
        receive_buffer: int | None = None,
        extensions: Sequence[ClientExtensionFactory] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Client:
        """Ask for an upgrade, which may be refused; with a good token, where no other headers are given."""
        if headers is None:
            headers = {"Authorization": f"Bearer {TOKEN}"} if self.server.guarded else {}
        url = f"{self.running.ws_url}/{quote(client_id, safe='')}"
        uri = parse_uri(url)
        sock = socket.create_connection((uri.host, uri.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        _, client = await asyncio.get_running_loop().create_connection(
            lambda: Client(url, extensions, headers), sock=sock
        )
        self._clients.append(client)
        await client.waits(lambda: client.status is not None or client.ended is not None, 2.0)
        return client

    async def client(self, client_id: str = "c", *subscriptions: str) -> Client:
        """Connect and subscribe."""
        client = await self.knock(client_id)
        assert client.status == 101, client.status
        for investigation_id in subscriptions:
            await client.subscribe(investigation_id, self.patience)
        return client

    async def inject(self, investigation_id: str, text: str = "{}") -> int:
        """Publish a payload's text over HTTP; return the status."""
        body = f'{{"investigation_id": {json.dumps(investigation_id)}, "data": {text}}}'
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self.running.inject_url, data=body.encode(), headers=headers) as answer:
            return answer.status

    async def trigger(self, investigation_id: str) -> int:
        """Make the server emit an event of its own."""
        url = self.running.trigger_url.format(investigation_id=investigation_id)
        async with self._session.post(url) as answer:
            return answer.status

    async def restart(self) -> int:
        """Make the server start anew."""
        async with self._session.post(self.running.restart_url) as answer:
            return answer.status

    async def plain_get(self) -> int | None:
        """GET the path without an upgrade; None when the server hangs up."""
        try:
            async with self._session.get(f"{self.running.http_url}/ws/c") as answer:
                return answer.status
        except aiohttp.ClientError:
            return None

    def burst(self, *events: tuple[str, str]) -> None:
        """Publish events in one turn of the server's event loop."""
        for investigation_id, text in events:
            self.server.accept(Event(investigation_id, json.loads(text), text))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something within the server."""
        async with asyncio.timeout(2):
            while not condition():  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.001)


def masked(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """Return a client's frame."""
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


def subscribe_text(investigation_id: object, **unknown: object) -> str:
    """Return a subscribe message."""
    message = {"type": "subscribe_investigation", "investigation_id": investigation_id, **unknown}
    return json.dumps(message, ensure_ascii=False)
