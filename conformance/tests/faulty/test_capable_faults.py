"""Every fault of Part 2 breaks the promise that it names, where the correct capable server keeps it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from osint_events_conformance.faulty import FAULTS
from osint_events_conformance.faulty.capable.server import CapableServer

from .capable_scenes import (
    announces_new_sequences,
    answers_a_ping_ahead_of_events,
    answers_pings,
    answers_pings_or_shows_life,
    begins_another_epoch,
    calls_limits_temporary,
    confirms_a_failure_at_the_head,
    confirms_where_it_resumes,
    echoes,
    ends_abuse,
    ends_slow_core_connections,
    ends_the_dead_in_time,
    ends_the_dead_of_a_busy_stream,
    ends_the_slow,
    filters,
    goes_on_after_a_replay,
    grants,
    hands_over,
    has_too_much_to_replay,
    ignores_a_hello_after_unknown,
    ignores_a_late_hello,
    ignores_a_second_hello,
    ignores_unknown_pongs,
    ignores_what_was_not_negotiated,
    keeps_errors_to_itself,
    keeps_features_of_twins_apart,
    keeps_the_first_at_the_limit,
    leaves_a_replay_alone,
    leaves_numbers_out,
    limits_the_rate,
    makes_no_refs_up,
    negotiates_nothing_without_a_hello,
    never_falls_back,
    numbers,
    numbers_for_all,
    pings_a_listener,
    pings_no_connection_of_part_1,
    pings_nobody_who_did_not_ask,
    pings_the_silent,
    pings_who_answers_again_and_again,
    presses,
    refuses_scope,
    refuses_token,
    refuses_what_inflates_to_too_much,
    replays,
    reports,
    resumes,
    resumes_after_a_restart,
    resumes_after_the_last_event,
    sends_positions,
    sends_the_same_compressed,
    speaks_by_the_schemas,
    switches,
    switches_without_loss,
    takes_ping_frames_for_life,
    understands_what_is_compressed,
    unsubscribes,
    unsubscribes_behind_events,
    welcomes,
    welcomes_first,
    writes_tokens_for_urls,
)
from .play import Plays
from .security_scenes import (
    BAD_HELLO,
    BARE_HELLO,
    PING,
    SUBSCRIBE,
    broadcasts_only_what_may_be_seen,
    ends_silent_strangers,
    forbids,
    forbids_core_clients,
    knows_nobody_by_name,
    lets_strangers_say_hello,
    refuses,
    refuses_origin,
    takes_no_token_for_a_credential,
    tells_strangers_nothing,
    turns_away,
)
from .talk import NOTE, SUMMARY, TASK

if TYPE_CHECKING:
    from .scenes import Scene

LARGE = json.dumps({"pad": "y" * 20_000})
COMPLETED = '{"type": "investigation_completed"}'
OLD_TASK = '{"event": "task_started", "task_id": "t"}'
OLD_SUMMARY = '{"event": "investigation_started", "task_id": "t"}'

NEGOTIATION: dict[str, Scene] = {
    "grants-everything": grants(["scopes"], {"scopes"}),
    "grants-unknown-features": grants(["scopes", "x"], {"scopes"}),
    "grants-all-for-none": grants([], set()),
    "numbers-without-replay": leaves_numbers_out,
    "shares-features-by-client-id": keeps_features_of_twins_apart,
    "obeys-scope-without-scopes": ignores_what_was_not_negotiated,
    "unsubscribes-without-feature": ignores_what_was_not_negotiated,
    "unsubscribes-core": negotiates_nothing_without_a_hello,
    "replays-to-core": negotiates_nothing_without_a_hello,
    "second-hello-renegotiates": ignores_a_second_hello,
    "closes-on-second-hello": ignores_a_second_hello,
    "confirms-before-welcome": welcomes_first,
    "welcomes-after-unknown": ignores_a_hello_after_unknown,
    "welcomes-any-time": ignores_a_late_hello,
    "ignores-unknown-features": welcomes(features=["x", "scopes"]),
    "ignores-unknown-hello-fields": welcomes(x=1),
    "ignores-newer-protocols": welcomes(protocol=2),
    "echoes-protocol": welcomes(protocol=99),
    "checks-auth-though-off": welcomes(auth={"token": "x"}),
    "forgets-refs": echoes("r"),
    "cuts-long-refs": echoes("🦊" * 64),
    "drops-empty-refs": echoes(""),
    "drops-leading-zeros-of-refs": echoes("007"),
    "remembers-refs": makes_no_refs_up,
    "forgets-refs-of-replays": echoes("r"),
    "forgets-refs-of-errors": echoes("r"),
    "broadcasts-after-hello": never_falls_back("i"),
    "broadcasts-until-subscribed": never_falls_back(),
}

CONNECTION: dict[str, Scene] = {
    "never-answers-app-pings": answers_pings("a"),
    "app-pongs-wait-in-queue": answers_a_ping_ahead_of_events,
    "answers-fifty-pings-a-second": answers_pings(*map(str, range(60))),
    "folds-ping-ids": answers_pings("A"),
    "debounces-app-pings": answers_pings("a", "b"),
    "never-pings": pings_the_silent,
    "never-times-out": ends_the_dead_in_time,
    "times-out-with1001": ends_the_dead_in_time,
    "keeps-the-dead-of-busy-streams": ends_the_dead_of_a_busy_stream,
    "pings-three-times": pings_who_answers_again_and_again,
    "times-out-early": ends_the_dead_in_time,
    "pings-idle-streams-only": pings_a_listener,
    "takes-only-messages-for-life": takes_ping_frames_for_life,
    "takes-only-pongs-for-life": answers_pings_or_shows_life,
    "closes-on-unknown-pong": ignores_unknown_pongs,
    "pings-who-said-hello": pings_nobody_who_did_not_ask,
    "pings-who-said-no-hello": pings_no_connection_of_part_1,
    "keeps-compression-context": sends_the_same_compressed,
    "forgets-compression-context": understands_what_is_compressed,
    "marks-pongs-as-compressed": sends_the_same_compressed,
    "compresses-large-messages-as-latin1": sends_the_same_compressed,
    "loses-large-compressed-messages": sends_the_same_compressed,
    "mixes-compressed-bursts": sends_the_same_compressed,
    "inflates-without-limit": refuses_what_inflates_to_too_much,
    "refuses-inflated-with1008": refuses_what_inflates_to_too_much,
    "never-says-backpressure": presses(160),
    "never-says-normal": presses(160),
    "says-normal-soon": presses(160),
    "says-high-again": presses(230),
    "skips-when-queue-is-full": ends_the_slow,
    "holds-whatever-waits": ends_the_slow,
    "ends-core-consumers-by4002": ends_slow_core_connections,
    "ends-slow-consumers-normally": ends_the_slow,
    "drops-over-rate-silently": limits_the_rate,
    "carries-out-rate-limited": limits_the_rate,
    "limits-without-retry-after": limits_the_rate,
    "never-ends-abuse": ends_abuse,
    "reports-to-everyone": keeps_errors_to_itself,
    "calls-limits-lasting": calls_limits_temporary,
    "calls-bad-json-temporary": reports,
    "has-one-error-code": reports,
}

REPLAY: dict[str, Scene] = {
    "repeats-seq-once": numbers(*[NOTE] * 12),
    "numbers-per-connection": numbers_for_all,
    "restarts-numbers-after-completion": numbers(NOTE, COMPLETED, NOTE, NOTE),
    "always-says-prev-zero": numbers(NOTE, NOTE),
    "says-prev-of-all-scopes": numbers(TASK, SUMMARY, TASK, scope="tasks"),
    "says-prev-by-subtracting": numbers(NOTE, NOTE),
    "says-head-for-prev-in-replays": numbers(NOTE, NOTE),
    "writes-seq-as-text": numbers(NOTE),
    "omits-zero-count": speaks_by_the_schemas(),
    "fails-without-reason": speaks_by_the_schemas(replay_token="forged"),  # noqa: S106 - no password
    "reports-without-temporary": speaks_by_the_schemas(),
    "binds-tokens-to-client-ids": resumes(),
    "binds-tokens-to-scopes": resumes(scope="tasks"),
    "binds-tokens-to-connections": resumes(close=True),
    "tokens-end-with-unsubscribe": resumes(unsubscribe=True),
    "uses-tokens-up": resumes(times=2),
    "folds-ids-in-tokens": refuses_token("upper"),
    "takes-foreign-tokens": refuses_token("foreign"),
    "checks-half-of-signature": refuses_token("flipped"),
    "splits-tokens-at-dots": resumes(investigation_id="inv.1"),
    "has-no-token-before-first-event": resumes(),
    "writes-tokens-in-base64": writes_tokens_for_urls,
    "calls-foreign-tokens-expired": refuses_token("foreign"),
    "begins-anew-silently": announces_new_sequences,
    "keeps-epoch-over-restarts": begins_another_epoch,
    "forgets-key-over-restarts": resumes_after_a_restart,
    "forgets-first-tokens-over-restarts": resumes_after_a_restart,
    "replays-last-hundred": has_too_much_to_replay,
    "replays-nothing": resumes(),
    "loses-eleventh-replayed": resumes(11),
    "loses-large-events-in-replays": replays(LARGE),
    "skips-first-missed": resumes(),
    "replays-position-again": resumes_after_the_last_event,
    "second-replay-is-empty": resumes(times=2),
    "counts-all-scopes": replays(TASK, SUMMARY, scope="tasks", expected=1),
    "confirms-replays-at-head": confirms_where_it_resumes,
    "completes-nothing-silently": resumes_after_the_last_event,
    "completes-failed-replays": confirms_a_failure_at_the_head,
    "fails-at-zero": confirms_a_failure_at_the_head,
    "stores-without-nulls": replays('{"a": null}'),
    "replays-newest-first": resumes(),
    "completes-first": hands_over,
    "loses-at-hand-over": hands_over,
    "doubles-at-hand-over": hands_over,
    "live-overtakes-replay": hands_over,
    "reverses-hand-over": hands_over,
    "switches-during-replay": leaves_a_replay_alone("subscribe"),
    "unsubscribes-during-replay": leaves_a_replay_alone("unsubscribe"),
    "drops-first-live-event": goes_on_after_a_replay,
    "never-sends-position": sends_positions,
    "sends-first-position-only": sends_positions,
    "sends-position-once": sends_positions,
}

SCOPES: dict[str, Scene] = {
    "forgets-oldest-subscription": keeps_the_first_at_the_limit,
    "never-filters": filters(["tasks"], [TASK], [SUMMARY]),
    "classifies-by-task-id": filters(["tasks"], [NOTE], []),
    "classifies-by-type-only": filters(["tasks"], [OLD_TASK], [OLD_SUMMARY]),
    "knows-startups-in-lower-case": filters(
        ["tasks"], [TASK], ['{"status": "running", "message": "Started"}']
    ),
    "other-kinds-are-summary": filters(["tasks"], [NOTE], []),
    "empty-task-ids-count": filters(["summary"], ['{"type": "note", "task_id": ""}'], []),
    "last-scope-counts": filters(["tasks", "summary"], [TASK, SUMMARY], []),
    "confirms-another-scope": filters(["tasks"], [TASK], []),
    "takes-no-scope-for-all": refuses_scope([]),
    "leaves-unknown-scopes-out": refuses_scope(["summary", "x"]),
    "applies-first-of-bad-scopes": refuses_scope(["summary", "x"]),
    "takes-bare-scopes": refuses_scope("summary"),
    "bad-scope-ends-subscription": refuses_scope([]),
    "bad-scope-widens-subscription": refuses_scope([]),
    "keeps-first-scope": switches,
    "adds-scopes": switches,
    "switch-loses-for-a-moment": switches_without_loss,
    "switch-sends-last-again": switches_without_loss,
    "unsubscribes-in-word-only": unsubscribes,
    "second-unsubscribe-is-silent": unsubscribes,
    "unsubscribes-late": unsubscribes,
    "unsubscribed-overtakes-events": unsubscribes_behind_events,
}

SECURITY: dict[str, Scene] = {
    "asks-for-no-token": refuses("word"),
    "ignores-last-of-signatures": refuses("flip_last"),
    "compares-tokens-without-case": refuses("case"),
    "takes-unsigned-tokens": refuses("unsigned"),
    "believes-claims": refuses("claims"),
    "forbids-bad-tokens": refuses("word"),
    "believes-hellos": turns_away(BAD_HELLO),
    "welcomes-hellos-without-tokens": turns_away(BARE_HELLO),
    "answers-pings-of-strangers": turns_away(PING),
    "ignores-subscribes-of-strangers": turns_away(SUBSCRIBE),
    "turns-strangers-away-by-policy": turns_away(BARE_HELLO),
    "knows-client-ids": knows_nobody_by_name,
    "demands-headers": lets_strangers_say_hello,
    "broadcasts-to-strangers": tells_strangers_nothing,
    "waits-for-hellos-for-ever": ends_silent_strangers,
    "confirms-forbidden": forbids(),
    "refuses-forbidden-in-silence": forbids(),
    "calls-forbidden-invalid": forbids(),
    "checks-no-scopes": forbids(scope=["tasks"]),
    "checks-no-replays": forbids(replay_token="x"),  # noqa: S106 - no password
    "tires-of-refusing": forbids(11),
    "trusts-replay-tokens": takes_no_token_for_a_credential,
    "replays-forbidden": takes_no_token_for_a_credential,
    "broadcasts-forbidden": broadcasts_only_what_may_be_seen(NOTE),
    "broadcasts-forbidden-tasks": broadcasts_only_what_may_be_seen(TASK),
    "checks-only-who-said-hello": forbids_core_clients,
    "subscribes-what-it-refuses": forbids_core_clients,
    "refuses-origins-as-bad-requests": refuses_origin("https://foreign.example"),
    "takes-null-origins": refuses_origin("null"),
    "takes-empty-origins": refuses_origin(""),
    "matches-beginnings-of-origins": refuses_origin("http://{host}0"),
    "matches-beginnings-of-hosts": refuses_origin("http://{name}.foreign.example:{port}"),
    "matches-ends-of-hosts": refuses_origin("http://foreign-{host}"),
    "finds-hosts-in-origins": refuses_origin("http://foreign.example?http://{host}"),
    "ignores-ports-of-origins": refuses_origin("http://{name}:9"),
    "ignores-schemes-of-origins": refuses_origin("ftp://{host}"),
    "ignores-case-of-origins": refuses_origin("HTTP://{host}"),
}

SCENES = NEGOTIATION | CONNECTION | REPLAY | SCOPES | SECURITY
DURABLE = {"forgets-key-over-restarts", "forgets-first-tokens-over-restarts"}


def test_every_fault_of_part_2_has_a_scene() -> None:
    assert set(SCENES) == {name for name, fault in FAULTS.items() if issubclass(fault.server, CapableServer)}


def _correct(name: str) -> str:
    """The server that does right what the fault does wrong."""
    if FAULTS[name].guarded:
        return "asks-for-tokens"
    return "keeps-history-over-restarts" if name in DURABLE else "capable"


@pytest.fixture(scope="module")
def plays() -> Plays:
    return Plays(SCENES, _correct, beside=4)


@pytest.mark.parametrize("name", SCENES)
def test_the_fault_breaks_a_promise_that_the_correct_server_keeps(name: str, plays: Plays) -> None:
    right, wrong = plays.outcome(name)
    assert right
    assert not wrong
