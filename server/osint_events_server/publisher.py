"""Publishing from the shell: one request to a running server."""

import json
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from yarl import URL

from osint_events_server.oserrors import reason


class PublishError(Exception):
    """The events were not accepted; the message says why."""


def base_url(text: str) -> URL:
    """Return the URL that a server is said to have.

    Raises:
        ValueError: it is none.

    """
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or url.port is None:
        raise ValueError(f"{text!r} is no URL like http://127.0.0.1:8000")
    return url


async def publish(
    url: URL,
    investigation_id: str,
    body: bytes,
    *,
    content_type: str,
    idempotency_key: str | None,
    token: str | None,
    seconds: float,
) -> str:
    """Post events to a server.

    Args:
        url: where the server listens.
        investigation_id: the investigation.
        body: one event, or a line for each of many.
        content_type: which of both.
        idempotency_key: makes a retry harmless.
        token: says who publishes, where the server asks for it.
        seconds: for the whole request.

    Returns:
        The server's answer, JSON with the numbers given.

    Raises:
        PublishError: the server refused, did not answer, or cannot be reached.

    """
    # `encoded` keeps the id as it is quoted here: "%2F" stays within its segment.
    base = str(url).rstrip("/")
    target = URL(f"{base}/investigations/{quote(investigation_id, safe='')}/events", encoded=True)
    headers = {"Content-Type": content_type}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.post(target, data=body, headers=headers) as response,
        ):
            answer = await response.text()
    except aiohttp.ClientConnectorError as error:
        raise PublishError(f"{base}: cannot be reached: {reason(error.os_error)}") from error
    except TimeoutError as error:
        raise PublishError(f"{base}: no answer in {seconds:g} s") from error
    except aiohttp.ClientError as error:
        raise PublishError(f"{base}: {error}") from error
    if response.status != HTTPStatus.ACCEPTED:
        raise PublishError(f"{base}: refused with {response.status}: {_message(answer)}")
    return answer


def _message(answer: str) -> str:
    """Return the message of an error's body, or the body where it is something else."""
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, LookupError, TypeError):
        return answer.strip()
