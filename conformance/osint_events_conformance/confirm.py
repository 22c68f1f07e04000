"""From all that the scripts of a phase showed to the findings of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from osint_events_conformance.examine import Examiner, Suspicion
from osint_events_conformance.findings import BY_KIND, PART_2, Finding
from osint_events_conformance.progress import Confirmed, Progress
from osint_events_conformance.records import Case
from osint_events_conformance.results import ConfirmedFinding, Phase
from osint_events_conformance.script import Script, is_peaceful
from osint_events_conformance.verdicts import NEVER_CAME

_EXAMINED_PER_KIND = 3
_SHADOWS_PER_KIND = 4
"""Findings that do not come back alone, after which the next of the kind are left."""
_PRIMARY = frozenset({"lost", "unconfirmed", "confirmed_unasked", "ended", "refused_upgrade", "unreachable"})
"""Kinds that others follow from: where a subscription is lost, the fallback makes strays."""
_NEGOTIATION = frozenset({"no_welcome", "late_welcome", "second_welcome", "wrong_features"})
"""Kinds after which it is not known what was negotiated, so that nothing of Part 2 can be told."""
_OF_NUMBERS = frozenset({"not_increasing", "renumbered", "epoch_kept", "unannounced_epoch", "no_gap"})
"""Kinds after which nothing that goes by numbers can be right."""
_BY_NUMBERS = frozenset(
    {
        "lost_at_hand_over",
        "not_replayed",
        "wrong_replay",
        "wrong_head",
        "wrong_hand_over",
        "no_replay_complete",
        "live_in_replay",
        "wrong_token",
        "wrong_position",
    }
)
"""Kinds that may follow from wrong numbers, or from a sequence that began anew."""
_MISSING = _OF_NUMBERS | _BY_NUMBERS | {"lost", "duplicate", "ended", "answered_in_replay", "sent_after_loss"}
"""Kinds after which `prev` rightly says that something is missing."""
_SHADOWS_OF = {"lost_at_hand_over": ("not_replayed",), "lost": ("changed",)}
"""Kinds that are seen now and then where others are seen for certain: what was published about then."""
_ALSO_SEEN_AS = {
    "no_replay_complete": {"answered_in_replay"},
    "confirmed_malformed": {"confirmed_unasked"},
    "dropped": {"ended"},
    "invented": {"changed"},
    "no_position": {"not_granted"},
    "wrong_head": {"not_increasing", "renumbered"},
    "wrong_prev": {"unannounced_epoch", "no_gap", "wrong_scope", "lost"},
    "wrong_hand_over": {"duplicate"},
    "wrong_position": {"unannounced_epoch", "no_gap"},
}
"""What is all that shows in some scripts of what others show for certain."""
_WIDER = {
    ("unconfirmed", "CONN-7"): {("unconfirmed", "SUB-4")},
    ("unconfirmed", "ROB-4"): {("unconfirmed", "SUB-5")},
}
"""Where a kind was laid to two clauses, the one that says it all."""
_UNREADABLE = frozenset({"no_object", "schema", "broken_frame"})
"""Kinds after which something seems lost that only came in a form that nobody can read."""
_FOLLOWING = frozenset(
    {
        "delayed",
        "stray",
        "replayed",
        "duplicate",
        "confirmed_out_of_order",
        "out_of_order",
        "fallback_sent",
        "fallback_lost",
    }
)
_DISTURBING = frozenset({"ROB-1", "ROB-5"})
"""Clauses that a server breaks when scripts that run side by side suffer from each other."""
_EXAMINING = 4.0
"""Seconds after the end in which suspicions are still taken up: none counts that was not run again."""


class Confirmer:
    """Decides which suspicions are examined, and keeps the findings that come of it.

    `selected` says whether a clause is judged at all, `time_left` gives the run's seconds.
    """

    def __init__(
        self,
        examiner: Examiner,
        selected: Callable[[str], bool],
        time_left: Callable[[], float],
        progress: Progress,
    ) -> None:
        self.confirmed: list[ConfirmedFinding] = []
        self.unexamined = 0
        """Suspicions for which no time was left."""
        self._examiner = examiner
        self._selected = selected
        self._time_left = time_left
        self._progress = progress

    async def confirm(self, phase: Phase, runs: Iterable[tuple[Script, Case]]) -> None:
        """Examine what is suspected, the plainest scripts first.

        Once a kind of finding is laid to the clause that it belongs to in a plain scenario, more of
        the kind in special scenarios proves nothing new about those.
        """
        waiting = sorted(self._suspicions(runs).items(), key=_plainest)
        steady_examined: Counter[str] = Counter()
        flaky: list[ConfirmedFinding] = []
        while waiting:
            (kind, _), members = waiting.pop(0)
            shadows = sum(one.kind == kind for one in flaky)
            enough = steady_examined[kind] >= _EXAMINED_PER_KIND or shadows >= _SHADOWS_PER_KIND
            if enough or self._explained(phase, kind, members):
                continue
            if self._time_left() <= -_EXAMINING:
                self.unexamined += len(members)
                continue
            members.sort(key=lambda member: (member[2].doubtful or member[2].racy, len(member[0].steps)))
            hostile = len(members) > 1 and not any(is_peaceful(script) for script, _, _ in members)
            script, case, finding = members[await self._examiner.culprit(members, kind) if hostile else 0]
            suspicion = Suspicion(script, finding, case, phase, len(members) - 1)
            confirmed = await self._examiner.examine(suspicion)
            if not confirmed.reproduced:
                self.unexamined += 0 if confirmed.attempts else len(members)
                continue
            if not confirmed.flaky:
                steady_examined[kind] += 1
                self._keep(confirmed)
            elif kind != "delayed":  # of which one slow moment proves nothing
                flaky.append(confirmed)
                # Perhaps it suffered from what another script did beside it: try those that misbehave.
                waiting.sort(key=_most_peaceful)
        both = {(one.kind, one.clause) for one in self.confirmed}
        self.confirmed = [
            one for one in self.confirmed if both.isdisjoint(_WIDER.get((one.kind, one.clause), ()))
        ]
        steady = {one.kind for one in self.confirmed}
        self.confirmed = [one for one in self.confirmed if steady.isdisjoint(_ALSO_SEEN_AS.get(one.kind, ()))]
        if any(one.clause in _DISTURBING for one in self.confirmed):
            # What happens in company alone is what that clause says.
            self.confirmed = [one for one in self.confirmed if not one.flaky or one.clause in _DISTURBING]
            return
        for confirmed in flaky:
            theirs = {
                confirmed.kind,
                *_SHADOWS_OF.get(confirmed.kind, ()),
                *_ALSO_SEEN_AS.get(confirmed.kind, ()),
                *(_PRIMARY if confirmed.kind in _FOLLOWING else ()),
            }
            if steady.isdisjoint(theirs):
                self._keep(confirmed)

    def _suspicions(self, runs: Iterable[tuple[Script, Case]]) -> dict[tuple[str, str], Members]:
        """The findings, grouped by kind and check; of what follows from something worse only the latter."""
        groups: dict[tuple[str, str], Members] = {}
        for script, case in runs:
            kinds = _worst(list(dict.fromkeys(finding.kind for finding in case.findings)))
            for kind in kinds:
                finding = next(finding for finding in case.findings if finding.kind == kind)
                if self._selected(finding.clause) or self._selected(script.clause):
                    groups.setdefault((kind, script.check), []).append((script, case, finding))
        return groups

    def _explained(self, phase: Phase, kind: str, members: Members) -> bool:
        """Whether findings of this kind were laid to a clause already, so that more prove nothing new."""
        known = {one.clause for one in self.confirmed if one.kind == kind and one.surely and not one.flaky}
        later = phase in {"fuzz", "stateful"} or all(script.mode == "long" for script, _, _ in members)
        # What shows without misbehaviour too is not laid to it.
        hostile = not any(is_peaceful(script) for script, _, _ in members)
        return BY_KIND[kind][0] in known or bool(known and (later or hostile))

    def _keep(self, confirmed: ConfirmedFinding) -> None:
        if not confirmed.flaky:  # it says all that a flaky one of the same kind did
            self.confirmed = [one for one in self.confirmed if not (one.flaky and _same(one, confirmed))]
        known = {(one.kind, one.clause) for one in self.confirmed}
        if not self._selected(confirmed.clause) or (confirmed.kind, confirmed.clause) in known:
            return
        of_kind = [one for one in self.confirmed if one.kind == confirmed.kind]
        if of_kind and not confirmed.surely:
            return  # most likely what is known already
        if (
            confirmed.surely and not confirmed.flaky
        ):  # then it is the reason of what came and went by itself too
            self.confirmed = [one for one in self.confirmed if one.surely or one not in of_kind]
        self.confirmed.append(confirmed)
        self._progress(Confirmed(confirmed))


def _worst(kinds: list[str]) -> list[str]:  # one rule after the other
    """The kinds of a case without those that follow from worse ones."""
    if not _PRIMARY.isdisjoint(kinds):
        kinds = [kind for kind in kinds if kind not in _FOLLOWING]
    if not _UNREADABLE.isdisjoint(kinds):
        misread = _PRIMARY | _FOLLOWING | _MISSING | NEVER_CAME.keys() | {"wrong_prev"}
        kinds = [kind for kind in kinds if kind not in misread]
    if not _NEGOTIATION.isdisjoint(kinds):
        kinds = [kind for kind in kinds if kind in _NEGOTIATION or kind not in PART_2]
    if not _OF_NUMBERS.isdisjoint(kinds):
        kinds = [kind for kind in kinds if kind not in _BY_NUMBERS | _PRIMARY | _FOLLOWING]
    if "wrong_token" in kinds:  # a replay that there should not be
        kinds = [kind for kind in kinds if kind == "wrong_token" or kind not in _BY_NUMBERS]
    if "answered_in_replay" in kinds:  # and so broke it off
        kinds = [kind for kind in kinds if kind not in _BY_NUMBERS]
    if "wrong_scope" in kinds:  # which says all that a position would
        kinds = [kind for kind in kinds if kind != "no_position_message"]
    if "confirmed_bad_scope" in kinds:  # whose events come to who is not subscribed
        kinds = [kind for kind in kinds if kind not in {"broadcast_after_hello", "wrong_prev"}]
    if not _MISSING.isdisjoint(kinds):
        kinds = [kind for kind in kinds if kind != "wrong_prev"]
    return kinds


def _same(one: ConfirmedFinding, other: ConfirmedFinding) -> bool:
    return (one.kind, one.clause) == (other.kind, other.clause)


Members = list[tuple[Script, Case, Finding]]


def _plainest(group: tuple[tuple[str, str], Members]) -> tuple[bool, int]:
    """Sort key: scripts of the clause that the kind belongs to first, then the shortest."""
    (kind, _), members = group
    script = min((member[0] for member in members), key=lambda one: len(one.steps))
    return script.clause != BY_KIND[kind][0], len(script.steps)


def _most_peaceful(group: tuple[tuple[str, str], Members]) -> bool:
    """Sort key: scripts that break rules or stall first."""
    _, members = group
    return all(is_peaceful(script) for script, _, _ in members)
