"""Read the option that a response chooses: by its letter, else by its text. Pure, linear in the length of the text."""

import re
from collections.abc import Sequence

from evals.scoring.text import after_cues, answer_part, boxed, first_sentence, last_line, without_markup

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# "(B)", "B)", "B.", "B" alone, "option B"; before it only what cannot be a word.
_LEADING = re.compile(
    r"[\s\"'*_:\[$]{0,10}(?:(?:option|choice|letter|answer)\s{1,3})?(?P<open>[(\[{]?)\s?(?P<letter>[A-Za-z])"
    r"(?P<close>\s?[)\]}]|[.:,;!?\"'*$]|\s|$)",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"[(\[](?P<letter>[A-Z])[)\]]")
_STRICT = re.compile(r"(?:^|\s)answer(?:\s+is)?\s*[:=]?\s*\(?(?P<letter>[A-Z])\)?[.]?$", re.IGNORECASE)
# What stands between words; signs that numbers and formulas are made of do not.
_BETWEEN = re.compile(r"[^\w.%$/^+√-]+")
# After a bare "A" these show that it is the letter: "A because …"; any other word, that it is the article: "A dog".
_AFTER_LETTER = re.compile(r"\s*(?:because|since|as|and|or|is|by|for|due|which|,|-|–|—|$|\n)")


def stated_option(response: str, labels: Sequence[str], options: Sequence[str] = ()) -> str | None:
    """Return the label of the option that a response chooses; None where it chooses none.

    What is announced ("the answer is …") comes first, the last announcement before earlier ones; then a letter that the
    response begins with, the last letter in brackets, and the one option whose text occurs.

    Args:
        response: what was said.
        labels: single letters, in order.
        options: the options' texts, in the same order, where they are known.
    """
    text = without_markup(answer_part(response))
    for inner in reversed(boxed(text)):
        if found := _leading(inner, labels) or _by_text(inner, labels, options):
            return found
    for rest in after_cues(text):
        clause = first_sentence(rest)
        found = _leading(rest, labels) or _bracketed(clause, labels) or _by_text(clause, labels, options)
        if found:
            return found
    begin = text.lstrip()[:200]
    if (match := _LEADING.match(begin)) and (match["close"].strip() or len(begin.strip()) == 1):
        found = _leading(begin, labels)
        if found and (match["letter"].isupper() or match["open"]):
            return found
    return _only_text(text, labels, options) or _bracketed(text, labels)


def final_option(response: str, labels: Sequence[str]) -> str | None:
    """Return the label of a response that ends in `Answer: X` or `The answer is (X)`; else None."""
    found = _STRICT.search(last_line(without_markup(answer_part(response)))[-80:])
    return found["letter"].upper() if found and found["letter"].upper() in labels else None


def option_label(target: object, labels: Sequence[str], options: Sequence[str] = ()) -> str | None:
    """Return the label that a reference answer means: a letter, a letter in brackets, a place from 0, or an option's text."""
    if isinstance(target, int) and not isinstance(target, bool):
        return labels[target] if 0 <= target < len(labels) else None
    text = str(target).strip()
    letter = text.strip("()[]. ")
    if letter in labels:
        return letter
    same = [label for label, option in zip(labels, options, strict=False) if option.strip() == text]
    return same[0] if len(same) == 1 else _by_text(text, labels, options, whole=True)


def _leading(text: str, labels: Sequence[str]) -> str | None:
    match = _LEADING.match(text)
    if match is None or match["letter"].upper() not in labels:
        return None
    bracketed = bool(match["open"] or match["close"].strip())
    alone = not text[match.end("letter") :].strip(" .*)\n")
    if match["letter"].islower() and not (bracketed or alone):
        return None
    if match["letter"].upper() in "AI" and not (bracketed or alone):
        # "A" may be the article, "I" the pronoun.
        return match["letter"] if _AFTER_LETTER.match(text, match.end("letter")) else None
    return match["letter"].upper()


def _bracketed(text: str, labels: Sequence[str]) -> str | None:
    found = [match["letter"] for match in _BRACKETED.finditer(text) if match["letter"] in labels]
    return found[-1] if found else None


def _by_text(text: str, labels: Sequence[str], options: Sequence[str], *, whole: bool = False) -> str | None:
    """Return the label of the option that a clause is, begins with, or alone names; the longest where one is in another."""
    said = _words(text)
    known = [(label, _words(option)) for label, option in zip(labels, options, strict=False)]
    equal = [label for label, option in known if option and option == said]
    if equal or whole:
        return equal[0] if len(equal) == 1 else None
    return _only(said, known)


def _only_text(text: str, labels: Sequence[str], options: Sequence[str]) -> str | None:
    known = [(label, _words(option)) for label, option in zip(labels, options, strict=False)]
    return _only(_words(text), known)


def _only(said: str, known: Sequence[tuple[str, str]]) -> str | None:
    named = [(label, option) for label, option in known if option and f" {option} " in f" {said} "]
    # "not pure" names "pure" only as a part of itself.
    named = [
        (label, option)
        for label, option in named
        if not any(option != o and f" {option} " in f" {o} " for _, o in named)
    ]
    return named[0][0] if len(named) == 1 else None


def _words(text: str) -> str:
    """Return the words and numbers of a text in lower case, single spaces between them."""
    pieces = (piece.strip(".") for piece in _BETWEEN.split(text.casefold()))
    return " ".join(piece for piece in pieces if any(map(str.isalnum, piece)))
