"""Servers that are odd and right in whom they serve, in what they inject and publish."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from .catalogue import oddity
from .peer import Peer
from .server import Reply, Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .server import Answer, Event


# Connections.


@oddity()
class NoFallback(Server):
    """Sends the updates of an investigation without subscribers to nobody."""

    fallback = False


@oddity("CONN-5")
class ClosesOlderTwin(Server):
    """Closes an older connection with the same client_id, properly (CONN-5 warns)."""

    def opened(self, peer: Peer) -> None:
        """Keep one connection for each client_id."""
        for other in list(self.peers):
            if other.client_id == peer.client_id:
                other.close(4409, "replaced")
        super().opened(peer)


@oddity()
class AnswersPlainGetWith404(Server):
    """Answers a plain GET on the path with 404."""

    def plain_get(self, client_id: str) -> Reply | None:
        """Know no page."""
        del client_id
        return Reply(404, b"not found\n")


@oddity()
class AnswersPlainGetWith403(Server):
    """Answers a plain GET on the path with 403."""

    def plain_get(self, client_id: str) -> Reply | None:
        """Allow no page."""
        del client_id
        return Reply(403)


@oddity("CONN-1")
class KnowsSafeClientIdsOnly(Server):
    """Refuses a client_id beyond the characters and the length that are guaranteed (CONN-1 warns)."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Check it."""
        if len(client_id) > 128 or not all(c.isascii() and (c.isalnum() or c in "-_") for c in client_id):
            return Reply(400, b"bad client_id\n")
        return super().handshake(client_id, headers)


# Injecting.


@oddity()
class ClosesInjectConnections(Server):
    """Closes the HTTP connection after each inject."""

    def accept(self, event: Event) -> Answer:
        """Say so in the answer, as HTTP/1.0 would have it."""
        super().accept(event)
        return Reply(200, b"ok", (("Connection", "close"),))


@oddity()
class AcceptsWithoutBody(Server):
    """Answers an inject with 204."""

    def accept(self, event: Event) -> Answer:
        """Have nothing to say."""
        super().accept(event)
        return Reply(204)


@oddity()
class RefusesInvalidPayloads(Server):
    """Refuses to inject what EVT-2 to EVT-4 do not allow a publisher, with 422."""

    def accept(self, event: Event) -> Answer:
        """Hold the payload against the rules."""
        data = event.data
        progress = data.get("progress", 0)
        wrong_id = data.get("investigation_id", event.investigation_id) != event.investigation_id
        is_number = isinstance(progress, (int, float)) and not isinstance(progress, bool)
        wrong_progress = not is_number or not 0 <= progress <= 1
        is_task = isinstance(data.get("type"), str) and data["type"].startswith("task_")
        wrong_task = is_task and (not isinstance(data.get("task_id"), str) or not data["task_id"])
        if wrong_id or wrong_progress or wrong_task:
            return Reply(422, b"invalid payload\n")
        return super().accept(event)


# Its own events.


@oddity("DEL-4")
class DeliversUnorderly(Server):
    """Delivers every third update 2 ms late (DEL-4 warns)."""

    def publish(self, event: Event) -> None:
        """Dawdle."""
        if self.published % 3 == 0:
            self.later(0.002, lambda: super(DeliversUnorderly, self).publish(event))
        else:
            super().publish(event)


@oddity()
class DeliversInAnyOrderOfReceivers(Server):
    """Delivers an update to its receivers in an order that changes."""

    def __init__(self) -> None:
        super().__init__()
        self._random = Random(1)

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Shuffle."""
        found = list(super().receivers(event))
        self._random.shuffle(found)
        return found


@oddity("EVT-5", trigger=True)
class PublishesTypelessStart(Server):
    """Publishes a start without a type, which LEG-3 recognises (EVT-5 warns)."""

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Start as older servers do."""
        return (
            {"status": "running", "message": "Investigation started"},
            *super().own_events(investigation_id),
        )


@oddity("EVT-5", trigger=True)
class PublishesLegacyEvents(Server):
    """Publishes the kind as `event` in place of `type`, which LEG-2 recognises (EVT-5 warns)."""

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Publish as older task executors do."""
        events = super().own_events(investigation_id)
        return [
            {"event" if name == "type" else name: value for name, value in data.items()} for data in events
        ]


@oddity(trigger=True)
class PublishesOtherKinds(Server):
    """Publishes kinds that the protocol does not name, and payloads with few fields."""

    def own_events(self, investigation_id: str) -> Sequence[dict[str, Any]]:
        """Publish some."""
        return (
            {"type": "investigation_paused"},
            {"type": "note", "progress": 0.5, "extra": {"by": investigation_id}},
        )
