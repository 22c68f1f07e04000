from __future__ import annotations

import json
import re

import pytest
from docs_generator.pages import Pages
from docs_generator.sources import Contract
from osint_events import contract
from osint_events_conformance.faulty import FAULTS
from osint_events_conformance.suite import checks
from osint_events_server.settings import Settings

CLAUSE_PAGES = ("protocol/part-1.md", "protocol/part-2.md", "protocol/legacy.md")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {uri: text for uri, text in Pages(Contract()).all().items() if isinstance(text, str)}


def part(pages: dict[str, str], clause: str) -> str:
    """What the pages say of one clause, up to the next heading."""
    texts = [pages[page] for page in CLAUSE_PAGES]
    (found,) = [
        one
        for text in texts
        for one in re.split(r"^(?=##)", text, flags=re.MULTILINE)
        if f"# {clause} {{" in one
    ]
    return found


@pytest.mark.parametrize("clause", contract.clauses(), ids=lambda clause: clause.id)
def test_a_clause_stands_in_one_place_with_its_text_level_and_anchor(
    pages: dict[str, str], clause: contract.Clause
) -> None:
    text = part(pages, clause.id)
    assert f"### {clause.id} {{ #{clause.id.lower()} }}" in text
    assert clause.text in text
    assert f">{clause.level}</span> binds the {clause.subject}" in text
    if clause.untested:
        assert clause.untested in text


def test_each_check_is_named_at_its_clause(pages: dict[str, str]) -> None:
    for check in checks():
        assert f"`{check.name}`" in part(pages, check.clause)


def test_each_faulty_server_is_described_at_every_clause_that_it_breaks(pages: dict[str, str]) -> None:
    for fault in FAULTS.values():
        for clause in fault.clauses:
            assert f"    - `{fault.name}`" in part(pages, clause)
            assert fault.summary in part(pages, clause)


@pytest.mark.parametrize("name", contract.schema_names())
def test_each_schema_has_a_page_with_its_fields_examples_and_types(pages: dict[str, str], name: str) -> None:
    page = pages[f"reference/messages/{name}.md"]
    schema = contract.schema(name)
    assert schema["description"] in page
    for field, described in schema["properties"].items():
        assert f'id="f-{field}"' in page
        assert described.get("description", "") in page
    assert page.count("```json") == len(Contract().valid(name)) + len(Contract().invalid(name)) > 0
    assert "class " in page
    assert "interface " in page
    assert f"(/v1/{name}.schema.json)" in page


def test_a_required_field_says_so_and_a_field_of_a_capability_names_it(pages: dict[str, str]) -> None:
    rows = pages["reference/messages/negotiated_subscription_confirmed.md"].splitlines()
    (required,) = [row for row in rows if 'id="f-investigation_id"' in row]
    (token,) = [row for row in rows if 'id="f-token"' in row]
    assert "required" in required
    assert "| text of 1 to 255 characters |" in required
    assert "required" not in token
    assert '"feature">replay<' in token


def test_the_known_error_codes_say_whether_they_pass(pages: dict[str, str]) -> None:
    page = pages["reference/messages/error.md"]
    assert re.search(r"\| `rate_limited` \| .* \| yes \|", page)
    assert re.search(r"\| `forbidden` \| .* \| no \|", page)


def test_each_setting_stands_with_its_flag_variable_and_default(pages: dict[str, str]) -> None:
    page = pages["operators/settings.md"]
    for name, field in Settings.model_fields.items():
        assert f'id="{name}"' in page
        assert f"`OSINT_EVENTS_{name.upper()}`" in page
        assert " ".join((field.description or "?").split()).replace("|", "\\|") in page


def test_each_limit_of_a_welcome_stands_with_its_default(pages: dict[str, str]) -> None:
    page = pages["protocol/limits.md"]
    for name in contract.schema("welcome")["$defs"]["limits"]["properties"]:
        assert f"`limits.{name}`" in page
    assert "| `limits.max_subscriptions` | 128 |" in page


def test_each_http_operation_stands_with_its_answers(pages: dict[str, str]) -> None:
    page = pages["reference/http.md"]
    for path, item in Contract().openapi["paths"].items():
        assert f" {path}`" in page
        for operation in item.values():
            for status in operation["responses"]:
                assert f"| {status} |" in page
    assert '{"code": "unavailable"' in page, "a referenced response is shown in full"


def test_a_client_comes_back_after_the_same_codes_as_the_page_says(pages: dict[str, str]) -> None:
    page = pages["protocol/close-codes.md"]
    for code, comes_back in ((1000, "stops"), (1006, "comes back"), (4002, "comes back"), (4501, "stops")):
        (row,) = [row for row in page.splitlines() if f'id="c{code}"' in row]
        assert f"| the client {comes_back} |" in row


def test_downloads_are_the_files_of_the_contract() -> None:
    files = Pages(Contract()).all()
    event = contract.schema("event")
    del event["$comment"]  # which says what the package's copy was made from
    assert json.loads(files["v1/event.schema.json"]) == event
    assert {"v1/asyncapi.yaml", "v1/openapi.yaml", "v1/clauses.yaml", "v1/classify.json"} <= files.keys()
