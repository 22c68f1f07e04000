"""How the server under test is made to emit, against small HTTP servers and commands."""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest
from aiohttp import web
from osint_events_conformance.triggers import Inject, Observe, TriggerCommand, TriggerFailed, TriggerUrl


@dataclass
class Site:
    """A server that answers everything with one status, and notes what it was asked."""

    url: str = ""
    status: int = 202
    body: str = ""
    asked: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Note and answer."""
        self.asked.append(
            (request.method, request.raw_path, await request.read(), dict(request.headers.items()))
        )
        return web.Response(status=self.status, text=self.body, headers={"Location": f"{self.url}/elsewhere"})


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    yield made
    await runner.cleanup()


@contextlib.asynccontextmanager
async def inject(url: str, within: float = 10.0) -> AsyncIterator[Inject]:
    made = Inject(url, {"Authorization": "Bearer x"}, within=within)
    yield made
    await made.close()


async def test_an_inject_posts_the_id_and_the_payload_as_it_is_spelt(site: Site) -> None:
    async with inject(f"{site.url}/inject") as trigger:
        answer = await trigger.emit('é"😀', '{"n": 1.0, "big": 9007199254740993}')
    assert answer.accepted is True
    [(method, path, body, headers)] = site.asked
    assert (method, path) == ("POST", "/inject")
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer x"
    assert json.loads(body)["investigation_id"] == 'é"😀'
    assert b'"data": {"n": 1.0, "big": 9007199254740993}' in body


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_an_acceptance(site: Site, status: int) -> None:
    site.status = status
    async with inject(site.url) as trigger:
        assert (await trigger.emit("x", "{}")).accepted is True


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429])
async def test_a_4xx_is_a_refusal_that_tells_what_was_answered(site: Site, status: int) -> None:
    site.status, site.body = status, "because\nof this"
    async with inject(site.url) as trigger:
        answer = await trigger.emit("x", "{}")
    assert answer.accepted is False
    assert not answer.server_error
    assert f"answered with {status}: 'because\\nof this'" in answer.detail


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_5xx_is_the_server_s_error(site: Site, status: int) -> None:
    site.status = status
    async with inject(site.url) as trigger:
        answer = await trigger.emit("x", "{}")
    assert answer.accepted is False
    assert answer.server_error


async def test_a_hook_that_is_not_there_gives_an_unknown_fate() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with inject(f"http://127.0.0.1:{bound.getsockname()[1]}/inject") as trigger:
            answer = await trigger.emit("x", "{}")
    assert answer.accepted is None
    assert "failed" in answer.detail
    assert "\n" not in answer.detail


async def test_a_hook_that_does_not_answer_gives_an_unknown_fate() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with inject(f"http://127.0.0.1:{silent.getsockname()[1]}", within=0.1) as trigger:
            answer = await trigger.emit("x", "{}")
    assert answer.accepted is None
    assert "not answered in time" in answer.detail


async def test_what_is_no_http_url_cannot_work_at_all() -> None:
    async with inject("http://") as trigger:
        with pytest.raises(TriggerFailed, match="is no HTTP URL"):
            await trigger.emit("x", "{}")


async def test_a_trigger_url_is_posted_to_with_the_id_in_its_place(site: Site) -> None:
    trigger = TriggerUrl(f"{site.url}/run/{{investigation_id}}?id={{investigation_id}}", {})
    answer = await trigger.emit("a/é ?&b=c+d#e%20", '{"ignored": 1}')
    await trigger.close()
    assert answer.accepted is True
    [(method, path, body, _)] = site.asked
    assert (method, body) == ("POST", b"")
    segments, _, query = path.partition("?")
    assert segments.startswith("/run/a%2F")
    assert unquote(segments) == "/run/a/é ?&b=c+d#e%20"
    assert parse_qs(query) == {"id": ["a/é ?&b=c+d#e%20"]}


async def test_a_trigger_url_may_name_another_method(site: Site) -> None:
    for method in ("GET", "put"):
        trigger = TriggerUrl(f"{method} {site.url}/{{investigation_id}}", {})
        assert (await trigger.emit("x", "{}")).accepted is True
        await trigger.close()
    assert [method for method, *_ in site.asked] == ["GET", "PUT"]


def test_only_an_inject_hook_controls_the_payload() -> None:
    assert Inject.controls_payload
    assert not TriggerUrl.controls_payload
    assert not TriggerCommand.controls_payload
    assert not Observe.controls_payload


def _python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -S -c {shlex.quote(code)} {{investigation_id}}"


async def test_a_command_gets_the_id_as_one_word_without_a_shell(tmp_path: Path) -> None:
    target = tmp_path / "said"
    code = f"import sys; open({str(target)!r}, 'w').write(repr(sys.argv[1:]))"
    trigger = TriggerCommand(_python(code))
    assert (await trigger.emit("a b; $(x) 'é", "{}")).accepted is True
    assert target.read_text(encoding="utf-8") == repr(["a b; $(x) 'é"])
    await trigger.close()


async def test_a_command_that_fails_is_a_refusal_with_its_last_words() -> None:
    code = "import sys; print('first\\nlast words', file=sys.stderr); sys.exit(7)"
    answer = await TriggerCommand(_python(code)).emit("x", "{}")
    assert answer.accepted is False
    assert answer.detail.endswith("ended with status 7: last words")


async def test_a_command_that_is_not_there_cannot_work_at_all() -> None:
    with pytest.raises(TriggerFailed, match="cannot run /no/such/command: No such file"):
        await TriggerCommand("/no/such/command {investigation_id}").emit("x", "{}")


async def test_a_command_that_does_not_end_is_ended_and_its_fate_unknown() -> None:
    trigger = TriggerCommand(_python("import signal; signal.pause()"), within=0.2)
    answer = await trigger.emit("x", "{}")
    assert answer.accepted is None
    assert "did not end within 0.2 s" in answer.detail


async def test_to_observe_is_to_make_nothing_happen() -> None:
    trigger = Observe()
    assert not trigger.can_emit
    with pytest.raises(TriggerFailed, match="nothing can make the server emit"):
        await trigger.emit("x", "{}")
    await trigger.close()
