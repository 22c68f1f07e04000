"""Untrusted text made safe to show, on whatever it is shown."""

from __future__ import annotations

from pathlib import Path


def printable(text: str, keep: str = "") -> str:
    """Name what cannot be seen or changes how its neighbours are shown, as `less` does: `<U+202E>`.

    That is everything that Unicode does not call printable: control and format characters (bidirectional
    overrides among them), lone surrogates, unassigned characters, and spaces other than U+0020. So the
    result can be encoded, is valid in XML, and cannot steer a terminal. Characters of `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else f"<U+{ord(char):04X}>" for char in text)


def clip(text: str, width: int) -> str:
    """At most `width` characters of `text`; an ellipsis stands for the rest."""
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def save(text: str, path: Path) -> None:
    """Write `text` as UTF-8, and the folders above it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
