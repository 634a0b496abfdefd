"""One character for what is written with several: digits, minus signs, widths, spaces, fractions. Pure, linear in the text."""

import re
import unicodedata

_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_INVISIBLE = (
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
# Full-width signs, the minus, slashes, Arabic separators, and letters in circles.
_SINGLE: dict[int, str | int | None] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, _SPACES), " "),
    **dict.fromkeys(map(ord, _INVISIBLE)),
    **{0x24B6 + place: chr(ord("A") + place) for place in range(26)},
    **{0x24D0 + place: chr(ord("a") + place) for place in range(26)},
    **{0x1F150 + place: chr(ord("A") + place) for place in range(26)},
    **{0x1F170 + place: chr(ord("A") + place) for place in range(26)},
    **dict.fromkeys((0x2212, 0xFE63, 0x2796), "-"),
    **dict.fromkeys((0x2044, 0x2215), "/"),
    **dict.fromkeys((0xFFE5,), "¥"),
    0x066B: ".",
    0x066C: ",",
}
_DIGIT = re.compile(r"[^\x00-\x7f]", re.UNICODE)
# Other dashes are minus signs where a number follows and nothing stands before that it could be subtracted from or joined to.
_DASH = re.compile(
    r"(?<![^\s=(:,\[{$])(?:[\u2010-\u2013\u207b](?=\s?[$€£¥]?(?:\.?\d|\\[dt]?frac))|\u2014(?=[$€£¥]?\d))"
)
_JOINED = re.compile(r"(?<=\d)[\u2010-\u2013]|[\u2010-\u2013](?=[$€£¥]?\d)")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RAISED = re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_VULGAR = re.compile("(?P<before>\\d\\s?)?(?P<sign>[¼½¾⅐-⅞↉])")
# What a reader of JSON makes of `\boxed` and `\frac` whose backslash was not doubled.
_UNESCAPED = (("\x08oxed", "\\boxed"), ("\x0crac", "\\frac"))


def plain(text: str) -> str:
    """Return a text in which equal digits, signs, widths, spaces and fractions are one character each.

    Digits of all scripts and full-width letters become ASCII, minus signs `-`, `10⁶` `10^{6}`, `2½` `2 1/2`; invisible
    characters go, and lone surrogates, which no file can hold, become U+FFFD.
    """
    for odd, meant in _UNESCAPED:
        text = text.replace(odd, meant)
    if text.isascii():
        return text
    text = _DASH.sub("-", text.translate(_SINGLE))
    text = _JOINED.sub("-", text)
    text = _RAISED.sub(lambda found: f"^{{{found[0].translate(_SUPERSCRIPTS)}}}", text)
    text = _LOWERED.sub(lambda found: f"_{{{found[0].translate(_SUBSCRIPTS)}}}", text)
    text = _VULGAR.sub(_fraction, text)
    return _DIGIT.sub(_digit, text)


def _fraction(found: re.Match[str]) -> str:
    written = unicodedata.normalize("NFKC", found["sign"]).replace("\u2044", "/")
    return f"{found['before'].strip()} {written}" if found["before"] else written


def _digit(found: re.Match[str]) -> str:
    character = found[0]
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)
