"""Read a word or a short text out of a response: yes and no, true and false, and answers compared as text."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from agents.whole_words import whole_words
from evals.scoring.text import after_cues, answer_tags, boxed, first_sentence, last_line, said, without_markup

YES_NO: Mapping[str, Sequence[str]] = {"Yes": ("yes", "true"), "No": ("no", "false")}
TRUE_FALSE: Mapping[str, Sequence[str]] = {"True": ("true", "yes"), "False": ("false", "no")}
_WORD = re.compile(r"[A-Za-z]+")
_NOT = re.compile(r"(?:\bnot|n['’]t)\s(?:\w{1,12}\s)?$", re.IGNORECASE)
_EITHER = re.compile(r"\W{0,4}(?:either|neither)\b|\W{0,4}[A-Za-z]{1,12},?\s(?:or|/)\s", re.IGNORECASE)


def stated_word(response: str, words: Mapping[str, Sequence[str]]) -> str | None:
    """Return which of several words a response answers with; None where it does with none, or with more than one.

    Args:
        response: the response.
        words: answer → the spellings that mean it, in lower case.
    """
    meaning = {spelling: answer for answer, spellings in words.items() for spelling in spellings}
    text = without_markup(said(response))
    for rest in (*reversed(answer_tags(text)), *reversed(boxed(text)), *after_cues(text)):
        clause = first_sentence(rest)
        if rest[len(clause) :].startswith("?") or _EITHER.match(clause):
            continue
        for word in _WORD.finditer(clause):
            if (answer := meaning.get(word.group().lower())) is not None:
                return _opposite(answer, words) if _NOT.search(clause[: word.start()]) else answer
    for line in (text.strip(), last_line(text)):
        leading = _WORD.search(line[:40])
        if leading and leading.group().lower() in meaning:
            return meaning[leading.group().lower()]
    found = {
        _opposite(answer, words) if _NOT.search(text[max(0, word.start() - 20) : word.start()]) else answer
        for word in _WORD.finditer(text)
        if (answer := meaning.get(word.group().lower())) is not None
    }
    return found.pop() if len(found) == 1 else None


def _opposite(answer: str, words: Mapping[str, Sequence[str]]) -> str | None:
    """Return the other of two answers; None where there are more."""
    others = [word for word in words if word != answer]
    return others[0] if len(others) == 1 else None


def final_word(response: str, words: Mapping[str, Sequence[str]]) -> str | None:
    """Return the word of a response whose last line ends in `Answer: word`; else None."""
    word = final_text(response)
    return next((answer for answer, spellings in words.items() if word in spellings), None)


def stated_text(response: str) -> str | None:
    """Return what a response announces as its answer, else its last line, as `comparable` spells it; None of nothing."""
    text = without_markup(said(response))
    for rest in (*reversed(answer_tags(text)), *reversed(boxed(text)), *after_cues(text)):
        if stated := comparable(rest):
            return stated
    return comparable(last_line(text)) or None


def final_text(response: str) -> str | None:
    """Return what stands after `Answer:` or `The answer is` in the last line; else None."""
    line = last_line(without_markup(said(response)))
    found = re.search(r"(?:^|\s)answer(?:\s+is)?\s*[:=]?\s*([^\s].*)$", line[-400:], re.IGNORECASE)
    return (comparable(found[1]) or None) if found else None


def mentions(response: str, name: str) -> bool:
    """Return whether a text has another in it, whatever case and spacing, and not as a part of a longer word or number."""
    text, wanted = (" ".join(unicodedata.normalize("NFKC", given).casefold().split()) for given in (response, name))
    return next(whole_words(text, wanted), None) is not None


def comparable(text: str) -> str:
    """Return a text in lower case with single spaces, without the quotes and full stops around it."""
    return " ".join(text.casefold().split()).strip(" .\"'`“”‘’*")
