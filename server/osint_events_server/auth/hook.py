"""A team's own `Authenticator`, named by a setting."""

import importlib

from osint_events_server.auth import Authenticator


class HookError(Exception):
    """What the setting names cannot be used; the message says why."""


def load(name: str) -> Authenticator:
    """Return the authenticator that `module:factory` gives, called without arguments.

    Raises:
        HookError: there is no such module or factory, it raises, or what it gives authenticates nobody.

    """
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # the hook's code is the user's, and may raise anything
        raise HookError(f"{name}: {type(error).__name__}: {error}") from error
    if not callable(getattr(made, "authenticate", None)):
        raise HookError(f"{name}: what it returns has no method authenticate")
    authenticator: Authenticator = made
    return authenticator
