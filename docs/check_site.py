"""Check a built site: each link and anchor leads somewhere, and nothing is loaded from elsewhere.

    python docs/check_site.py site

MkDocs checks what is Markdown; this checks what readers get, templates and raw HTML included. Prints a line
for each problem and exits with 1, or with 0 where there is none.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself, by tag and attribute. A link (<a>) is followed by people only.
_LOADS = {
    ("audio", "src"), ("embed", "src"), ("iframe", "src"), ("image", "href"), ("img", "src"),
    ("img", "srcset"), ("link", "href"), ("object", "data"), ("script", "src"), ("source", "src"),
    ("source", "srcset"), ("use", "href"), ("video", "poster"), ("video", "src"),
}  # fmt: skip
_NOT_FETCHED = frozenset({"canonical", "next", "prev", "alternate"})
"""Relations of <link> that only name an address."""

_CSS_REMOTE = re.compile(r"""(?:@import\s*|url\(\s*)["']?((?:https?:)?//[^"')\s]+)""")


@dataclass
class Page:
    """What a page has and wants."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    doubled: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._style = tag == "style"
        for name in {given.get("id"), given.get("name") if tag == "a" else None} - {None, ""}:
            assert name is not None
            (self.page.doubled if name in self.page.anchors else self.page.anchors).add(name)
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        if tag == "link" and given.get("rel") in _NOT_FETCHED:
            return
        self.page.loads += [given[name] for name in given if (tag, name) in _LOADS]
        self.page.loads += _CSS_REMOTE.findall(given.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self._style = self._style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._style:
            self.page.loads += _CSS_REMOTE.findall(data)


def problems(site: Path) -> list[str]:
    """Give a line for each problem of the site, sorted."""
    site = site.resolve()
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        found += [f"{where}: loads {one} from elsewhere" for one in page.loads if _is_remote(one)]
        found += [f"{where}: two elements have the id {one}" for one in page.doubled]
        wanted = [*page.links, *(one for one in page.loads if not _is_remote(one))]
        found += [f"{where}: {problem}" for one in wanted if (problem := _problem(site, path, one, pages))]
    for path in site.rglob("*.css"):
        remote = _CSS_REMOTE.findall(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)}: loads {one} from elsewhere" for one in remote]
    return sorted(set(found))


def _read(path: Path) -> Page:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def _is_remote(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def _problem(site: Path, path: Path, address: str, pages: dict[Path, Page]) -> str | None:
    """Say what is wrong with a link within the site."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    base = site if parts.path.startswith("/") else path.parent
    target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return f"{address} leads nowhere"
    if not target.is_relative_to(site):
        return f"{address} leads out of the site"
    page = pages.get(target)
    anchor = unquote(parts.fragment)
    # The theme's scripts answer to names that begin with two underscores.
    if page is None or not anchor or anchor.startswith("__"):
        return None
    return None if anchor in page.anchors else f"{address}: there is no such anchor"


def main() -> int:
    """Check the site that the command line names."""
    if len(sys.argv) != 2 or not (site := Path(sys.argv[1])).is_dir():  # noqa: PLR2004 - itself and the folder
        print("usage: check_site.py FOLDER, where `mkdocs build` left the site", file=sys.stderr)  # noqa: T201 - a command
        return 2
    found = problems(site)
    for problem in found:
        print(problem)  # noqa: T201 - a command
    print(f"{len(list(site.rglob('*.html')))} pages, {len(found)} problems")  # noqa: T201 - a command
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
