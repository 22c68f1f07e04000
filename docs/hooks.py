"""MkDocs' side of the generator: hands it the generated pages, and draws what pages only describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docs_generator.clause_links import ClauseLinks
from docs_generator.navigation import expand
from docs_generator.pages import Pages
from docs_generator.sources import Contract
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

_ROOT_PAGES = {
    "maintainers/contributing.md": "CONTRIBUTING.md",
    "maintainers/architecture.md": "ARCHITECTURE.md",
}
"""Texts of the repository's root directory that are pages of the site too."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let clause ids in every page lead to their clauses."""
    config.markdown_extensions.append(ClauseLinks(Pages(Contract()).clause_links()))  # type: ignore[arg-type]  # Markdown takes extensions as well as their names
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
