"""What a run says of itself while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from osint_events_conformance.results import ConfirmedFinding, Phase, PhaseResult


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    """A phase begins and will run so many scripts; 0 where that is not known."""

    name: Phase
    scripts: int = 0


@dataclass(frozen=True, slots=True)
class ScriptEnded:
    """A script of the phase that goes on has run, and so many cases were judged."""

    cases: int


@dataclass(frozen=True, slots=True)
class Suspected:
    """Something looks wrong, in words, in the scenario of this title. It is examined later."""

    message: str
    title: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A suspicion was examined, and is a finding."""

    finding: ConfirmedFinding


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    """A phase is over."""

    phase: PhaseResult


Event = PhaseBegan | ScriptEnded | Suspected | Confirmed | PhaseEnded | str
"""What can happen; a `str` is a line to be shown as it is."""

Progress = Callable[[Event], None]
"""Takes what happens, when it happens."""
