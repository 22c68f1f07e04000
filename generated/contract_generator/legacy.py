"""The legacy rules of legacy.yaml, made ready for the templates."""

import re
from collections.abc import Sequence
from typing import Any

from contract_generator.sources import SourceError

# A word is a longest run of these characters: legacy.yaml says so.
_WORD = "0-9A-Za-z_"
_FIELDS = {"id", "kind_of", "equals", "absent", "has_word", "kind"}


def rules(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the rules in their order, each with every field present and its words as regular expressions.

    The last one must apply to everything.
    """
    prepared = [_rule(rule) for rule in document.get("rules", [])]
    if not prepared or prepared[-1]["kind_of"] or prepared[-1]["conditional"]:
        raise SourceError("legacy.yaml: the last rule must have no condition")
    return prepared


def word_pattern(words: Sequence[str]) -> str:
    """Give the regular expression that finds one of the words.

    It means the same in Python, in ECMAScript and in JSON Schema, and needs no flag: flags that ignore case
    disagree about letters that fold to ASCII ones (U+017F, U+212A), and so do word boundaries about letters.
    """
    for word in words:
        if not re.fullmatch("[A-Za-z]+", word):
            raise SourceError(f"legacy.yaml: {word!r} is no word of ASCII letters")
    spelled = ("".join(f"[{letter.upper()}{letter.lower()}]" for letter in word) for word in words)
    return f"(^|[^{_WORD}])({'|'.join(spelled)})($|[^{_WORD}])"


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    if unknown := rule.keys() - _FIELDS:
        raise SourceError(f"legacy.yaml: {rule.get('id')}: unknown {', '.join(sorted(unknown))}")
    equals, absent, has_word = rule.get("equals", {}), rule.get("absent", []), rule.get("has_word", {})
    return {
        "id": rule["id"],
        "constant": rule["id"].replace("-", "_"),
        "kind_of": rule.get("kind_of"),
        "kind": rule.get("kind"),
        "equals": equals,
        "absent": absent,
        "patterns": {field: word_pattern(words) for field, words in has_word.items()},
        "conditional": bool(equals or absent or has_word),
    }
