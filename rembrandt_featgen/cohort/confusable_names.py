"""Names that people cannot tell apart on a screen, or that hold what no screen shows."""

from __future__ import annotations

import unicodedata

_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # tabs, line ends, NUL, zero-width and other marks of no width
# Small letters of which one of the two cases looks like a Latin one: Cyrillic, then Greek.
_LOOKS = dict(zip("авекмнорстухіјѕԁԛԝһӏ", "abekmhopctyxijsdqwhl")) | dict(zip("αβεζηικμνορτυχ", "abezhikmnoptyx"))
_LOOKS |= {"ı": "i", "−": "-"}


def hidden(name: str) -> str:
    """The first character of a name that no screen shows, "" where there is none."""
    return next((letter for letter in name if unicodedata.category(letter) in _HIDDEN), "")


def looks(name: str) -> str:
    """What a name looks like: in lower case, accents composed, letters of other scripts as Latin ones."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    dashes = ("-" if unicodedata.category(letter) == "Pd" else letter for letter in plain)
    return "".join(_LOOKS.get(letter, letter) for letter in dashes)
