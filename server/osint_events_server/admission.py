"""How many connections there may be, in all and from one address."""

from collections import Counter
from ipaddress import IPv6Address, ip_address, ip_network


class TooManyConnections(Exception):
    """There is no room for another connection.

    Attributes:
        reason: `limit` or `address_limit`.

    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Admission:
    """Counts connections.

    Args:
        total: how many there may be, inclusive.
        per_address: how many from one address, inclusive; of IPv6 a network of 64 bits counts as one.

    """

    def __init__(self, *, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._count = 0
        self._by_address: Counter[str] = Counter()

    def enter(self, address: str) -> None:
        """Count a connection, until it leaves.

        Raises:
            TooManyConnections: it is one too many.

        """
        key = _key(address)
        if self._count >= self._total:
            raise TooManyConnections("the server has as many connections as it takes", reason="limit")
        if self._by_address.get(key, 0) >= self._per_address:
            raise TooManyConnections(
                "this address has as many connections as it may have", reason="address_limit"
            )
        self._count += 1
        self._by_address[key] += 1

    def leave(self, address: str) -> None:
        """Count a connection that entered no more."""
        key = _key(address)
        self._count -= 1
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]


def _key(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
