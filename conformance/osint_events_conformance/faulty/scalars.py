"""Faults of the relayed payload's numbers and text: EVT-1 and EVT-6."""
# ruff: noqa: PLR2004 - the numbers are what the docstrings beside them say

from __future__ import annotations

import html
import re
import struct
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, ClassVar

from .catalogue import fault
from .events import Rewrites
from .jsontext import Number

if TYPE_CHECKING:
    from .server import Event

_LARGEST = sys.float_info.max


# Numbers.


class _RewritesNumbers(Rewrites):
    """Changes numbers that have a fraction or an exponent, or those that have none."""

    whole: ClassVar[bool] = False

    def change(self, value: Any) -> Any:
        """Change a number of that sort."""
        if not isinstance(value, Number) or value.lstrip("-").isdigit() is not self.whole:
            return value
        number = value.value
        if abs(number) > _LARGEST:
            return value
        new = self.number(number)
        return value if new == number else new

    def number(self, value: float) -> float | str:
        """Return what becomes of a number."""
        raise NotImplementedError


@fault("EVT-1", subtle=True)
class RoundsFractions(_RewritesNumbers):
    """Rounds a number to three decimals."""

    def number(self, value: float) -> float | str:
        """Round."""
        return round(value, 3)


@fault("EVT-1", subtle=True)
class PassesFractionsThroughSingles(_RewritesNumbers):
    """Sends a number with a fraction in single precision."""

    def number(self, value: float) -> float | str:
        """Store it in a float32."""
        try:
            single: float = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            return value
        return single


@fault("EVT-1", subtle=True)
class WrapsIntegers(_RewritesNumbers):
    """Wraps an integer beyond 32 bits around."""

    whole = True

    def number(self, value: float) -> float | str:
        """Store it in an int32."""
        return (int(value) + 2**31) % 2**32 - 2**31


@fault("EVT-1", subtle=True)
class WritesBigIntegersAsStrings(_RewritesNumbers):
    """Sends an integer beyond 2^53 as a string."""

    whole = True

    def number(self, value: float) -> float | str:
        """Save JavaScript the loss."""
        return str(value) if abs(value) > 2**53 else value


@fault("EVT-1", subtle=True)
class ClampsProgress(Rewrites):
    """Sends a progress beyond 0 to 1 as the nearest of the two."""

    def change_payload(self, data: dict[str, Any], event: Event) -> dict[str, Any]:
        """Put the publisher right."""
        del event
        progress = data.get("progress")
        if isinstance(progress, Number) and not 0 <= progress.value <= 1:
            return {**data, "progress": 1 if progress.value > 1 else 0}
        return data


# Text.


@fault("EVT-1", subtle=True)
class EscapesHtml(Rewrites):
    """Escapes <, > and & in strings for HTML."""

    def change_text(self, text: str) -> str:
        """Escape too early."""
        return html.escape(text, quote=False)


@fault("EVT-1", subtle=True)
class ReplacesNonBmp(Rewrites):
    """Sends U+FFFD in place of a character beyond the BMP."""

    def change_text(self, text: str) -> str:
        """Know three bytes of UTF-8."""
        return "".join(c if ord(c) < 0x10000 else "\ufffd" for c in text)


@fault("EVT-1", subtle=True)
class NormalisesText(Rewrites):
    """Sends strings in Unicode's NFC."""

    def change_text(self, text: str) -> str:
        """Compose."""
        return unicodedata.normalize("NFC", text)


@fault("EVT-1", subtle=True)
class TrimsText(Rewrites):
    """Sends strings without the white space around them."""

    def change_text(self, text: str) -> str:
        """Strip."""
        return text.strip()


@fault("EVT-1", subtle=True)
class DropsNulCharacters(Rewrites):
    """Sends strings without U+0000, which PostgreSQL's jsonb does not take."""

    def change_text(self, text: str) -> str:
        """Remove them."""
        return text.replace("\0", "")


@fault("EVT-1", subtle=True)
class UnescapesTwice(Rewrites):
    """Sends a line feed in place of a backslash and an n in a string."""

    def change_text(self, text: str) -> str:
        """Unescape what is no escape."""
        return text.replace("\\n", "\n")


@fault("EVT-1", subtle=True)
class UnifiesLineEnds(Rewrites):
    r"""Sends \n in place of \r\n."""

    def change_text(self, text: str) -> str:
        """Open a file in text mode."""
        return text.replace("\r\n", "\n")


@fault("EVT-1", subtle=True)
class CutsLongText(Rewrites):
    """Sends the first 1024 characters of a string."""

    def change_text(self, text: str) -> str:
        """Fit a column."""
        return text[:1024]


@fault("EVT-1", subtle=True)
class ReadsNumbersInText(Rewrites):
    """Sends a number in place of a string of digits."""

    def change(self, value: Any) -> Any:
        """Let the types be guessed."""
        if type(value) is str and re.fullmatch(r"[1-9][0-9]{0,8}", value):
            return int(value)
        return value


@fault("EVT-1", subtle=True)
class ReformatsDates(Rewrites):
    """Sends +00:00 in place of the Z of a date and time."""

    def change_text(self, text: str) -> str:
        """Parse and format."""
        return re.sub(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z$", r"\1+00:00", text)


@fault("EVT-1", subtle=True)
class ReadsNullInText(Rewrites):
    """Sends null in place of the strings null and None."""

    def change(self, value: Any) -> Any:
        """Have one spelling for nothing."""
        return None if type(value) is str and value in {"null", "None"} else value


# EVT-6: the spelling of numbers (a SHOULD).


@fault("EVT-6", subtle=True)
class RoundsBigIntegers(_RewritesNumbers):
    """Sends an integer beyond 2^53 as the nearest double."""

    whole = True

    def number(self, value: float) -> float | str:
        """Pass it through a double."""
        return int(float(value))


@fault("EVT-6")
class DropsTrailingZeros(Rewrites):
    """Sends 1 in place of 1.0."""

    def change(self, value: Any) -> Any:
        """Spell it as JavaScript does."""
        return Number(value[:-2]) if isinstance(value, Number) and value.endswith(".0") else value
