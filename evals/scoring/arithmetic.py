"""The value of an arithmetic expression: exact, or none. Pure; nothing is run as code, and each expression costs a bounded time.

Sums, products, quotients, powers, roots, brackets, absolute values, factorials where asked for, "3/4 of 20", repeating decimals
and the hexadecimal, octal and binary literals of programs. What is no fraction, such as √2 or 2π, has no value.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from evals.scoring.numerals import LONGEST, NUMBER, own_value

# Brackets and signs inside each other, and the characters of one expression.
DEEPEST, MOST_CHARACTERS = 20, 400
_TIMES = re.compile(r"\s{0,2}(?:\\times|\\cdot|[*×·⋅✕]|[xX](?=\s?[$€£]?\d))\s{0,2}")
_OVER = re.compile(r"\s{0,2}(?:\\div|[/÷])\s{0,2}")
_PLUS = re.compile(r"\s{0,2}(?P<sign>[-+])\s{0,2}")
_OF = re.compile(r"(?P<percent>\s?%)?\sof\s(?=[$€£¥]?\d)")
_ROOT = re.compile(r"(?:\\sqrt\s?(?:\[\s?(?P<degree>\d)\s?\]\s?)?|√\s?|(?P<cube>∛)\s?|sqrt(?=\())")
_FRACTION = re.compile(r"\\[dtc]?frac\s?(?=\{)")
_CONSTANT = re.compile(r"π|\\pi(?![A-Za-z])|pi(?![A-Za-z])|∞|\\infty(?![A-Za-z])")
_LITERAL = re.compile(r"0(?:[xX](?P<hex>[0-9A-Fa-f]{1,40})|[oO](?P<oct>[0-7]{1,40})|[bB](?P<bin>[01]{1,80}))(?!\w)")
_REPEATING = re.compile(
    r"(?P<whole>\d{0,40})\.(?P<fixed>\d{0,40})"
    r"(?:\\(?:overline|bar|dot|overbar)\s?(?:\{\s?(?P<over>\d{1,40})\s?\}|(?P<one>\d))|\((?P<round>\d{1,40})\)(?!\s?[\d(]))(?:\.\.\.|\\(?:ld|d)?ots)?"
)
_RAISED = re.compile(r"\s?(?:\^(?!\s?\{?\s?(?:\\circ|\\prime|°))|\*\*)\s?")
_GROUPED = re.compile(r"[{(]\s?(?P<inner>[^{}()]{1,40}?)\s?[})]")
_EXPONENT = re.compile(r"-?\d{1,4}(?:\.\d{1,4})?(?!\.?\d)")
_PARTS = {
    "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
}  # fmt: skip
_NTHS = re.compile(rf"\s(?P<part>{'|'.join(_PARTS)})s?\b")
_CLOSES = {"(": ")", "{": "}", "[": "]", "|": "|"}


@dataclass(frozen=True)
class Expression:
    """An arithmetic expression in a text.

    Attributes:
        end: where it ends.
        value: None where it is no fraction, is not defined or has too many digits.
        subtracts: whether it is two plain numbers with a minus between them, which may be a range as well.
    """

    end: int
    value: Fraction | None
    subtracts: bool = False


def expression_at(text: str, place: int, *, factorials: bool = False) -> Expression | None:
    """Return the longest expression that begins at a place; None where none does.

    Args:
        text: without markup (`text.without_markup`).
        place: where it begins.
        factorials: whether "5!" is one, rather than a sentence's end.
    """
    reader = _Reader(text[: place + MOST_CHARACTERS], factorials)
    found = reader.sum(place, 0)
    if found is None:
        return None
    end, value = found
    return Expression(end, value, reader.subtracts == (place, end))


def repeating_decimal(text: str) -> Fraction | None:
    """Return the value of a decimal with digits that repeat, "0.1\\overline{6}"; None of anything else."""
    found = _REPEATING.fullmatch(text.removeprefix("-").strip())
    return (
        None
        if found is None or _may_multiply(found)
        else -_repeated(found)
        if text.startswith("-")
        else _repeated(found)
    )


# The end of what was read, and its value.
_Read = tuple[int, Fraction | None]


class _Reader:
    """Reads expressions by recursive descent; each method returns None where its kind does not begin at the place."""

    def __init__(self, text: str, factorials: bool) -> None:
        self._text = text
        self._factorials = factorials
        # Where the last sum began and ended, if it is one number less another.
        self.subtracts: tuple[int, int] | None = None

    def sum(self, place: int, depth: int) -> _Read | None:
        found = self._product(place, depth)
        if found is None:
            return None
        end, total = found
        terms, signs = [self._text[place:end]], ""
        while (sign := _PLUS.match(self._text, end)) and (term := self._product(sign.end(), depth)):
            terms.append(self._text[sign.end() : term[0]])
            signs += sign["sign"]
            end = term[0]
            total = None if total is None or term[1] is None else total + term[1] * (-1 if signs[-1] == "-" else 1)
        plain = len(terms) == 2 and all(NUMBER.fullmatch(term.strip()) for term in terms)
        self.subtracts = (place, end) if plain and signs == "-" else None
        return end, total

    def _product(self, place: int, depth: int) -> _Read | None:
        found = self._factor(place, depth)
        if found is None:
            return None
        end, total = found
        while True:
            of = _OF.match(self._text, end)
            if of and not (of["percent"] or "/" in self._text[place:end] or "frac" in self._text[place:end]):
                of = None
            times, over = _TIMES.match(self._text, end), _OVER.match(self._text, end)
            sign = of or times or over
            # "2(3)" and "2√3" multiply, "2 (3)" does not.
            begin = sign.end() if sign else end
            if not sign and not (self._text[end : end + 1] in ("(", "√", "π", "∛", "\\") and self._is_factor(end)):
                return end, total
            factor = self._factor(begin, depth)
            if factor is None:
                return end, total
            end, value = factor
            if of and of["percent"] and total is not None:
                total /= 100
            if total is None or value is None:
                total = None
            elif over and not of and not times:
                total = total / value if value else None
            else:
                total = _bounded(total * value)

    def _is_factor(self, place: int) -> bool:
        return self._text[place] in "(√π∛" or any(
            kind.match(self._text, place) for kind in (_ROOT, _FRACTION, _CONSTANT)
        )

    def _factor(self, place: int, depth: int) -> _Read | None:
        if depth > DEEPEST:
            return None
        if self._text[place : place + 1] in ("-", "+") and not NUMBER.match(self._text, place):
            found = self._factor(place + 1, depth + 1)
            if found is None or found[1] is None:
                return found
            return found[0], -found[1] if self._text[place] == "-" else found[1]
        found = self._base(place, depth)
        if found is None:
            return None
        end, value = found
        if raised := _RAISED.match(self._text, end):
            exponent = self._exponent(raised.end(), depth)
            if exponent is None:
                # "2^n" is no number.
                return end, None
            negates = self._text[place] == "-" and value is not None
            power = _power(-value if negates and value is not None else value, exponent[1])
            end, value = exponent[0], -power if negates and power is not None else power
        if self._factorials and self._text[end : end + 1] == "!":
            end, value = end + 1, _factorial(value)
        return end, value

    def _exponent(self, place: int, depth: int) -> _Read | None:
        if inner := _GROUPED.match(self._text, place):
            read = _Reader(inner["inner"], False).sum(0, depth + 1)
            return (inner.end(), read[1]) if read and read[0] == len(inner["inner"]) else None
        found = _EXPONENT.match(self._text, place)
        return (found.end(), Fraction(found[0])) if found else None

    def _base(self, place: int, depth: int) -> _Read | None:
        if root := _ROOT.match(self._text, place):
            under = self._base(root.end(), depth + 1) if depth < DEEPEST else None
            degree = 3 if root["cube"] else int(root["degree"] or 2)
            if under is None:
                return root.end(), None
            return under[0], _power(under[1], Fraction(1, degree)) if degree else None
        if over := _FRACTION.match(self._text, place):
            above = self._bracket(over.end(), depth)
            below = self._bracket(above[0], depth) if above else None
            if above is None or below is None:
                return over.end(), None
            return below[0], above[1] / below[1] if above[1] is not None and below[1] else None
        if constant := _CONSTANT.match(self._text, place):
            return constant.end(), None
        if self._text[place : place + 1] in _CLOSES:
            return self._bracket(place, depth)
        figures = place + (self._text[place : place + 1] == "$")
        if literal := _LITERAL.match(self._text, figures):
            base = 16 if literal["hex"] else 8 if literal["oct"] else 2
            return literal.end(), Fraction(int(literal["hex"] or literal["oct"] or literal["bin"], base))
        if repeating := _REPEATING.match(self._text, figures):
            return repeating.end(), None if _may_multiply(repeating) else _repeated(repeating)
        number = NUMBER.match(self._text, place)
        if number is None:
            return None
        groups = ("under", "below", "power", "power_", "power__", "tens", "tens_")
        if any(number[group] for group in groups) and _RAISED.match(self._text, number.end()):
            # "10/2^2", "9^9^9": the power is of what stands last.
            return number.end(), None
        value = own_value(number)
        if nths := _NTHS.match(self._text, number.end()):
            return nths.end(), None if value is None else value / _PARTS[nths["part"]]
        return number.end(), value

    def _bracket(self, place: int, depth: int) -> _Read | None:
        closes = _CLOSES.get(self._text[place : place + 1])
        if closes is None or depth >= DEEPEST:
            return None
        begin = place + 1 + (self._text[place + 1 : place + 2] == " ")
        inner = self.sum(begin, depth + 1)
        if inner is None:
            return None
        end = inner[0] + (self._text[inner[0] : inner[0] + 1] == " ")
        if self._text[end : end + 1] != closes:
            return None
        return end + 1, abs(inner[1]) if closes == "|" and inner[1] is not None else inner[1]


def _bounded(number: Fraction) -> Fraction | None:
    """Return a number of which every part has few digits; None of another."""
    most = 4 * LONGEST
    return number if max(number.numerator.bit_length(), number.denominator.bit_length()) <= most else None


def _power(number: Fraction | None, power: Fraction | None) -> Fraction | None:
    """Return an exact power; None where it is no fraction, or has too many digits."""
    if number is None or power is None or abs(power.numerator) > LONGEST:
        return None
    if power.denominator != 1:
        number = _root(number, power.denominator)
    if number is None or (number == 0 and power <= 0):
        return None
    digits = max(math.log10(abs(number.numerator) or 1), math.log10(number.denominator)) * abs(power.numerator)
    return number**power.numerator if digits <= LONGEST else None


def _root(number: Fraction, degree: int) -> Fraction | None:
    if number < 0 or degree > 9:
        return None
    roots = [_whole_root(part, degree) for part in (number.numerator, number.denominator)]
    return None if roots[0] is None or roots[1] is None else Fraction(roots[0], roots[1])


def _whole_root(number: int, degree: int) -> int | None:
    low, high = 0, 1 << (number.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= number else (low, middle - 1)
    return low if low**degree == number else None


def _factorial(number: Fraction | None) -> Fraction | None:
    if number is None or number.denominator != 1 or not 0 <= number <= 150:
        return None
    return Fraction(math.factorial(number.numerator))


def _may_multiply(found: re.Match[str]) -> bool:
    """Return whether a decimal with digits in brackets is as likely a product: "0.5(40)", but not "0.(3)" and "0.1(6)"."""
    return bool(found["round"]) and len(found["round"]) > 1 and bool(found["fixed"]) and found[0].endswith(")")


def _repeated(found: re.Match[str]) -> Fraction:
    """Return the value of 0.1\\overline{6}: the digits under the bar for ever."""
    again, fixed = found["over"] or found["one"] or found["round"], found["fixed"]
    digits = Fraction(int(fixed or 0)) + Fraction(int(again), 10 ** len(again) - 1)
    return Fraction(int(found["whole"] or 0)) + digits / Fraction(10 ** len(fixed))
