"""Which clause a failing script breaks: take one ingredient away, and see whether the failure goes too.

An experiment is a clause, the script without one ingredient, and the kinds of finding that it can
explain. They are tried from the most special to the most ordinary; what none explains is laid to
the clause that the kind of finding belongs to in a plain scenario.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, pairwise

from osint_events_conformance.attribute_capabilities import EXPERIMENTS, OF_SCOPES, whole_scopes
from osint_events_conformance.findings import PART_2, Finding
from osint_events_conformance.ingredients import Made, Steps, mapped, without
from osint_events_conformance.script import (
    Abort,
    Close,
    Connect,
    Http,
    Pause,
    Pieces,
    Ping,
    Publish,
    Raw,
    Resume,
    Say,
    Script,
    Settle,
    Stall,
    Step,
    Subscribe,
    Together,
    connections,
    flat,
    misbehaves,
    subscribe_text,
)

_PLAIN_CLIENT_ID = re.compile(r"[a-z0-9-]{4,60}")
_LARGE = 8_000
_DEEP = 16
_BURST = 150
_MANY = 12


@dataclass(frozen=True, slots=True)
class Experiment:
    """If none of `scripts` fails like the original, `clause` is what the original breaks."""

    clause: str
    scripts: tuple[Script, ...]


def experiments(script: Script, finding: Finding) -> Iterator[Experiment]:
    """The experiments that apply to a finding of a script, the most special first."""
    compresses = any(isinstance(step, Connect) and step.compress for step in script.steps)
    if compresses and finding.clause != "CMP-2":
        plain = mapped(script.steps, _uncompressed)
        yield Experiment("CMP-1", (script.with_steps(plain),))
    if finding.kind in OF_SCOPES:
        for clause, *several in whole_scopes(script.steps, finding):
            yield Experiment(clause, tuple(script.with_steps(steps) for steps in several))
    if finding.kind in SELF_EVIDENT or finding.clause == "NEG-1":
        return  # what was not negotiated is known to be the cause
    for make in _DISTURBANCES if finding.kind == "delayed" else _EXPERIMENTS:
        for clause, *several in make(script.steps, finding):
            if script.steps not in several:
                yield Experiment(clause, tuple(script.with_steps(steps) for steps in several))


def _uncompressed(step: Step) -> Step:
    return replace(step, compress=False) if isinstance(step, Connect) else step


SELF_EVIDENT = frozenset(
    {
        "served_plain_get",
        "refused_odd_client_id",
        "older_ended",
        "no_object",
        "repeated_names",
        "schema",
        "confirmed_malformed",
        "bad_close",
        "dropped",
        "respelt",
        "confirmed_out_of_order",
        "out_of_order",
        "wrong_mirror",
        "progress_range",
        "no_task_id",
        "no_kind",
        "changed",
        "broken_frame",
        "never_ended",
        *PART_2,
    }
) - {"no_welcome", "wrong_scope", "update_after_unsubscribed"}
"""Kinds that name their clause by themselves."""


def _stalls(steps: Steps, finding: Finding) -> Made:
    if finding.kind not in PART_2:  # of which some are only to be seen while something waits
        yield "ROB-5", tuple(step for step in steps if not isinstance(step, Stall | Resume))


def _malformed(steps: Steps, finding: Finding) -> Made:
    """What the sender suffers is ROB-2; what others suffer is ROB-1, unless its mere end does it too."""
    guilty = {step.conn for step in flat(steps) if isinstance(step, Say | Raw) and misbehaves(step)}
    if finding.conn in guilty:
        yield "ROB-2", without(steps, misbehaves)
    elif guilty:
        yield "ROB-1", _ended_instead(steps, Close), _ended_instead(steps, Abort)
    yield "ROB-1", without(steps, lambda step: isinstance(step, Http))


def _ended_instead(steps: Steps, end: type[Close | Abort]) -> Steps:
    """The same with connections that end where they misbehaved."""
    made: list[Step] = []
    for step in steps:
        if any(misbehaves(one) for one in flat([step])):
            made += [end(connections(step)[0]), Pause(0.1)]
        else:
            made.append(step)
    return tuple(made)


def _unknown(steps: Steps, _: Finding) -> Made:
    """Unknown messages: first made small, then left out."""

    def small(step: Step) -> Step:
        large = isinstance(step, Say) and step.role == "unknown" and len(step.data) > _LARGE
        return replace(step, data=b'{"type": "x-unknown"}') if isinstance(step, Say) and large else step

    yield "ROB-4", mapped(steps, small)
    yield "ROB-3", without(steps, lambda step: isinstance(step, Say) and step.role == "unknown")


def _is_large(text: bytes) -> bool:
    """Whether it is long, or nested deeply."""
    return len(text) > _LARGE or max(text.count(b"["), text.count(b"{")) > _DEEP


def _texts(steps: Steps, _: Finding) -> Made:
    """Large subscribes, and ones with unknown fields."""

    def small(step: Step) -> Step:
        if isinstance(step, Subscribe) and _is_large(step.payload()):
            fields = step.text is not None and _unknown_fields(step.text)
            text = subscribe_text(step.investigation_id, padding="") if fields else None
            return replace(step, text=text)
        return step

    def bare(step: Step) -> Step:
        if isinstance(step, Subscribe) and step.text is not None and _unknown_fields(step.text):
            return replace(step, text=None)
        return step

    yield "ROB-4", mapped(steps, small)
    yield "SUB-5", mapped(steps, bare)


def _unknown_fields(text: str) -> bool:
    return bool(set(json.loads(text)) - {"type", "investigation_id"})


def _segments(steps: Steps, finding: Finding) -> Made:
    """Each message whole, in a segment of its own, and answered before the next."""
    if finding.kind == "no_pong":
        return
    plain: list[Step] = []
    for step in steps:
        match step:
            case Together(several):
                inner: tuple[Step, ...] = several
            case Pieces(whole, _, _):
                inner = (whole,)
            case _:
                inner = (step,)
        for one in inner:
            plain.append(replace(one, wait=True) if isinstance(one, Subscribe) else one)
            if isinstance(one, Say | Ping):
                plain.append(Pause(0.03))
    if _may_share_a_segment(steps):
        yield "CONN-7", tuple(plain)


def _may_share_a_segment(steps: Steps) -> bool:
    """Whether a connection sends a message before the one before it was answered."""
    return any(
        isinstance(one, Together | Pieces)
        or (isinstance(one, Say | Ping) and connections(one) == connections(other))
        or (isinstance(one, Subscribe) and not one.wait)
        for one, other in pairwise((*steps, Settle()))
    )


def _flood(steps: Steps, finding: Finding) -> Made:
    """More messages than a server need take at once (ROB-6), or many subscriptions (SUB-3)."""
    counts: dict[str, int] = Counter(step.conn for step in flat(steps) if isinstance(step, Subscribe))
    most = max(counts.values(), default=0)
    full_at = _MANY if most > _MANY else 1
    counts = {}
    steps = tuple(step for step in flat(steps) if not isinstance(step, Together | Pieces))
    opened = {step.conn: step for step in steps if isinstance(step, Connect)}
    aliases: dict[str, str] = {}
    spread: list[Step] = []
    for step in steps:
        if isinstance(step, Subscribe) and step.conn in opened:
            counts[step.conn] = counts.get(step.conn, 0) + 1
            full, place = divmod(counts[step.conn] - 1, full_at)
            if full and not place:
                alias = aliases[step.conn] = f"{step.conn}~{full}"
                original = opened[step.conn]
                spread.append(replace(original, conn=alias, client_id=f"{original.client_id[:100]}-{full}"))
            spread.append(replace(step, conn=aliases.get(step.conn, step.conn)))
        else:
            spread.append(step)
    if most > _BURST and finding.kind in {"unconfirmed", "ended", "lost", "no_pong"}:
        slowed: list[Step] = []
        for number, step in enumerate(steps):
            slowed += [step, Pause(0.05)] if isinstance(step, Subscribe) and number % 4 == 0 else [step]
        yield "ROB-6", tuple(slowed)
    elif finding.kind in _OF_TOO_MANY and (most > _MANY or 1 < most == _most_ids(steps)):
        yield "SUB-3", tuple(spread)


_OF_TOO_MANY = frozenset({"unconfirmed", "ended", "lost", "confirmed_unasked"})
"""What a server does that cannot hold so many subscriptions (SUB-3)."""


def _most_ids(steps: Steps) -> int:
    """How many different investigations one connection subscribes to."""
    pairs = {(step.conn, step.investigation_id) for step in steps if isinstance(step, Subscribe)}
    return max(Counter(conn for conn, _ in pairs).values(), default=0)


def _client_ids(steps: Steps, finding: Finding) -> Made:
    """Client ids that are shared or extraordinary."""
    ids = [step.client_id for step in steps if isinstance(step, Connect)]
    numbers = count()

    def apart(step: Step) -> Step:
        return (
            replace(step, client_id=f"apart-{next(numbers)}-{ids[0][-20:]}")
            if isinstance(step, Connect)
            else step
        )

    if finding.kind == "duplicate":
        return
    if len(set(ids)) < len(ids):
        astray = "SUB-8" if _came_back(steps) else "DEL-2"
        clause = {"stray": astray, "replayed": "DEL-5"}.get(finding.kind, "CONN-5")
        yield clause, mapped(steps, apart)
    elif not all(_PLAIN_CLIENT_ID.fullmatch(one) for one in ids):
        yield "CONN-1", mapped(steps, apart)


def _ends(steps: Steps, finding: Finding) -> Made:
    """Connections that the script ends."""
    clause = _clause_of_ends(steps, finding)
    if clause:
        yield clause, without(steps, lambda step: isinstance(step, Close | Abort))


def _all_ends(steps: Steps, finding: Finding) -> Made:
    """Connections that the script ends, or makes the server end."""
    clause = _clause_of_ends(steps, finding)
    if clause:
        yield clause, without(steps, lambda step: isinstance(step, Close | Abort) or misbehaves(step))


def _clause_of_ends(steps: Steps, finding: Finding) -> str | None:
    if finding.kind in {"lost", "unconfirmed", "ended", "no_pong", "refused_upgrade"}:
        return "CONN-6"
    return "SUB-8" if finding.kind == "stray" and _came_back(steps) else None


def _came_back(steps: Steps) -> bool:
    """Whether a connection was opened after another one ended."""
    ended = False
    for step in steps:
        ended = ended or isinstance(step, Close | Abort)
        if ended and isinstance(step, Connect):
            return True
    return False


def _again(steps: Steps, finding: Finding) -> Made:
    if finding.kind in {"replayed", "stray"}:
        return
    seen: set[tuple[str, str]] = set()

    def repeated(step: Step) -> bool:
        if not isinstance(step, Subscribe):
            return False
        key = (step.conn, step.investigation_id)
        known = key in seen
        seen.add(key)
        return known

    yield "SUB-4", without(steps, repeated)


def _at_once(steps: Steps, finding: Finding) -> Made:
    """A pause behind each confirmation of the connection that misses something."""
    if finding.kind not in {"lost", "duplicate"}:
        return
    slowed: list[Step] = []
    for step, following in zip(steps, (*steps[1:], Settle()), strict=True):
        slowed.append(step)
        own = isinstance(step, Subscribe) and step.conn == finding.conn
        if own and isinstance(following, Publish | Settle):
            slowed.append(Pause(0.4))
    yield "SUB-2", tuple(slowed)


def _pings(steps: Steps, finding: Finding) -> Made:
    if finding.kind != "no_pong":
        yield "CONN-3", without(steps, lambda step: isinstance(step, Ping))


def _payloads(steps: Steps, finding: Finding) -> Made:
    if finding.kind in {"ended", "unreachable"}:
        yield "EVT-1", mapped(steps, _plain_payload)


def _plain_payload(step: Step) -> Step:
    return replace(step, data='{"type": "investigation_started"}') if isinstance(step, Publish) else step


_EXPERIMENTS: tuple[Callable[[Steps, Finding], Made], ...] = (
    *EXPERIMENTS,
    _stalls,
    _ends,
    _client_ids,
    _malformed,
    _all_ends,
    _segments,
    _texts,
    _unknown,
    _flood,
    _again,
    _at_once,
    _pings,
    _payloads,
)


_DISTURBANCES = (_stalls, _malformed)
"""What may delay others."""
