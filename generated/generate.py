# ruff: noqa: INP001  # a script beside the packages, in none of them
"""Make everything under generated/ from schemas/v1, or check that it is what they make.

python generated/generate.py            writes the files
python generated/generate.py --check    prints a unified diff and exits with 1 where a file differs

The exit status is 2 where a source cannot be used.
"""

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from contract_generator import documents, javascript, python, typescript
from contract_generator.shapes import shapes
from contract_generator.sources import SourceError, Sources
from contract_generator.templating import environment

# Everything in these belongs to the generator: what it does not make is removed.
_OWNED = ("generated/osint_events", "generated/typescript")
_IGNORED = {"__pycache__", "node_modules"}


def rendered(root: Path) -> dict[str, str]:
    """Give every generated file's text by its path below the root; the same sources give the same bytes."""
    sources, templates = Sources(root), environment()
    found = shapes(sources)
    modules = {
        **typescript.files(sources, found, templates),
        **javascript.files(sources, found, templates),
    }
    return {
        **python.files(sources, found, templates),
        **modules,
        **javascript.packaged(modules),
        **documents.files(sources),
    }


def existing(root: Path) -> dict[str, str]:
    """Give what is there now."""
    paths = (path for owned in _OWNED for path in sorted((root / owned).rglob("*")))
    return {
        path.relative_to(root).as_posix(): path.read_bytes().decode(errors="replace")
        for path in paths
        if path.is_file() and not _IGNORED & set(path.parts)
    }


def difference(old: dict[str, str], new: dict[str, str]) -> str:
    """Give a unified diff of all files, empty where there is none."""
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        before = old.get(name, "").splitlines(keepends=True)
        after = new.get(name, "").splitlines(keepends=True)
        origin = f"a/{name}" if name in old else "/dev/null"
        target = f"b/{name}" if name in new else "/dev/null"
        if (name in old) != (name in new) and not before and not after:
            lines += [f"--- {origin}\n", f"+++ {target}\n"]
        lines += difflib.unified_diff(before, after, origin, target)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def write(root: Path, files: dict[str, str]) -> None:
    """Write the files, and remove those that the generator owns but does not make."""
    for name in existing(root).keys() - files.keys():
        (root / name).unlink()
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and give its exit status."""
    parser = argparse.ArgumentParser(description="Make everything under generated/ from schemas/v1.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; print a diff and exit 1 on drift"
    )
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parent.parent
    try:
        files = rendered(root)
    except SourceError as error:
        sys.stderr.write(f"generate: {error}\n")
        return 2
    if not options.check:
        write(root, files)
        return 0
    if drift := difference(existing(root), files):
        sys.stdout.write(drift)
        sys.stderr.write("generate: these files differ from what schemas/v1 makes; run it without --check\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
