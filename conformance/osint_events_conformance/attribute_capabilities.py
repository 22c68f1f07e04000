"""Experiments for scripts that say `hello`: which ingredient of Part 2 a failure needs (see `attribute`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from osint_events.features import FEATURES

from osint_events_conformance.findings import Finding
from osint_events_conformance.ingredients import Made, Steps, mapped, without
from osint_events_conformance.script import (
    Follow,
    Hello,
    Mistake,
    Step,
    Subscribe,
    Unfollow,
    flat,
)

OF_SCOPES = frozenset({"not_replayed", "lost_at_hand_over"})
"""Kinds that name their clause by themselves, unless it takes a scope to lose something."""
_LOSSES = frozenset({"lost", "duplicate", "wrong_scope", "unconfirmed", "replayed"})


def _hellos(steps: Steps, finding: Finding) -> Made:
    """The features that are asked for stay; a newer protocol and what is unknown go (NEG-3)."""
    if finding.kind in {"no_welcome", "ended", "unconfirmed"}:

        def plain(step: Step) -> Step:
            if not isinstance(step, Hello):
                return step
            asked = tuple(one for one in FEATURES if one in step.features)
            return replace(step, features=asked, text=None)

        yield "NEG-3", mapped(steps, plain)


def _mistakes(steps: Steps, finding: Finding) -> Made:
    """Messages that are not to be carried out: a second hello, a bad scope, one of another feature."""
    if finding.kind not in _LOSSES | {"ended", "no_welcome", "update_after_unsubscribed"}:
        return
    for code, clause in (("already_initialized", "NEG-2"), ("invalid_scope", "SCP-2")):
        yield clause, without(steps, _is_mistake(code))
    late: set[str] = set()

    def comes_late(step: Step) -> bool:
        """Whether it is a hello that is not the first message of its connection."""
        if isinstance(step, Subscribe | Follow | Mistake | Unfollow | Hello):
            known = step.conn in late
            late.add(step.conn)
            return known and isinstance(step, Hello)
        return False

    yield "NEG-2", without(steps, comes_late)


def _is_mistake(code: str) -> Callable[[Step], bool]:
    return lambda step: isinstance(step, Mistake) and code in step.codes


def _pongs(steps: Steps, finding: Finding) -> Made:
    """Pongs that nobody asked for (HB-3)."""
    if finding.kind == "ended":
        yield "HB-3", without(steps, lambda step: isinstance(step, Mistake) and _type(step.text) == "pong")


def _type(text: str) -> object:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message.get("type") if isinstance(message, dict) else None


def _unsubscribes(steps: Steps, finding: Finding) -> Made:
    if finding.kind in _LOSSES:
        yield "UNS-1", without(steps, lambda step: isinstance(step, Unfollow))


def _switches(steps: Steps, finding: Finding) -> Made:
    """Every subscribe of one connection to one investigation for the same scope, whichever that is."""
    if finding.kind not in _LOSSES:
        return
    scopes: dict[tuple[str, str], list[tuple[str, ...] | None]] = {}
    for step in flat(steps):
        if isinstance(step, Follow):
            asked = scopes.setdefault((step.conn, step.investigation_id), [])
            asked += [] if step.scope in asked else [step.scope]
    most = max((len(asked) for asked in scopes.values()), default=0)

    def staying(which: int) -> Callable[[Step], Step]:
        def stays(step: Step) -> Step:
            if not isinstance(step, Follow):
                return step
            asked = scopes[step.conn, step.investigation_id]
            return replace(step, scope=asked[min(which, len(asked) - 1)])

        return stays

    if most > 1:
        yield "SCP-3", *(mapped(steps, staying(which)) for which in range(most))


def _tokens(steps: Steps, finding: Finding) -> Made:
    """Subscribes without their tokens."""
    clause = {"lost": "RPL-5", "duplicate": "RPL-5", "ended": "RPL-3"}.get(finding.kind)
    if clause is not None and any(isinstance(step, Follow) and step.token for step in flat(steps)):

        def bare(step: Step) -> Step:
            return replace(step, token=None) if isinstance(step, Follow) else step

        yield clause, mapped(steps, bare)


def _scopes(steps: Steps, finding: Finding) -> Made:
    if finding.kind == "lost":
        yield from whole_scopes(steps, finding)


def whole_scopes(steps: Steps, _: Finding) -> Made:
    """Subscribes to the whole."""

    def whole(step: Step) -> Step:
        return replace(step, scope=None) if isinstance(step, Follow) else step

    if any(isinstance(step, Follow) and step.scope for step in flat(steps)):
        yield "SCP-1", mapped(steps, whole)


EXPERIMENTS: tuple[Callable[[Steps, Finding], Made], ...] = (
    _mistakes,
    _hellos,
    _pongs,
    _unsubscribes,
    _switches,
    _tokens,
    _scopes,
)
