"""The connection to NATS: JSON requests over nats-py, and errors in the store's own terms."""

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from osint_events_server.oserrors import reason
from osint_events_server.store import StoreUnavailable, StoreUnusable

_log = logging.getLogger(__name__)

RETRY_AFTER: Final = 1
"""Seconds after which to try again: the broker is usually back, or another node of it has taken over."""

_RECONNECT_SECONDS: Final = 0.25
# A connection over which nothing comes back is noticed after two or three of these.
_PING_SECONDS: Final = 2


class ApiError(Exception):
    """JetStream refused a request.

    Attributes:
        code: JetStream's number of the error.

    """

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


class NotStored(StoreUnavailable):
    """The broker was not reached, or nobody there answers: surely nothing was done."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How the broker is reached.

    Attributes:
        servers: URLs of its servers, any of which will do; they may hold a user and a password, or a token.
        credentials: a file with the user's JWT and seed, as `nsc` makes it.
        ca: a file with the certificates of the authorities that the servers' certificates come from.
        timeout: seconds in which it must answer.

    """

    servers: tuple[str, ...]
    credentials: Path | None = None
    ca: Path | None = None
    timeout: float = 5.0

    @property
    def is_secure(self) -> bool:
        """Whether to speak TLS or not at all."""
        return self.ca is not None or any(url.startswith("tls://") for url in self.servers)

    def __str__(self) -> str:
        """Name the servers without what is secret."""
        return ", ".join(_without_secrets(url) for url in self.servers)


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class _SecureClient(Client):
    """nats-py's client, which without this would speak in the clear where it is asked to by the server."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        # What it says before it sends its credentials.
        if not info.get("tls_required") and initial_connection:
            raise NatsError("the server does not ask for TLS, which --store or --nats-ca demands")
        await super()._process_info(info, initial_connection)


class Broker:
    """A connection that comes back by itself. See `Broker.connect`.

    Attributes:
        timeout: seconds in which the broker must answer.

    """

    def __init__(self, options: BrokerOptions, purpose: str) -> None:
        self._options = options
        self._purpose = purpose
        self.timeout = options.timeout
        self._client = Client()
        self._last_error: Exception | None = None
        self._watchers: list[Callable[[], None]] = []
        self._reviving: asyncio.Task[None] | None = None
        self._is_closing = False

    @classmethod
    async def connect(cls, options: BrokerOptions, *, purpose: str) -> "Broker":
        """Return a connection.

        Args:
            options: how the broker is reached.
            purpose: what for, in the log and in NATS's list of connections.

        Raises:
            StoreUnusable: none of the servers can be reached in time, or they refuse.

        """
        broker = cls(options, purpose)
        try:
            async with asyncio.timeout(options.timeout):
                await broker._open()
        except (TimeoutError, NatsError, OSError) as error:
            await broker.close()
            raise StoreUnusable(
                f"cannot connect to NATS at {options}: {_words(broker._last_error or error)}; see --store"
            ) from error
        except BaseException:
            await broker.close()
            raise
        return broker

    async def _open(self) -> None:
        options = self._options
        self._last_error = None
        self._client = _SecureClient() if options.is_secure else Client()
        await self._client.connect(
            list(options.servers),
            name=f"osint-events-server: {self._purpose}",
            error_cb=self._note,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            closed_cb=self._closed,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_SECONDS,  # type: ignore[arg-type] # it sleeps for it
            connect_timeout=2,
            ping_interval=_PING_SECONDS,
            pending_size=0,  # nothing is kept to be sent later: who publishes is told at once
            tls=_tls(options),
            user_credentials=None if options.credentials is None else str(options.credentials),
        )

    async def _note(self, error: Exception) -> None:
        # A refusal says more than the connections that it then ends, or that are not made.
        if not (isinstance(error, OSError) and isinstance(self._last_error, NatsError)):
            self._last_error = error
        _log.debug("NATS: %r", error)

    async def _disconnected(self) -> None:
        if not self._is_closing:
            _log.warning("the connection to NATS for %s is lost: %s", self._purpose, _words(self._last_error))

    async def _reconnected(self) -> None:
        self._last_error = None
        self._tell_watchers()

    async def _closed(self) -> None:
        """Connect anew where nats-py gave up, as it does when its credentials are refused."""
        if not self._is_closing and self._reviving is None:
            self._reviving = asyncio.get_running_loop().create_task(self._revive())

    async def _revive(self) -> None:
        # Looked at each time, since nats-py may lose a cancellation (see `request`).
        while not self._is_closing and not self._client.is_connected:
            await asyncio.sleep(RETRY_AFTER)
            old = self._client
            try:
                async with asyncio.timeout(self.timeout):
                    await self._open()
            except (TimeoutError, NatsError, OSError) as error:
                _log.warning("NATS: %s", _words(self._last_error or error))
            finally:
                if old is not self._client:
                    await old.close()
        self._reviving = None
        if not self._is_closing:
            self._tell_watchers()

    def _tell_watchers(self) -> None:
        _log.warning("connected to NATS for %s again", self._purpose)
        for watcher in self._watchers:
            watcher()

    def watch(self, reconnected: Callable[[], None]) -> None:
        """Call this whenever the connection has been made again."""
        self._watchers.append(reconnected)

    @property
    def is_connected(self) -> bool:
        """Whether requests can be sent now."""
        return self._client.is_connected

    @property
    def is_clustered(self) -> bool:
        """Whether the server is one of a cluster."""
        # nats-py keeps what the server says of itself, and gives only parts of it.
        return bool(self._client._server_info.get("cluster"))  # noqa: SLF001 - see above

    @property
    def max_payload(self) -> int:
        """The bytes that a message may have, headers included."""
        return self._client.max_payload

    async def api(self, call: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask JetStream for something; return its answer.

        Raises:
            ApiError: it refused.
            NotStored, StoreUnavailable: it did not answer.

        """
        return await self.request(f"$JS.API.{call}", json.dumps(body or {}).encode())

    async def request(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None = None,
        *,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Send a message to whom it may concern at the broker; return the answer.

        Args:
            subject: where to.
            data: what.
            headers: the message's.
            seconds: in which the answer must come, where it is not the usual time.

        Raises:
            ApiError, NotStored, StoreUnavailable: as `api` does.

        """
        self._check_connected()
        try:
            async with asyncio.timeout(seconds or self.timeout):
                # With a timeout of its own it would take part in asyncio.wait_for, which up to Python 3.11
                # may lose a cancellation.
                answer = await self._client.request(subject, data, None, headers=headers)  # type: ignore[arg-type]
        except NoRespondersError as error:
            raise NotStored("the event store has no leader now", retry_after=RETRY_AFTER) from error
        except (NatsError, OSError) as error:  # TimeoutError among them
            message = f"the event store did not answer: {_words(error)}"
            raise StoreUnavailable(message, retry_after=RETRY_AFTER) from error
        content: dict[str, Any] = json.loads(answer.data)
        if refusal := content.get("error"):
            raise ApiError(int(refusal.get("err_code", 0)), str(refusal.get("description", refusal)))
        return content

    async def publish(self, subject: str, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Send a message that nobody answers.

        Raises:
            NotStored: the broker is not reached.

        """
        self._check_connected()
        try:
            await self._client.publish(subject, data, headers=headers)
        except (NatsError, OSError) as error:
            raise NotStored(f"the event store: {_words(error)}", retry_after=RETRY_AFTER) from error

    async def listen(self, take: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Have what is sent to a new subject, the subscription's, taken one by one.

        Raises:
            NotStored: the broker is not reached.

        """
        self._check_connected()
        try:
            return await self._client.subscribe(self._client.new_inbox(), cb=take)
        except (NatsError, OSError) as error:
            raise NotStored(f"the event store: {_words(error)}", retry_after=RETRY_AFTER) from error

    async def forget(self, subscription: Subscription) -> None:
        """Listen no more."""
        try:
            await subscription.unsubscribe()
        except NatsError as error:  # it went with its connection
            _log.debug("NATS: %r", error)

    def _check_connected(self) -> None:
        if not self._client.is_connected:
            raise NotStored("the event store cannot be reached", retry_after=RETRY_AFTER)

    async def close(self) -> None:
        """End the connection."""
        self._is_closing = True
        if self._reviving is not None:
            self._reviving.cancel()
            await asyncio.wait([self._reviving])
        await self._client.close()


def _tls(options: BrokerOptions) -> ssl.SSLContext | None:
    if options.ca is None:
        return None  # nats-py takes the system's authorities where a server asks for TLS
    return ssl.create_default_context(cafile=str(options.ca))


def _words(error: Exception | None) -> str:
    """Return an error for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted, {error.verify_message}; see --nats-ca"
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return reason(error)
    if error is None or isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).removeprefix("nats: ").strip("'\"") or type(error).__name__
