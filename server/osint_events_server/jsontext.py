"""JSON as RFC 8259 has it, and stricter than `json`: names are unique, NaN and Infinity are refused.

Where text is passed on, it is passed on as it was written; the values here serve to look at only.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

_SPACE = re.compile(r"[ \t\n\r]*")
_MAX_INT_DIGITS = 18  # what fits into 64 bits, for whoever looks at the value next


class InvalidJSON(ValueError):
    """The text is no JSON that this server takes; the message says what is wrong and where."""


def parse(text: str, *, max_nesting: int) -> Any:
    """Return the value of a JSON text.

    Integers beyond 64 bits become doubles, and numbers beyond a double the largest one of their sign.

    Args:
        text: the whole text.
        max_nesting: levels of arrays and objects, inclusive; `[]` has one level.

    Raises:
        InvalidJSON: no JSON, a name twice in an object, NaN or Infinity, or nested too deeply.

    """
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidJSON(f"{error.msg.removesuffix(' at')} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise InvalidJSON(f"nested more than {max_nesting} levels deep") from error
    # Text that opens no more brackets than levels are allowed cannot nest deeper: most need no walk.
    if text.count("{") + text.count("[") > max_nesting and _nests_deeper(value, max_nesting):
        raise InvalidJSON(f"nested more than {max_nesting} levels deep")
    return value


def members(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each member of the object at the top.

    Args:
        text: a text that `parse` took and whose value is an object.

    """
    position = _skip_space(text, text.index("{") + 1)
    while text[position] != "}":
        name, position = _decoder.raw_decode(text, position)
        start = _skip_space(text, text.index(":", position) + 1)
        _, position = _decoder.raw_decode(text, start)
        yield name, text[start:position]
        position = _skip_space(text, position)
        if text[position] == ",":
            position = _skip_space(text, position + 1)


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _nests_deeper(value: Any, limit: int) -> bool:
    """Say whether arrays and objects nest more than `limit` levels, without recursion."""
    level = [value]
    for _ in range(limit + 1):
        containers = [item for item in level if isinstance(item, (dict, list))]
        if not containers:
            return False
        level = [
            child for item in containers for child in (item.values() if isinstance(item, dict) else item)
        ]
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise InvalidJSON(f"the name {json.dumps(twice)} occurs twice in an object")
    return unique


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidJSON(f"{name} is no JSON number")


def _float(text: str) -> float:
    return max(-sys.float_info.max, min(sys.float_info.max, float(text)))


def _int(text: str) -> float:
    return int(text) if len(text) <= _MAX_INT_DIGITS else _float(text)


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_float, parse_int=_int
)
