"""The validators in ECMAScript refuse what jsonschema refuses: at the same places, by the same keywords."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_generator.javascript import bare
from contract_generator.sources import SourceError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from osint_events import contract

ROOT = Path(__file__).parents[2]
NODE = ROOT / "generated/tests/node"
EXAMPLES = ROOT / "schemas/v1/examples"

NAMES = contract.schema_names()
VALIDATORS = {name: Draft202012Validator(contract.bundled(name)) for name in NAMES}

Refusals = set[tuple[str, str]]
Validate = Callable[[str, Any], Refusals]

# Numbers that are the same in every language, which JSON's need not be beyond a double's.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2) | st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.integers(60, 260).map(lambda length: "\U0001f50d" * length),
    st.sampled_from(["task_started", "task_", "complete", "failed", "all", "high", "running", "started"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@pytest.fixture(scope="module")
def validate() -> Iterator[Validate]:
    """Validates in Node; gives the JSON Pointers and keywords of the failures."""
    node = shutil.which("node")
    assert node is not None
    with subprocess.Popen(  # noqa: S603 -- our own script
        [node, str(NODE / "validate.mjs")],
        env={**os.environ, "OSINT_EVENTS_PACKAGE": str(ROOT / "generated/typescript")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask(name: str, value: Any) -> Refusals:
            stdin.write(json.dumps([name, json.dumps(value)]) + "\n")
            stdin.flush()
            return {(failure["path"], failure["keyword"]) for failure in json.loads(stdout.readline())}

        yield ask
        stdin.close()


def refusals(name: str, value: Any) -> Refusals:
    """Give the JSON Pointers and keywords by which jsonschema refuses a value."""
    return {
        ("".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in error.absolute_path), word)
        for error in VALIDATORS[name].iter_errors(value)
        if isinstance(word := error.validator, str)
    }


def examples(kind: str) -> dict[str, Any]:
    found = {path.name: json.loads(path.read_text("utf-8")) for path in sorted((EXAMPLES / kind).iterdir())}
    # An invalid one says beside it which keyword it breaks.
    return {name: one["instance"] for name, one in found.items()} if kind == "invalid" else found


@pytest.mark.node
@pytest.mark.parametrize("kind", ["valid", "invalid"])
def test_each_example_gets_the_verdict_that_it_is_named_for(validate: Validate, kind: str) -> None:
    for file, value in examples(kind).items():
        name = file.split(".")[0]
        found = validate(name, value)
        assert bool(found) == (kind == "invalid"), file
        assert found == refusals(name, value), file


VALID = list(examples("valid").items())


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """Give a schema, and an example of it in which some places hold something else, or nothing."""
    file, value = draw(st.sampled_from(VALID))
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(0, 3))):
        node = value
        while isinstance(node, dict) and node:
            field = draw(st.sampled_from(sorted(node)))
            if isinstance(node[field], dict) and draw(st.booleans()):
                node = node[field]
                continue
            if draw(st.booleans()):
                node[field] = draw(VALUES)
            else:
                del node[field]
            break
    return file.split(".")[0], value


@pytest.mark.node
@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(case=spoiled() | st.tuples(st.sampled_from(NAMES), VALUES))
def test_drawn_values_get_the_verdicts_of_jsonschema(validate: Validate, case: tuple[str, Any]) -> None:
    name, value = case
    assert validate(name, value) == refusals(name, value)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"uniqueItems": True}, "the keyword uniqueItems"),
        ({"properties": {"a": {"oneOf": []}}}, "the keyword oneOf"),
        ({"const": [1]}, "const with arrays or objects"),
        ({"enum": ["a", {}]}, "enum with arrays or objects"),
        ({"$ref": "#/properties/a"}, "the $ref #/properties/a"),
    ],
)
def test_what_the_validators_cannot_judge_is_refused_by_its_name(schema: Any, words: str) -> None:
    with pytest.raises(SourceError) as refused:
        bare(schema, "x")
    said = "schemas/v1/x.schema.json: the validator in ECMAScript does not know"
    assert str(refused.value) == f"{said} {words}"


def test_nothing_but_words_for_people_is_left_out() -> None:
    schema = {"title": "T", "x-feature": "f", "properties": {"title": {"description": "D", "type": "null"}}}
    assert bare(schema, "x") == {"properties": {"title": {"type": "null"}}}
    assert bare(True, "x") is True
