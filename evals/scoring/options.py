"""Read the option that a response chooses: by its letter, else by its text or number. Pure, linear in the length of the text."""

import re
from collections.abc import Sequence

from evals.scoring.characters import plain
from evals.scoring.choosing import choice_in_other_words, is_open, names_several, ruled_out, undenied
from evals.scoring.numbers import concluded_number, first_number
from evals.scoring.numerals import NUMBER, spelled, value
from evals.scoring.text import after_cues, answer_tags, boxed, first_sentence, last_line, said, without_markup

# Options are looked for by their texts in so much of a response, its end.
LONGEST = 10_000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# "(B)", "B)", "B.", "B" alone, "option B"; before it only what cannot be a word.
_LEADING = re.compile(
    r"[\s\"'*_:`\[$-]{0,10}(?:(?:the\s)?(?:option|choice|letter|answer)\s{1,3})?[\"'“`]?(?P<open>[(\[{]?)\s?(?P<letter>[A-Za-z])"
    r"(?P<close>\s?[)\]}]|[.:,;!?\"'*`$。，、：；]|\s|$|(?=[\u3040-\u9fff]))",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"[(\[](?P<letter>[A-Z])[)\]]")
_NAMED = re.compile(r"\b(?:[Oo]ption|[Cc]hoice|[Ll]etter)\s[(\[]?(?P<letter>[A-Z])(?!\w)")
_STRICT = re.compile(r"(?:^|\s)answer(?:\s+is)?\s*[:=]?\s*\(?(?P<letter>[A-Z])\)?[.]?$", re.IGNORECASE)
# What stands between words; signs that numbers and formulas are made of do not.
_BETWEEN = re.compile(r"[^\w.%$/^+√-]+")
# After a bare "A" these show that it is the letter: "A because …"; any other word, that it is the article: "A dog".
_AFTER_LETTER = re.compile(r"\s*(?:because|since|as|and|or|is|by|for|due|which|but|not|,|-|–|—|$|\n)")
_ALONE = re.compile(r"[\s*_`\"'(\[]{0,6}(?P<letter>[A-Z])[\s*_`\"')\].]{0,6}")
_ENDS = re.compile(r"[.?!]\s{1,3}[(]?(?P<letter>[A-Z])[)]?[.!]?$")
_LINE_LABEL = re.compile(r"^[\s*_>-]{0,6}(?:(?:[Oo]ption|[Cc]hoice)\s)?[(\[]?(?P<letter>[A-Z])[)\].:]", re.MULTILINE)


def stated_option(response: str, labels: Sequence[str], options: Sequence[str] = ()) -> str | None:
    """Return the label of the option that a response chooses; None where it chooses none, or leaves open which.

    What stands in a box or in `<answer>` tags comes first; then what is announced ("the answer is …"), the last announcement
    before earlier ones; what is chosen in other words ("I choose B", "so B"); a letter that the response begins or ends with;
    the one option that is not ruled out; the one whose text occurs; the last letter in brackets.

    Args:
        response: what was said.
        labels: single letters, in order.
        options: the options' texts, in the same order, where they are known.
    """
    text = without_markup(said(response))
    choice = _Choice(labels, options)
    for inner in (*reversed(answer_tags(text)), *reversed(boxed(text))):
        if names_several(inner, labels) and not choice.named(inner):
            return None
        found = choice.leading(inner) or _announced_in(inner, choice) or choice.named(inner) or choice.bracketed(inner)
        if found := found or choice_in_other_words(inner, labels):
            return found
    if _ends_undecided(text, choice):
        return None
    if found := _announced_in(text, choice):
        return found
    out = ruled_out(text, labels)
    found = choice_in_other_words(text, labels) or _alone(text, choice) or _begun(text, choice)
    if found and found not in out:
        return found
    if len(out) == len(labels) - 1:
        return next(label for label in labels if label not in out)
    return (
        choice.named(text[-LONGEST:])
        or choice.equals(concluded_number(text))
        or choice.bracketed(text)
        or choice.called(text)
    )


def final_option(response: str, labels: Sequence[str]) -> str | None:
    """Return the label of a response that ends in `Answer: X` or `The answer is (X)`; else None."""
    found = _STRICT.search(last_line(without_markup(said(response)))[-80:])
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
    return same[0] if len(same) == 1 else _Choice(labels, options).equal(text)


class _Choice:
    """The labels of a choice with their texts, and how a clause may name one."""

    def __init__(self, labels: Sequence[str], options: Sequence[str]) -> None:
        self.labels = labels
        texts = [without_markup(plain(option)) for option in options]
        self._words = [(label, _words(option)) for label, option in zip(labels, texts, strict=False)]
        self._signs = [(label, _closed_up(option)) for label, option in zip(labels, texts, strict=False)]
        self._numbers = [(label, _number_alone(option)) for label, option in zip(labels, texts, strict=False)]

    def alone(self, clause: str) -> str | None:
        """Return the capital letter that a clause is and nothing else, also where an option's text is that letter."""
        match = _ALONE.fullmatch(clause)
        return match["letter"] if match and match["letter"] in self.labels else None

    def leading(self, text: str) -> str | None:
        """Return the letter that a clause begins with."""
        match = _LEADING.match(text)
        if match is None or match["letter"].upper() not in self.labels:
            return None
        bracketed = bool(match["open"] or match["close"].strip())
        alone = not text[match.end("letter") : match.end("letter") + 40].strip(" .*)\n`$")
        if match["letter"].islower() and not (bracketed or alone):
            return None
        if match["letter"].upper() in "AI" and not (bracketed or alone):
            # "A" may be the article, "I" the pronoun.
            return match["letter"] if _AFTER_LETTER.match(text, match.end("letter")) else None
        return match["letter"].upper()

    def bracketed(self, text: str) -> str | None:
        """Return the last letter in brackets."""
        found = [match["letter"] for match in _BRACKETED.finditer(text) if match["letter"] in self.labels]
        return found[-1] if found else None

    def called(self, text: str) -> str | None:
        """Return the letter of "option X" where no other is called so."""
        found = {match["letter"] for match in _NAMED.finditer(text) if match["letter"] in self.labels}
        return found.pop() if len(found) == 1 else None

    def equal(self, text: str) -> str | None:
        """Return the one option whose text a clause is."""
        said = _words(text)
        found = [label for label, option in self._words if option and option == said]
        return found[0] if len(found) == 1 else None

    def same(self, text: str) -> str | None:
        """Return the one option that a clause is sign by sign, white space aside: `x<3` is not `x>3`."""
        said = _closed_up(text)
        found = [label for label, option in self._signs if option and option == said]
        return found[0] if len(found) == 1 else None

    def equals(self, number: str | None) -> str | None:
        """Return the one option that is a number."""
        found = [label for label, option in self._numbers if option is not None and option == number]
        return found[0] if len(found) == 1 else None

    def named(self, text: str) -> str | None:
        """Return the one option whose text a clause is or has; the longest where one is in another."""
        if found := self.same(text) or self.equal(text):
            return found
        said = f" {_words(text)} "
        named = [(label, option) for label, option in self._words if option and f" {option} " in said]
        # "not pure" names "pure" only as a part of itself.
        named = [
            (label, option)
            for label, option in named
            if not any(option != other and f" {option} " in f" {other} " for _, other in named)
        ]
        return named[0][0] if len(named) == 1 else None


def _ends_undecided(text: str, choice: _Choice) -> bool:
    """Return whether a response ends by announcing several letters, or is nothing else."""
    end = next(after_cues(text), text)
    is_end = text.rstrip().endswith(end.rstrip())
    return is_end and names_several(end, choice.labels) and not choice.named(end)


def _announced_in(text: str, choice: _Choice) -> str | None:
    """Return the option of the last announcement that tells one."""
    return next((found for rest in after_cues(text) if (found := _announced(rest, choice))), None)


def _announced(rest: str, choice: _Choice) -> str | None:
    """Return the option that stands after an announcement; None where it is denied, asked, or one of several."""
    clause = first_sentence(rest)
    is_asked = rest[len(clause) :].startswith("?")
    if not is_asked and (found := choice.alone(clause) or choice.same(rest) or choice.same(clause)):
        return found
    if found := choice.equal(clause):
        return found
    if is_asked:
        return None
    meant = undenied(rest)
    if meant is None or is_open(meant, choice.labels):
        return None
    clause = first_sentence(meant)
    _, turned, other = clause.rpartition(" but ")
    return (
        (choice_in_other_words(f"{turned}{other}", choice.labels) if turned else None)
        or choice.leading(meant)
        or choice.bracketed(clause)
        or choice.called(clause)
        or choice.equals(first_number(clause))
        or choice.named(clause)
    )


def _alone(text: str, choice: _Choice) -> str | None:
    """Return the letter that is the last line, or labels it where no other line is labelled."""
    line = last_line(text)
    if (match := _ALONE.fullmatch(line)) and match["letter"] in choice.labels:
        return match["letter"]
    if (match := _ENDS.search(line[-60:])) and match["letter"] in choice.labels:
        return match["letter"]
    labelled = _LINE_LABEL.findall(text)
    if len(labelled) == 1 and (match := _LINE_LABEL.match(line)) and match["letter"] in choice.labels:
        return match["letter"]
    return None


def _begun(text: str, choice: _Choice) -> str | None:
    """Return the letter that a response begins with, unless it goes through several."""
    begin = text.lstrip()[:200]
    match = _LEADING.match(begin)
    if match is None or len(set(_LINE_LABEL.findall(text)) & set(choice.labels)) > 1:
        return None
    after = begin[match.end("letter") :]
    ends = match["close"].strip() or not after.partition("\n")[0].strip() or re.match(r"\s(?:because|since)\b", after)
    return (
        choice.leading(begin)
        if ends and (match["letter"].isupper() or match["open"] or len(begin.strip()) == 1)
        else None
    )


def _number_alone(text: str) -> str | None:
    """Return the number of an option that is a number, with a unit or without."""
    found = NUMBER.match(text.strip())
    rest = text.strip()[found.end() :] if found else ""
    return (
        spelled(value(found))
        if found and re.fullmatch(r"\s?[A-Za-z%°$€£/]{0,20}(?:\s[A-Za-z]{1,20})?\.?", rest)
        else None
    )


def _closed_up(text: str) -> str:
    """Return a text without white space, and without dollar signs and full stops around it."""
    return "".join(text.split()).strip("$.")


def _words(text: str) -> str:
    """Return the words and numbers of a text in lower case and one spelling, single spaces between them."""
    text = NUMBER.sub(lambda found: found[0] if found[0].isdigit() else spelled(value(found)) or found[0], text)
    pieces = (piece.strip(".") for piece in _BETWEEN.split(text.casefold()))
    return " ".join(piece for piece in pieces if any(map(str.isalnum, piece)))
