"""Asks a server what it offers, before anything of Part 2 is judged, and says what it does not."""

from __future__ import annotations

import random
from http import HTTPStatus
from typing import Literal

from osint_events import contract
from osint_events.features import FEATURES

from osint_events_conformance.capabilities import Capabilities
from osint_events_conformance.execute import Executor
from osint_events_conformance.names import Names
from osint_events_conformance.script import Connect, Hello, Knock, Pause, Script, Step, Subscribe, Together

TAKES_ANY_ORIGIN = "the server takes any origin: if only some are meant to, --origin names one of them"


_LATE = 0.5
"""Seconds within which who is asked for his features says something."""


async def probe(executor: Executor, rng: random.Random) -> None:
    """Ask for every feature, and keep what is granted; a confirmation without a welcome says Part 1.

    Whether the server compresses is said in the handshake alone (RFC 7692).
    """
    if not await _asks(executor, rng, waits=False):
        await _asks(executor, rng, waits=True)  # a welcome that comes late breaks NEG-2, but is one
    n = Names(rng)
    offering = (Connect("z", n.client(), compress=True),)
    case = await executor.run(Script("probe", offering, "CMP-1", "probe", salts=(n.word, n.digits)))
    executor.model.capabilities.compresses = any(peer.link.compresses for peer in case.peers)
    await _probe_security(executor, rng)


async def _asks(executor: Executor, rng: random.Random, *, waits: bool) -> bool:
    """Say hello and subscribe, at once or with a pause between; keep what is granted, if anything is."""
    n = Names(rng)
    hello, subscribe = Hello("a", FEATURES, wait=False), Subscribe("a", n.id())
    steps: tuple[Step, ...] = (hello, Pause(_LATE), subscribe) if waits else (Together((hello, subscribe)),)
    steps = (Connect("a", n.client()), *steps)
    case = await executor.run(Script("probe", steps, "NEG-2", "probe", salts=(n.word, n.digits)))
    talk = case.peers[0].talk if case.peers else None
    if talk is None or talk.features is None:
        return False
    capabilities = executor.model.capabilities
    capabilities.offered, capabilities.protocol = talk.features, talk.welcome["protocol"]
    capabilities.welcome = talk.welcome
    return True


async def _probe_security(executor: Executor, rng: random.Random) -> None:
    """See whether any origin is refused (SEC-3), and whether anybody may see the forbidden (SEC-2)."""
    model = executor.model
    n = Names(rng)
    steps = (Knock("a", n.client(), HTTPStatus.FORBIDDEN, origin="https://foreign.example"),)
    case = await executor.run(Script("probe", steps, "SEC-3", "probe", salts=(n.word, n.digits)))
    model.capabilities.checks_origins = not any(one.kind == "origin_taken" for one in case.findings)
    if model.forbidden is not None and executor.endpoint.credentials.trigger is not None:
        n = Names(rng)
        asking = (Connect("a", n.client(), auth="trigger"), Subscribe("a", model.forbidden))
        case = await executor.run(Script("probe", asking, "SEC-2", "probe", salts=(n.word, n.digits)))
        model.capabilities.trigger_may_see = not case.findings


def not_offered(
    clause: contract.Clause,
    capabilities: Capabilities,
    profile: Literal["core", "full"],
    origin: str | None = None,
) -> str | None:
    """Why a clause does not bind the server that was probed; None if it does.

    Who takes any origin may have been told to, unless an `origin` is given that it must take.
    """
    offered, feature = capabilities.offered, clause.feature
    left_out = "the capabilities are left out: --profile core"
    if feature == "hello" and offered is None:
        return left_out if profile == "core" else "the server does not answer hello: it knows only Part 1"
    if feature == "compression" and not capabilities.compresses:
        return left_out if profile == "core" else "the server does not agree on permessage-deflate"
    if feature in FEATURES and feature not in (offered or ()):
        return f"the server does not offer {feature}"
    if feature in {"auth", "origin"} and profile == "core":
        return left_out
    if feature == "origin" and not capabilities.checks_origins:
        if offered is None:
            return "the server takes any origin, and knows only Part 1"
        if origin is None:
            return TAKES_ANY_ORIGIN
    return None
