"""Units, number bases, dates and ratios of mathematical answers: what computer algebra drops, or takes for something else. Pure.

`compared` tells where it can whether two answers differ in those; of everything else it says nothing.

* **Units.** A side without a unit is taken to have the other's, as graders of MATH do. Two known units of one kind are converted
  (100 cm is 1 m); of two kinds the answers differ. Names of things that are counted are no units.
* **Bases.** Two based numbers are compared by value. A plain one is read in the base of the right answer, which the question asks
  for, as math-verify and Minerva's grader do; an answer with a base, where the right one is plain, by value.
* **Money.** `\\$` is a unit as others are, also where it stands before its number, so that \\$0.75 is 75 cents.
* **Percent.** The sign is dropped on both sides, as Minerva's grader and lm-eval do: 50 % is 50, and is not 0.5.
* **Dates and times** are equal as texts, ratios as quotients.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from evals.scoring.dates import TEMPORAL
from evals.scoring.numerals import read_alone, spelled

_LENGTH = {
    "mm": Fraction(1), "cm": Fraction(10), "m": Fraction(1000), "km": Fraction(10**6), "in": Fraction(254, 10),
    "ft": Fraction(3048, 10), "yd": Fraction(9144, 10), "mi": Fraction(1609344),
}  # fmt: skip
_KINDS: dict[str, dict[str, Fraction]] = {
    "length": _LENGTH,
    "time": {
        "s": Fraction(1), "min": Fraction(60), "h": Fraction(3600), "day": Fraction(86400), "week": Fraction(604800),
        "month": Fraction(0), "year": Fraction(0),
    },
    "mass": {
        "mg": Fraction(1), "g": Fraction(1000), "kg": Fraction(10**6), "lb": Fraction(45359237, 100),
        "oz": Fraction(45359237, 1600),
    },
    "volume": {
        "ml": Fraction(1), "l": Fraction(1000), "gal": Fraction(3785411784, 10**6), "qt": Fraction(3785411784, 4 * 10**6),
        "pt": Fraction(3785411784, 8 * 10**6),
    },
    "money": {
        "cent": Fraction(1), "dollar": Fraction(100), "euro": Fraction(0), "gbp": Fraction(0), "yen": Fraction(0),
        "rupee": Fraction(0), "krw": Fraction(0), "ruble": Fraction(0),
    },
    "angle": {"degree": Fraction(1), "radian": Fraction(0)},
    "speed": {"mph": Fraction(1609344), "km/h": Fraction(10**6), "m/s": Fraction(3_600_000)},
}  # fmt: skip
_SPELLINGS = {
    "mm": "millimeter millimetre", "cm": "centimeter centimetre", "m": "meter metre", "km": "kilometer kilometre",
    "in": "inch inche", "ft": "foot feet", "yd": "yard", "mi": "mile", "s": "second sec", "min": "minute", "h": "hour hr",
    "day": "", "week": "", "month": "", "year": "yr", "mg": "milligram", "g": "gram", "kg": "kilogram", "lb": "pound",
    "oz": "ounce", "ml": "milliliter millilitre", "l": "liter litre",
    "gal": "gallon", "qt": "quart", "pt": "pint", "cent": "¢ \\cent", "dollar": "\\$ $ usd", "euro": "€ eur", "gbp": "£",
    "yen": "¥ jpy", "rupee": "₹ inr", "krw": "₩", "ruble": "₽ rouble rub",
    "degree": "\\circ ° ^\\circ deg", "radian": "rad", "mph": "", "km/h": "kph kmh", "m/s": "",
}  # fmt: skip
_CANONICAL = {name: unit for unit, names in _SPELLINGS.items() for name in (unit, *names.split())}
_CANONICAL |= {f"{name}s": unit for name, unit in list(_CANONICAL.items()) if len(name) > 1 and name.isalpha()}
_SIZES = {unit: (kind, size) for kind, units in _KINDS.items() for unit, size in units.items()}
_WORD = r"(?:(?:square|cubic|sq\.?|cu\.?)\s)?[A-Za-z]{1,14}(?:/[a-z]{1,6})?\.?"
_TAIL = re.compile(
    rf"(?:\s|\\[,;:! ]|~)*(?:\\(?:text|mathrm|textrm|mbox|operatorname)\s?\{{\s*(?P<wrapped>{_WORD})\s*"
    r"(?:\^\s?\{?(?P<inside>[23])\}?)?\s*\}"
    rf"|(?<![A-Za-z\\])(?P<bare>{_WORD})|\s?\^?\s?\{{?\s?(?P<sign>\\circ|°|[¢€£¥₹₩₽]|\\\$|\\cent(?![A-Za-z]))\s?\}}?)(?:\s?\^\s?\{{?\s?(?P<power>[23])\s?\}}?)?\s*$"
)
# Money with its sign in front; "$5$" is a formula, and "$\\frac{1}{2}" may be the beginning of one.
_DOLLARS = re.compile(
    r"\s*(?P<minus>-?)\s?(?:\$(?=\s?-?[\d.])|\\\$|\\(?:text|mathrm|textrm|mbox)\s?\{\s?\\?\$\s?\})(?:\s|\\[,;:! ]|~)*"
    r"(?=-?[\d.]|\\[dtc]?frac)"
)
_OTHER_MONEY = re.compile(r"\s*(?P<minus>-?)\s?(?P<sign>[€£¥₹₩₽])\s?(?=-?[\d.])")
# A number without unknowns.
_NUMBER = re.compile(r"(?:[-+\d.,/^{}()\s]|\\(?:[dtc]?frac|sqrt|pi|cdot|times|[,!;: ]))*[\d})]")
_BASED = re.compile(
    r"\(?(?P<digits>(?=[A-Z]*\d)[0-9A-Z]{1,200})\)?_\s?\{?\s?(?:\\text\s?\{\s?)?(?P<base>\d{1,2}|two|three|five|eight|ten)\s?\}?\s?\}?"
)
_BASES = {"two": 2, "three": 3, "five": 5, "eight": 8, "ten": 10}
_RATIO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)((?:\s?:\s?\d{1,9}(?:\.\d{1,9})?){1,5})")
_CLOCK = re.compile(r"\d{1,2}:[0-5]\d")
_YEAR = re.compile(r"\d{4}|[ap]\.?m\b", re.IGNORECASE)
_PERCENT = re.compile(r"\s?(?:\\?%|\\text\s?\{\s?(?:percent|\\?%)\s?\}|\bpercent)\s*$")


@dataclass(frozen=True)
class Quantity:
    """A number with a unit.

    Attributes:
        number: what stands before the unit.
        kind: of the unit, with its power: length, length^2, …
        unit: its common name.
        size: in the kind's smallest unit; 0 of one that is not converted.
    """

    number: str
    kind: str
    unit: str
    size: Fraction


def compared(answer: str, target: str) -> bool | tuple[str, str]:
    """Return whether two answers are equal in base, unit, date or ratio, else both as they are to be compared further."""
    for verdict in (_bases(answer, target), _dates(answer, target)):
        if verdict is not None:
            return verdict
    answer, target = (_PERCENT.sub("", text) for text in (answer, target))
    one, other = quantity(answer), quantity(target)
    if one is None or other is None:
        return one.number if one else answer, other.number if other else target
    if one.kind != other.kind:
        return False
    if one.unit == other.unit:
        return one.number, other.number
    if not (one.size and other.size):
        return False
    factor = one.size / other.size
    said, right = (spelled(read_alone(side.number)) for side in (one, other))
    # Two decimals need no algebra; whether one is a fraction rounded is left to it.
    if said and right and "/" not in said + right:
        return Fraction(said) * factor == Fraction(right)
    return f"({one.number})\\cdot\\frac{{{factor.numerator}}}{{{factor.denominator}}}", other.number


def compared_alike(one: str, other: str) -> bool | tuple[str, str]:
    """Return what `compared` does for two answers of which neither is the right one, in either order.

    A base that only one of them names is not the other's.
    """
    if _BASED.fullmatch(other.strip()) and not _BASED.fullmatch(one.strip()):
        one, other = other, one
    return compared(one, other)


def is_unit_left_out(one: str, other: str) -> bool:
    """Return whether one of two answers names a unit and the other none.

    Degrees are no unit here: what is measured in them is asked for in them, as what is in percent.
    """
    units = [quantity(_PERCENT.sub("", text)) for text in (one, other)]
    return len({found is None or found.kind.startswith("angle") for found in units}) == 2


def quantity(text: str) -> Quantity | None:
    """Return a number and its known unit; None of anything else."""
    if sign := _DOLLARS.match(text):
        number = sign["minus"] + text[sign.end() :].strip()
        # "\\$5 dollars" says it twice.
        tail = _TAIL.search(number[-80:])
        if tail and _CANONICAL.get((tail["wrapped"] or tail["bare"] or "").lower().rstrip(".")) == "dollar":
            number = number[: len(number) - len(number[-80:]) + tail.start()].rstrip("\\ ~,;:!")
        return Quantity(_plain(number), "money^1", "dollar", Fraction(100)) if _NUMBER.fullmatch(number) else None
    if sign := _OTHER_MONEY.match(text):
        number = sign["minus"] + text[sign.end() :].strip()
        kept = Quantity(_plain(number), "money^1", _CANONICAL[sign["sign"]], Fraction(0))
        return kept if _NUMBER.fullmatch(number) else None
    tail = _TAIL.search(text[-80:])
    if tail is None:
        return None
    number = text[: len(text) - len(text[-80:]) + tail.start()].rstrip("\\ ~,;:!")
    name = (tail["wrapped"] or tail["bare"] or tail["sign"]).lower().rstrip(".")
    area = re.match(r"(square|sq|cubic|cu)\.?\s", name)
    power = int(tail["inside"] or tail["power"] or (0 if area is None else 2 if area[1].startswith("sq") else 3) or 1)
    unit = _CANONICAL.get(name[area.end() :] if area else name)
    # "3x + 5m" has an unknown, and "5s" may be a product with one.
    if unit is None or not _NUMBER.fullmatch(number) or (tail["bare"] and len(name) == 1 and tail["bare"] != "m"):
        return None
    kind, size = _SIZES[unit]
    return Quantity(_plain(number), f"{kind}^{power}", unit, size**power)


def _plain(number: str) -> str:
    """Return a number without commas of thousands: a factor is put beside it, where they would be read as something else."""
    return re.sub(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))", "", number)


def known_unit(name: str) -> tuple[str, Fraction] | None:
    """Return the kind of a unit and its size in the kind's smallest; 0 of one that is not converted, None of no known unit."""
    unit = _CANONICAL.get(name.lower().rstrip("."))
    return None if unit is None else _SIZES[unit]


def with_unit(text: str) -> str | None:
    """Return a number and its unit in one spelling, "15 cm^2" as `15\\text{ cm}^2`; None of anything else.

    Degrees are left out: what is measured in them is asked for in them.
    """
    found = quantity(text)
    if found is None or "\\" in text:
        return None
    number, (kind, _, power) = found.number.strip(), found.kind.partition("^")
    if kind == "angle":
        return number
    return f"{number}\\text{{ {found.unit}}}" + (f"^{power}" if power != "1" else "")


def dollars(text: str) -> str | None:
    """Return the number of an amount of dollars, whose sign or word may stand on either side; None of anything else."""
    found = quantity(text)
    return found.number.strip() if found and (found.kind, found.unit) == ("money^1", "dollar") else None


def _bases(answer: str, target: str) -> bool | None:
    """Return whether two numbers of which one says its base are equal; None where that is not what they are."""
    said, right = _BASED.fullmatch(answer.strip()), _BASED.fullmatch(target.strip())
    if said is None and right is None:
        return None
    if said is None and right is not None:
        same = answer.strip().replace(",", "") == right["digits"]
        return same if re.fullmatch(r"[\d,]+", answer.strip()) else None
    values = [_in_base(found) if found else None for found in (said, right)]
    if right is None:
        values[1] = int(target) if re.fullmatch(r"\d{1,200}", target.strip()) else None
    return None if None in values else values[0] == values[1]


def _in_base(found: re.Match[str]) -> int | None:
    base = _BASES.get(found["base"]) or int(found["base"])
    try:
        return int(found["digits"], base) if base > 1 else None
    except ValueError:
        return None


def _dates(answer: str, target: str) -> bool | None:
    """Return whether dates, times or ratios are equal; None where neither side is one, or a ratio meets a quotient."""
    texts = [
        " ".join(text.replace("\\text", "").replace("{", " ").replace("}", " ").split()) for text in (answer, target)
    ]
    ratios = [_RATIO.fullmatch(text) is not None for text in texts]
    dates = [TEMPORAL.fullmatch(text) is not None for text in texts]
    if all(ratios) and not all(_CLOCK.fullmatch(text) for text in texts):
        return _quotients(texts[0]) == _quotients(texts[1])
    if all(dates):
        one, other = (re.sub(r"\b0(?=\d)", "", text).replace(".", "").replace(" ", "").lower() for text in texts)
        return one == other
    # "1:30" may be a ratio, and "1/2/10" a quotient; of the others no number is the value.
    return (
        False
        if any(
            date and not ratio and _YEAR.search(text) for date, ratio, text in zip(dates, ratios, texts, strict=True)
        )
        else None
    )


def _quotients(ratio: str) -> list[Fraction]:
    parts = [Fraction(part.strip()) for part in ratio.split(":")]
    return [part / parts[0] for part in parts] if parts[0] else parts
