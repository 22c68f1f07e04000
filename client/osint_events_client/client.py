"""The asyncio shell: one connection at a time, made again where it ends, and a queue to the application."""

import asyncio
import contextlib
import logging
import os
import random
import re
import ssl as tls
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit, urlunsplit

import websockets
from osint_events import HelloClient
from osint_events.close_codes import CloseCode, reconnects_after
from osint_events.features import FEATURES
from osint_events.scopes import ScopeValue
from websockets.asyncio.client import ClientConnection

from osint_events_client.errors import CannotConnect, Ended
from osint_events_client.items import Event, Item, Moved
from osint_events_client.reconnect import Backoff
from osint_events_client.session import Command, Deliver, GiveUp, Probe, Send, Session

_log = logging.getLogger("osint_events_client")

_NAME: Final = "osint-events-client"
_OPEN_TIMEOUT: Final = 10.0
_CLOSE_TIMEOUT: Final = 2.0
_WRITE_TIMEOUT: Final = 10.0
_NOT_FOUND: Final = 404
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500


TokenSource = Callable[[], str | Awaitable[str]]
"""Gives a token that is valid now."""


@dataclass(frozen=True, slots=True)
class _End:
    """The last thing in the queue: nothing follows, and why."""

    error: Exception | None


def connect(
    url: str,
    investigations: Iterable[str] = (),
    *,
    scope: Sequence[ScopeValue] | None = None,
    tokens: Mapping[str, str] | None = None,
    auth_token: str | TokenSource | None = None,
    features: Sequence[str] = FEATURES,
    name: str = _NAME,
    headers: Mapping[str, str] | None = None,
    ssl: tls.SSLContext | None = None,
    queue_size: int = 256,
    max_message_bytes: int = 1 << 20,
    interval: float = 25.0,
    timeout: float = 10.0,
    rng: random.Random | None = None,
) -> "Client":
    """Give a client for `async with`, which connects, and for `async for`, which gives what happens.

    Args:
        url: ws:// or wss://, to which a client_id of each connection's own is appended (CLT-5).
        investigations: ids to subscribe to; more may follow at any time.
        scope: the part of their events that is wanted; None: all of them (SCP-1).
        tokens: positions to resume from, by investigation (Event.token).
        auth_token: says who the client is (SEC-1), where the server asks for it; or is called, and may be
            awaited, before each connection to give a new one, so that the client comes back when one has
            expired (4005). Where it raises OSError, that counts as a connection that could not be made.
        features: the capabilities to ask for; none of them: the client speaks part 1 alone.
        name: the client's name for the server, and the beginning of its client_ids: [A-Za-z0-9_-] only.
        headers: further fields of the handshake.
        ssl: how the server of a wss:// address is verified; None: as usual.
        queue_size: items that may wait for the application before nothing is read any more.
        max_message_bytes: the largest message of the server that is taken.
        interval: seconds of silence after which the server is probed; one with heartbeats may say otherwise.
        timeout: seconds that it then has to answer.
        rng: chooses client_ids and waiting times.

    Raises ValueError where an argument cannot be used.

    """
    session = Session(
        features=features,
        client=HelloClient(name=name, version=version("osint-events")),
        interval=interval,
        timeout=timeout,
    )
    known = tokens or {}
    for investigation_id in investigations:
        session.subscribe(investigation_id, scope, known.get(investigation_id))
    return Client(
        _Endpoint(
            url=url,
            name=name,
            headers=headers,
            ssl=ssl,
            max_message_bytes=max_message_bytes,
            rng=rng or random.Random(),
            auth_token=auth_token,
        ),
        session,
        dict(known),
        queue_size,
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    """A connection, and what its hello says of who the client is."""

    connection: ClientConnection
    auth_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    """Where connections are made to, and how."""

    url: str
    name: str
    headers: Mapping[str, str] | None
    ssl: tls.SSLContext | None
    max_message_bytes: int
    rng: random.Random
    auth_token: str | TokenSource | None = field(repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"ws", "wss"} or not parts.hostname or parts.fragment or not _has_port(parts):
            raise ValueError(f"{self.url}: not an address like ws://127.0.0.1:8000/ws")
        if not re.fullmatch("[A-Za-z0-9_-]{1,100}", self.name):
            raise ValueError(f"{self.name}: a name has 1 to 100 of the characters A-Z, a-z, 0-9, _ and -")

    def refused(self, error: Exception) -> CannotConnect:
        """Give the error that says, in one line, that there is no connection."""
        return CannotConnect(f"cannot connect to {self.url}: {_said(error)}")

    async def open(self) -> _Opened:
        """Make a connection with a client_id of its own."""
        token = self.auth_token
        if callable(token):
            given = token()
            token = given if isinstance(given, str) else await given
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{self.name}-{self.rng.getrandbits(64):016x}"
        # Left out where there is none: websockets takes None for a refusal to use TLS.
        options: dict[str, Any] = {} if self.ssl is None else {"ssl": self.ssl}
        connection = await websockets.connect(
            urlunsplit(parts._replace(path=path)),
            additional_headers=self.headers,
            open_timeout=_OPEN_TIMEOUT,
            close_timeout=_CLOSE_TIMEOUT,
            max_size=self.max_message_bytes,
            ping_interval=None,  # the session has its own heartbeat
            **options,
        )
        return _Opened(connection, token)


class Client:
    """A client that stays connected; made by `connect`."""

    def __init__(
        self, endpoint: _Endpoint, session: Session, tokens: dict[str, str], queue_size: int
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._tokens = tokens
        self._queue: asyncio.Queue[Item | Moved | _End] = asyncio.Queue(queue_size)
        self._ended = False
        self._connection: ClientConnection | None = None
        self._backoff = Backoff(endpoint.rng)
        self._running: asyncio.Task[None] | None = None

    @property
    def tokens(self) -> Mapping[str, str]:
        """The position of each investigation as the iterator has handed it over: what to resume from."""
        return self._tokens

    @property
    def features(self) -> frozenset[str]:
        """What is used on the present connection: `hello` and what was granted; nothing on a core one."""
        return self._session.features

    async def subscribe(
        self,
        investigation_id: str,
        *,
        scope: Sequence[ScopeValue] | None = None,
        token: str | None = None,
    ) -> None:
        """Subscribe to a further investigation, or to another part of one (SCP-3).

        Raises ValueError where the id is none of 1 to 255 characters, or the scope is empty or unknown.
        """
        await self._send(self._session.subscribe(investigation_id, scope, token))

    async def unsubscribe(self, investigation_id: str) -> None:
        """Want no more of an investigation; `tokens` keeps its position."""
        await self._send(self._session.unsubscribe(investigation_id))

    async def __aenter__(self) -> Self:
        """Connect. Raises CannotConnect where that fails at the first attempt."""
        try:
            opened = await self._endpoint.open()
        except (OSError, websockets.InvalidHandshake) as error:
            raise self._endpoint.refused(error) from error
        self._running = asyncio.create_task(self._run(opened), name=_NAME)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        """Give what happens next; it ends where the server closes normally, and raises Ended otherwise."""
        while not self._ended:
            item = await self._queue.get()
            match item:
                case _End(error):
                    self._ended = True
                    if error is not None:
                        raise error
                case Moved(investigation_id, token):
                    self._keep(investigation_id, token)
                case Event(investigation_id=investigation_id, token=token):
                    self._keep(investigation_id, token)
                    return item
                case _:
                    return item
        raise StopAsyncIteration

    def _keep(self, investigation_id: str, token: str | None) -> None:
        if token is not None:
            self._tokens[investigation_id] = token
        else:
            self._tokens.pop(investigation_id, None)

    async def _run(self, first: _Opened) -> None:
        """Serve connections until one ends after which there is no other; say why in the queue."""
        opened: _Opened | None = first
        error: Exception | None = None
        try:
            while opened is not None:
                opened = await self._reopened() if await self._served(opened) else None
        except Exception as reason:  # noqa: BLE001 - the application is told, by the iterator
            error = reason
        await self._queue.put(_End(error))

    async def _served(self, opened: _Opened) -> bool:
        """Serve a connection to its end, and tell whether another one is to follow. Raises Ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        connection = self._connection = opened.connection
        try:
            await self._carry_out(connection, self._session.connected(began, opened.auth_token))
            while True:
                await self._carry_out(connection, await self._next_commands(connection))
        except websockets.ConnectionClosed as closed:
            code, reason = _end_of(closed)
        except _Silent:
            connection.transport.abort()
            code, reason = CloseCode.ABNORMAL_CLOSURE, "the server is silent"
        finally:
            self._connection = None
            self._session.disconnected()
            await connection.close()
        self._backoff.lasted(loop.time() - began)
        if not reconnects_after(code) and code != CloseCode.NORMAL_CLOSURE:
            raise Ended(code, reason, self._session.last_error)
        _log.warning("the connection ended with %d%s", code, reason and f", {reason}")
        return code != CloseCode.NORMAL_CLOSURE

    async def _next_commands(self, connection: ClientConnection) -> list[Command]:
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(self._session.deadline()):
                data = await connection.recv()
        except TimeoutError:
            return self._session.tick(clock())
        if isinstance(data, str):
            return self._session.receive(data, clock())
        self._session.heard(clock())  # no binary message means anything
        return []

    async def _reopened(self) -> _Opened:
        """Connect again, however often it takes. Raises CannotConnect where the server refuses to."""
        while True:
            delay = self._backoff.delay()
            _log.info("connecting again in %.1f s", delay)
            await asyncio.sleep(delay)
            try:
                return await self._endpoint.open()
            except (OSError, websockets.InvalidHandshake) as error:
                if _is_final(error):
                    raise self._endpoint.refused(error) from error
                _log.warning("cannot connect: %s", _said(error))

    async def _carry_out(self, connection: ClientConnection, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Send(text):
                    try:
                        async with asyncio.timeout(_WRITE_TIMEOUT):
                            await connection.send(text)
                    except TimeoutError:
                        raise _Silent from None
                case Probe():
                    asyncio.ensure_future(await connection.ping()).add_done_callback(self._ponged)
                case Deliver(item):
                    if self._queue.full():
                        # Nothing is read while the application does not keep up; that is no silence.
                        await self._queue.put(item)
                        self._session.heard(asyncio.get_running_loop().time())
                    else:
                        self._queue.put_nowait(item)
                case GiveUp():
                    raise _Silent

    def _ponged(self, pong: asyncio.Future[float]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._session.heard(asyncio.get_running_loop().time())

    async def _send(self, commands: Iterable[Command]) -> None:
        """Send what the application asked for, where there is a connection; the next one begins with it."""
        if self._connection is not None:
            with contextlib.suppress(websockets.ConnectionClosed, _Silent):
                await self._carry_out(self._connection, commands)


class _Silent(Exception):
    """The server neither reads nor answers."""


def _has_port(parts: SplitResult) -> bool:
    """Tell whether the port is one, or the scheme's own; urllib looks at it when it is asked."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _end_of(closed: websockets.ConnectionClosed) -> tuple[int, str]:
    """Give the code and reason of who began to close; 1006 where nobody did."""
    by_server = closed.rcvd is not None and (closed.sent is None or closed.rcvd_then_sent)
    close = closed.rcvd if by_server else closed.sent
    return (close.code, close.reason) if close is not None else (CloseCode.ABNORMAL_CLOSURE, "")


def _is_final(error: Exception) -> bool:
    """Tell whether the server refuses the handshake for a reason that does not pass."""
    if not isinstance(error, websockets.InvalidStatus):
        return False
    status = error.response.status_code
    return status < _SERVER_ERROR and status != _TOO_MANY_REQUESTS


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, tls.SSLError) and error.errno is not None:
        # asyncio's own words name the call that failed; those of the resolver, below 0, are for people.
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    if isinstance(error, websockets.InvalidStatus) and error.response.status_code == _NOT_FOUND:
        return f"{error}: is its path right, for instance /ws?"
    return " ".join(str(error).split()) or type(error).__name__
