"""What the documentation says of authentication and metrics is so."""

import asyncio
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
from osint_events_server.auth import Unauthorized, hook
from osint_events_server.auth.jwt import JwtAuthenticator, shared_secret

METRICS_PAGE = Path(__file__).parents[2] / "docs/operators/metrics.md"


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = Path(__file__).with_name("samples_auth.py")
    spec = importlib.util.spec_from_file_location("samples_auth", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "samples_auth", module)
    return module


async def test_the_token_that_is_shown_is_accepted(samples: ModuleType) -> None:
    secret = "s" * 32
    principal = await JwtAuthenticator(shared_secret(secret.encode())).authenticate(
        samples.issue(secret, "7")
    )
    assert [id_ for id_ in ("7", "7/a", "8", "77") if principal.may_see(id_)] == ["7", "7/a"]
    assert principal.may_publish("7")
    assert not principal.may_inject("7")


def test_the_hook_that_is_shown_decides(samples: ModuleType) -> None:
    del samples
    authenticator = hook.load("samples_auth:make")
    assert asyncio.run(authenticator.authenticate("token-of-ada")).may_see("1234")
    with pytest.raises(Unauthorized):
        asyncio.run(authenticator.authenticate("token-of-eve"))


@pytest.mark.parametrize("name", ["nowhere:make", "samples_auth:nothing", "samples_auth:issue", "json:loads"])
def test_a_hook_that_cannot_be_used_is_named(samples: ModuleType, name: str) -> None:
    del samples
    with pytest.raises(hook.HookError, match=name):
        hook.load(name)


async def test_every_metric_is_described_and_no_other(server: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"http://{server}/metrics") as response:
        text = await response.text()
    shown = re.findall(r"^# TYPE (osint_events_\w+) ", text, re.MULTILINE)
    page = METRICS_PAGE.read_text(encoding="utf-8")
    described = re.findall(r"^\| (.*?) \|", page, re.MULTILINE)
    names = {name for cell in described for name in re.findall(r"`(osint_events_\w+)`", cell)}
    assert {name for name in shown if not name.endswith("_created")} == names
