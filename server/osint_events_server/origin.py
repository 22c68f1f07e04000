"""Which origins' pages may talk to the server (SEC-3)."""

from collections.abc import Collection, Iterable
from ipaddress import ip_address

from osint_events_server.peer import Peer

_PORTS = {"http": "80", "https": "443"}


class Origins:
    """Decides by the `Origin` header, which browsers send, and pages cannot forge.

    A page of the server's own origin is allowed, where the server knows that it has this name. It does not
    know that by the `Host` header alone: a foreign page whose name is made to point at this machine (DNS
    rebinding) has that name in both headers. So a server that listens on the loopback interface, which is
    what such a page is after, takes addresses, `localhost` and names that it was told for its own; another
    one takes any, unless it was told some.

    Args:
        allowed: further origins, each exactly.
        hosts: the server's own names, without ports.
        listening_on: the address or name that the server listens on.

    """

    def __init__(
        self, allowed: Iterable[str] = (), *, hosts: Collection[str] = (), listening_on: str
    ) -> None:
        self._allowed = frozenset(allowed)
        self._hosts = {host.lower() for host in hosts}
        self._takes_any_host = not hosts and not _is_loopback(listening_on)
        self._listening_on = listening_on.lower()

    def allow(self, origin: str, peer: Peer) -> bool:
        """Say whether a page of an origin may send what came as `peer` says."""
        if origin in self._allowed:
            return True
        host = peer.host.lower()
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        if not name:
            name, port = host, ""
        if not name or not self._is_own(name):
            return False
        own = name if port in {"", _PORTS.get(peer.scheme)} else f"{name}:{port}"
        return origin == f"{peer.scheme}://{own}"

    def _is_own(self, name: str) -> bool:
        return (
            self._takes_any_host
            or name in self._hosts
            or name in {"localhost", self._listening_on}
            or _is_address(name)
        )


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
