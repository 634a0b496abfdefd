"""Read a number out of a response: pure, linear in the length of the text.

A number is found by what stands before it: `\\boxed{…}`, `<answer>`, `####`, "the answer is", "Answer:", or after it: "…,
which is the answer"; without any of them it is what a response begins with, if that line has nothing else and words follow, else
what a last sentence concludes ("So …"), else the last one. What a model thinks in tags, and what it writes after its answer as
if it were asked again ("Question: …"), does not count.

Of a simple calculation the value is read, exactly. What is announced and is no number (√2, a date, a ratio, "3 or -3") is no
answer: none of the numbers in it is taken for one.
"""

import re
from dataclasses import dataclass

from evals.scoring import numerals
from evals.scoring.arithmetic import expression_at
from evals.scoring.characters import plain
from evals.scoring.dates import TEMPORAL
from evals.scoring.not_numbers import goes_on, has_alternative, has_two_units, is_no_number, is_share
from evals.scoring.number_words import number_in_words
from evals.scoring.numerals import is_denied, numbers_in, read_alone, says_minus, spelled
from evals.scoring.text import after_cues, answer_tags, boxes, first_sentence, last_line, said, without_markup

_LIST_MARK = re.compile(r"^[ \t]*\d{1,2}[.)](?=[ \t]+\S|[ \t]*$)", re.MULTILINE)
_CONCLUDES = re.compile(r"\s*(?:so|therefore|thus|hence|in total|in all|altogether|in other words)\b", re.IGNORECASE)
# Between sentences; a full stop inside a number, or at the end, is none.
_BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|(?<=[。！？])")
# "12 - 6 = 6, which is the final answer!", "So 1/16 is the answer."
_LOOKS_BACK = re.compile(
    r"(?:,?\s(?:which|and that|and this|that|this))?\s(?:is|was)"
    r"\s(?:the|our|my|your|her|his|their)\s(?:final\s|correct\s|right\s)?answer"
    r"(?:\sto\s[^.!?\n]{0,60})?(?=\s*(?:[.!;,]|$))",
    re.IGNORECASE | re.MULTILINE,
)
_BEGINS = re.compile(r"\s{0,8}(?P<number>[-$€£¥\d][^\s]{0,40})\.?[ \t]{0,8}\n\s{0,8}[A-Za-z]")
_LETTER = re.compile(r"[A-Za-z]")
_EQUALS = re.compile(r"[=≈]|\bwhich (?:is|equals|makes)\b(?!\s[$€£¥]?[\d.,]+\s?[-+*/×x]\s?\d[^=]*$)")
# The last line of the layout of GSM8K's published solutions.
_LABELLED = re.compile(r"(?:^|\n)A:[ \t]*(?P<number>[^\n]{1,60})$")
# `Answer: 12`, `#### 12` or `\boxed{12}` and nothing after it but a full stop.
_STRICT = re.compile(r"(?:(?:^|\s)(?:answer(?:\s+is)?\s*[:=]?|####)\s*)(?P<number>[^\s].{0,60})$", re.IGNORECASE)
# What explains an answer that was given: it may calculate, and is not the answer.
_REASON = re.compile(
    r"[,;]?\s\(?(?:because|since|as|given|due to|i\.?e\.?|that is|where|considering|namely|so that|assuming|based on"
    r"|calculated|computed|obtained|found by|using|with)\b|;|:(?=\s)|\s-+(?=\s[A-Za-z])|[—–]|因为|，",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?<=[\w%)$])\s?(?:\((?=[^()]{0,300}[=A-Za-z])[^()]{0,300}\)|\[(?=[^\[\]]{0,300}[=A-Za-z])[^\[\]]{0,300}\])"
)
_OPEN_ASIDE = re.compile(r"(?<=[\w%)$])\s\((?=[^()]{0,300}$)")
# How chat models take their leave.
_FAREWELL = re.compile(
    r"\n[ \t]{0,9}(?:(?:please )?let me know|i hope|hope (?:this|that)|feel free|if you (?:have|need|want|would)"
    r"|is there anything|would you like|do you (?:have|want|need))\b[^\n]*$",
    re.IGNORECASE,
)
# What an expression may begin with before its first number; before the last one of "2√3", more.
_OPENING = re.compile(
    r"(?:-(?=[(\[{√\\|])|(?<=-)\[\s?|[(√∛{|]\s?|\\sqrt\s?(?:\[\d\]\s?)?|sqrt(?=\()|\\[dtc]?frac\s?|(?:π|\\pi\s?)(?=[*/·√(]|\\))*$"
)
_GLUED = re.compile(r"[\d.,()√∛π^{}\[\]\\*/+sqrtpifacdo-]*$")
_GLUES = re.compile(
    r"\s(?:third|fifth|sixth|seventh|eighth|ninth|tenth)s\b|\s?(?:[√∛π]|\\sqrt|\\pi(?![A-Za-z])|\)?\s?\^\{?[\d(-])"
)
_GLUED_TO = re.compile(r"(?:[√∛]\(?|sqrt\s?[{(]|0)$")
# Of formulas with unknowns, functions and inequalities no number is the value.
_UNKNOWN_BEFORE = re.compile(
    r"(?:(?:^|[\s=($])[a-zA-Z](?:\^\{?\d{1,3}\}?)?\s?[-+*/^]\s?|(?<![-=<])[<>≤≥]\s?|\\(?:[lg]eq?|[lg]t|ne|neq|in)\s?"
    r"|(?<![A-Za-z])(?:log|ln|lg|sin|cos|tan|arcsin|arccos|arctan|exp)(?:_\{?\w{1,3}\}?)?\s?[({|]{0,2}"
    r"|\\(?:binom|[dt]binom|log|ln|sin|cos|tan|sum|int|prod|lim|max|min|gcd)(?:_\{?\w{1,3}\}?)?\s?[({|]{0,2})$"
)
_UNKNOWN_AFTER = re.compile(
    r"[xyznabi](?![A-Za-z])(?:\^|\s?[-+*/=<>]\s?[\da-z(\\]|[\s$.]*$)"
    r"|[a-z](?![A-Za-z])\s?[-+]\s?(?:\d|\(|[a-z](?![A-Za-z]))|\s?[<>≤≥]\s?[-\da-z(=\\]"
    r"|\s?\\(?:log|ln|sin|cos|tan|sec|csc|cot|binom|theta|alpha|beta|gamma|lambda|phi|pm|mp|cup|cap|[lg]eq?|[lg]t|in)(?![A-Za-z])"
    r"|\s?[-+]\s?[xyzabn](?![A-Za-z])"
)
_SYMBOL = re.compile(r"[√∛π∞]|\\(?:sqrt|pi|infty|emptyset|varnothing)(?![A-Za-z])|∅")
_HYPHENATED_MIXED = re.compile(r"-(?P<over>\d{1,2})/(?P<under>\d{1,3})(?![\d/])")
# A response of one line without words.
_WORD = re.compile(
    r"(?<![A-Za-z\\])(?!(?:or|and|to|pi|sqrt|of|frac|left|right|times|cdot|overline|infty|approx|pm)(?![A-Za-z]))[A-Za-z]{2,}"
)
_CALCULATED = re.compile(r"\d[^=;\n]{0,200}=[^=;\n]{0,200}$")
_ENDS_CALCULATED = re.compile(r"\d[^;\n]{0,200}=\s{0,2}[-$€£¥]{0,2}[\d.,]{0,30}\d(?:\s[A-Za-z]{1,20}){0,2}$")
_NUMBER_AND_COMMA = re.compile(r"\s*[$€£¥]?[-\d.,]*\d%?(?:\s[A-Za-z]{1,20}){0,2},\s(?!which\b|or\b)")


def stated_number(response: str) -> str | None:
    """Return the number that a response gives as its answer, in one spelling for equal numbers; None without a number."""
    text = said(response)
    for tagged in reversed(answer_tags(text)):
        if (found := _stated(without_markup(tagged))) is not None:
            return found
    return _stated(without_markup(text))


def final_number(response: str) -> str | None:
    """Return the number of a response that ends in `Answer: N`, `The answer is N` or `#### N`; else None."""
    found = _STRICT.search(last_line(without_markup(said(response)))[-120:])
    return normalised(found["number"].strip().removesuffix(".")) if found else None


def normalised(number: str) -> str | None:
    """Return one spelling for equal numbers; None of what is not a number alone.

    No thousands separators, currency, percent sign, exponent or trailing zeros; a fraction as a decimal where that is
    exact, else in lowest terms.
    """
    return spelled(read_alone(without_markup(plain(number[: 4 * numerals.LONGEST]))))


@dataclass(frozen=True)
class _Said:
    """What a clause gives: a number as it is spelled, or None where it is a number's place and no number stands there."""

    number: str | None


def first_number(text: str) -> str | None:
    """Return the number that a clause gives: its first, of a calculation its value, or the one after its last equals sign.

    What explains the answer is left out: "18 because 16 - 3 - 4 = 9", "18 dollars (9 eggs = 16 - 7)".
    """
    said = _given(text)
    return said.number if said else None


def concluded_number(text: str) -> str | None:
    """Return the number of a last sentence that concludes or calculates: "So 3 - 6 = -3" says -3; None of another."""
    sentence = _last_sentence(text)
    return first_number(sentence) if _CONCLUDES.match(sentence) or _EQUALS.search(sentence) else None


def _given(clause: str, *, boxed: bool = False) -> _Said | None:
    """Return what a clause gives; None where it gives nothing."""
    return _Said(None) if is_no_number(clause) else _first(_without_reason(clause), boxed=boxed)


def _in_words(clause: str, *, anywhere: bool = False) -> _Said | None:
    found = number_in_words(clause, anywhere=anywhere)
    return _Said(found) if found is not None else None


def _stated(text: str) -> str | None:
    for box in reversed(boxes(text)):
        inner = text[box].strip()
        if said := _given(re.sub(r"^-\s+", "-", inner), boxed=True) or _in_words(inner):
            return _after_box(text[box.stop :]) or said.number
    if said := _announced_after(text):
        return said.number
    label = _LABELLED.search(text.rstrip())
    if label and (found := normalised(label["number"].strip().removesuffix("."))) is not None:
        return found
    later: str | None = None
    for place, rest in enumerate(after_cues(text)):
        clause = _clause(rest)
        if place == 0 and _LETTER.fullmatch(clause.strip()):
            # "The answer is N": announced, and it is no number.
            return None
        said = _given(clause) or _in_words(clause)
        if place == 0 and said and said.number is None:
            return None
        found = said.number if said else None
        if later is not None:
            # A model that repeats itself is cut off anywhere: "The answer is 18. The answer is 1".
            cut = found is not None and found.startswith(later) and found[len(later) : len(later) + 1].isdigit()
            return found if cut else later
        if found is not None and not (place == 0 and text.rstrip(" ").endswith(rest) and rest[-1:].isdigit()):
            return found
        later = found
    if later is not None:
        return later
    return _unannounced(text)


def _unannounced(text: str) -> str | None:
    """Return the number of a response that announces none."""
    line = text.strip()
    if len(line) <= 80 and is_no_number(line.rstrip("."), alone=True):
        return None
    if len(line) <= 80 and "\n" not in line and not _WORD.search(line) and (said := _given(line.rstrip("."))):
        return said.number
    if (first := _BEGINS.match(text)) and (found := normalised(first["number"].removesuffix("."))) is not None:
        return found
    text = _FAREWELL.sub("", text.rstrip())
    # The marks of a numbered list are no answers, unless there is nothing else.
    if said := _before_cut(text) or _concluded(text) or _last(_LIST_MARK.sub("", text)) or _last(text):
        return said.number
    return number_in_words(_last_sentence(text), anywhere=True)


def _clause(rest: str) -> str:
    """Return the clause that gives an announced answer: to the end of its sentence, or further where it goes on to calculate."""
    clause = first_sentence(rest)
    end = rest[len(clause) : len(clause) + 1]
    if end == "?":
        # "18 or 20? No: 18."
        answered = first_sentence(rest[len(clause) + 1 :])
        return answered if next(numbers_in(answered), None) else clause
    if end == ";" and _CALCULATED.search(clause):
        # "16 - 3 = 13 eggs; she makes 13 * 2 = $26": what it ends with.
        further = first_sentence(rest[len(clause) + 1 :])
        return further if _ENDS_CALCULATED.search(further.strip()) else clause
    return clause


def _after_box(rest: str) -> str | None:
    """Return the number that is announced after the last box, where it stands right after the announcement."""
    clause = next(after_cues(rest), "")
    number = next(numbers_in(clause), None)
    return first_number(first_sentence(clause)) if number and not clause[: number.start()].strip(" $*:≈-") else None


def _without_reason(clause: str) -> str:
    first = next(numbers_in(clause), None)
    if first is None:
        return clause
    head, rest = clause[: first.end()], clause[first.end() :]
    rest = _ASIDE.sub("", f"0{rest}")[1:]
    if aside := _OPEN_ASIDE.search(rest):
        rest = rest[: aside.start()]
    if reason := _REASON.search(rest):
        weak = reason[0].strip()[:1] in "；;:-—–"
        if not (weak and "=" in clause[: len(head) + reason.start()]):
            rest = rest[: reason.start()]
    text = head + rest
    listed = _NUMBER_AND_COMMA.match(text)
    return text[: listed.end()] if listed else text


def _first(text: str, *, boxed: bool = False) -> _Said | None:
    """Return the value that a clause begins with; of a calculation the one after its last equals sign; None without any."""
    numbers = list(numbers_in(text))
    numbers = [number for number in numbers if not is_denied(number)] or numbers
    if not numbers:
        return _Said(None) if _SYMBOL.search(text) or TEMPORAL.search(text) else None
    equals = [mark.end() for mark in _EQUALS.finditer(text) if mark.end() <= numbers[-1].start()]
    # The value after the last "=": what follows it in words is a unit or a remark.
    first = next(number for number in numbers if not equals or number.start() >= equals[-1])
    return _Said(_value(text, first, equals[-1] if equals else None, boxed))


def _value(text: str, first: re.Match[str], equals: int | None, boxed: bool) -> str | None:
    """Return the value of the expression that a number begins; None where it is no number.

    Args:
        text: the clause.
        first: the number.
        equals: where the last equals sign before it ends.
        boxed: whether the clause is a box, where "5!" is a factorial and "3 - 8" no range.
    """
    low = max(equals or 0, first.start() - 40)
    opening = _OPENING.search(text[low : first.start()])
    start = low + opening.start() if opening else first.start()
    found = None
    for place in range(start, first.start() + 1):
        found = expression_at(text, place, factorials=boxed)
        if found is not None and found.end >= first.end():
            start = place
            break
    if found is None:
        return None
    mixed = _HYPHENATED_MIXED.match(text, first.end())
    if mixed and int(mixed["over"]) < int(mixed["under"]) and first["whole"] and not boxed:
        # "2-1/2" is written for 2½ as well.
        return None
    if found.subtracts and found.value is not None and found.value < 0 and not boxed and equals is None:
        return None
    if (
        goes_on(first, text)
        or is_share(first, text)
        or has_two_units(first, text)
        or has_alternative(first, found.end, text)
    ):
        return None
    if _UNKNOWN_BEFORE.search(text[max(0, start - 30) : start]) or _UNKNOWN_AFTER.match(text, found.end):
        return None
    negates = start == first.start() and found.value is not None and found.value > 0 and says_minus(first)
    return spelled(-found.value if negates and found.value is not None else found.value)


def _announced_after(text: str) -> _Said | None:
    """Return what a sentence gives that ends in "…, which is the answer", unless another answer is announced later."""
    marks = list(_LOOKS_BACK.finditer(text))
    if not marks or next(after_cues(text[marks[-1].end() :]), None) is not None:
        return None
    return _last(_last_sentence(text[: marks[-1].start()]))


def _concluded(text: str) -> _Said | None:
    """Return what a last sentence gives that concludes: "So she pays $12 for 2 weeks" says 12."""
    sentence = _last_sentence(text)
    if not _CONCLUDES.match(sentence):
        return None
    return _given(sentence) or _in_words(sentence, anywhere=True)


def _last_sentence(text: str) -> str:
    line = last_line(text)[-400:].rstrip("。！？")
    return line[max((end.end() for end in _BETWEEN.finditer(line)), default=0) :]


def _last(text: str) -> _Said | None:
    """Return the last number; of a last sentence that calculates, its value."""
    sentence = _last_sentence(text)
    if _EQUALS.search(sentence) and (value := _first(sentence)):
        return value
    plain_sentence = _ASIDE.sub("", sentence)
    found = list(numbers_in(plain_sentence))
    if not found and TEMPORAL.search(plain_sentence):
        return _Said(None)
    if len(found) > 1 and (has_two_units(found[-2], plain_sentence) or is_share(found[-2], plain_sentence)):
        return _Said(None)
    found = found or list(numbers_in(text))
    return _Said(_glued_value(found[-1])) if found else None


def _glued_value(found: re.Match[str]) -> str | None:
    """Return the value of the last number of a text, or of the root, power or product with π that it is a part of."""
    text = found.string
    before = text[max(0, found.start() - 40) : found.start()]
    if not (_GLUES.match(text, found.end()) or _GLUED_TO.search(before)):
        return _read(found)
    glued = _GLUED.search(before)
    for place in range(found.start() - len(glued[0] if glued else ""), found.start() + 1):
        expression = expression_at(text, place)
        if expression is not None and expression.end >= found.end():
            return spelled(expression.value)
    return None


def _before_cut(text: str) -> _Said | None:
    """Return the number that a text repeats where it is cut off: "it is $14480. So it will cost $14" says 14480."""
    found = list(numbers_in(text.rstrip()))[-2:]
    if len(found) < 2 or found[1].end() != len(text.rstrip()):
        return None
    whole, cut = found[0]["whole"], found[1]["whole"]
    return _Said(_read(found[0])) if len(whole) > len(cut) and whole.startswith(cut) else None


def _read(found: re.Match[str]) -> str | None:
    return spelled(numerals.value(found))
