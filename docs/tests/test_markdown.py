from __future__ import annotations

import markdown
import pytest
from docs_generator.clause_links import ClauseLinks
from docs_generator.fields import type_words
from docs_generator.navigation import expand

TARGETS = {"SUB-1": "protocol/part-1.md#sub-1", "SUB-10": "protocol/part-1.md#sub-10"}


def rendered(text: str) -> str:
    return markdown.markdown(text, extensions=[ClauseLinks(TARGETS)])


def test_the_id_of_a_clause_leads_to_it() -> None:
    link = '<a class="clause" href="/protocol/part-1.md#sub-1">SUB-1</a>'
    assert rendered("as (SUB-1) says.") == f"<p>as ({link}) says.</p>"


def test_a_longer_id_is_not_taken_for_a_shorter_one() -> None:
    assert 'href="/protocol/part-1.md#sub-10"' in rendered("SUB-10")


@pytest.mark.parametrize(
    "text", ["`SUB-1`", "# SUB-1", "[SUB-1](there.md)", "XSUB-1", "SUB-12", "SUB-1-2", "SUB-2", "a/SUB-1"]
)
def test_code_headings_links_and_other_words_stay_as_they_are(text: str) -> None:
    assert 'class="clause"' not in rendered(text)


def test_a_pattern_gives_the_pages_of_its_folder_that_stand_nowhere_else() -> None:
    pages = ["index.md", "a/index.md", "a/b.md", "a/c/d.md", "performance.md"]
    listed = [{"Home": ["index.md", "*.md"]}, {"A": ["a/index.md", "a/*", {"C": ["a/c/*"]}]}]
    assert expand(listed, pages) == [
        {"Home": ["index.md", "performance.md"]},
        {"A": ["a/index.md", "a/b.md", {"C": ["a/c/d.md"]}]},
    ]


def test_a_pattern_without_a_page_gives_nothing() -> None:
    assert expand([{"A": ["a/*"]}, "index.md"], ["index.md"]) == [{"A": []}, "index.md"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"const": "ping"}, 'always `"ping"`'),
        ({"enum": ["all", "tasks"]}, '`"all"` or `"tasks"`'),
        ({"type": "string", "minLength": 1}, "text of at least 1 character"),
        ({"type": "string", "maxLength": 64}, "text of up to 64 characters"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "number from 0 to 1"),
        ({"type": "number", "exclusiveMinimum": 0}, "number above 0"),
        ({"type": "integer", "minimum": 0}, "integer of at least 0"),
        ({"type": "array", "minItems": 1}, "list of at least 1 value"),
        ({"maxLength": 0}, "any value"),
    ],
)
def test_types_and_ranges_are_said_in_words(schema: dict[str, object], words: str) -> None:
    assert type_words(schema) == words
