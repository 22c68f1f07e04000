"""What the broker sends to a push consumer: events with their numbers, and control messages. No I/O."""

from dataclasses import dataclass
from typing import Final

from nats.aio.msg import Msg

from osint_events_server.store import Event
from osint_events_server.store.jetstream import subjects

_PLAIN_TOKENS: Final = 9  # $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQ.CONSUMER_SEQ.TIME.PENDING
_STATUS: Final = "100"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a message's reply subject says (ADR-15).

    Attributes:
        seq: the event's number in the stream.
        delivered: the message's number in the consumer, from 1, without holes.

    """

    seq: int
    delivered: int

    @classmethod
    def of(cls, reply: str) -> "Numbers":
        """Parse a reply subject, with or without domain and account."""
        tokens = reply.split(".")
        seq = 5 if len(tokens) == _PLAIN_TOKENS else 7
        return cls(int(tokens[seq]), int(tokens[seq + 1]))


@dataclass(frozen=True, slots=True)
class Control:
    """A message without an event: a heartbeat, or a question whether there is room for more.

    Attributes:
        answer_to: the subject to which an empty message is to be sent, if any, where there is room.
        delivered: the number of the consumer's last message, where a heartbeat says it.

    """

    answer_to: str | None
    delivered: int | None

    @classmethod
    def of(cls, message: Msg) -> "Control | None":
        """Return what a message says, None where it is an event."""
        headers = message.headers
        if not headers or headers.get("Status") != _STATUS:
            return None
        last = headers.get("Nats-Last-Consumer")
        return cls(message.reply or headers.get("Nats-Consumer-Stalled"), None if last is None else int(last))


def event(message: Msg, seq: int) -> Event:
    """Return a message's event.

    Raises:
        ForeignSubject: it is none of this server's.

    """
    investigation_id, scope = subjects.parse(message.subject)
    return Event(seq, investigation_id, message.data, scope)
