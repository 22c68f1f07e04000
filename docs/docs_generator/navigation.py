"""The site's navigation: what mkdocs.yml lists, with its patterns replaced by the pages that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any


def expand(listed: Sequence[Any], pages: Sequence[str]) -> list[Any]:
    """Replace each entry with a `*` by the pages that it matches and that stand nowhere else.

    So a page that somebody adds is found, and one that is not there yet breaks nothing.

    Args:
        listed: the navigation as mkdocs.yml has it: paths, or objects with one title and a path or list each.
        pages: the paths of all pages, in the order in which a pattern gives them.

    """
    taken = set(_paths(listed))

    def of(entry: Any) -> Iterator[Any]:
        match entry:
            case str() if "*" in entry:
                found = [page for page in pages if _matches(page, entry) and page not in taken]
                taken.update(found)
                yield from found
            case dict():
                yield {title: _one(value) for title, value in entry.items()}
            case _:
                yield entry

    def _one(value: Any) -> Any:
        return [one for entry in value for one in of(entry)] if isinstance(value, list) else value

    return [one for entry in listed for one in of(entry)]


def _matches(page: str, pattern: str) -> bool:
    """Tell whether a path matches; a star stays within one folder."""
    return page.count("/") == pattern.count("/") and PurePosixPath(page).match(pattern)


def _paths(listed: Sequence[Any]) -> Iterator[str]:
    for entry in listed:
        match entry:
            case str():
                if "*" not in entry:
                    yield entry
            case dict():
                for value in entry.values():
                    yield from _paths(value if isinstance(value, list) else [value])
