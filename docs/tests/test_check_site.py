from __future__ import annotations

from pathlib import Path

import pytest
from check_site import problems


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text('<h1 id="top">T</h1><a href="https://example.com">elsewhere</a>')
    return tmp_path


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="gone.html">', "gone.html leads nowhere"),
        ('<a href="index.html#gone">', "index.html#gone: there is no such anchor"),
        ('<a href="#gone">', "#gone: there is no such anchor"),
        ('<a href="../../etc">', "../../etc leads nowhere"),
        ('<img src="gone.png">', "gone.png leads nowhere"),
        ('<script src="https://cdn.example/x.js">', "loads https://cdn.example/x.js from elsewhere"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "loads //cdn.example/x.css from elsewhere"),
        (
            "<style>@import 'https://cdn.example/x.css'</style>",
            "loads https://cdn.example/x.css from elsewhere",
        ),
        ('<p style="background:url(https://cdn.example/x)">', "loads https://cdn.example/x from elsewhere"),
        ('<p id="a"><p id="a">', "two elements have the id a"),
    ],
)
def test_what_is_wrong_is_named_with_its_page(site: Path, html: str, problem: str) -> None:
    (site / "page.html").write_text(html)
    assert problems(site) == [f"page.html: {problem}"]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="index.html#top">',
        '<p id="a"><a href="#a">',
        '<a href=".">',
        '<link rel="canonical" href="https://x.y/">',
    ],
)
def test_what_is_right_is_passed_over(site: Path, html: str) -> None:
    (site / "page.html").write_text(html)
    assert problems(site) == []


def test_a_style_sheet_may_not_load_from_elsewhere(site: Path) -> None:
    (site / "x.css").write_text("a { background: url('https://cdn.example/x.png') }")
    assert problems(site) == ["x.css: loads https://cdn.example/x.png from elsewhere"]
