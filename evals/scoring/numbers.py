"""Read a number out of a response: pure, linear in the length of the text.

A number is found by what stands before it: `\\boxed{…}`, `<answer>`, `####`, "the answer is", "Answer:", or after it: "…,
which is the answer"; without any of them it is what a response begins with, if that line has nothing else and words follow, else
what a last sentence concludes ("So …"), else the last one. What a model thinks in tags, and what it writes after its answer as
if it were asked again ("Question: …"), does not count.
"""

import re

from evals.scoring import numerals
from evals.scoring.characters import plain
from evals.scoring.number_words import number_in_words
from evals.scoring.numerals import is_denied, numbers_in, read_alone, spelled
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


def first_number(text: str) -> str | None:
    """Return the number that a clause gives: its first, of a calculation the one after its last equals sign.

    What explains the answer is left out: "18 because 16 - 3 - 4 = 9", "18 dollars (9 eggs = 16 - 7)".
    """
    return _first(_without_reason(text))


def concluded_number(text: str) -> str | None:
    """Return the number of a last sentence that concludes or calculates: "So 3 - 6 = -3" says -3; None of another."""
    sentence = _last_sentence(text)
    return first_number(sentence) if _CONCLUDES.match(sentence) or _EQUALS.search(sentence) else None


def _stated(text: str) -> str | None:
    for box in reversed(boxes(text)):
        inner = text[box].strip()
        if (found := first_number(re.sub(r"^-\s+", "-", inner)) or number_in_words(inner)) is not None:
            return _after_box(text[box.stop :]) or found
    if (found := _announced_after(text)) is not None:
        return found
    label = _LABELLED.search(text.rstrip())
    if label and (found := normalised(label["number"].strip().removesuffix("."))) is not None:
        return found
    later: str | None = None
    for place, rest in enumerate(after_cues(text)):
        clause = first_sentence(rest)
        if place == 0 and _LETTER.fullmatch(clause.strip()):
            # "The answer is N": announced, and it is no number.
            return None
        found = first_number(clause) or number_in_words(clause)
        if later is not None:
            # A model that repeats itself is cut off anywhere: "The answer is 18. The answer is 1".
            cut = found is not None and found.startswith(later) and found[len(later) : len(later) + 1].isdigit()
            return found if cut else later
        if found is not None and not (place == 0 and text.rstrip(" ").endswith(rest) and rest[-1:].isdigit()):
            return found
        later = found
    if later is not None:
        return later
    if (first := _BEGINS.match(text)) and (found := normalised(first["number"].removesuffix("."))) is not None:
        return found
    text = _FAREWELL.sub("", text.rstrip())
    # The marks of a numbered list are no answers, unless there is nothing else.
    found = _before_cut(text) or _concluded(text) or _last(_LIST_MARK.sub("", text)) or _last(text)
    return found or number_in_words(_last_sentence(text), anywhere=True)


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


def _first(text: str) -> str | None:
    """Return the first number of a clause; of a calculation the one after its last equals sign."""
    numbers = list(numbers_in(text))
    numbers = [number for number in numbers if not is_denied(number)] or numbers
    if not numbers:
        return None
    equals = [mark.end() for mark in _EQUALS.finditer(text) if mark.end() <= numbers[-1].start()]
    # The value after the last "=": what follows it in words is a unit or a remark.
    first = next(number for number in numbers if not equals or number.start() >= equals[-1])
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
    return first_number(sentence) if _CONCLUDES.match(sentence) else None


def _last_sentence(text: str) -> str:
    line = last_line(text)[-400:].rstrip("。！？")
    return line[max((end.end() for end in _BETWEEN.finditer(line)), default=0) :]


def _last(text: str) -> str | None:
    """Return the last number; of a last sentence that calculates, its value."""
    sentence = _last_sentence(text)
    if _EQUALS.search(sentence) and (value := _first(sentence)) is not None:
        return value
    found = list(numbers_in(_ASIDE.sub("", sentence))) or list(numbers_in(text))
    return _read(found[-1]) if found else None


def _before_cut(text: str) -> str | None:
    """Return the number that a text repeats where it is cut off: "it is $14480. So it will cost $14" says 14480."""
    found = list(numbers_in(text.rstrip()))[-2:]
    if len(found) < 2 or found[1].end() != len(text.rstrip()):
        return None
    whole, cut = found[0]["whole"], found[1]["whole"]
    return _read(found[0]) if len(whole) > len(cut) and whole.startswith(cut) else None


def _read(found: re.Match[str]) -> str | None:
    return spelled(numerals.value(found))
