"""Where a request comes from, and by which name it was asked for: also behind proxies that are trusted."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's side of a request.

    Attributes:
        address: the client's IP address, as text; empty where there is none.
        scheme: `http` or `https`, as the client used it.
        host: the `Host` that the client asked for, with a port where it gave one.

    """

    address: str
    scheme: str
    host: str


class Proxies:
    """The proxies whose `X-Forwarded-*` headers are believed; nobody else's are looked at.

    Args:
        networks: their addresses, or networks as `10.0.0.0/8`.

    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ip_network(network) for network in networks]

    def address(self, request: web.Request) -> str:
        """Return the client's IP address, as text; empty where there is none.

        Of `X-Forwarded-For` the last address counts that is no trusted proxy's: what comes before it anybody
        may have written.
        """
        address = _address(request.remote or "")
        if self._is_trusted(address):
            for hop in reversed(_values(request, "X-Forwarded-For")):
                forwarded = _address(hop)
                if forwarded is None:
                    break
                address = forwarded
                if not self._is_trusted(address):
                    break
        return str(address or "")

    def peer(self, request: web.Request) -> Peer:
        """Return where a request comes from.

        Of forwarded names the last one counts, which the nearest proxy wrote.
        """
        scheme, host = request.scheme, request.host
        if self._is_trusted(_address(request.remote or "")):
            scheme = _last(request, "X-Forwarded-Proto") or scheme
            host = _last(request, "X-Forwarded-Host") or host
        return Peer(self.address(request), scheme.lower(), host)

    def _is_trusted(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address, an IPv4 one where it only dresses as IPv6; None where it is none."""
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _values(request: web.Request, name: str) -> list[str]:
    return [value.strip() for line in request.headers.getall(name, ()) for value in line.split(",")]


def _last(request: web.Request, name: str) -> str:
    return next(reversed(_values(request, name)), "")
