"""How a run is told: while it goes on, in the terminal, and as files for machines and people.

Reports print and decide nothing: outcomes, verdict and summary are `results`'. Everything that came from
the server is untrusted text, and goes through `text.printable` on its way to a reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from osint_events_conformance.report import html, json_report, junit
from osint_events_conformance.results import RunResult

Writer = Callable[[RunResult, Path], None]
"""Writes one report file; missing folders above it are made. Raises OSError where that is not possible."""

WRITERS: Mapping[str, Writer] = {
    "report_json": json_report.write,
    "report_junit": junit.write,
    "report_html": html.write,
}
"""The writers, by the setting that names the file."""

__all__ = ["WRITERS", "Writer"]
