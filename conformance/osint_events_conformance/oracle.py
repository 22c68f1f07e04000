"""The independent oracle of MSG-2: `jsonschema` over the contract's own schemas."""

from __future__ import annotations

from typing import Any

import jsonschema
from osint_events import contract

from osint_events_conformance.model import Problem


def schema_problem() -> Problem:
    """What says why a server message of Part 1 breaks its schema."""
    validators = {
        name: jsonschema.Draft202012Validator(contract.bundled(name))
        for name in ("subscription_confirmed", "investigation_update")
    }

    def problem(message: dict[str, Any]) -> str | None:
        error = next(validators[message["type"]].iter_errors(message), None)
        return None if error is None else f"{error.json_path}: {error.message[:200]}"

    return problem
