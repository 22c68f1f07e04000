"""The console's modules without a browser: their tests in Node, and a strict compiler on their types."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def node(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = shutil.which("node")
    assert path is not None
    return subprocess.run(  # noqa: S603 -- our own modules
        [path, *arguments],
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.node
def test_the_client_side_keeps_to_the_protocol(assembled: Path) -> None:
    tests = Path(__file__).parent / "node/protocol.test.mjs"
    (assembled / "package.json").write_text('{"type": "module"}', "utf-8")
    done = node("--test", "--test-reporter=tap", str(tests), CONSOLE_PAGE=str(assembled))
    assert done.returncode == 0, done.stdout
    assert "\n# fail 0\n" in done.stdout
    assert "\n# pass 0\n" not in done.stdout


@pytest.mark.node("generated/tests/node")
def test_a_strict_compiler_accepts_the_types_that_the_comments_say(assembled: Path) -> None:
    compiler = ROOT / "generated/tests/node/node_modules/typescript/bin/tsc"
    options = ("--allowJs", "--checkJs", "--strict", "--noEmit", "--target", "es2022", "--module", "es2022")
    # What is generated has its declarations beside it.
    modules = [str(path) for path in sorted(assembled.glob("*.js"))]
    lib = ("--lib", "es2023,dom,dom.iterable", "--moduleResolution", "bundler")
    done = node(str(compiler), *options, *lib, *modules)
    assert (done.returncode, done.stdout) == (0, "")
