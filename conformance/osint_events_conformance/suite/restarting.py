"""RPL-8 and RPL-9: what is left after a restart. Needs the command that restarts the server."""

from __future__ import annotations

from collections.abc import Iterator

from osint_events_conformance.names import Names
from osint_events_conformance.script import Follow, Publish, Restart, Settle, Step
from osint_events_conformance.suite import Kit, Scenario, check, event, greeted


def _no_command(kit: Kit) -> str | None:
    return None if kit.can_restart else "nothing restarts the server; --restart-command does"


def _before(n: Names) -> list[Step]:
    """An investigation with events and one without, known to a connection, and a restart."""
    return [
        *greeted("a", n.client("a"), "replay"),
        Follow("a", n.id()),
        Follow("a", n.id("quiet")),
        *(Publish(n.id(), event(message=f"before {number}")) for number in range(5)),
        Settle(),
        Restart(),
    ]


@check("RPL-8", needs_payload=True, mode="last", unless=_no_command)
def a_sequence_that_starts_anew_has_a_new_epoch(kit: Kit) -> Iterator[Scenario]:
    """The head after a restart is not below the one before, unless the epoch is another."""
    n = kit.names()
    yield n, "the head after a restart", [
        *_before(n), *greeted("b", n.client("b"), "replay"), Follow("b", n.id()), *(Publish(n.id(), event(message=f"after {number}")) for number in range(3)),
    ]  # fmt: skip


@check("RPL-9", needs_payload=True, mode="last", unless=_no_command)
def a_durable_store_knows_its_tokens_after_a_restart(kit: Kit) -> Iterator[Scenario]:
    """Tokens of the head, of the beginning, and of an investigation without events."""
    n = kit.names()
    yield n, "tokens after a restart", [
        *_before(n), *greeted("witness", n.client("w"), "replay"), Follow("witness", n.id()), Follow("witness", n.id("quiet")),
        *greeted("b", n.client("b"), "replay"), Follow("b", n.id(), token="last:a"), Follow("b", n.id("quiet"), token="confirmed:a"),
        *greeted("c", n.client("c"), "replay"), Follow("c", n.id(), token="confirmed:a"), Settle(),
        Publish(n.id(), event(message="after")), Publish(n.id("quiet"), event(message="after")),
    ]  # fmt: skip
