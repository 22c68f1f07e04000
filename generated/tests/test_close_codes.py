"""The close codes in Python and in ECMAScript are those of the contract."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from osint_events.close_codes import CloseCode, reconnects_after

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "generated/typescript/close-codes.js"
CONTRACT: dict[str, Any] = yaml.safe_load((ROOT / "schemas/v1/close_codes.yaml").read_text("utf-8"))
CODES = {entry["name"].replace(" ", "_").upper(): entry["code"] for entry in CONTRACT["codes"]}
ALL = range(5001)
BACK = [code for code in ALL if any(least <= code <= most for least, most in CONTRACT["reconnects"])]

IN_NODE = f"""
import {{ CLOSE_CODES, reconnectsAfter }} from {json.dumps(MODULE.as_uri())};
const all = Array.from({{ length: {len(ALL)} }}, (_, code) => code);
console.log(JSON.stringify([CLOSE_CODES, all.filter(reconnectsAfter)]));
"""


def test_each_code_has_its_name_and_number() -> None:
    assert {code.name: code.value for code in CloseCode} == CODES
    assert f"{CloseCode.SLOW_CONSUMER}" == "4002", "as it stands in messages"


def test_a_client_comes_back_after_the_codes_that_the_contract_names_and_no_others() -> None:
    assert [code for code in ALL if reconnects_after(code)] == BACK
    named = [code for code in (1001, 1006, 1011, 1012, 1013, 4000, 4499) if reconnects_after(code)]
    assert named == [1001, 1006, 1011, 1012, 1013, 4000, 4499]
    assert not any(map(reconnects_after, (1000, 1002, 1003, 1007, 1008, 1009, 1010, 3999, 4500, 4501)))


@pytest.mark.node
def test_they_are_the_same_in_ecmascript() -> None:
    node = shutil.which("node")
    assert node is not None
    said = subprocess.run(  # noqa: S603 -- our own module
        [node, "--input-type=module", "--eval", IN_NODE],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert json.loads(said.stdout) == [CODES, BACK]
