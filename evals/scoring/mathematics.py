"""Read a mathematical answer, and tell whether two are equal.

Equal spellings are equal at once. The rest is for math-verify (LaTeX to sympy, no evaluation of text as code: only its
LaTeX reader is used), in a process of its own with a limit of time and memory, since simplification may take any.
"""

import re

from agents.errors import MissingDependency
from evals.scoring.arithmetic import repeating_decimal
from evals.scoring.bounded import OutOfTime, WorkerDied, worker
from evals.scoring.characters import plain
from evals.scoring.numbers import normalised, stated_number
from evals.scoring.numerals import spelled as fraction
from evals.scoring.quantities import compared, compared_alike, dollars, is_unit_left_out, quantity, with_unit
from evals.scoring.text import after_cues, answer_tags, boxed, boxes, last_line, said

TIMEOUT_S = 10.0
LONGEST = 2000
# Brackets inside each other: a parser may take very long over more.
DEEPEST = 40
_FORMULA = re.compile(
    r"(?<!\\)\$\$?(?P<dollars>(?:[^$\\]|\\.){1,2000}+)\$\$?"
    r"|\\\((?P<round>(?:[^\\]|\\(?![()]))+?)\\\)|\\\[(?P<square>(?:[^\\]|\\\\|\\(?![\[\]\\]))+?)\\\]"
)
# A row break is no escape of the space or bracket that follows it.
_SPACES = re.compile(
    r"(\\\\)(?:\[[\d.\s]{1,8}(?:pt|em|ex|mm|cm)\])?|\\[,!;:> ]|\\(?:left|right|displaystyle|limits|quad|qquad)(?![A-Za-z])"
    r"|(\\[A-Za-z]+\s)\s*(?=[A-Za-z])|\s+|~|\{,\}"
)
_GAP = r"(?:\s|~|\\[,;:> ]){1,3}"
# Digits in threes, before the point or behind it; "\\log_2 100" has none.
_THREES = re.compile(
    rf"(?<![\d.,_^])(?<![_^]\{{)(?:[1-9]\d{{0,2}}(?:{_GAP}\d{{3}}){{1,99}}|\d{{1,99}}\.\d{{3}}(?:{_GAP}\d{{3}}){{0,99}}{_GAP}\d{{1,3}})"
    rf"(?![\d/])(?!{_GAP}\d)"
)
# Between two numbers: without it they would be one.
_BETWEEN_DIGITS = re.compile(r"(?<=\d)(?<!\\frac\d)(?<!\\frac \d)(?:\s|~|\\[,;:> ]|\\q?quad(?![A-Za-z])){1,99}(?=\d)")
# Numbers with spaces between them, as a whole or in a place of a list.
_ROW = re.compile(r"(?:^|[=(,\[{;])-?[\d.]{1,400}(?: -?[\d.]{1,400}){1,400}(?:$|[)\],;}])")
# LaTeX's decimal comma; thousands have three digits behind it.
_DECIMAL_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d{1,2}(?![\d{])|\d{4})")
_WORDS = re.compile(r"\\(?:text|mathrm|textrm|mbox|operatorname)\s?\{")
_SYMBOLS = {
    "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "⩽": "\\le ", "⩾": "\\ge ", "≠": "\\ne ",
    "×": "\\times ", "·": "\\cdot ",
    "⋅": "\\cdot ", "÷": "\\div ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "°": "^\\circ ", "±": "\\pm ", "∅": "\\emptyset ",
    "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "≈": "\\approx ",
}  # fmt: skip
_SAME = (("\\varnothing", "\\emptyset"), ("\\langle", "("), ("\\rangle", ")"))
_ABOUT = re.compile(r"^\s*(?:\\approx|\\simeq|\\sim|≈)\s*")
_SET, _TUPLE = re.compile(r"\\\{.*,.*\\\}", re.DOTALL), re.compile(r"\(.*,.*\)", re.DOTALL)
_ROOT = re.compile(r"√\s?(?:\((?P<inner>[^()]{1,200})\)|(?P<digits>\d+(?:\.\d+)?|[A-Za-z]))")
_MIXED = re.compile(
    r"(?<![\d.^_A-Za-z}])(?<![\^_]\{)(?P<whole>\d{1,9})\s{0,2}(?:\\[,;:! ]\s?)?\\[dtc]?frac\s?"
    r"(?:\{\s?(?P<over>\d{1,9})\s?\}|(?P<over1>\d))\s?(?:\{\s?(?P<under>\d{1,9})\s?\}|(?P<under1>\d))"
)
_MIXED_IN_LINE = re.compile(
    r"(?<![\d.^_/A-Za-z}])(?<![\^_]\{)(?P<whole>\d{1,9})(?:\s|\\[,;: ]){1,2}"
    r"(?P<over>[1-9]\d{0,8})\s?/\s?(?P<under>[1-9]\d{0,8})(?![\d.])"
)
# "5k" and "2mn" are products; in prose, thousands and millions.
_LETTER_BEHIND = re.compile(r"[^$€£¥₹₩₽]{0,400}\d\s?(?:[kKMB]|bn|mn)\W*")
_SHORT_AMOUNT = re.compile(r"(?P<minus>-?)\\?\$\s?(?P<number>\d[\d.,]{0,40}\s?(?:[kKMB]|bn|mn))")
_OVER_ZERO = re.compile(r"(?:/\s?-?|\}\s?\{\s?-?|\\[dtc]?frac\s?\d\s?)0{1,400}(?:\.0{0,400})?\s?\}?\s*$")
_JOINED = re.compile(r"\s(or|and)\s(?![^{}]{0,200}\})")
_SHORT_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_UNITS = re.compile(r"(?P<number>[-+]?[\d.,/]{1,40})\s?units?")
# "\boxed{1} and \boxed{-2}": what may stand between the boxes of one answer.
_BETWEEN_BOXES = re.compile(
    r"[\s$,;\\\[\]()}]*(?:,|;|and|or|\\text\s?\{\s?(?:and|or)\s?\}|\\quad)[\s$,;\\\[\]({]*(?:and\s|or\s)?(?:[a-z](?:_\{?\d\}?)?\s?=\s?)?[\s$\\\[(]*\\(?:boxed|fbox)\s?\{\s*"
)


def stated_expression(response: str) -> str | None:
    """Return the expression that a response gives as its answer, in LaTeX as `spelled` writes it; None of nothing.

    The last `\\boxed{…}`, or the boxes that one "and" joins with it, else what is announced, else the last formula, else the last
    number.
    """
    text = said(response)
    for tagged in reversed(answer_tags(text)):
        if found := _last_boxes(tagged) or (
            spelled(tagged) if len(tagged) <= LONGEST and "\n" not in tagged else _stated(tagged)
        ):
            return found
    return _last_boxes(text) or _stated(text)


def boxed_expression(response: str) -> str | None:
    """Return the expression of a response that ends in `\\boxed{…}` or, on its last line, in `Answer: …`; else None."""
    text = said(response).rstrip()
    found = boxes(text)
    if found and not text[found[-1].stop :].lstrip("} \n").strip("$.\\]) \n*`"):
        return _last_boxes(text)
    line = last_line(text)
    if inner := boxed(line):
        return spelled(inner[-1]) or None
    announced = re.search(r"(?:^|\s)answer(?:\s+is)?\s*[:=]\s*([^\s].*)$", line[-500:], re.IGNORECASE)
    return (spelled(announced[1]) or None) if announced else None


def spelled(expression: str) -> str:
    """Return an expression in one spelling of what LaTeX writes in several: spaces, sizes, fractions, dollars, numbers."""
    text = plain(expression).strip()
    # An amount has one sign, which is not that of a formula.
    if "$" in text and (amount := _in_dollars(_ABOUT.sub("", text).strip(" *").removesuffix("."))):
        return amount
    inside = text.strip("$")
    # An escaped sign at the end is money's, and no formula's.
    text = _ABOUT.sub("", (f"{inside}$" if inside.endswith("\\") and text.endswith("$") else inside).strip())
    for symbol, command in () if text.isascii() else _SYMBOLS.items():
        text = text.replace(symbol, command)
    for command, meant in _SAME:
        text = text.replace(command, meant)
    text = _ROOT.sub(lambda found: f"\\sqrt{{{found['inner'] or found['digits'] or found[0][-1]}}}", text)
    text = _SHORT_FRACTION.sub(r"\\frac", text).replace("\\%", "%")
    text = (
        text.removeprefix("\\(")
        .removesuffix("\\)")
        .removeprefix("\\[")
        .removesuffix("\\]")
        .removesuffix(".")
        .strip(" *")
    )
    if amount := _in_dollars(text):
        return amount
    text = _JOINED.sub(r"\\text{ \1 }", _MIXED.sub(_improper, text.replace("\\$", "")))
    if repeats := repeating_decimal(text):
        return fraction(repeats) or text
    text = _UNITS.sub(r"\g<number>", text) if _UNITS.fullmatch(text) else with_unit(text) or text
    if (number := _number(text)) is not None:
        return number
    if quantity(text) is None:
        text = _MIXED_IN_LINE.sub(_improper, text)
    text = _closed_up(text) if not _WORDS.search(text) else " ".join(text.split())
    return _number(text) or text


def _number(text: str) -> str | None:
    """Return the number that an expression is, in one spelling; None of another expression."""
    return None if _LETTER_BEHIND.fullmatch(text) or _OVER_ZERO.search(text) else normalised(text)


def _closed_up(text: str) -> str:
    """Return an expression without spaces, but for those between digits of two numbers."""
    text = _THREES.sub(lambda found: re.sub(_GAP, "", found[0]), _DECIMAL_COMMA.sub(".", text))
    numbers = _BETWEEN_DIGITS.split(text)
    return " ".join(_SPACES.sub(_kept, number) for number in numbers)


def _in_dollars(text: str) -> str | None:
    """Return an amount of dollars in one spelling, "-5.00 dollars" as `-\\$5`; None of anything else."""
    short = _SHORT_AMOUNT.fullmatch(text)
    number = f"{short['minus']}{normalised(short['number'])}" if short else dollars(text)
    if number is None:
        return None
    amount = spelled(number)
    return f"-\\${amount[1:]}" if amount.startswith("-") else f"\\${amount}"


def _depth(text: str) -> int:
    """Return how many brackets stand inside each other at most."""
    deepest = depth = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    return deepest


def _last_boxes(text: str) -> str | None:
    """Return what stands in the last box that has something, with those that are joined to it by "and"."""
    found = [box for box in boxes(text) if text[box].strip()]
    joined: list[str] = []
    for place, box in enumerate(reversed(found)):
        inner = spelled(text[box])
        if inner and inner not in joined:
            joined.insert(0, inner)
        before = found[len(found) - 2 - place] if place + 2 <= len(found) else None
        between = text[before.stop : box.start] if before else ""
        if before is None or len(between) > 80 or not _BETWEEN_BOXES.fullmatch(between):
            break
    return ",".join(joined) or None


def _stated(text: str) -> str | None:
    for rest in after_cues(text):
        formula = _FORMULA.search(rest)
        head = _until_reason(rest)
        # "11, since $x = 12 - 1$": the formula is in the reason.
        found = spelled(_inside(formula) if formula and formula.start() < len(head) else head)
        if found and len(found) <= LONGEST:
            return found
    formulas = list(_FORMULA.finditer(text))
    return (spelled(_inside(formulas[-1])) if formulas else None) or stated_number(text)


def _inside(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None)


def _until_reason(clause: str) -> str:
    """Return an announced expression without the sentence's end and the reason that follows it."""
    cut = re.search(r"(?:,?\s(?:because|since|as|where|which|for|when|so)\s)|[.;](?=\s|$)|。", clause)
    return clause[: cut.start()] if cut and cut.start() else clause


def _improper(found: re.Match[str]) -> str:
    """Return a mixed number as one fraction, `2\\frac{1}{2}` as `\\frac{5}{2}`; an improper fraction is multiplied."""
    whole, over, under = (
        int(found["whole"]),
        int(found["over"] or found["over1"]),
        int(found["under"] or found["under1"]),
    )
    if over >= under:
        return f"{whole}\\cdot\\frac{{{over}}}{{{under}}}"
    return f"\\frac{{{whole * under + over}}}{{{under}}}"


def _kept(found: re.Match[str]) -> str:
    return found[1] or found[2] or ""


def _signs(text: str) -> str:
    return "".join(text.split())


def same_value(one: str, other: str) -> bool | None:
    """Return whether two answers are the same number, amount, date or ratio, or are spelled alike; no algebra is done.

    Neither is the right one, so of 5 and 5 m it is not known, and None is returned: 5 may mean 5 kg as well. Answers of more than
    `LONGEST` characters are no values: they are compared sign by sign, white space aside.
    """
    if len(max(one, other, key=len)) > LONGEST:
        return _signs(one) == _signs(other)
    if spelled(one) == spelled(other):
        return True
    verdict = compared_alike(one, other)
    if isinstance(verdict, bool):
        found = verdict
    else:
        first, second = map(spelled, verdict)
        found = first == second or (_number(first) is not None and _number(first) == _number(second))
    return None if found and is_unit_left_out(one, other) else found


def equal(answer: str, target: str, *, timeout_s: float = TIMEOUT_S) -> bool | str:
    """Return whether two expressions are equal, or why that cannot be told.

    Where one has more than `LONGEST` characters they are compared sign by sign, white space aside; it cannot be told of others.

    Raises:
        MissingDependency: math-verify is not installed and the spellings differ.
    """
    if len(longer := max(answer, target, key=len)) > LONGEST:
        which = "answer" if longer is answer else "right answer"
        return _signs(answer) == _signs(target) or f"the {which} has {len(longer)} characters, of at most {LONGEST}"
    if spelled(answer) == spelled(target):
        return True
    verdict = compared(answer, target)
    if isinstance(verdict, bool):
        return verdict
    answer, target = verdict
    if spelled(answer) == spelled(target):
        return True
    if any(_SET.fullmatch(one.strip()) and _TUPLE.fullmatch(other.strip()) for one, other in (verdict, verdict[::-1])):
        return False
    said, right = _number(answer), _number(target)
    # One of them a decimal and the other a fraction that no decimal equals: whether it is rounded is not told here.
    if said is not None and right is not None and ("/" in said) == ("/" in right):
        return said == right
    # math-verify adds or multiplies numbers that have only a space between them.
    if any(_ROW.search(spelled(side)) for side in verdict):
        return False
    if (depth := _depth(answer)) > DEEPEST:
        return f"the answer has {depth} brackets inside each other, of at most {DEEPEST}"
    answer, target = (_MIXED_IN_LINE.sub(_improper, side) for side in (answer, target))
    try:
        reply = worker().ask({"do": "math", "answer": answer, "target": target}, timeout_s)
    except OutOfTime:
        return f"the comparison took more than {timeout_s:g} s"
    except WorkerDied as error:
        return str(error)
    if missing := reply.get("missing"):
        raise MissingDependency("comparing mathematics", str(missing), "evals")
    if reason := reply.get("failed"):
        return str(reason)
    return bool(reply["equal"])
