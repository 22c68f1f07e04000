"""The runner as a pytest plugin: `pytest --osint-events-url ws://HOST/ws` makes a test of each clause.

pytest loads this module in every environment where the package is installed, so it imports nothing of
weight before a URL is given. Its options are the published settings, each behind `--osint-events-`.
"""

from __future__ import annotations

import asyncio
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osint_events_conformance.patterns import Patterns
    from osint_events_conformance.results import ClauseResult, RunResult
    from osint_events_conformance.settings import Settings

_PREFIX = "--osint-events-"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings' options."""
    group = parser.getgroup("osint-events", "conformance of a WebSocket server to osint-events")
    group.addoption(f"{_PREFIX}config", type=Path, help="TOML file with a table of these settings.")
    for name, setting in _settings():
        kind: dict[str, Any]
        if setting["type"] == "boolean":
            kind = {"action": "store_true", "default": None}
        elif setting["type"] == "array":
            kind = {"action": "append", "default": None}
        else:
            kind = {"action": "store", "choices": setting.get("enum")}
        group.addoption(
            f"{_PREFIX}{name}", dest=_dest(name), help=setting["description"].replace("%", "%%"), **kind
        )


def _settings() -> Iterator[tuple[str, dict[str, Any]]]:
    text = (files("osint_events_conformance") / "settings.schema.json").read_text(encoding="utf-8")
    yield from json.loads(text)["properties"].items()


def _dest(name: str) -> str:
    return f"osint_events_{name.replace('-', '_')}"


def pytest_configure(config: pytest.Config) -> None:
    """Take the conformance run up, if a URL or a settings file is given. A wrong setting is a usage error."""
    given = {
        name.replace("-", "_"): value
        for name, _ in _settings()
        if (value := config.getoption(_dest(name))) is not None
    }
    file: Path | None = config.getoption("osint_events_config")
    if "url" not in given and file is None:
        if given:
            flags = ", ".join(f"{_PREFIX}{name.replace('_', '-')}" for name in given)
            raise pytest.UsageError(f"{flags}: which server? Give {_PREFIX}url ws://HOST:PORT/ws")
        return
    from osint_events_conformance import launch, settings  # noqa: PLC0415 - heavy, and now needed

    try:
        made = settings.load(given, file)
        known = launch.prepare(made)
    except settings.SettingsError as error:
        raise pytest.UsageError(re.sub("--(?=[a-z])", _PREFIX, str(error))) from error
    config.pluginmanager.register(Conformance(made, known), "osint-events-conformance-run")


class Conformance:
    """One run, made when the first of its tests is run, and shared by all of them."""

    def __init__(self, settings: Settings, known_failing: Patterns) -> None:
        self.settings = settings
        self._known_failing = known_failing
        self._result: RunResult | None = None

    @pytest.hookimpl(tryfirst=True)  # before what selects by -k
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Add a test for each selected clause."""
        from osint_events import contract  # noqa: PLC0415 - heavy, and now needed

        from osint_events_conformance.patterns import Patterns  # noqa: PLC0415 - as above

        only, skip = Patterns(self.settings.only), Patterns(self.settings.skip)
        parent: Clauses = Clauses.from_parent(session, name="osint-events", nodeid="osint-events")
        for clause in contract.clauses():
            if not skip.match(clause.id) and (not only or only.match(clause.id)):
                items.append(ClauseTest.from_parent(parent, name=clause.id, run=self))  # noqa: PERF401

    def result(self) -> RunResult:
        """The run's result. The files that are asked for are written with it."""
        if self._result is None:
            from osint_events_conformance import launch  # noqa: PLC0415 - loaded already, by pytest_configure

            self._result = asyncio.run(launch.execute(self.settings, lambda _: None, self._known_failing))
            launch.write_files(self._result, self.settings)
        return self._result

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdict line: what was tested and what not."""
        if self._result is not None:
            terminalreporter.write_sep("=", "osint-events")
            for note in self._result.notes:
                terminalreporter.write_line(f"note: {note}")
            terminalreporter.write_line(self._result.summary())


class Clauses(pytest.Collector):
    """What the clauses' tests hang on."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        """Nothing: the tests are added by `Conformance`."""
        return []


class Violated(Exception):
    """A clause is violated, or could not be tested. The message is what a reader needs."""


class ClauseTest(pytest.Item):
    """One clause as a test: skipped where it was not tested, with the reason."""

    def __init__(self, *, run: Conformance, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._run = run

    def runtest(self) -> None:
        """Judge the clause by the run's result."""
        result = self._run.result()
        if result.runner_fault:
            raise Violated(f"the runner itself failed, so there is no verdict:\n{result.runner_fault}")
        clause = next(one for one in result.clauses if one.clause.id == self.name)
        if clause.known_failing and clause.findings:
            pytest.xfail(f"known to fail: {clause.findings[0].message}")
        if clause in result.violations:
            raise Violated(_violation(result, clause))
        if result.could_not_test:
            raise Violated(f"could not test: {result.could_not_test}")
        if clause.reason is not None:
            pytest.skip(clause.reason)
        for finding in clause.findings:
            self.warn(pytest.PytestWarning(f"{clause.clause.id} {finding.level}: {finding.message}"))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: object, **__: object) -> Any:
        """Show a violation as it reads, without a traceback through the runner."""
        if isinstance(excinfo.value, Violated):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it stands: nowhere in the user's files."""
        return self.session.path, None, f"osint-events: {self.name}"


def _violation(result: RunResult, clause: ClauseResult) -> str:
    from osint_events_conformance.report import view  # noqa: PLC0415 - loaded already
    from osint_events_conformance.report.text import printable  # noqa: PLC0415 - loaded already

    if not clause.findings:
        return "listed as known to fail, but it passes now: take it off the list"
    parts = [f"{clause.clause.id} {clause.clause.level}: {clause.clause.text}"]
    for finding in clause.findings:
        parts += ["", f"{finding.message}", f"scenario: {finding.title}; {view.rate(finding)}"]
        parts += [f"expected: {finding.expected}"] if finding.expected is not None else []
        parts += [f"got:      {finding.got}"] if finding.got is not None else []
        parts += ["smallest script:", *(f"  {view.step(step)}" for step in finding.script)]
        parts += [f"repeat: {view.repeat(result, finding)}"]
    return printable("\n".join(parts), keep="\n")
