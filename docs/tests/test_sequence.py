from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from docs_generator.sequence import WIDTH, Message, draw, gist, parse
from osint_events import contract

DOCS = Path(__file__).parents[1]
DRAWN = [
    pytest.param(block, id=f"{path.relative_to(DOCS)}-{number}")
    for path in sorted(DOCS.rglob("*.md"))
    if "node_modules" not in path.parts
    for number, block in enumerate(
        re.findall(
            r"^```sequence[^\n]*\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
    )
]


@pytest.mark.parametrize("block", DRAWN)
def test_each_message_that_a_page_draws_is_valid(block: str) -> None:
    for step in parse(block):
        if isinstance(step, Message):
            name = step.content["type"]
            negotiated = f"negotiated_{name}"
            # The schemas of both states accept what a core connection says; the negotiated ones look closer.
            schema = negotiated if negotiated in contract.schema_names() else name
            jsonschema.validate(step.content, contract.bundled(schema))


@pytest.mark.parametrize("block", DRAWN)
def test_a_drawing_fits_a_narrow_page(block: str) -> None:
    svg = ET.fromstring(draw(parse(block), "a < b"))  # noqa: S314 - our own text
    assert svg.get("width") == str(WIDTH)
    for text in svg.iter("{*}text"):
        content = "".join(text.itertext())
        assert len(content) * 7.3 <= WIDTH, content


def test_a_drawing_says_what_it_is_to_who_does_not_see_it() -> None:
    svg = ET.fromstring(draw(parse("x the network breaks"), "a < b"))  # noqa: S314 - our own text
    assert svg.get("role") == "img"
    assert svg.findtext("title") == "a < b"


def test_the_gist_of_a_message_is_its_type_and_what_matters_of_it() -> None:
    update = {
        "type": "investigation_update",
        "investigation_id": "1234",
        "seq": 44,
        "replayed": True,
        "data": {"type": "task_failed", "task_id": "t-1", "message": "no answer"},
    }
    assert gist(update) == ["investigation_update", "seq 44, replayed, task_failed t-1"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("> {", "no JSON"),
        ("> []", "an object with a type"),
        ("? what", "begins with"),
    ],
)
def test_what_is_no_step_is_named(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(repr(line))}.*{problem}"):
        parse(line)
