"""Taking a script apart: without some of its steps, or with some of them changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from osint_events_conformance.script import (
    AppPing,
    Follow,
    Hello,
    Message,
    Mistake,
    Pieces,
    Ping,
    Say,
    Step,
    Subscribe,
    Together,
    Unfollow,
)

Steps = tuple[Step, ...]
Made = Iterator[tuple[str, *tuple[Steps, ...]]]
"""What experiments yield: a clause, and the steps without what would break it."""


def without(steps: Steps, drop: Callable[[Step], bool]) -> Steps:
    """The steps without those that `drop` says, within `Together` and `Pieces` too."""
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Together):
            inner = tuple(one for one in step.steps if not drop(one))
            if inner:
                kept.append(Together(inner))
        elif not (drop(step) or (isinstance(step, Pieces) and drop(step.step))):
            kept.append(step)
    return tuple(kept)


def mapped(steps: Steps, change: Callable[[Step], Step]) -> Steps:
    """The steps as `change` makes them, within `Together` and `Pieces` too."""
    made: list[Step] = []
    for step in steps:
        match step:
            case Together(inner):
                made.append(Together(tuple(_message(change(one)) for one in inner)))
            case Pieces(inner_step, _, _):
                changed = change(inner_step)
                if isinstance(changed, Subscribe | Say | Hello):
                    made.append(replace(step, step=changed))
            case _:
                made.append(change(step))
    return tuple(made)


def _message(step: Step) -> Message:
    assert isinstance(step, Subscribe | Say | Ping | Hello | Follow | Unfollow | AppPing | Mistake)
    return step
