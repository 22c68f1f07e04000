"""The opening handshake of a WebSocket connection, as aiohttp makes it, with what the server asks besides."""

import zlib
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from aiohttp import web
from osint_events.close_codes import CloseCode

from osint_events_server import deflate
from osint_events_server.ingest import Refused
from osint_events_server.settings import Settings

_EXTENSIONS = "Sec-WebSocket-Extensions"


class Response(web.WebSocketResponse):
    """aiohttp's, with compression as the server does it.

    Args:
        extension: what is answered to the client's offer of permessage-deflate, None where it is not taken.
        timeout: seconds for the closing handshake.
        max_msg_size: above which bytes of a message it is closed with 1009.

    """

    def __init__(self, extension: str | None, *, timeout: float, max_msg_size: int) -> None:
        super().__init__(timeout=timeout, compress=extension is not None, max_msg_size=max_msg_size)
        self._extension = extension

    @classmethod
    def to(cls, request: web.Request, settings: Settings) -> "Response":
        """Return the response to a request."""
        extension = None
        if settings.compression:
            extension = deflate.accept(request.headers.getall(_EXTENSIONS, ()))
        size = settings.max_message_bytes
        if extension is not None:
            size = deflate.max_deflated(size)
        # aiohttp's limit is exclusive.
        return cls(extension, timeout=settings.close_timeout, max_msg_size=size + 1)

    def declare(self) -> None:
        """Say what is true of the messages that the server deflates, where aiohttp took the offer.

        aiohttp would echo any window, and declare no context takeover only where the client asks for that.
        """
        if self._extension is not None and _EXTENSIONS in self.headers:
            self.headers[_EXTENSIONS] = self._extension

    async def close(
        self, *, code: int = CloseCode.NORMAL_CLOSURE, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close; what cannot be inflated is malformed (ROB-2), which aiohttp would close with 1000."""
        if isinstance(self.exception(), zlib.error):
            code = CloseCode.INVALID_PAYLOAD
        return await super().close(code=code, message=message, drain=drain)


async def declare_extension(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Correct what aiohttp declares, before the response is sent."""
    if isinstance(response, Response):
        response.declare()


def upgrade_required(request: web.Request) -> web.Response | None:
    """Return 426 to what is no WebSocket handshake of version 13 (RFC 9110, section 15.5.22), else None."""
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        message = "this is a WebSocket endpoint"
    elif request.headers.get("Sec-WebSocket-Version") != "13":  # RFC 6455, section 4.4
        message = "the WebSocket version is 13"
    else:
        return None
    return web.json_response(
        {"code": "upgrade_required", "message": message},
        status=HTTPStatus.UPGRADE_REQUIRED,
        headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
    )


def check_key(request: web.Request) -> None:
    """Refuse a handshake with a key that is not ASCII (RFC 6455, section 4.2.1).

    aiohttp refuses every other key that is none, and takes this for a fault of the server.

    Raises:
        Refused: it is not ASCII.

    """
    if not request.headers.get("Sec-WebSocket-Key", "").isascii():
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid_message", "a Sec-WebSocket-Key is Base64")


def client_id(request: web.Request, *, max_characters: int) -> str:
    """Return the client_id of a request (CONN-1).

    Raises:
        Refused: it is none that is served.

    """
    text = segment(request, 2)
    if (
        text is None
        or len(text) > max_characters
        or text in {".", ".."}
        or any(character == "/" or _is_control(character) for character in text)
    ):
        message = (
            f"a client_id is 1 to {max_characters} characters of UTF-8, "
            "none of them a slash or a control character"
        )
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid_message", message)
    return text


def segment(request: web.Request, number: int) -> str | None:
    """Return a segment of the path, percent-decoded, or None where it is no UTF-8.

    aiohttp's own decoding lets bytes that are no UTF-8 stand as they were written.
    """
    try:
        return unquote_to_bytes(request.rel_url.raw_path.split("/")[number]).decode()
    except UnicodeDecodeError:
        return None


def _is_control(character: str) -> bool:
    """Say whether a character is a control character (Unicode category Cc)."""
    return character < " " or "\x7f" <= character <= "\x9f"
