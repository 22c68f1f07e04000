"""Faults of comparing ids: DEL-2."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import fnmatch
import re
import unicodedata
import warnings
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from .catalogue import fault
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .peer import Peer
    from .server import Event

_PATTERNS = 4096


@lru_cache(_PATTERNS)
def _shell_pattern(text: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(text))


@lru_cache(_PATTERNS)
def _sql_pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace("%", ".*").replace("_", "."), re.DOTALL)


@lru_cache(_PATTERNS)
def _regular_expression(text: str) -> re.Pattern[str] | None:
    """Compile what is one; long ones and repeats of repeats could take for ever to match."""
    if len(text) > 64 or re.search(r"[*+}?]\)*[*+{]", text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(text)
    except (re.error, OverflowError):
        return None


# DEL-2: ids match exactly. While nobody is subscribed the fallback stays as it should be.


class _MatchesMore(Server):
    """Delivers an investigation's updates to subscribers of other ids too."""

    def matches(self, subscribed: str, published: str) -> bool:
        """Say whether a subscription to one id gets another's updates."""
        raise NotImplementedError

    def receivers(self, event: Event) -> Iterable[Peer]:
        """Add who matches."""
        found = dict.fromkeys(super().receivers(event))
        if event.investigation_id in self.subscribers:
            for subscribed, peers in self.subscribers.items():
                if self.matches(subscribed, event.investigation_id):
                    found.update(peers)
        return tuple(found)


@fault("DEL-2", subtle=True)
class MatchesPrefixes(_MatchesMore):
    """Delivers the updates of inv-10 to the subscribers of inv-1."""

    def matches(self, subscribed: str, published: str) -> bool:
        """Use startswith."""
        return published.startswith(subscribed)


@fault("DEL-2", subtle=True)
class MatchesLongerIds(_MatchesMore):
    """Delivers the updates of inv-1 to the subscribers of inv-10: it looks the one up within the other."""

    def matches(self, subscribed: str, published: str) -> bool:
        """Use `in`."""
        return published in subscribed


@fault("DEL-2", subtle=True)
class MatchesShellPatterns(_MatchesMore):
    """Takes an id with *, ? or [ for a pattern, as Redis's PSUBSCRIBE does."""

    def matches(self, subscribed: str, published: str) -> bool:
        """Use fnmatch."""
        return _shell_pattern(subscribed).fullmatch(published) is not None


@fault("DEL-2", subtle=True)
class MatchesSqlPatterns(_MatchesMore):
    """Takes an id with % or _ for a pattern, as SQL's LIKE does."""

    def matches(self, subscribed: str, published: str) -> bool:
        """Use LIKE."""
        return _sql_pattern(subscribed).fullmatch(published) is not None


@fault("DEL-2", subtle=True)
class MatchesRegularExpressions(_MatchesMore):
    """Takes an id for a regular expression: a dot stands for any character."""

    def matches(self, subscribed: str, published: str) -> bool:
        """Forget to escape."""
        pattern = _regular_expression(subscribed)
        return pattern is not None and pattern.fullmatch(published) is not None


@fault("DEL-2", subtle=True)
class MatchesSubjects(_MatchesMore):
    """Takes dots for levels, * for one of them and > for the rest, as NATS does."""

    def matches(self, subscribed: str, published: str) -> bool:
        """Compare level by level."""
        wanted, given = subscribed.split("."), published.split(".")
        if wanted[-1] == ">" and len(given) >= len(wanted):
            wanted, given = wanted[:-1], given[: len(wanted) - 1]
        return len(wanted) == len(given) and all(
            want in ("*", have) for want, have in zip(wanted, given, strict=True)
        )


@fault("DEL-2", subtle=True)
class MatchesTopics(_MatchesMore):
    """Takes slashes for levels, + for one of them and # for the rest, as MQTT does."""

    def matches(self, subscribed: str, published: str) -> bool:
        """Compare level by level."""
        wanted, given = subscribed.split("/"), published.split("/")
        if wanted[-1] == "#":
            wanted, given = wanted[:-1], given[: len(wanted) - 1]
        return len(wanted) == len(given) and all(
            want in ("+", have) for want, have in zip(wanted, given, strict=True)
        )


class _MatchesKeys(_MatchesMore):
    """Compares ids by a key that is not the id itself."""

    def key(self, investigation_id: str) -> object:
        """Return the key."""
        raise NotImplementedError

    def matches(self, subscribed: str, published: str) -> bool:
        """Compare keys."""
        return self.key(subscribed) == self.key(published)


@fault("DEL-2", subtle=True)
class MatchesAnyCase(_MatchesKeys):
    """Takes ids that differ in case for the same."""

    def key(self, investigation_id: str) -> object:
        """Fold."""
        return investigation_id.casefold()


@fault("DEL-2", subtle=True)
class MatchesNormalised(_MatchesKeys):
    """Takes ids that are canonically equivalent for the same."""

    def key(self, investigation_id: str) -> object:
        """Compose."""
        return unicodedata.normalize("NFC", investigation_id)


@fault("DEL-2", subtle=True)
class MatchesTrimmed(_MatchesKeys):
    """Takes ids that differ in trailing spaces for the same, as a CHAR column does."""

    def key(self, investigation_id: str) -> object:
        """Trim."""
        return investigation_id.rstrip(" ")


@fault("DEL-2", subtle=True)
class MatchesNumbers(_MatchesKeys):
    """Takes ids that are the same number, as 7 and 007 or 7.0, for the same."""

    def key(self, investigation_id: str) -> object:
        """Convert."""
        if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", investigation_id):
            return float(investigation_id)
        return investigation_id


@fault("DEL-2", subtle=True)
class MatchesTruncated(_MatchesKeys):
    """Takes ids that begin with the same 64 characters for the same."""

    def key(self, investigation_id: str) -> object:
        """Fit a column."""
        return investigation_id[:64]


@fault("DEL-2", subtle=True)
class MatchesUpToNul(_MatchesKeys):
    """Takes ids that are the same up to a NUL for the same, as C does."""

    def key(self, investigation_id: str) -> object:
        """Stop at it."""
        return investigation_id.partition("\0")[0]


@fault("DEL-2", subtle=True)
class MatchesUnquoted(_MatchesKeys):
    """Takes a%20b, a+b and `a b` for the same."""

    def key(self, investigation_id: str) -> object:
        """Unquote."""
        return investigation_id.replace("+", " ").replace("%20", " ")


@fault("DEL-2", subtle=True)
class MatchesHashes(_MatchesKeys):
    """Takes ids whose checksums agree in 6 bits for the same: it delivers by shard."""

    def key(self, investigation_id: str) -> object:
        """Choose a shard."""
        return zlib.crc32(investigation_id.encode(errors="replace")) % 64
