"""Options named by their place: "option 2", "the second choice". Pure, linear in the length of the text."""

import re

_NOUN = r"(?:option|choice|alternative)"
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5, "last": -1,
}  # fmt: skip
_PLACE = re.compile(
    rf"(?<!\w)(?:the\s)?(?:{_NOUN}\s(?:number\s|no\.?\s|#)?[(\[]?(?P<figure>\d{{1,2}})[)\]]?(?![\w%/^]|[.,]\d)"
    rf"|(?P<ordinal>{'|'.join(_ORDINALS)})\s(?:{_NOUN}|one)\b)",
    re.IGNORECASE,
)

_DENIES = re.compile(r"\b(?:not|wrong|incorrect|false|out|cannot)\b|n['’]t\b", re.IGNORECASE)
_SEVERAL = re.compile(rf"[^.\n]{{0,24}}?\d\)?,?\s(?:or|and)\s(?:{_NOUN}\s)?[(\[]?\d", re.IGNORECASE)


def place_named(clause: str, *, anywhere: bool = False) -> int | None:
    """Return the place, from 1, that a clause begins with; -1 of the last; None of none.

    Args:
        clause: what is announced.
        anywhere: whether it may stand anywhere, as long as no other place is named.
    """
    if anywhere:
        # "Option 3 is not correct" names what it is not.
        if _DENIES.search(clause) or any(_SEVERAL.match(clause, match.start()) for match in _PLACE.finditer(clause)):
            return None
        # "The first one to finish" counts runners, not options.
        found = {_place(match) for match in _PLACE.finditer(clause) if not match[0].lower().endswith(" one")}
        return found.pop() if len(found) == 1 else None
    if _SEVERAL.match(clause):
        return None
    match = _PLACE.match(clause, re.match(r"[\s*_:\"'(\[]{0,8}", clause).end())  # type: ignore[union-attr]
    return _place(match) if match else None


def _place(match: re.Match[str]) -> int:
    return int(match["figure"]) if match["figure"] else _ORDINALS[match["ordinal"].lower()]
