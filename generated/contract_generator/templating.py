"""The templates' environment and the filters that they use."""

import json
import textwrap
from pathlib import Path
from typing import Any

import jinja2

GENERATOR = "generated/generate.py"
_WIDTH = 110


def environment() -> jinja2.Environment:
    """Give the environment of generated/contract_generator/templates."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # it writes source code, no HTML
    )
    made.filters.update(docstring=docstring, jsdoc=jsdoc, pieces=pieces, python=repr, json=compact)
    return made


def docstring(text: str, indent: int) -> str:
    """Lay text out as a docstring that stands indent columns from the left."""
    space = " " * indent
    safe = text.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    lines = textwrap.wrap(safe, _WIDTH - indent - 6) or [""]
    if len(lines) == 1:
        return f'{space}"""{lines[0]}"""'
    # The summary ends with the first sentence, so that it stands alone as docstrings want it.
    summary, _, rest = safe.partition(". ")
    head = textwrap.wrap(summary + ("." if rest else ""), _WIDTH - indent - 6)
    body = textwrap.wrap(rest, _WIDTH - indent)
    paragraphs = [*head, "", *body] if body else head
    return "\n".join([f'{space}"""{paragraphs[0]}', *(f"{space}{line}".rstrip() for line in paragraphs[1:]), f'{space}"""'])


def jsdoc(text: str, indent: int = 0) -> str:
    """Lay text out as a JSDoc comment that stands indent columns from the left."""
    space = " " * indent
    lines = textwrap.wrap(text.replace("*/", "*\u200b/"), _WIDTH - indent - 7)
    if len(lines) == 1:
        return f"{space}/** {lines[0]} */"
    return "\n".join([f"{space}/**", *(f"{space} * {line}".rstrip() for line in lines), f"{space} */"])


def pieces(text: str, width: int) -> list[str]:
    """Cut text into pieces of at most width characters."""
    return [text[start : start + width] for start in range(0, len(text), width)]


def compact(value: Any) -> str:  # noqa: ANN401  # any JSON value
    """Write a JSON value on one line, which is an ECMAScript expression as well."""
    return json.dumps(value, ensure_ascii=True)
