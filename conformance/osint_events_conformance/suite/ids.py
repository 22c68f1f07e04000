"""Investigation ids that implementations get wrong, each with a salt that keeps it fresh."""

from __future__ import annotations

from osint_events_conformance.names import Names

LONGEST = 255
"""Characters of the longest investigation id (SUB-1)."""


def _uuid(digits: str) -> str:
    """A UUID in upper case, with the digits of a salt."""
    return f"{digits}A-BCDE-4F01-89AB-CDEF0{digits}"


def nasty(n: Names) -> dict[str, list[str]]:
    """Ids by the reason why they are here."""
    w, d = n.word, n.digits
    return {
        "look like numbers": [d, f"00{d}", f"{d}.0", f"{d}e2", f"-{d}", f"+{d}", f"0x{d}", f"{d}.50", d * 4],
        "look like JSON": ["null", "true", "false", "NaN", f'{{"a":"{w}"}}', f'["{w}"]', f'"{w}"', f"{w}\\u0041"],
        "look like code": [
            "undefined", "None", "__proto__", "constructor", "toString", "hasOwnProperty", f"${{{w}}}", f"{{{w}}}",
            f"$&{w}", f"{w}$$a", f"\\1{w}", f"{{0}}{w}", f"%(id)s{w}", f"%s{w}", f"{w}'; --", f"<b>{w}</b>", f"&amp;{w}", f"../{w}", f"{w}/a", f"/{w}", f"{w}\\a", f"{w}//a",
        ],
        "UUIDs": [_uuid(d), _uuid(d).lower(), f"{{{_uuid(d).lower()}}}", f"urn:uuid:{_uuid(d).lower()}", _uuid(d).replace("-", "")],
        "white space": [" ", "   ", "\t", "\u3000", f" {w}", f"{w} ", f"{w}  a", f"\t{w}", f"{w}\n", f"{w}\r\na", f"\u00a0{w}", f"{w}\u3000", f"{w}\u200b"],
        "patterns": [f"{w}*", f"{w}?", f"[{w}]", f"{w}%", f"{w}_", f"{w}.*", f"^{w}$", f"({w}|a)", f"{w}.>", f"#{w}", f"{w}+"],
        "separators": [f"{w}:a", f"{w},a", f"{w};a", f"{w}|a", f"{w}.a", f"{w}-a", f"{w}@a", f"{w}=a", f"{w}&a=1", f"{w}#a"],
        "percent signs": [f"{w}%20a", f"{w}%2Fa", f"{w}%", f"{w}%zz", f"{w}%C3%A9", f"{w}+a"],
        "Unicode": [
            f"é{w}", f"e\u0301{w}", f"ß{w}", f"İ{w}", f"ı{w}", f"日本{w}", f"ﬁ{w}", f"Å{w}", f"\u212b{w}", f"{w}\u200d", f"אב{w}",
            f"\u202e{w}", f"\ufeff{w}", f"{w}\u2028", f"\u0430{w}",
        ],
        "beyond the basic plane": [f"😀{w}", f"{w}👩‍👩‍👧", f"𝕏{w}", f"{w}\U0010fffd", "😀" * 20 + w],
        "control characters": [f"{w}\x01", f"{w}\x00a", f"{w}\x7f", f"{w}\x1b[0m", f"{w}\x85"],
        "quotes": [f'{w}"', f"{w}'", f"{w}`", f"{w}\\", f"{w}/", f"\\{w}\\"],
        "lengths": ["q", "7", "é", "😀", (w * 40)[:64], (w * 40)[:65], (w * 40)[:128], (w * 40)[:129], (w * 40)[:254]],
        "the longest": [(w * 40)[:LONGEST], (d * 40)[:LONGEST], (f"{w}é日" * 40)[:LONGEST], w + "😀" * (LONGEST - len(w))],
    }  # fmt: skip


def pairs(n: Names) -> list[tuple[str, str]]:
    """Pairs of different ids that a careless comparison takes for the same (DEL-2)."""
    w, d = n.word, n.digits
    long = (w * 40)[: LONGEST - 1]
    return [
        (f"inv-{w}-1", f"inv-{w}-10"), (w, f"{w}a"), (f"a{w}", w), (w, w[:-1]), (f"x{w}", f"xx{w}"),
        (w, w.upper()), (w, w.title()), (_uuid(d), _uuid(d).lower()), (_uuid(d).lower(), _uuid(d).lower().replace("-", "")), (f"É{w}", f"é{w}"), (f"é{w}", f"e\u0301{w}"), (f"Å{w}", f"\u212b{w}"),
        (f"ß{w}", f"ss{w}"), (f"ﬁ{w}", f"fi{w}"), (f"i{w}", f"ı{w}"), (f"ａ{w}", f"a{w}"), (f"а{w}", f"a{w}"),
        (w, f"{w} "), (w, f" {w}"), (w, f"{w}\n"), (w, f"{w}\u200b"), (f"{w} a", f"{w}  a"), (f"{w} a", f"{w}\ta"),
        (d, f"0{d}"), (d, f"{d}.0"), (d, f"{d}e0"), (d, f"+{d}"), (d, f" {d}"), (f"{d * 3}1", f"{d * 3}2"),
        (f"{w}*", f"{w}a"), ("*", w), (f"{w}-*", f"{w}-1"), (f"{w}?", f"{w}b"), (f"{w}[12]", f"{w}1"), (f"{w}%", f"{w}c"),
        (f"{w}_a", f"{w}xa"), (f"{w}.", f"{w}x"), (f"{w}.*", f"{w}.1"), (f"{w}.>", f"{w}.1.2"), (f"{w}+", f"{w}{w[-1]}"),
        (f".{w}", f"x{w}"), (f"{w}|a", w), (f"({w})", w), (f"^{w}", w), (f"{w}$", w), (".*", w), ("%", w), (">", w), ("#", w),
        (f"{w}/a", w), (f"{w}/a", f"{w}/b"), (f"{w}:a", w), (f"{w}:a", f"{w}:b"), (f"{w}.a", f"{w}.b"), (f"{w},a", w),
        (f"{w}%20a", f"{w} a"), (f"{w}%2Fa", f"{w}/a"), (f"{w}+a", f"{w} a"), (f"{w}&a", f"{w}&b"), (f"{w}?a", f"{w}?b"),
        (f"{w}#a", f"{w}#b"), (f"{w}\x00a", f"{w}\x00b"), (f"{w}\x00", w), (f"{w}\\", w), (f"{w}-a", f"{w}_a"), (f"{w}-a", f"{w}a"),
        (long + "a", long + "b"), ((w * 40)[:64] + "a", (w * 40)[:64] + "b"), ((w * 40)[:128] + "a", (w * 40)[:128] + "b"),
        ((w * 40)[:32] + "a", (w * 40)[:32] + "b"), (f"{w}😀", f"{w}😁"), (f"{w}é", f"{w}è"), (f"{w}é", f"{w}?"), (f"{w}日", f"{w}?"),
        (f"{w}😀", f"{w}?"), (f"{w}😀", f"{w}\ufffd"), ("null", "None"), ("true", "True"), ("undefined", "null"), (f"ab{w}", f"ba{w}"),
    ]  # fmt: skip
