"""How numbers are written, and what they are worth: pure, exact, linear in the length of the text.

Digits with thousands separated by commas, spaces, dots or apostrophes; fractions and mixed numbers; powers; powers of ten
behind an E or a times sign; scale words ("1.2 million", "5k", "3万"). "5K" and "2mn" are thousands and millions, as a unit stands
apart from its number ("300 K"); a letter that is a unit's as well is a scale behind a sum of money alone: "$5m", but 5 metres.
Texts are those of `text.without_markup`, without LaTeX or other scripts.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from evals.scoring.dates import TEMPORAL

# "1 500/600" is a mixed number, "1 000/3" is none.
_THREE = r"(?:0\d\d(?!\d)|\d{3}(?!\d)(?!\s?/))"
# Every quantifier over digits is possessive, so a failed match is not tried again at another length.
_WHOLE = (
    r"(?:\d{1,3}(?:\.\d{3}){2,9}+(?![.\d])"
    r"|\d{1,3}(?:\.\d{3}){1,9}+,\d{1,2}(?!\d)"
    r"|\d{1,2}(?:,\d{2}(?=,)){1,9}+,\d{3}(?!\d)(?:\.\d++)?+"
    # A decimal comma; "1,2,3" and "(1,2)" are lists.
    r"|(?<![,(\[{])\d{1,6},\d{1,2}(?![\d,]|\.\d|\s?[)\]}])"
    rf"|[1-9]\d{{0,2}}(?:(?P<gap>[ '’_]){_THREE})(?:(?P=gap){_THREE}){{0,9}}+(?:\.\d++)?+"
    r"|\d++(?:,\d{3}(?!\d)){0,130}+(?:\.\d++)?+"
    r"|\.\d++)"
)
_POWER = (
    r"(?:\^\s?|\*\*)(?:\{\s?(?P<power>-?\d{1,4})\s?\}|\(\s?(?P<power_>-?\d{1,4})\s?\)|(?P<power__>-?\d{1,4}))(?!\.?\d)"
)
_TENS = (
    r"\s?(?:\\times|\\cdot|[×xX*·⋅✕])\s?10\s?(?:\^|\*\*)\s?"
    r"(?:\{\s?(?P<tens>[-+]?\d{1,4})\s?\}|\(?(?P<tens_>[-+]?\d{1,4})\)?)(?!\d)"
)
_WORDS = r"(?:hundred|thousand|million|billion|trillion|lakh|crore)s?"
_SCALE = (
    rf"(?P<words>(?:[\s-]{_WORDS}\b){{1,3}})"
    rf"|(?P<suffix>\sk(?=[\s.,;!?)$}}]|$)|[kKMB]|bn|mn|(?(currency)(?:mil|tn|[mbtT])|(?!)))(?![A-Za-z0-9_])|\s?(?P<signs>[十百千万萬亿億]{{1,3}})"
)
# A sign only where it does not subtract from something before it; no exponent, index, or part of a name.
NUMBER = re.compile(
    r"(?<![A-Za-zÀ-ɏ\d_.)^])(?<!\^[{(])(?<!\^-)(?<!\^[{(]-)(?<!_\{)(?<![A-Za-z]\*\*)"
    rf"(?P<sign>-?)(?:(?P<currency>[$€£¥₹₩₽])\s?)?(?P<inner>-?)(?P<whole>{_WHOLE})"
    r"(?P<e>[eE][-+]?\d{1,3}(?!\w|\.\d))?+"
    r"(?!(?:\^\{?)?(?:st|nd|rd|th)\b|-[A-Za-z])"
    r"(?:(?:\s{1,2}|\s(?:and|&)\s)(?P<over>(?!0\d)\d{1,9})\s?/\s?(?P<below>\d{1,9})(?![\d.]*\d)|\s(?P<half>and\sa\shalf)\b"
    rf"|(?:{_TENS}|{_POWER})?"
    r"(?:\s?/\s?(?P<under>-?\d++(?:,\d{3}(?!\d)){0,130}+(?!\.?\d|,\d)))?)"
    rf"(?:{_SCALE})?"
)
_MINUS = re.compile(
    r"(?:(?:^\s+|[=(:≈~]\s{0,2}|\b(?:is|was|be|equals|answer)\s{1,2})-\s{1,2}"
    r"|\bnegative\s{1,2}|(?:^\s*|[=(:≈]\s{0,2}|\b(?:is|was|be|equals|to|at|of|about|exactly)\s{1,2})minus\s{1,2})[$€£¥]?$",
    re.IGNORECASE,
)
_NOT = re.compile(r"\bnot\s{1,2}[$€£¥]?-?$", re.IGNORECASE)
_VALUES = {
    "hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "lakh": 5, "crore": 7,
    "k": 3, "K": 3, "M": 6, "mn": 6, "m": 6, "mil": 6, "B": 9, "bn": 9, "b": 9, "T": 12, "t": 12, "tn": 12,
    "十": 1, "百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8,
}  # fmt: skip
_DECIMAL_COMMA = re.compile(r"\d{1,6},\d{1,2}")
LONGEST = 400
# Python writes no integer of more digits.
_MOST_BITS = 14_000


def numbers_in(text: str) -> Iterator[re.Match[str]]:
    """Yield the numbers of a text, in order, without those of dates and times; `value` reads them."""
    taken = TEMPORAL.finditer(text)
    date = next(taken, None)
    for number in NUMBER.finditer(text):
        while date is not None and date.end() <= number.start():
            date = next(taken, None)
        if date is None or number.end() <= date.start():
            yield number


def value(found: re.Match[str]) -> Fraction | None:
    """Return what a number of a text is worth; None of one that is too long, and of a fraction over 0."""
    number = own_value(found)
    return -number if number is not None and number > 0 and says_minus(found) else number


def own_value(found: re.Match[str]) -> Fraction | None:
    """Return what a number is worth by its own signs, whatever stands before it."""
    number = _magnitude(found)
    return -number if number is not None and bool(found["sign"]) != bool(found["inner"]) else number


def says_minus(found: re.Match[str]) -> bool:
    """Return whether "minus", "negative" or a sign with a space after it stands before a number and belongs to it."""
    return _MINUS.search(found.string[max(0, found.start() - 24) : found.start()]) is not None


def is_denied(found: re.Match[str]) -> bool:
    """Return whether "not" stands before a number."""
    return _NOT.search(found.string[max(0, found.start() - 8) : found.start()]) is not None


def read_alone(text: str) -> Fraction | None:
    """Return the value of a text that is a number and nothing else but its currency or percent sign; None of a decimal comma."""
    bare = re.sub(r"\s?[%°€£¥₹]$", "", " ".join(text.split()))
    bare = re.sub(r"^(?:\+\s?|(-)\s)", r"\1", bare)
    if len(bare) > LONGEST:
        return None
    found = NUMBER.fullmatch(bare)
    # Alone "1,2" may be a list as well.
    return None if found is None or _DECIMAL_COMMA.fullmatch(found["whole"]) else value(found)


def spelled(number: Fraction | None) -> str | None:
    """Return one spelling for equal numbers: a decimal where that is exact, else a fraction in lowest terms."""
    if number is None or max(number.numerator.bit_length(), number.denominator.bit_length()) > _MOST_BITS:
        return None
    rest = number.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest != 1:
        return f"{number.numerator}/{number.denominator}"
    if number.denominator == 1:
        return str(number.numerator)
    # Exact: the denominator has no factor but 2 and 5.
    places = max(_exponent(number.denominator, 2), _exponent(number.denominator, 5))
    if places > LONGEST:
        return f"{number.numerator}/{number.denominator}"
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:].rstrip('0')}"


def _magnitude(found: re.Match[str]) -> Fraction | None:
    number = _decimal(found["whole"], found["e"] or "")
    if number is not None and found["over"]:
        part = _ratio(Fraction(found["over"]), int(found["below"]))
        number = None if part is None else number + part
    if number is not None and found["half"]:
        number += Fraction(1, 2)
    power = found["power"] or found["power_"] or found["power__"]
    tens = found["tens"] or found["tens_"]
    if number is not None and power:
        number = _raised(number, int(power))
    if number is not None and tens:
        number = number * Fraction(10) ** int(tens) if abs(int(tens)) <= LONGEST else None
    if number is not None and found["under"]:
        under = found["under"].replace(",", "").lstrip("-0")
        if len(under) > LONGEST:
            return None
        number = _ratio(number, int(under or "0") * (-1 if found["under"].startswith("-") else 1))
    return None if number is None else number * 10 ** _scale(found)


def _decimal(whole: str, exponent: str) -> Fraction | None:
    if re.fullmatch(r"\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:\.\d{3})+,\d{1,2}", whole):
        whole = whole.replace(".", "").replace(",", ".")
    elif _DECIMAL_COMMA.fullmatch(whole):
        whole = whole.replace(",", ".")
    digits = re.sub(r"[, '’_]", "", whole)
    if len(digits) > LONGEST:
        return None
    try:
        return Fraction(Decimal(digits + exponent))
    except (InvalidOperation, ValueError):
        return None


def _raised(number: Fraction, power: int) -> Fraction | None:
    """Return a power; None of one that has too many digits, or divides by 0."""
    if number == 0:
        return None if power <= 0 else number
    digits = max(math.log10(number.numerator), math.log10(number.denominator), 0.0) * abs(power)
    return number**power if digits <= LONGEST else None


def _scale(found: re.Match[str]) -> int:
    if suffix := (found["suffix"] or "").strip():
        # "Flat 3B" is no billion.
        return 0 if suffix == "B" and not found["currency"] else _VALUES[suffix]
    words = re.findall(r"[a-z]+", (found["words"] or "").lower())
    return sum(_VALUES[word.removesuffix("s")] for word in words) + sum(_VALUES[sign] for sign in found["signs"] or "")


def _ratio(over: Fraction, under: int) -> Fraction | None:
    return over / under if under else None


def _exponent(number: int, factor: int) -> int:
    count = 0
    while number % factor == 0:
        number //= factor
        count += 1
    return count
