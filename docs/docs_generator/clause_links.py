"""A Markdown extension: the id of a clause, wherever it is mentioned, leads to the clause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor


class ClauseLinks(Extension):
    """Makes links of clause ids, but in code, headings and other links.

    Args:
        targets: for each id the page and anchor, relative to the site's top.

    """

    def __init__(self, targets: Mapping[str, str]) -> None:
        super().__init__()
        self._targets = targets

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the library's name
        """Join the inline patterns, after those of code and links."""
        ids = "|".join(sorted(map(re.escape, self._targets), key=len, reverse=True))
        md.inlinePatterns.register(
            _Mention(rf"(?<![\w/#-])({ids})(?![\w-])", md, self._targets), "clause", 70
        )


class _Mention(InlineProcessor):
    ANCESTOR_EXCLUDES = ("a", "h1", "h2", "h3", "h4")

    def __init__(self, pattern: str, md: Markdown, targets: Mapping[str, str]) -> None:
        super().__init__(pattern, md)
        self._targets = targets

    def handleMatch(  # type: ignore[override]  # noqa: N802 - the library's name; its stubs know an older one
        self,
        m: re.Match[str],
        data: str,  # noqa: ARG002 - the library's signature
    ) -> tuple[ET.Element, int, int]:
        link = ET.Element("a", {"href": f"/{self._targets[m[1]]}", "class": "clause"})
        link.text = m[1]
        return link, m.start(0), m.end(0)
