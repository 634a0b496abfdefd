"""What has digits and is no number: dates, times, ratios, alternatives, lists, two units. Pure, linear in the text."""

import re
from fractions import Fraction

from evals.scoring.dates import DATE, TIME
from evals.scoring.numerals import NUMBER, value
from evals.scoring.quantities import known_unit

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_DAY = (
    rf"(?:{_MONTH}\.?\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}\b(?:,?\s\d{{4}})?)"
)
# Atomic: what is read as one number is not read as two again, or a row of "1,1,1,…" takes time without end.
_ENTRY = r"(?>-?\d{1,9}/\d{1,9}|-?[$€£¥]?(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)|\d{1,20})(?:\.\d{1,20})?)"
_FIGURE = r"-?[$€£¥]?\d[\d,]{0,20}(?:\.\d{1,20})?"
_RATIO = rf"{_FIGURE}(?:(?::|\s:\s){_FIGURE}){{1,5}}"
_ALONE = (
    rf"[\s($]*(?:(?:(?:on|at|about|around|exactly|by)\s)?(?:{DATE}|{TIME}|{_DAY})|{_RATIO}|{_FIGURE}\sto\s{_FIGURE})"
)
# A clause that begins with a date, a time or a ratio.
_BEGINS = re.compile(rf"{_ALONE}(?!\s?=)(?![\d:])")
_GOES_ON = re.compile(rf"(?::|\s:\s|\sto\s){_FIGURE}")
# "1 in 5", "3 out of 4": neither of the two; but "18 in 2 weeks", "12 in 2020".
_SHARE = re.compile(
    r"\s(?:in|out\sof)\s(?:every\s)?(?![12]\d{3}(?!\d))\d[\d,]{0,12}(?!\.?\d)(?=\s*(?:[.,;:!?)$]|$)|\s(?:chances?|odds|probability)\b)"
)
_NAME = r"(?:[A-Za-z]\w{0,2}\s?=\s?)?"
_OR = re.compile(
    rf"(?P<unit>\s?[%°¢]|(?:\s[A-Za-z]{{1,20}}){{0,2}}),?\s(?:or|oder|ou|ou\sbien|或)\s(?:else\s)?\$?{_NAME}\$?\s?(?=[-$€£¥(\d.√])"
)
# "1, 2, 3", "3 and -3", "(1, 2)", and nothing else.
_LIST = re.compile(
    rf"[\s([{{$\\]*{_NAME}{_ENTRY}(?:(?:\s?[,;]\s?(?:and\s|or\s)?|\s(?:and|or)\s){_NAME}{_ENTRY}){{1,20}}[\s)\]}}$.\\]*"
)
_PLUS_MINUS = re.compile(r"(?:±|\\pm(?![A-Za-z])|\\mp(?![A-Za-z])|\+/-)")
# A quantity in two units is neither of its numbers.
_UNITS = (
    ("hours?|hrs?|h", "minutes?|mins?|m|seconds?"), ("minutes?|mins?|min", "seconds?|secs?|s"), ("days?|d", "hours?|hrs?|h"),
    ("weeks?", "days?"), ("years?|yrs?", "months?|weeks?|days?"), ("months?", "weeks?|days?"), ("feet|foot|ft", "inch(?:es)?|in"),
    ("yards?|yd", "feet|foot|ft"), ("pounds?|lbs?", "ounces?|oz"), ("dollars?", "cents?"),
    ("meters?|metres?|m", "centimeters?|centimetres?|cm"),
    ("kilometers?|kilometres?|km", "meters?|metres?|m"), ("kilograms?|kg", "grams?|g"), ("miles?", "feet|foot|ft|yards?"),
)  # fmt: skip
_TWO_UNITS = re.compile(
    "|".join(
        rf"\s?(?:{one})(?:,?\s(?:and\s)?|\s?)(?=\d)\d{{1,4}}(?:\.\d{{1,4}})?\s?(?:{other})\b" for one, other in _UNITS
    )
)
_CONCLUSION = re.compile(
    r"\s*(?:so|therefore|thus|hence),?\s(?:(?:it|this|that|there|x|the\s\w{1,20})\s(?:is|has|are)\s)?", re.IGNORECASE
)
# What says that there is no number to give.
_NONE = re.compile(
    r"\W*(?:undefined|indeterminate|infinit[ey]|infinity|unknown|impossible|none|nan|no\s(?:real\s)?(?:solutions?|answer)|does\snot\sexist|dne"
    r"|(?:there\s(?:is|are)\s)?no\s(?:real\s|such\s)?(?:solutions?|numbers?|answer)|cannot\sbe\sdetermined|not\senough\sinformation|[IVXLCDM]{2,12})\W*"
)


def is_no_number(clause: str, *, alone: bool = False) -> bool:
    """Return whether a clause gives a date, a time, a ratio, a list, or says that there is no number.

    Args:
        clause: what is announced.
        alone: whether a date, time or ratio has to be all of it.
    """
    clause = _CONCLUSION.sub("", clause[:400], count=1)
    if _NONE.fullmatch(clause) or _NONE.fullmatch(clause.lower()):
        return True
    begins = _BEGINS.match(clause)
    if begins and not (alone and clause[begins.end() :].strip(" .$)")):
        return True
    if _is_list(clause):
        return True
    return _PLUS_MINUS.search(clause[:40]) is not None


def goes_on(found: re.Match[str], text: str) -> bool:
    """Return whether a number is the first of a ratio or a range: "3:2", "5 to 10"."""
    return _GOES_ON.match(text, found.end()) is not None


def is_share(found: re.Match[str], text: str) -> bool:
    """Return whether a number is the first of a share: "1 in 5"."""
    return _SHARE.match(text, found.end()) is not None


def has_two_units(found: re.Match[str], text: str) -> bool:
    """Return whether a number is the first of a quantity in two units: "5 ft 6 in"."""
    return _TWO_UNITS.match(text, found.end()) is not None


def has_alternative(found: re.Match[str], end: int, text: str) -> bool:
    """Return whether another number stands behind "or" after a number: "3 or -3", but not "18 dollars or 1800 cents".

    Args:
        found: the number.
        end: where the expression that it belongs to ends.
        text: what both stand in.
    """
    alternative = _OR.match(text, end)
    if alternative is None:
        return False
    other = NUMBER.match(text, alternative.end())
    if other is None:
        return text[alternative.end()] in "(√-"
    unit = re.match(r"\s?([%°¢])|\s([A-Za-z]{1,20})", text[other.end() : other.end() + 24])
    units = alternative["unit"].strip(), unit[0].strip() if unit else ""
    same = _are_one_value(found, other, units)
    if same is not None:
        return not same
    if all(units) and units[0] != units[1]:
        return False
    return value(other) != value(found)


def _are_one_value(one: re.Match[str], other: re.Match[str], units: tuple[str, str]) -> bool | None:
    """Return whether two numbers with units are one value in two forms, "$0.75" and "75 cents"; None where that is not known.

    Args:
        one, other: the numbers.
        units: what stands behind each; "" of nothing.
    """
    worth = [value(number) for number in (one, other)]
    if None in worth:
        return None
    shares = [unit.lower() in ("%", "percent", "percentage") for unit in units]
    sizes = [Fraction(1, 100) if share else Fraction(1) for share in shares]
    ours, theirs = (_unit_of(number, unit) for number, unit in zip((one, other), units, strict=True))
    if all(shares) or (not any(shares) and ours is None and theirs is None):
        return None
    if any(shares):
        # "50 kg or 50 %" are two.
        if any(unit and not share for unit, share in zip(units, shares, strict=True)):
            return None
    elif ours is not None and theirs is not None:
        if ours[0] != theirs[0] or not (ours[1] and theirs[1]):
            return None
        sizes = [ours[1], theirs[1]]
    else:
        # One of them says no unit: "0.75 or 75 cents".
        unnamed = units[0] if ours is None else units[1]
        kind, size = ours or theirs or ("", Fraction(0))
        if unnamed or worth[0] == worth[1] or not kind.startswith("money"):
            return None
        sizes = [size if ours else Fraction(100), size if theirs else Fraction(100)]
    first, second = (Fraction(number or 0) * size for number, size in zip(worth, sizes, strict=True))
    # "2/3 or 66.7%" is rounded.
    return first == second or (any(shares) and abs(first - second) * 1000 <= abs(first))


def _unit_of(number: re.Match[str], unit: str) -> tuple[str, Fraction] | None:
    """Return kind and size of a number's unit; None of one that is not known."""
    return known_unit("$" if number["currency"] == "$" else "cent" if unit == "¢" else unit)


def _is_list(clause: str) -> bool:
    """Return whether a clause is several numbers and nothing else; one number given in two forms is none."""
    found = _LIST.fullmatch(clause.rstrip())
    if found is None or NUMBER.fullmatch(clause.strip(" $.\\")):
        return False
    values = {value(number) for number in NUMBER.finditer(clause)}
    return len(values) > 1 or "or" not in clause
