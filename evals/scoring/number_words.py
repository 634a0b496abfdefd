"""Numbers in words: English ("two hundred and five"), Chinese and Japanese ("一百二十"). Pure, linear in the text."""

import re
from fractions import Fraction

from evals.scoring.numerals import NUMBER, spelled

_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {
    **{word: place for place, word in enumerate(_UNITS)},
    **{word: 10 * place for place, word in enumerate(_TENS, start=2)},
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORD = "|".join(sorted((*_SMALL, "hundred", *_LARGE), key=len, reverse=True))
_PARTS_OF = {
    "half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "twelfth": 12, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_PART = "|".join(_PARTS_OF)
_ENGLISH = re.compile(
    rf"(?<![\w-])(?P<minus>(?:negative|minus)\s)?(?P<words>(?:a\s(?=hundred|thousand|million))?(?:{_WORD})(?:(?:\s|-|\sand\s)(?:{_WORD})){{0,12}})(?![\w-])"
    rf"(?![\s-](?:{_PART})s?\b)(?!\s(?:of|that|who|which|more|less|or|by)\b)(?P<half>\sand a half)?",
    re.IGNORECASE,
)
# "two thirds", "a quarter"; of something it is no number.
_FRACTION = re.compile(
    rf"(?<![\w-])(?P<minus>(?:negative|minus)\s)?(?:(?P<over>an?|{'|'.join(_SMALL)})[\s-])?(?P<part>{_PART})s?(?![\w-])(?!\sof\b)",
    re.IGNORECASE,
)
# "one of the two" is no number, and "one in five" not the first.
_ONE_OF = re.compile(
    r"\bone\s(?:of|that|who|which)\b"
    r"|\b[a-z]{3,9}\s(?:in|out\sof)\s(?:every\s)?(?:two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|a\shundred|a\sthousand)\b",
    re.IGNORECASE,
)
_DIGITS = {
    **{sign: place for place, sign in enumerate("零一二三四五六七八九")},
    "〇": 0,
    "两": 2,
    "兩": 2,
    "壹": 1,
    "贰": 2,
    "叁": 3,
    "肆": 4,
    "伍": 5,
    "陆": 6,
    "柒": 7,
    "捌": 8,
    "玖": 9,
}
_PLACES = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_SIGNS = "".join((*_DIGITS, *_PLACES, *_MYRIADS))
# 一共, 一样, …: words that begin with a numeral and are none.
_CHINESE = re.compile(
    rf"(?P<minus>[负負])?(?P<signs>(?!一(?:共|样|樣|起|定|般|旦|直|些|下))[{_SIGNS}]{{1,40}})(?:[点點](?P<decimals>[{''.join(_DIGITS)}]{{1,20}}))?"
)

# 三分之一: of three parts one.
_PARTS = re.compile(rf"(?P<under>[{_SIGNS}]{{1,12}})分之(?P<over>[{_SIGNS}]{{1,12}})")


def number_in_words(text: str, *, anywhere: bool = False) -> str | None:
    """Return the number that a clause without digits gives in words, spelled as numbers are; None where it gives none.

    Args:
        text: a clause that announces an answer, or the last sentence of a response.
        anywhere: whether it may be a sentence about other things: then it must be the only one, and "one" alone does not.
    """
    text = text[:400]
    if NUMBER.search(text) or _ONE_OF.search(text):
        return None
    if parts := _PARTS.search(text):
        return spelled(_chinese(parts["over"]) / (_chinese(parts["under"]) or 1))
    if found := list(_CHINESE.finditer(text)):
        chosen = found[-1 if anywhere else 0]
        number = _chinese(chosen["signs"]) + _decimals(chosen["decimals"] or "")
        return spelled(-number if chosen["minus"] else number)
    part = _FRACTION.search(text)
    if part and (part["over"] or (part["part"].lower() == "half" and not anywhere)) and not _and_a_half(text, part):
        over = _SMALL.get((part["over"] or "one").lower(), 1)
        return spelled(Fraction(-over if part["minus"] else over, _PARTS_OF[part["part"].lower()]))
    words = [one for one in _ENGLISH.finditer(text) if not anywhere or one["words"].lower() not in ("one", "zero")]
    if not words or (anywhere and len(words) > 1):
        return None
    chosen = words[0]
    number = _english(chosen["words"]) + (Fraction(1, 2) if chosen["half"] else 0)
    return spelled(-number if chosen["minus"] else number)


def _and_a_half(text: str, part: re.Match[str]) -> bool:
    """Return whether a fraction is the end of a mixed number, "two and a half"."""
    return re.search(r"\band\s$", text[max(0, part.start() - 6) : part.start()], re.IGNORECASE) is not None


def _english(words: str) -> Fraction:
    total = group = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in _SMALL:
            group += _SMALL[word]
        elif word == "hundred":
            group = max(group, 1) * 100
        elif word in _LARGE:
            total, group = total + max(group, 1) * _LARGE[word], 0
    return Fraction(total + group)


def _chinese(signs: str) -> Fraction:
    if all(sign in _DIGITS for sign in signs):
        return Fraction(int("".join(str(_DIGITS[sign]) for sign in signs)))
    total = group = digit = 0
    for sign in signs:
        if sign in _DIGITS:
            digit = _DIGITS[sign]
        elif sign in _PLACES:
            group, digit = group + (digit or 1) * _PLACES[sign], 0
        else:
            total, group, digit = (total + group + digit or 1) * _MYRIADS[sign], 0, 0
    return Fraction(total + group + digit)


def _decimals(signs: str) -> Fraction:
    return Fraction(int("".join(str(_DIGITS[sign]) for sign in signs)), 10 ** len(signs)) if signs else Fraction(0)
