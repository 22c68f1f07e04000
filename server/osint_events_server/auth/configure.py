"""The authentication that the settings ask for."""

from collections.abc import Callable

from osint_events_server.auth import Authentication, Authenticator, hook
from osint_events_server.auth.jwt import JwtAuthenticator, Key, KeySet, shared_secret
from osint_events_server.settings import Settings


def configured(settings: Settings) -> tuple[Authentication | None, Callable[[], None]]:
    """Return how to authenticate, None where that is off, and what reads its files again.

    Raises:
        KeysError: the file of keys cannot be used.
        HookError: the hook cannot be used.

    """
    authenticator: Authenticator
    reload: Callable[[], None] = _nothing
    if settings.auth_hook is not None:
        authenticator = hook.load(settings.auth_hook)
    elif settings.auth_jwks is not None:
        keys = KeySet(settings.auth_jwks)
        authenticator, reload = _jwt(keys, settings), keys.reload
    elif settings.auth_secret is not None:
        authenticator = _jwt(shared_secret(settings.auth_secret.encode()), settings)
    else:
        return None, reload
    return Authentication(authenticator, settings.auth_timeout), reload


def _jwt(key: Key, settings: Settings) -> JwtAuthenticator:
    return JwtAuthenticator(
        key,
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
        leeway=settings.auth_leeway,
    )


def _nothing() -> None:
    pass
