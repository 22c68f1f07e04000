"""An event in each form in which receivers get it, made once, whatever the number of receivers."""

from collections.abc import Callable
from typing import NamedTuple

from osint_events_server import frames
from osint_events_server.deflate import deflated_frame
from osint_events_server.scope import Scope
from osint_events_server.store import Event

IssueToken = Callable[[str, int], str]
"""Makes the token of an investigation's position, from its id and a `seq` (RPL-3)."""


class Form(NamedTuple):
    """What the bytes of a subscription's events depend on, and which events there are.

    Attributes:
        scope: what part of the investigation is wanted (SCP-1).
        sequenced: whether an event says its `seq`, `prev` and `token` (`replay` was negotiated).
        deflated: whether frames are compressed (CMP-3).

    """

    scope: Scope = Scope.ALL
    sequenced: bool = False
    deflated: bool = False


class EventFrames:
    """The frames of one event, each made when it is first asked for (CMP-3).

    Args:
        event: the event.
        prevs: the `seq` of the event before it, for each scope by its number (RPL-2).
        issue: makes the event's token, where one is needed.

    """

    __slots__ = ("_event", "_frames", "_issue", "_prevs", "_texts", "_token")

    def __init__(self, event: Event, prevs: tuple[int, ...], issue: IssueToken) -> None:
        self._event = event
        self._prevs = prevs
        self._issue = issue
        self._token: str | None = None
        # By scope; an event that is not sequenced has the same text in each, under None.
        self._texts: dict[Scope | None, bytes] = {}
        self._frames: dict[tuple[Scope | None, bool], bytes] = {}

    @property
    def event(self) -> Event:
        """The event."""
        return self._event

    def frame(self, form: Form) -> bytes:
        """Return the event's frame in a form."""
        scope = form.scope if form.sequenced else None
        key = (scope, form.deflated)
        frame = self._frames.get(key)
        if frame is None:
            text = self._text(scope)
            frame = deflated_frame(text) if form.deflated else frames.text_frame(text)
            self._frames[key] = frame
        return frame

    def _text(self, scope: Scope | None) -> bytes:
        text = self._texts.get(scope)
        if text is None:
            text = self._texts[scope] = self._make(scope)
        return text

    def _make(self, scope: Scope | None) -> bytes:
        event = self._event
        if scope is None:
            return frames.update(event.investigation_id, event.data)
        if self._token is None:
            self._token = self._issue(event.investigation_id, event.seq)
        return frames.sequenced_update(
            event.investigation_id, event.data, seq=event.seq, prev=self._prevs[scope], token=self._token
        )
