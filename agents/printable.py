"""What models, questions and files say, as text on a terminal and never as a command to it."""

import unicodedata

# Kept though they are control characters: a table's and a paragraph's own.
KEPT = "\n\t"
# Characters that reorder what stands around them: a reader would see another text than was said.
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Return a text without characters that move the cursor, change colours, end lines or reorder letters.

    Each becomes U+FFFD, so that something is seen to have been there; so do lone surrogates, which no stream can write.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if _is_command(character) else character for character in text)


def printable_json(text: str) -> str:
    """Return a JSON text of the same value with these characters escaped: one of ours has them in its strings alone."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{ord(character):04x}" if _is_command(character) else character for character in text)


def _is_command(character: str) -> bool:
    if character in KEPT:
        return False
    return character in BIDI or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
