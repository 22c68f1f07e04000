"""Logs: their form, and that no secret is ever in them, whatever goes wrong."""

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

COMMAND = str(Path(sys.executable).parent / "osint-events-server")
SECRET = "planted-secret-that-signs-tokens-0123456789"  # noqa: S105 - no secret
KEY = "planted-key-that-signs-replay-tokens-0123456789"
HOOK = """
class Hook:
    async def authenticate(self, token):
        raise RuntimeError(f"no such token: {token}")
"""


def token(**claims: Any) -> str:
    everything = {"investigation_patterns": ["planted-*"], "permissions": ["publish", "inject"]}
    return jwt.encode({"exp": time.time() + 3600, **everything, **claims}, SECRET)


async def misuse(server: str, good: str) -> None:
    """Fail in every way that a client can, with secrets everywhere."""
    bad = [good[:-4] + "AAAA", "planted-nonsense", jwt.encode({"planted": 1}, SECRET), token(exp=1)]
    auth = [{"token": text} for text in (*bad, good)]
    hello = {"type": "hello", "protocol": 1, "features": ["errors", "replay", "flow"]}
    texts = [
        *(json.dumps(hello | {"auth": one}) for one in auth),
        json.dumps(hello | {"auth": {"token": 1, "planted": 2}}),
        json.dumps({"type": "planted-type", "token": good}),
        '{"type": "hello", "planted": ',
        '{"planted": NaN}',
        "planted",
        "[" * 60_000,
        "planted" * 20_000,
    ]
    more = [
        {"type": "subscribe_investigation", "investigation_id": "planted-x", "replay_token": "planted-token"},
        {"type": "subscribe_investigation", "investigation_id": "secret", "scope": ["planted-scope"]},
        {"type": "planted-type"},
        {"type": "subscribe_investigation", "investigation_id": ["planted"]},
    ]
    for headers in ({}, *({"Authorization": f"Bearer {text}"} for text in (*bad, good))):
        for text in texts:
            with contextlib.suppress(WebSocketException, OSError, TimeoutError):
                async with connect(f"ws://{server}/ws/a", additional_headers=headers, close_timeout=1) as ws:
                    await ws.send(text)
                    for message in more:
                        await ws.send(json.dumps(message))
                    async with asyncio.timeout(0.05):
                        await ws.recv()
    event = json.dumps({"type": "planted-kind", "progress": 5, "message": "planted"})
    async with aiohttp.ClientSession() as http:
        for text in (*bad, good):
            headers = {"Authorization": f"Bearer {text}", "Content-Type": "application/json"}
            for body in (event, "{planted", json.dumps({"investigation_id": "planted-x", "data": {}})):
                for path in ("inject", "investigations/planted-x/events", "investigations/%FF/events"):
                    async with http.post(f"http://{server}/{path}", data=body, headers=headers):
                        pass
    for raw in (
        b"planted\r\n\r\n",
        b"GET /ws/a?access_token=planted HTTP/9\r\n\r\n",
        b"GET /ws/a HTTP/1.1\r\nAuthorization: Bearer planted\r\nplanted header\r\n\r\n",
        b"GET /ws/a HTTP/1.1\r\nAuthorization: Bearer planted" + b"x" * 20_000 + b"\r\n\r\n",
        b"POST /inject HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer planted\r\nContent-Length: x\r\n\r\n",
        b"POST /inject HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nplanted\r\n",
        b"GET /ws/a HTTP/1.1\r\nHost: x\r\nCookie: planted\r\n",
    ):
        reader, writer = await asyncio.open_connection(*server.split(":"))
        writer.write(raw)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.read()
        writer.close()


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("how", ["secret", "hook", "off"])
async def test_no_secret_and_no_payload_is_ever_logged(tmp_path: Path, style: str, how: str) -> None:
    (tmp_path / "planted_hook.py").write_text(HOOK)
    options = {"secret": {"AUTH_SECRET": SECRET}, "hook": {"AUTH_HOOK": "planted_hook:Hook"}, "off": {}}[how]
    env = {f"OSINT_EVENTS_{name}": value for name, value in options.items()}
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "run", "--port", "0", "--enable-inject", "--request-timeout", "0.3"),
            *("--log-format", style, "--log-level", "DEBUG"),
            env={**env, "OSINT_EVENTS_TOKEN_KEYS": KEY, "PYTHONPATH": str(tmp_path), "PYTHONDEVMODE": "1"},
            stdout=PIPE,
            stderr=stderr,
            stdin=DEVNULL,
        )
        try:
            assert process.stdout is not None
            server = (await process.stdout.readline()).decode().split("://")[1].strip()
            await misuse(server, token())
        finally:
            process.terminate()
            await process.communicate()
    assert process.returncode == 0
    lines = log.read_text().splitlines()
    assert len(lines) > 10
    # The hook's name is the operator's own.
    found = [line for line in lines if "planted" in line.replace("planted_hook", "")]
    assert found == []
    assert not any(part in line for line in lines for part in (SECRET, KEY, token().split(".")[0] + "."))
    if style == "json":
        entries = [json.loads(line) for line in lines]
        assert all({"time", "level", "logger", "message"} <= entry.keys() for entry in entries)
        closed = [entry for entry in entries if entry["message"].startswith("closing with")]
        assert bool(closed) is (how != "off")  # what breaks RFC 6455 aiohttp closes, and logs nothing
        assert all(entry["client_id"] == "a" and entry["connection_id"] for entry in closed)
        assert len({entry["connection_id"] for entry in closed}) == len(closed)
