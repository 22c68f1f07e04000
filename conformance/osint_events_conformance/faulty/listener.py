"""The port's HTTP side: handshakes, injected and triggered events, by the `h11` library."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import h11
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from .server import LARGEST_BODY, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from websockets.extensions import Extension

    from .server import Server

    _Sent = h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage

_PATH = re.compile(rb"/(?P<place>ws|trigger)/(?P<name>[^/?]*)(?:\?.*)?|/(?P<command>inject|restart)")
_NOT_FOUND = Reply(404, b"no such path\n")


class HttpConnection(asyncio.Protocol):
    """One TCP connection until it becomes a WebSocket, if it does."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._pending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport
        self._server.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Drop the transport."""
        self._server.transports.discard(self._transport)
        if self._pending is not None:
            self._pending.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes in and answer every request that they complete."""
        try:
            if data:
                self._http.receive_data(data)
            while self._pending is None and self._step():
                pass
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._answer(Reply(error.error_status_hint, b"bad request\n"))
            self._transport.close()

    def _step(self) -> bool:
        event = self._http.next_event()
        if isinstance(event, h11.Request):
            self._request = event
            self._body.clear()
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > LARGEST_BODY:
                raise h11.RemoteProtocolError("the body is too large", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and self._request is not None:
            return self._route(self._request)
        else:
            if isinstance(event, h11.ConnectionClosed):
                self._transport.close()
            return False
        return True

    def _route(self, request: h11.Request) -> bool:
        """Answer a complete request; return whether another may follow."""
        match = _PATH.fullmatch(request.target)
        if match is None:
            reply = _NOT_FOUND
        elif match["place"] == b"ws":
            return self._handshake(request, match["name"])
        elif request.method != b"POST":
            reply = Reply(405, b"POST it\n", (("Allow", "POST"),))
        elif match["place"] == b"trigger":
            reply = self._server.trigger(_decoded(match["name"]))
        elif match["command"] == b"restart":
            reply = self._server.restart()
        elif dict(request.headers).get(b"content-type", b"").split(b";")[0].strip() != b"application/json":
            reply = Reply(415, b"application/json is needed\n")
        else:
            answer = self._server.inject(bytes(self._body))
            if not isinstance(answer, Reply):
                self._pending = asyncio.ensure_future(self._answer_later(answer))
                return False
            reply = answer
        return self._answer(reply)

    async def _answer_later(self, answer: Awaitable[Reply]) -> None:
        reply = await answer
        self._pending = None
        if not self._transport.is_closing() and self._answer(reply):
            self.data_received(b"")

    def _handshake(self, request: h11.Request, name: bytes) -> bool:
        headers = Headers(
            [(key.decode("latin-1"), value.decode("latin-1")) for key, value in request.headers]
        )
        client_id = _decoded(name)
        if "Upgrade" not in headers or request.method != b"GET" or request.http_version != b"1.1":
            reply = self._server.plain_get(client_id)
            if reply is None:
                self._transport.close()
                return False
            return self._answer(reply)
        protocol = ServerProtocol(extensions=self._server.extensions)
        response = protocol.accept(Request(request.target.decode(), headers))
        refusal = None
        if response.status_code == 101:  # noqa: PLR2004 - HTTP's own number
            refusal = self._server.handshake(client_id, headers)
        if refusal is not None:
            return self._answer(refusal)
        if response.status_code != 101:  # noqa: PLR2004 - HTTP's own number
            return self._answer(Reply(response.status_code, bytes(response.body)))
        self._become_websocket(client_id, response.serialize(), protocol.extensions)
        return False

    def _become_websocket(self, client_id: str, response: bytes, extensions: Sequence[Extension]) -> None:
        rest = self._http.trailing_data[0]
        self._transport.write(response)
        peer = self._server.peer_class(self._server, client_id, self._transport)
        peer.extend(extensions)
        self._transport.set_protocol(peer)
        self._server.opened(peer)
        if rest:
            peer.data_received(rest)

    def _answer(self, reply: Reply) -> bool:
        headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
        events: list[_Sent] = [h11.Response(status_code=reply.status, headers=headers)]
        if reply.body and (self._request is None or self._request.method != b"HEAD"):
            events.append(h11.Data(data=reply.body))
        self._send(*events, h11.EndOfMessage())
        self._request = None
        if self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()
            return False
        self._http.start_next_cycle()
        return True

    def _send(self, *events: _Sent) -> None:
        """Write them in one segment."""
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))


def _decoded(name: bytes) -> str:
    """Percent-decode one segment of a path; what is no UTF-8 becomes an empty, invalid name."""
    try:
        return unquote_to_bytes(name).decode()
    except UnicodeDecodeError:
        return ""
