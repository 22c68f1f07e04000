"""What a finding is: one observed departure from a clause. A fault of the runner is never one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Level = Literal["MUST", "SHOULD"]

BY_KIND: dict[str, tuple[str, Level]] = {
    "refused_upgrade": ("CONN-1", "MUST"),
    "refused_odd_client_id": ("CONN-1", "SHOULD"),
    "served_plain_get": ("CONN-2", "SHOULD"),
    "no_pong": ("CONN-3", "MUST"),
    "unfinished_close": ("CONN-4", "MUST"),
    "older_ended": ("CONN-5", "SHOULD"),
    "no_object": ("MSG-1", "MUST"),
    "broken_frame": ("MSG-1", "MUST"),
    "repeated_names": ("MSG-1", "SHOULD"),
    "schema": ("MSG-2", "MUST"),
    "unconfirmed": ("SUB-1", "MUST"),
    "confirmed_unasked": ("SUB-1", "MUST"),
    "confirmed_out_of_order": ("SUB-7", "SHOULD"),
    "confirmed_malformed": ("ROB-2", "MUST"),
    "bad_close": ("ROB-2", "MUST"),
    "dropped": ("ROB-2", "SHOULD"),
    "unreachable": ("ROB-1", "MUST"),
    "delayed": ("ROB-5", "MUST"),
    "never_ended": ("ROB-5", "MUST"),
    "changed": ("EVT-1", "MUST"),
    "refused_event": ("EVT-1", "MUST"),
    "invented": ("EVT-1", "MUST"),
    "wrong_mirror": ("EVT-2", "MUST"),
    "progress_range": ("EVT-3", "MUST"),
    "no_task_id": ("EVT-4", "MUST"),
    "no_kind": ("EVT-5", "SHOULD"),
    "respelt": ("EVT-6", "SHOULD"),
    "lost": ("DEL-1", "MUST"),
    "duplicate": ("DEL-1", "MUST"),
    "stray": ("DEL-2", "MUST"),
    "fallback_lost": ("DEL-3", "MUST"),
    "fallback_sent": ("DEL-3", "MUST"),
    "out_of_order": ("DEL-4", "SHOULD"),
    "replayed": ("DEL-5", "MUST"),
    "ended": ("LEG-5", "MUST"),
    "no_welcome": ("NEG-2", "MUST"),
    "late_welcome": ("NEG-2", "MUST"),
    "second_welcome": ("NEG-2", "MUST"),
    "wrong_features": ("NEG-1", "MUST"),
    "not_granted": ("NEG-1", "MUST"),
    "wrong_protocol": ("NEG-3", "MUST"),
    "wrong_ref": ("NEG-4", "MUST"),
    "broadcast_after_hello": ("NEG-5", "MUST"),
    "no_app_pong": ("HB-1", "MUST"),
    "not_unsubscribed": ("UNS-1", "MUST"),
    "unasked_unsubscribed": ("UNS-1", "MUST"),
    "update_after_unsubscribed": ("UNS-1", "MUST"),
    "wrong_scope_echo": ("SCP-1", "MUST"),
    "wrong_scope": ("SCP-1", "MUST"),
    "confirmed_bad_scope": ("SCP-2", "MUST"),
    "no_position": ("RPL-1", "MUST"),
    "not_increasing": ("RPL-1", "MUST"),
    "renumbered": ("RPL-1", "MUST"),
    "wrong_prev": ("RPL-2", "MUST"),
    "bad_token": ("RPL-3", "MUST"),
    "wrong_token": ("RPL-3", "MUST"),
    "wrong_replay": ("RPL-4", "MUST"),
    "not_replayed": ("RPL-4", "MUST"),
    "wrong_head": ("RPL-4", "MUST"),
    "no_replay_complete": ("RPL-4", "MUST"),
    "live_in_replay": ("RPL-5", "MUST"),
    "wrong_hand_over": ("RPL-5", "MUST"),
    "lost_at_hand_over": ("RPL-5", "MUST"),
    "answered_in_replay": ("RPL-5", "MUST"),
    "wrong_position": ("RPL-6", "MUST"),
    "no_position_message": ("RPL-6", "MUST"),
    "no_gap": ("RPL-7", "MUST"),
    "unannounced_epoch": ("RPL-7", "MUST"),
    "epoch_kept": ("RPL-8", "MUST"),
    "no_ping": ("HB-2", "MUST"),
    "not_timed_out": ("HB-2", "MUST"),
    "wrong_timeout": ("HB-2", "MUST"),
    "pong_behind": ("HB-1", "MUST"),
    "inflated": ("CMP-2", "MUST"),
    "not_alternating": ("FLW-1", "MUST"),
    "no_normal": ("FLW-1", "MUST"),
    "no_pressure": ("FLW-1", "MUST"),
    "wrong_slow_end": ("FLW-2", "MUST"),
    "sent_after_loss": ("FLW-2", "MUST"),
    "held_too_much": ("FLW-2", "MUST"),
    "unanswered": ("FLW-3", "MUST"),
    "not_limited": ("FLW-3", "MUST"),
    "carried_out": ("FLW-3", "MUST"),
    "abuse_borne": ("FLW-3", "MUST"),
    "no_retry_after": ("FLW-3", "MUST"),
    "no_error": ("ERR-1", "MUST"),
    "wrong_error": ("ERR-1", "MUST"),
    "unasked_error": ("ERR-1", "MUST"),
    "token_taken": ("SEC-1", "MUST"),
    "token_refused_otherwise": ("SEC-1", "MUST"),
    "stranger_refused": ("SEC-1", "MUST"),
    "stranger_ended": ("SEC-1", "MUST"),
    "sent_to_stranger": ("SEC-1", "MUST"),
    "not_turned_away": ("SEC-1", "MUST"),
    "forbidden_confirmed": ("SEC-2", "MUST"),
    "forbidden_sent": ("SEC-2", "MUST"),
    "origin_taken": ("SEC-3", "MUST"),
    "origin_refused_otherwise": ("SEC-3", "MUST"),
}
"""For each kind of observation the clause that it breaks in a plain scenario, and how hard."""
PART_2 = tuple(BY_KIND)[tuple(BY_KIND).index("no_welcome") :]
"""The kinds of Part 2, which name their clause by themselves."""


@dataclass(slots=True)
class Finding:
    """One departure: what kind, on which connection, when (seconds of the run), and in words."""

    kind: str
    message: str
    conn: str
    at: float
    clause: str = ""
    level: Level = "MUST"
    expected: str | None = None
    got: str | None = None
    doubtful: bool = False
    """Whether it may be the runner's doing, which got no processor just then: such ones never count."""
    racy: bool = False
    """Whether it may be no more than a race on a loaded machine: it counts if it comes back alone."""
    wire: tuple[WireEntry, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        clause, level = BY_KIND[self.kind]
        self.clause = self.clause or clause
        self.level = level


@dataclass(frozen=True, slots=True)
class WireEntry:
    """One thing that went over a wire: `direction` is `>` to the server, `<` from it, `*` beside it."""

    at: float
    conn: str
    direction: Literal[">", "<", "*"]
    text: str
