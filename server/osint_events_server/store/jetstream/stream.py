"""The stream that holds the events: how it is made, and what it says of itself."""

import hashlib
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from osint_events_server.store import StoreUnusable
from osint_events_server.store.jetstream import subjects
from osint_events_server.store.jetstream.broker import ApiError, Broker

_log = logging.getLogger(__name__)

NOT_FOUND: Final = 10059
_NO_MESSAGE: Final = 10037
_SECOND: Final = 10**9  # JetStream counts nanoseconds
_SALT: Final = "osint-events-epoch"
_CLUSTER_REPLICAS: Final = 3
_MAX_WINDOW: Final = 120.0


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What the stream keeps. Age and size alone evict, so that it is always the oldest that goes (RPL-4).

    Attributes:
        name: the stream's, and the first token of its subjects.
        replicas: servers that keep each event; 0 for three in a cluster, else one.
        seconds: the age up to which events are kept.
        bytes: the size of all of them, as stored.

    """

    name: str = "OSINT_EVENTS"
    replicas: int = 0
    seconds: float = 300.0
    bytes: int = 256 * 1024 * 1024

    def config(self, *, clustered: bool) -> dict[str, Any]:
        """Return the stream's configuration, in JetStream's terms."""
        return {
            "name": self.name,
            "subjects": [subjects.of_stream(self.name)],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_age": round(self.seconds * _SECOND),
            "max_bytes": max(1, self.bytes),  # 0 would be without bound
            "max_msgs": -1,
            "max_msgs_per_subject": -1,
            "max_msg_size": -1,
            "duplicate_window": round(min(self.seconds, _MAX_WINDOW) * _SECOND),
            "num_replicas": self.replicas or (_CLUSTER_REPLICAS if clustered else 1),
            "allow_atomic": True,
        }


@dataclass(frozen=True, slots=True)
class State:
    """What the stream says of itself.

    Attributes:
        epoch: its identity: another one where it was made anew (RPL-8).
        first: the number of the oldest event that is kept, or of the next one where none is.
        last: the number of the last event.

    """

    epoch: str
    first: int
    last: int

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> "State":
        """Return what the answer to a stream's creation, update or information says."""
        state = info["state"]
        salt = (info["config"].get("metadata") or {}).get(_SALT, "")
        identity = f"{info['config']['name']} {info['created']} {salt}"
        epoch = hashlib.sha256(identity.encode()).hexdigest()[:12]
        last = int(state["last_seq"])
        return cls(epoch, int(state["first_seq"]) if state["messages"] else last + 1, last)


class Stream:
    """The stream, by its name.

    Attributes:
        name: the first token of its subjects.

    """

    def __init__(self, broker: Broker, options: StreamOptions) -> None:
        self._broker = broker
        self._options = options
        self.name = options.name

    async def prepare(self) -> State:
        """Make the stream where it is not there, and have it keep what the options say.

        Raises:
            StoreUnusable: JetStream refuses, or the stream is something else.
            StoreUnavailable: it does not answer.

        """
        wanted = self._options.config(clustered=self._broker.is_clustered)
        try:
            info = await self._broker.api(f"STREAM.INFO.{self.name}")
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise self._refused(error) from error
            return await self._write("CREATE", wanted)
        present = info["config"]
        differing = sorted(name for name, value in wanted.items() if present.get(name, value) != value)
        fixed = {"subjects", "storage", "retention"} & set(differing)
        if fixed or present.get("sources") or present.get("mirror"):
            why = f"other {', '.join(sorted(fixed))}" if fixed else "it is a copy"
            raise StoreUnusable(
                f"the stream {self.name} at NATS is not this server's ({why}): "
                "choose another name with --nats-stream, or delete it"
            )
        if not differing:
            return State.of(info)
        _log.warning("the stream %s now has %s of this server's settings", self.name, ", ".join(differing))
        return await self._write("UPDATE", {**present, **wanted})

    async def state(self) -> State:
        """Ask the stream's leader how it is; make the stream anew where somebody deleted it.

        Raises:
            ApiError: JetStream refuses.
            StoreUnavailable: it does not answer.

        """
        try:
            return State.of(await self._broker.api(f"STREAM.INFO.{self.name}"))
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
        _log.error("the stream %s was deleted, and is made anew: its events are lost", self.name)
        return await self.prepare()

    async def renew(self) -> State:
        """Give the stream another epoch, since its numbers began anew (RPL-8)."""
        info = await self._broker.api(f"STREAM.INFO.{self.name}")
        metadata = {**(info["config"].get("metadata") or {}), _SALT: secrets.token_hex(4)}
        return await self._write("UPDATE", {**info["config"], "metadata": metadata})

    async def last(self, subject: str) -> dict[str, Any] | None:
        """Return the last message of a subject, wildcards allowed, as the leader has it; None without any."""
        return await self._message({"last_by_subj": subject})

    async def message(self, seq: int) -> dict[str, Any] | None:
        """Return a message by its number, None where it is not kept."""
        return await self._message({"seq": seq})

    async def _message(self, which: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            # Not the direct API, which any replica answers, with what it knows so far.
            answer = await self._broker.api(f"STREAM.MSG.GET.{self.name}", which)
        except ApiError as error:
            if error.code == _NO_MESSAGE:
                return None
            raise
        message: dict[str, Any] = answer["message"]
        return message

    async def _write(self, action: str, config: Mapping[str, Any]) -> State:
        try:
            return State.of(await self._broker.api(f"STREAM.{action}.{self.name}", config))
        except ApiError as error:
            raise self._refused(error) from error

    def _refused(self, error: ApiError) -> StoreUnusable:
        return StoreUnusable(
            f"NATS refuses the stream {self.name}: {error}; "
            "it needs JetStream (nats-server -js, 2.12 or later), and a server for each of --nats-replicas"
        )
