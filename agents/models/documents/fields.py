"""The four fields of a receipt: which one a question asks for, and which lines of a page state a value."""

import re
from collections.abc import Iterable, Mapping, Sequence

FIELDS = ("company", "date", "address", "total")
OTHER = "other"
TAGS = (*FIELDS, OTHER)
CLOSE = 0.75
"""How much of a line must be in a value where neither is in the other: transcripts and keys are spelled apart."""
SHORTEST = 5
"""Letters and digits of a part of a value: "MY" is in many addresses."""
_AMOUNT = re.compile(r"(?<![\d.,])(?:\d[\d,]{0,12}\.\d{2}(?!\d)|\d[\d.]{0,12},\d{2}(?![.,]?\d))")
_NUMBER = re.compile(r"\d(?:[\d.,]*\d)?")
_WHOLE = re.compile(r"\d{1,12}|\d{1,3}(?:,\d{3}){1,3}")


def asked_field(question: str) -> str | None:
    """Return the field that a question's first line names; None where it names none, or several."""
    first = question.strip().partition("\n")[0].casefold()
    named = [field for field in FIELDS if re.search(rf"\b{field}\b", first)]
    return named[0] if len(named) == 1 else None


def plain_line(line: str) -> str:
    """Return a line as it is compared: single spaces, no capitals."""
    return " ".join(line.casefold().split())


def different(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines that read differently, each as it is spelled first; those without anything in them are left out."""
    found: dict[str, str] = {}
    for line in lines:
        if key := plain_line(line):
            found.setdefault(key, " ".join(line.split()))
    return tuple(found.values())


def amounts(text: str) -> tuple[int, ...]:
    """Return the amounts of money in a text, in cents: numbers with two decimals, behind a point or a comma."""
    return tuple(int(re.sub("[.,]", "", found[0])) for found in _AMOUNT.finditer(text))


def states(field: str, value: str, line: str) -> bool:
    """Return whether a line states a field's value, or of an address or company a part of it."""
    if field == "total":
        wanted = amounts(value) or _whole(value)
        return bool(wanted) and wanted[-1] in amounts(line)
    if field == "date":
        return bool(key := _without_spaces(value)) and key in _without_spaces(line)
    key, said = _letters(value), _letters(line)
    if min(len(key), len(said)) < SHORTEST:
        return bool(key) and key == said
    if field == "company" and 2 * len(said) < len(key):
        # A place that a branch is named after is no company's name.
        return False
    if said in key or key in said:
        return True
    return _alike(said, key) >= CLOSE


def tags_of(stated: Mapping[str, Sequence[bool]], count: int) -> tuple[str, ...]:
    """Return the tag of each of so many lines: the first field, in the order of `FIELDS`, that it states."""
    return tuple(next((field for field in FIELDS if stated[field][place]), OTHER) for place in range(count))


def _whole(text: str) -> tuple[int, ...]:
    """Return the first number of a text in cents where it is a whole one; nothing of one with other decimals than two."""
    found = _NUMBER.search(text)
    return (100 * int(found[0].replace(",", "")),) if found and _WHOLE.fullmatch(found[0]) else ()


def _alike(said: str, key: str) -> float:
    """Return the share of a line's runs of three letters that a value has too."""
    inside = {key[place : place + 3] for place in range(len(key) - 2)}
    runs = [said[place : place + 3] for place in range(len(said) - 2)]
    return sum(run in inside for run in runs) / len(runs)


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _without_spaces(text: str) -> str:
    return "".join(text.casefold().split())
