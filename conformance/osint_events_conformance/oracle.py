"""The independent oracle of MSG-2: `jsonschema` over the contract's own schemas."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
from osint_events import contract

from osint_events_conformance.model import Problem

_OF_PART_2 = (
    "welcome", "ping", "pong", "error", "unsubscribed", "replay_complete", "position", "gap", "backpressure",
)  # fmt: skip


def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(contract.bundled(name))


def schema_problem() -> Problem:
    """What says why a server message breaks its schema; Part 2's count on negotiated connections only."""
    core = {name: _validator(name) for name in ("subscription_confirmed", "investigation_update")}
    negotiated = {name: _validator(f"negotiated_{name}") for name in core} | {
        name: _validator(name) for name in _OF_PART_2
    }

    def problem(message: dict[str, Any], is_negotiated: bool) -> str | None:
        validator = (negotiated if is_negotiated else core).get(message["type"])
        error = None if validator is None else next(validator.iter_errors(message), None)
        return None if error is None else f"{error.json_path}: {error.message[:200]}"

    return problem


_LARGE = 60_000


@cache
def _event_validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(contract.bundled("event"))


def publishable(data: str, investigation_id: str) -> bool:
    """Whether nobody has a reason to refuse a payload: it keeps EVT-2 to EVT-5, and is not large."""
    if len(data) >= _LARGE:
        return False
    payload = json.loads(data)
    is_kind = isinstance(payload.get("type"), str) and payload["type"] != ""
    is_mirror = payload.get("investigation_id", investigation_id) == investigation_id
    return is_kind and is_mirror and _event_validator().is_valid(payload)
