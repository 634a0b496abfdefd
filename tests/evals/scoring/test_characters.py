"""One character for what is written with several, each sign by what it is called in Unicode."""

import unicodedata

import pytest

from evals.scoring.characters import plain

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("called", "letters"),
    [
        ("CIRCLED LATIN CAPITAL LETTER {}", LETTERS),
        ("CIRCLED LATIN SMALL LETTER {}", LETTERS.lower()),
        ("NEGATIVE CIRCLED LATIN CAPITAL LETTER {}", LETTERS),
        ("NEGATIVE SQUARED LATIN CAPITAL LETTER {}", LETTERS),
        ("FULLWIDTH LATIN CAPITAL LETTER {}", LETTERS),
        ("FULLWIDTH LATIN SMALL LETTER {}", LETTERS.lower()),
    ],
)
def test_letters_in_circles_and_of_full_width_are_letters(called, letters):
    assert plain("".join(unicodedata.lookup(called.format(letter.upper())) for letter in letters)) == letters


@pytest.mark.parametrize(
    ("called", "meant"),
    [
        ("MINUS SIGN", "-"),
        ("SMALL HYPHEN-MINUS", "-"),
        ("HEAVY MINUS SIGN", "-"),
        ("FULLWIDTH HYPHEN-MINUS", "-"),
        ("FRACTION SLASH", "/"),
        ("DIVISION SLASH", "/"),
        ("FULLWIDTH SOLIDUS", "/"),
        ("FULLWIDTH YEN SIGN", "¥"),
        ("ARABIC DECIMAL SEPARATOR", "."),
        ("ARABIC THOUSANDS SEPARATOR", ","),
        ("FULLWIDTH EXCLAMATION MARK", "!"),
        ("FULLWIDTH TILDE", "~"),
        ("NO-BREAK SPACE", " "),
        ("THIN SPACE", " "),
        ("IDEOGRAPHIC SPACE", " "),
        ("ZERO WIDTH SPACE", ""),
        ("WORD JOINER", ""),
        ("SOFT HYPHEN", ""),
    ],
)
def test_a_sign_has_one_character(called, meant):
    assert plain(f"a{unicodedata.lookup(called)}b") == f"a{meant}b"
