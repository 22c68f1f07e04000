"""The live console: a page that watches investigations, and what it is served with.

The page is made of plain ECMAScript modules, package data in `page/`; what they know of the contract are the
generated modules of `osint_events`. Nothing comes from elsewhere, and a strict policy sees to that.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from aiohttp import web

from osint_events_server.ingest import JSON, Refused, unsupported_media_type
from osint_events_server.simulate import PREFIX, Simulator, TooMany

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Another version of the server may listen here tomorrow.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Route:
    """What is served at a path, for the application to guard as it does all routes."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(simulator: Simulator | None) -> list[Route]:
    """Give the console's routes; with a simulator the page may ask for investigations to watch."""
    made = [Route("GET", path, _asset(asset)) for path, asset in _assets().items()]
    watch = [] if simulator is None else [simulator.investigation_id]
    settings = _Asset(json.dumps({"simulate": simulator is not None, "watch": watch}).encode(), JSON)
    made.append(Route("GET", "/console/settings.json", _asset(settings)))
    if simulator is not None:
        made.append(Route("POST", "/console/simulations", _simulations(simulator)))
    return made


def _assets() -> dict[str, _Asset]:
    """Read all that the page is made of, by path."""
    page = {f"/console/{name}": asset for name, asset in _read(files(__name__) / "page")}
    contract = files("osint_events") / "javascript"
    return {
        "/": page.pop("/console/index.html"),
        **page,
        **{f"/console/contract/{name}": asset for name, asset in _read(contract)},
    }


def _read(directory: Traversable) -> Iterator[tuple[str, _Asset]]:
    for file in directory.iterdir():
        if content_type := _TYPES.get(PurePosixPath(file.name).suffix):
            yield file.name, _Asset(file.read_bytes(), content_type)


def _asset(asset: _Asset) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def give(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=asset.body, content_type=asset.content_type, charset="utf-8", headers=_HEADERS
        )

    return give


def _simulations(simulator: Simulator) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def start(request: web.Request) -> web.StreamResponse:
        if request.content_type != JSON:
            raise unsupported_media_type(JSON)
        try:
            investigation_id = json.loads(await request.read())["investigation_id"]
            simulator.start(investigation_id)
        except (ValueError, LookupError, TypeError) as error:
            message = f'send {{"investigation_id": "{PREFIX}…"}}: {error}'
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_message", message) from error
        except TooMany as error:
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", str(error)) from error
        return web.json_response({"investigation_id": investigation_id}, status=HTTPStatus.ACCEPTED)

    return start
