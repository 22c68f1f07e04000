"""How the server under test is made to emit an event: the inject hook, a URL, a command, or not at all."""

from __future__ import annotations

import asyncio
import json
import shlex
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

import aiohttp

PARALLEL_REQUESTS = 24
"""Inject requests in flight at once; each keeps a connection alive."""
_INVALID = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


class TriggerFailed(Exception):
    """The trigger itself does not work, so nothing can be tested. Carries one clear line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a publish: `accepted` True, False (refused with a 4xx) or None (not known)."""

    accepted: bool | None
    detail: str = ""
    server_error: bool = False
    invalid: bool = False
    """Whether the hook took the payload for invalid (400, 409 or 422), rather than the request."""


class Trigger(Protocol):
    """Makes the server emit."""

    controls_payload: bool
    """Whether the event is exactly what was asked for; else only that some event comes is known."""
    can_emit: bool

    async def emit(self, investigation_id: str, data: str) -> Answer:
        """Make the server emit `data` (JSON text) for the investigation, if the trigger can choose it."""
        ...

    async def close(self) -> None:
        """Release what the trigger holds."""
        ...


class _HttpTrigger:
    can_emit = True

    def __init__(self, headers: Mapping[str, str], tls: ssl.SSLContext | None, within: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=PARALLEL_REQUESTS, ssl=tls or True),
            headers=dict(headers),
            timeout=aiohttp.ClientTimeout(total=within),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def request(self, method: str, url: str, body: bytes | None) -> Answer:
        headers = {"Content-Type": "application/json"} if body is not None else None
        try:
            async with self._session.request(method, url, data=body, headers=headers) as response:
                status = response.status
                if status < HTTPStatus.BAD_REQUEST:
                    response.release()
                    return Answer(accepted=status < HTTPStatus.MULTIPLE_CHOICES, detail=f"status {status}")
                text = (await response.text(errors="replace"))[:200]
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise TriggerFailed(f"{url} is no HTTP URL") from error
        except TimeoutError:
            return Answer(None, f"{method} {url} was not answered in time")
        except aiohttp.ClientError as error:
            return Answer(None, f"{method} {url} failed: {error or type(error).__name__}")
        detail = f"{method} {url} was answered with {status}: {text!r}"
        broken = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return Answer(accepted=False, detail=detail, server_error=broken, invalid=status in _INVALID)

    async def close(self) -> None:
        await self._session.close()


class Inject(_HttpTrigger):
    """The inject hook: POST `{"investigation_id": …, "data": …}`; the server emits exactly that."""

    controls_payload = True

    def __init__(
        self, url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None = None, within: float = 10.0
    ) -> None:
        super().__init__(headers, tls, within)
        self.url = url

    async def emit(self, investigation_id: str, data: str) -> Answer:
        """POST the event; `data` goes out as it is spelt."""
        identity = json.dumps(investigation_id, ensure_ascii=False)
        body = f'{{"investigation_id": {identity}, "data": {data}}}'.encode()
        return await self.request("POST", self.url, body)


class TriggerUrl(_HttpTrigger):
    """A URL template with `{investigation_id}`, POSTed to; `GET http://…` asks for another method."""

    controls_payload = False

    def __init__(
        self,
        template: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        within: float = 10.0,
    ) -> None:
        super().__init__(headers, tls, within)
        method, _, url = template.rpartition(" ")
        self.method, self.template = method.strip().upper() or "POST", url

    async def emit(self, investigation_id: str, data: str) -> Answer:
        """Ask the URL; what it emits is its own choice."""
        del data
        url = self.template.replace("{investigation_id}", quote(investigation_id, safe=""))
        return await self.request(self.method, url, b"" if self.method != "GET" else None)


class TriggerCommand:
    """A command template with `{investigation_id}`, run without a shell; status 0 means accepted."""

    controls_payload = False
    can_emit = True

    def __init__(self, template: str, within: float = 30.0) -> None:
        self.words = shlex.split(template)
        self.within = within
        self._slots = asyncio.Semaphore(4)

    async def emit(self, investigation_id: str, data: str) -> Answer:
        """Run the command; what it emits is its own choice."""
        del data
        words = [word.replace("{investigation_id}", investigation_id) for word in self.words]
        async with self._slots:
            try:
                process = await asyncio.create_subprocess_exec(
                    *words,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            except OSError as error:
                raise TriggerFailed(f"cannot run {words[0]}: {error.strerror}") from error
            try:
                async with asyncio.timeout(self.within):
                    _, errors = await process.communicate()
            except TimeoutError:
                return Answer(None, f"{words[0]} did not end within {self.within:g} s")
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode == 0:
            return Answer(accepted=True)
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        return Answer(accepted=False, detail=f"{words[0]} ended with status {process.returncode}: {last}")

    async def close(self) -> None:
        """Nothing is held between events."""


class Observe:
    """No trigger: what arrives by itself is judged."""

    controls_payload = False
    can_emit = False

    async def emit(self, investigation_id: str, data: str) -> Answer:
        """Refuse: there is no way to make this server emit."""
        del data
        raise TriggerFailed(f"nothing can make the server emit an event for {investigation_id}")

    async def close(self) -> None:
        """Nothing is held."""
