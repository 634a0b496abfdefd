"""Read a number out of a response: pure, linear in the length of the text.

A number is found by what stands before it: `\\boxed{…}`, `####`, "the answer is", "Answer:", or after it: "…, which is
the answer"; without any of them it is what a response begins with, if that line has nothing else and words follow, else
what a last sentence concludes ("So …"), else the last one. What a model writes after its answer as if it were asked
again ("Question: …") does not count.
"""

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from evals.scoring.text import after_cues, answer_part, boxed, first_sentence, last_line, without_markup

# A thousands separator only where three digits follow; a sign only where it does not subtract from something before it.
# Every quantifier over digits is possessive, so a failed match is not tried again at another length.
_DIGITS = r"(?:\d++(?:,\d{3}(?!\d))*+(?:\.\d++)?+|\.\d++)(?:[eE][-+]?\d{1,3}(?![\w.]))?+"
_NUMBER = re.compile(
    rf"(?<![\w.)])(?P<sign>[-−–]?)[$€£¥]?(?P<inner>[-−–]?)(?P<whole>{_DIGITS})"
    r"(?!(?:st|nd|rd|th)\b|-[A-Za-z])"
    r"(?:\s?/\s?(?P<under>\d++(?![\d.,]*\d)))?"
)
_MIXED = re.compile(r"(?P<whole>\d{1,9})\s(?P<over>\d{1,9})\s?/\s?(?P<under>\d{1,9})")
_LIST_MARK = re.compile(r"^[ \t]*\d{1,2}[.)](?=[ \t]+\S|[ \t]*$)", re.MULTILINE)
_CONCLUDES = re.compile(r"\s*(?:so|therefore|thus|hence|in total|in all|altogether|in other words)\b", re.IGNORECASE)
# Between sentences; a full stop inside a number, or at the end, is none.
_BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
# "12 - 6 = 6, which is the final answer!", "So 1/16 is the answer."
_LOOKS_BACK = re.compile(
    r"(?:,?\s(?:which|and that|and this|that|this))?\s(?:is|was)"
    r"\s(?:the|our|my|your|her|his|their)\s(?:final\s|correct\s|right\s)?answer"
    r"(?:\sto\s[^.!?\n]{0,60})?(?=\s*(?:[.!;,]|$))",
    re.IGNORECASE | re.MULTILINE,
)
_BEGINS = re.compile(rf"\s{{0,8}}(?P<number>[-−–]?[$€£¥]?{_DIGITS}%?)\.?[ \t]{{0,8}}\n\s{{0,8}}[A-Za-z]")
_LETTER = re.compile(r"[A-Za-z]")
_EQUALS = re.compile(r"[=≈]|\bwhich (?:is|equals|makes)\b")
# `Answer: 12`, `#### 12` or `\boxed{12}` and nothing after it but a full stop.
_STRICT = re.compile(r"(?:(?:^|\s)(?:answer(?:\s+is)?\s*[:=]?|####)\s*)(?P<number>[^\s].{0,60})$", re.IGNORECASE)
_WHOLE = re.compile(rf"[-−–+]?[$€£¥]?[-−–]?{_DIGITS}%?")
_RATIO = re.compile(r"(?P<sign>[-−–+]?)[$€£¥]?(?P<over>\d{1,18})\s?/\s?(?P<under>\d{1,18})")
LONGEST = 400


def stated_number(response: str) -> str | None:
    """Return the number that a response gives as its answer, in one spelling for equal numbers; None without a number."""
    text = without_markup(answer_part(response))
    for inner in reversed(boxed(text)):
        if (found := _first(inner)) is not None:
            return found
    if (found := _announced_after(text)) is not None:
        return found
    later: str | None = None
    for place, rest in enumerate(after_cues(text)):
        clause = first_sentence(rest).strip()
        if place == 0 and _LETTER.fullmatch(clause):
            # "The answer is N": announced, and it is no number.
            return None
        found = _first(clause)
        if later is not None:
            # A model that repeats itself is cut off anywhere: "The answer is 18. The answer is 1".
            cut = found is not None and found.startswith(later) and found[len(later) : len(later) + 1].isdigit()
            return found if cut else later
        if found is not None and not (place == 0 and text.rstrip(" ").endswith(rest) and rest[-1:].isdigit()):
            return found
        later = found
    if later is not None:
        return later
    if first := _BEGINS.match(text):
        return normalised(first["number"])
    # The marks of a numbered list are no answers, unless there is nothing else.
    return _before_cut(text) or _concluded(text) or _last(_LIST_MARK.sub("", text)) or _last(text)


def final_number(response: str) -> str | None:
    """Return the number of a response that ends in `Answer: N`, `The answer is N` or `#### N`; else None."""
    found = _STRICT.search(last_line(without_markup(answer_part(response)))[-120:])
    return normalised(found["number"].strip().removesuffix(".")) if found else None


def normalised(number: str) -> str | None:
    """Return one spelling for equal numbers; None of what is not a number alone.

    No thousands separators, currency, percent sign, exponent or trailing zeros; a fraction as a decimal where that is
    exact, else in lowest terms.
    """
    text = without_markup(number).strip()
    if len(text) > LONGEST:
        return None
    if mixed := _MIXED.fullmatch(text.lstrip("-−–+$")):
        value = Fraction(int(mixed["whole"])) + _ratio(mixed["over"], mixed["under"])
        return _spelled(-value if text[0] in "-−–" else value)
    if ratio := _RATIO.fullmatch(text):
        value = _ratio(ratio["over"], ratio["under"])
        return _spelled(-value if ratio["sign"] in ("-", "−", "–") else value)
    if not _WHOLE.fullmatch(text):
        return None
    return _spelled(_value(text))


def _first(text: str) -> str | None:
    """Return the first number of a clause; of a calculation the one after its last equals sign."""
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return None
    equals = [mark.end() for mark in _EQUALS.finditer(text) if mark.end() <= numbers[-1].start()]
    # The value after the last "=": what follows it in words is a unit or a remark.
    first = next(number for number in numbers if not equals or number.start() >= equals[-1])
    if mixed := _MIXED.match(text, first.start("whole")):
        value = Fraction(int(mixed["whole"])) + _ratio(mixed["over"], mixed["under"])
        return _spelled(-value if first["sign"] or first["inner"] else value)
    return _read(first)


def _announced_after(text: str) -> str | None:
    """Return the number of a sentence that ends in "…, which is the answer", unless another answer is announced later."""
    marks = list(_LOOKS_BACK.finditer(text))
    if not marks or next(after_cues(text[marks[-1].end() :]), None) is not None:
        return None
    return _last(_last_sentence(text[: marks[-1].start()]))


def _concluded(text: str) -> str | None:
    """Return the number of a last sentence that concludes: "So she pays $12 for 2 weeks" says 12."""
    sentence = _last_sentence(text)
    return _first(sentence) if _CONCLUDES.match(sentence) else None


def _last_sentence(text: str) -> str:
    line = last_line(text)[-400:]
    return line[max((end.end() for end in _BETWEEN.finditer(line)), default=0) :]


def _last(text: str) -> str | None:
    """Return the last number; of a last sentence that calculates, its value."""
    sentence = _last_sentence(text)
    if _EQUALS.search(sentence) and (value := _first(sentence)) is not None:
        return value
    found = list(_NUMBER.finditer(text))
    return _read(found[-1]) if found else None


def _before_cut(text: str) -> str | None:
    """Return the number that a text repeats where it is cut off: "it is $14480. So it will cost $14" says 14480."""
    found = list(_NUMBER.finditer(text.rstrip()))[-2:]
    if len(found) < 2 or found[1].end() != len(text.rstrip()):
        return None
    whole, cut = found[0]["whole"], found[1]["whole"]
    return _read(found[0]) if len(whole) > len(cut) and whole.startswith(cut) else None


def _read(match: re.Match[str]) -> str | None:
    value = _value(match["whole"])
    if value is None:
        return None
    if match["under"] and match["under"].strip("0"):
        value /= int(match["under"][:18])
    return _spelled(-value if match["sign"] or match["inner"] else value)


def _value(number: str) -> Fraction | None:
    text = re.sub(r"[,$€£¥%\s]", "", number).replace("−", "-").replace("–", "-").replace("--", "-")
    if len(text) > LONGEST:
        return None
    try:
        return Fraction(Decimal(text))
    except (InvalidOperation, ValueError):
        return None


def _ratio(over: str, under: str) -> Fraction:
    return Fraction(int(over), int(under)) if int(under) else Fraction(int(over))


def _spelled(value: Fraction | None) -> str | None:
    if value is None:
        return None
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    if value.denominator == 1:
        return str(value.numerator)
    # Exact: the denominator has no factor but 2 and 5.
    places = max(_exponent(value.denominator, 2), _exponent(value.denominator, 5))
    scaled = abs(value.numerator) * 10**places // value.denominator
    digits = str(scaled).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:].rstrip('0')}"


def _exponent(number: int, factor: int) -> int:
    count = 0
    while number % factor == 0:
        number //= factor
        count += 1
    return count
