"""The legacy rules of legacy.yaml, made ready for the templates."""

from collections.abc import Iterable
from typing import Any

from contract_generator.sources import SourceError

# A word is a longest run of these characters: legacy.yaml says so.
_WORD = "0-9A-Za-z_"
_FIELDS = {"id", "kind_of", "equals", "absent", "has_word", "kind"}


def rules(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the rules in their order, each with every field present and its words as regular expressions."""
    prepared = []
    for rule in document["rules"]:
        if unknown := rule.keys() - _FIELDS:
            raise SourceError(f"legacy.yaml: {rule.get('id')}: unknown {', '.join(sorted(unknown))}")
        equals, absent, has_word = rule.get("equals", {}), rule.get("absent", []), rule.get("has_word", {})
        prepared.append(
            {
                "id": rule["id"],
                "constant": rule["id"].replace("-", "_"),
                "kind_of": rule.get("kind_of"),
                "kind": rule.get("kind"),
                "equals": equals,
                "absent": absent,
                "patterns": {field: word_pattern(words) for field, words in has_word.items()},
                "conditional": bool(equals or absent or has_word),
            }
        )
    return prepared


def word_pattern(words: Iterable[str]) -> str:
    """Give the regular expression that finds one of the words.

    It means the same in Python, in ECMAScript and in JSON Schema, and needs no flag: flags that ignore case
    disagree about letters that fold to ASCII ones (U+017F, U+212A), and so do word boundaries about letters.
    """
    alternatives = "|".join("".join(f"[{letter.upper()}{letter.lower()}]" for letter in word) for word in words)
    return f"(^|[^{_WORD}])({alternatives})($|[^{_WORD}])"
