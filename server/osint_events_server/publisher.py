"""Publishing from the shell: one request to a running server."""

import json
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from yarl import URL


class PublishError(Exception):
    """The events were not accepted; the message says why."""


async def publish(
    url: str,
    investigation_id: str,
    body: bytes,
    *,
    content_type: str,
    idempotency_key: str | None,
    seconds: float,
) -> str:
    """Post events to a server.

    Args:
        url: where the server listens, for instance `http://127.0.0.1:8000`.
        investigation_id: the investigation.
        body: one event, or a line for each of many.
        content_type: which of both.
        idempotency_key: makes a retry harmless.
        seconds: for the whole request.

    Returns:
        The server's answer, JSON with the numbers given.

    Raises:
        PublishError: the server refused, did not answer, or cannot be reached.

    """
    # `encoded` keeps the id as it is quoted here: "%2F" stays within its segment.
    target = URL(f"{url.rstrip('/')}/investigations/{quote(investigation_id, safe='')}/events", encoded=True)
    headers = {"Content-Type": content_type}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.post(target, data=body, headers=headers) as response,
        ):
            answer = await response.text()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise PublishError(f"{url}: {str(error) or f'no answer in {seconds:g} s'}") from error
    if response.status != HTTPStatus.ACCEPTED:
        raise PublishError(f"{url}: refused with {response.status}: {_message(answer)}")
    return answer


def _message(answer: str) -> str:
    """Return the message of an error's body, or the body where it is something else."""
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, LookupError, TypeError):
        return answer.strip()
