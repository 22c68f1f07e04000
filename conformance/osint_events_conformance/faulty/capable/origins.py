"""Faults of the origin check (SEC-3)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from osint_events_conformance.faulty.catalogue import fault, oddity
from osint_events_conformance.faulty.server import Reply

from .server import CapableServer

if TYPE_CHECKING:
    from collections.abc import Mapping


@oddity()
class TakesAnyOrigin(CapableServer):
    """Has been told to take pages of any origin."""

    def allows(self, origin: str, host: str) -> bool:
        """Allow it."""
        del origin, host
        return True


@fault("SEC-3", subtle=True)
class TakesNullOrigins(CapableServer):
    """Takes the origin null, which sandboxed frames have as well as files."""

    def allows(self, origin: str, host: str) -> bool:
        """Let developers open pages from a file."""
        return origin == "null" or super().allows(origin, host)


@fault("SEC-3", subtle=True)
class TakesEmptyOrigins(CapableServer):
    """Takes an empty Origin header for none."""

    def allows(self, origin: str, host: str) -> bool:
        """Ask whether it is falsy."""
        return not origin or super().allows(origin, host)


@fault("SEC-3", subtle=True)
class MatchesBeginningsOfOrigins(CapableServer):
    """Takes every origin that begins with an allowed one."""

    def allows(self, origin: str, host: str) -> bool:
        """Compare as far as the allowed one goes."""
        return origin.startswith(f"http://{host}") or super().allows(origin, host)


@fault("SEC-3", subtle=True)
class MatchesBeginningsOfHosts(CapableServer):
    """Takes an origin whose host begins with the own one, on the same port."""

    def allows(self, origin: str, host: str) -> bool:
        """Match without an end."""
        own, other = urlsplit(f"http://{host}"), urlsplit(origin)
        is_like = (other.hostname or "").startswith(own.hostname or "")
        return (is_like and "@" not in origin and _port(origin) == own.port) or super().allows(origin, host)


@fault("SEC-3", subtle=True)
class MatchesEndsOfHosts(CapableServer):
    """Takes an origin whose host ends with the own one, to let subdomains in."""

    def allows(self, origin: str, host: str) -> bool:
        """Forget the dot."""
        scheme, _, rest = origin.partition("://")
        return scheme == "http" and rest.endswith(host) and not set("@/?") & set(rest)


@fault("SEC-3", subtle=True)
class FindsHostsInOrigins(CapableServer):
    """Takes every origin in which the own host occurs."""

    def allows(self, origin: str, host: str) -> bool:
        """Look whether it is there."""
        return host in origin


@fault("SEC-3", subtle=True)
class IgnoresPortsOfOrigins(CapableServer):
    """Compares scheme and host, but not the port."""

    def allows(self, origin: str, host: str) -> bool:
        """Compare host names."""
        parts = urlsplit(origin)
        own = urlsplit(f"http://{host}").hostname
        return (parts.scheme == "http" and "@" not in origin and parts.hostname == own) or super().allows(
            origin, host
        )


@fault("SEC-3", subtle=True)
class IgnoresSchemesOfOrigins(CapableServer):
    """Compares host and port, but not the scheme."""

    def allows(self, origin: str, host: str) -> bool:
        """Compare what comes after it."""
        return origin.partition("://")[2] == host


@fault("SEC-3", subtle=True)
class IgnoresCaseOfOrigins(CapableServer):
    """Takes an origin in upper case, which no browser sends, for the same."""

    def allows(self, origin: str, host: str) -> bool:
        """Fold it."""
        return super().allows(origin.lower(), host)


@fault("SEC-3")
class RefusesOriginsAsBadRequests(CapableServer):
    """Refuses foreign origins with 400."""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        """Say that it is the client's fault."""
        refusal = super().handshake(client_id, headers)
        if refusal is not None and refusal.status == HTTPStatus.FORBIDDEN:
            return Reply(400, b"bad origin\n")
        return refusal


@oddity()
class ServesOneOriginOnly(CapableServer):
    """Serves pages of one origin only, which is not its own."""

    def allows(self, origin: str, host: str) -> bool:
        """Look at the list."""
        del host
        return origin == "https://app.example"


def _port(origin: str) -> int | None:
    try:
        return urlsplit(origin).port
    except ValueError:
        return None
