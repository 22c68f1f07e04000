"""Untrusted text on its way to a reader."""

from __future__ import annotations

import pytest
from osint_events_conformance.report.text import clip, printable


@pytest.mark.parametrize("text", ["", "plain", "naïve 北京 \U0001f50d", "שלום", "{}<>&\"'\\"])
def test_text_that_can_be_seen_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a<U+0000>b"),
        ("\x1b[31mred", "<U+001B>[31mred"),
        ("\u202eright", "<U+202E>right"),
        ("\ud800", "<U+D800>"),
        ("a\u00a0b", "a<U+00A0>b"),
        ("\U000e0041", "<U+E0041>"),
        ("line\r\n", "line<U+000D><U+000A>"),
    ],
)
def test_what_cannot_be_seen_is_named(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_characters_to_keep_stay() -> None:
    assert printable("a\nb\x07", keep="\n") == "a\nb<U+0007>"


def test_every_character_can_be_shown_and_encoded() -> None:
    shown = printable("".join(map(chr, range(0x11000))))
    assert shown.isprintable()
    assert shown.encode()


def test_a_clipped_text_is_as_wide_as_asked() -> None:
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdef", 5) == "abcd…"
    assert clip("abcdef", 0) == "…"
