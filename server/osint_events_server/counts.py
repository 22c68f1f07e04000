"""What a node counts as it goes. Plain numbers: the event loop is the only one that writes them."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """Counted since the start, by words of the protocol and never by ids.

    Attributes:
        accepted: handshakes of WebSocket connections that were accepted.
        refused: those that were refused, by reason; by `origin` also requests to publish.
        closed: connections that the server closed, by close code; 1006 for those that it dropped.
        received_messages: text messages of clients.
        received_bytes: of clients, as they came over connections after the handshake.
        ignored: messages that were not carried out, by error code.
        published: events that this node stored, by how they came.
        followed: events that came from the store to be delivered.
        gaps: by reason.
        replays: by status, or by why they failed.
        replayed: events that replays held.

    """

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    closed: Counter[int] = field(default_factory=Counter)
    received_messages: int = 0
    received_bytes: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    followed: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    replays: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
