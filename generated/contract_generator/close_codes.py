"""The close codes of close_codes.yaml, made ready for the templates."""

import re
from typing import Any

from contract_generator.sources import SourceError


def close_codes(document: dict[str, Any]) -> dict[str, Any]:
    """Give the codes in their order, each with the name of its constant, and the ranges of `reconnects`."""
    try:
        return {
            "codes": [_code(entry) for entry in document["codes"]],
            "reconnects": [(int(least), int(most)) for least, most in document["reconnects"]],
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"close_codes.yaml: a code or a range is not as described there: {error!r}"
        ) from error


def _code(entry: dict[str, Any]) -> dict[str, Any]:
    if not re.fullmatch("[a-z]+( [a-z]+)*", entry["name"]):
        raise SourceError(f"close_codes.yaml: {entry['name']!r} is no name of small letters")
    clauses = f" ({', '.join(entry['clauses'])})" if entry["clauses"] else ""
    return {
        "constant": entry["name"].replace(" ", "_").upper(),
        "code": int(entry["code"]),
        "meaning": f"{entry['meaning'].strip().removesuffix('.')}{clauses}.",
    }
