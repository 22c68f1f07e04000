"""MkDocs' side of the generator: hands it the generated pages, and draws what pages only describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docs_generator.clause_links import ClauseLinks
from docs_generator.navigation import expand
from docs_generator.pages import Pages
from docs_generator.sequence import draw, parse
from docs_generator.sources import Contract
from mkdocs.structure.files import File
from pymdownx.superfences import SuperFencesException  # type: ignore[import-untyped]  # it has none

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

_ROOT_PAGES = {
    "maintainers/contributing.md": "CONTRIBUTING.md",
    "maintainers/architecture.md": "ARCHITECTURE.md",
}
"""Texts of the repository's root directory that are pages of the site too."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let clause ids in every page lead to their clauses, and blocks of ```sequence become drawings."""
    config.markdown_extensions.append(ClauseLinks(Pages(Contract()).clause_links()))  # type: ignore[arg-type]  # Markdown takes extensions as well as their names
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "sequence", "class": "", "format": _sequence, "validator": _titled})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated, and build the navigation over everything that is there."""
    root = Path(config.config_file_path).parent
    made: dict[str, str | bytes] = Pages(Contract()).all()
    made |= {page: (root / name).read_text(encoding="utf-8") for page, name in _ROOT_PAGES.items()}
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=content))
    config.nav = expand(config.nav or [], [file.src_uri for file in files.documentation_pages()])
    return files


def _titled(
    language: str,  # noqa: ARG001 - the library's signature
    inputs: dict[str, str],
    options: dict[str, str],
    attrs: dict[str, str],  # noqa: ARG001
    md: object,  # noqa: ARG001
) -> bool:
    """Take a block that has a title, and nothing else beside its language."""
    options |= inputs
    return inputs.keys() == {"title"}


def _sequence(
    source: str,
    language: str,  # noqa: ARG001 - the library's signature
    class_name: str,  # noqa: ARG001
    options: dict[str, str],
    md: object,  # noqa: ARG001
    **more: object,  # noqa: ARG001
) -> str:
    """Draw a block of a page; its title is what it is called for who does not see it."""
    try:
        return draw(parse(source), options["title"])
    except ValueError as error:
        # The one exception that the library does not turn into a block of plain code.
        raise SuperFencesException(str(error)) from error
