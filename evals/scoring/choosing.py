"""How an option is chosen, left open or ruled out in words other than "the answer is …". Pure, linear in the length of the text.

"I choose B", "so B", "B is correct", "the remaining option is B"; "either A or B"; "not A but B"; "A and C are wrong".
"""

import re
from collections.abc import Sequence

_NOUN = r"(?:option|choice|letter|answer|alternative)"
# A letter that is meant as an option: a capital, in brackets or not, and no part of a word or formula.
_X = r"[\"'“`]?[(\[]?(?P<letter>[A-Z])[)\]]?(?![A-Za-zÀ-ɏ\d_'’^=+*/-])"
_IS = r"(?:is|must\sbe|would\sbe|should\sbe|has\sto\sbe|can\sonly\sbe|seems|appears|looks)(?:\sto\sbe)?"
_ENDS = r"(?=\s?(?:[.,;!)。，]|$)|\s(?:because|since|as|is|due|given)\b|\s\()"
_SURELY = r"(?:(?:definitely|clearly|therefore|thus|only|just|probably|likely|indeed|obviously|simply)\s)?"
_MINDS = (
    r"(?:choose|chose|pick(?:ed)?|select(?:ed)?|go(?:ing)?\swith|went\swith|opt\sfor|vote\sfor|settle\son|say|answer|guess|conclude"
    r"|lean\stowards?|believe|think|stick\swith)"
)
# Of what is chosen so, the last counts.
_CHOOSES = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"\b(?:I|we|let)(?:['’](?:d|ll|m|ve|s)|\s(?:would|will|am|have|shall))?\s(?:\w{{1,12}}\s){{0,2}}?{_MINDS}\s(?:that\s)?"
        rf"(?:it(?:['’]s|\s{_IS})\s)?(?:the\s)?(?:correct\s)?(?:{_NOUN}\s)?(?:is\s)?{_X}",
        rf"\b(?:choose|select|pick)\s(?:{_NOUN}\s)?{_X}{_ENDS}",
        rf"(?:选择?|選擇?|选项|應該是|应该是|故选|所以)\s?{_X}",
        rf"(?<![\w'’])(?:{_NOUN}\s)?{_X}(?:\s?\([^()\n]{{0,60}}\)|[.:,]\s(?:(?!\b(?-i:[A-Z])\b)[^\n.;:?!]){{0,60}}?,?)?\s?(?:(?:is|must\sbe|would\sbe|seems|appears|looks)\s"
        r"(?:to\sbe\s)?(?:the\s)?(?:only\s|most\s|clearly\s|definitely\s|indeed\s|obviously\s)?"
        r"(?:correct|right|best|accurate|appropriate|answer|solution)\b(?!\sif\b)|:\s?(?:correct|right)\b|\s?[✓✅✔])",
        rf"\b(?:correct|right|best|only|remaining|final|my|chosen|our|accurate)\s(?:\w{{1,12}}\s)?"
        rf"(?:option|choice|letter|one|pick|selection|response|alternative)(?:\s\w{{1,12}}){{0,3}}?\s?(?:{_IS}|:|=)\s?(?:{_NOUN}\s)?{_X}",
        rf"\b(?:so|thus|therefore|hence|ergo|leaving|leaves|finally|conclusion)\b[,:]?\s(?:that\s)?"
        rf"(?:it(?:['’]s|\s{_IS})\s|this\s{_IS}\s|we\shave\s|(?:me|us)\swith\s|with\s|only\s|(?:we\s)?get\s)?{_SURELY}(?:(?:the\s)?{_NOUN}\s)?{_X}{_ENDS}",
        rf"\b(?:it|this|which|must|that\smeans|meaning)(?:['’]s|\s{_IS}|\sbe)?\s{_SURELY}(?:{_NOUN}\s)?{_X}(?=\s?(?:[.,;!)。，]|$)|\s(?:because|since)\b)",
        rf"\bonly\s(?:{_NOUN}\s)?{_X}\s(?:fits|works|remains|matches|is\sleft|satisfies|makes\ssense)\b",
        rf"(?:→|=>|⇒|➡|✓|✅|✔)\s?{_X}{_ENDS}",
        rf"\b(?:final|choice|option|letter|ans|answer|selection|verdict|solution|pick)[\"']?\s?(?:[:=]|\s-\s|\sis\s)\s?{_X}"
        rf"(?:(?<=[)\]])|(?=[\"'”`])|{_ENDS})",
    )
)
# Without a verb these may be an option's own text, "(B) False", but for the first few.
_WRONG = r"(?:wrong|incorrect|eliminated|ruled\sout|✗|❌|✘)"
_VERB = r"(?:is|are|was|were|seems?|can|could|must|do|does|looks?|would)"
_ADVERB = r"(?:(?:be|both|all|also|clearly|therefore|just|obviously|definitely|probably)\s){0,2}"
_IS_WRONG = (
    rf"(?:\s{_VERB}\s{_ADVERB}(?:{_WRONG}|false|impossible|out\b|excluded|invalid|irrelevant|inaccurate|unlikely|not\b)"
    rf"|(?:\s{_VERB}n['’]t|\scan['’]t|\scannot)\b|:?\s{_WRONG})"
)
_REJECTED = re.compile(rf"(?:\s?\([^()\n]{{0,60}}\))?{_IS_WRONG}|\s?(?:or|and|/)\s?[(]?[A-Z](?!\w)", re.IGNORECASE)
_DENIES = re.compile(r"\b(?:not|never|neither|if|suppose|assume|whether|unless)\b|n['’]t\b", re.IGNORECASE)
_SENTENCES = re.compile(r"[.;?!,\n]")
_LISTED = r"(?P<list>[(]?[A-Z][)]?(?:(?:,\s(?:and\s|or\s)?|\s(?:and|or|nor|&)\s|/)[(]?[A-Z][)]?(?![\w'’])){0,12})"
_RULED_OUT = (
    re.compile(rf"(?<![\w'’]){_LISTED}(?:\s\([^()\n]{{1,60}}\)|[:)]\s[^.\n]{{0,60}}?)?{_IS_WRONG}", re.IGNORECASE),
    re.compile(
        r"\b(?:eliminates?|rules?\sout|ruled\sout|excludes?|discard|reject|cross\sout|neither|cannot\sbe|can['’]t\sbe|isn['’]t|not)\s"
        rf"(?:{_NOUN}s?\s)?{_LISTED}(?![\w'’])",
        re.IGNORECASE,
    ),
)
_CORRECTED = re.compile(
    r"\W*(?:(?:clearly|definitely|certainly|obviously)\s)?(?:not|neither|never)\s[^,;]{0,80}?"
    r"(?:,?\sbut\s(?:rather\s)?|[;,]\s?(?:it(?:['’]s|\sis)\s|rather\s))",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\W*(?:(?:clearly|definitely|certainly|obviously)\s)?(?:not|neither|never)\b", re.IGNORECASE)
_HEDGES = re.compile(
    r"[\s*:]*(?:(?:most|very|quite|clearly|definitely|certainly|obviously|probably|likely|indeed|simply|therefore|thus|hence|then|now"
    r"|also|just|only|actually|in\sfact|to\sbe)[\s,]{1,2})+",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"\W{0,4}(?P<either>either|between|one\sof)?\W{0,4}(?:(?:option|choice)s?\s)?[(]?(?P<first>[A-Z])[)]?"
    r"(?:\s\w{1,20}){0,4}?(?:,?\s(?:or|and|&)\s|/)(?:(?:option|choice)\s)?[(]?(?P<second>[A-Z])[)]?(?![\w'’])(?!\s(?:is|are)\b)",
    re.IGNORECASE,
)

_LETTERS_ALONE = re.compile(
    r"\W{0,6}(?:(?:either|both|option|choice)s?\s)?[(\[]?(?P<list>[A-Z][)\]]?(?:(?:,\s?(?:(?:and|or)\s)?|\s(?:and|or|&)\s|\s?[&/+]\s?)[(\[]?[A-Z][)\]]?){1,12})"
    r"\W{0,6}"
)


def choice_in_other_words(text: str, labels: Sequence[str]) -> str | None:
    """Return the letter that is chosen last without being announced as the answer; None of none."""
    chosen: tuple[int, str] | None = None
    for pattern in _CHOOSES:
        for found in pattern.finditer(text):
            place = found.end("letter")
            if found["letter"] not in labels or (chosen is not None and place <= chosen[0]):
                continue
            if _is_meant(text, found):
                chosen = (place, found["letter"])
    return chosen[1] if chosen else None


def ruled_out(text: str, labels: Sequence[str]) -> set[str]:
    """Return the labels that a response calls wrong."""
    found = [
        letter
        for pattern in _RULED_OUT
        for match in pattern.finditer(text)
        for letter in re.findall(r"\b[A-Z]\b", match["list"])
    ]
    return set(found) & set(labels)


def undenied(clause: str) -> str | None:
    """Return an announcement from where it says what is meant: from "B" of "not A but B"; None of "not A"."""
    corrected = _CORRECTED.match(clause)
    meant = clause[corrected.end() :] if corrected else clause
    if _DENIED.match(meant):
        return None
    hedges = _HEDGES.match(meant)
    return meant[hedges.end() :] if hedges else meant


def is_open(clause: str, labels: Sequence[str]) -> bool:
    """Return whether a clause begins by naming several options: "either A or B", "A and C"."""
    found = _SEVERAL.match(clause)
    if found is None:
        return False
    letters = {found["first"], found["second"]}
    return len(letters & set(labels)) == 2


def names_several(clause: str, labels: Sequence[str]) -> bool:
    """Return whether a clause is two letters or more and nothing else: "A, C", "(A) and (B)", "A or B"."""
    found = _LETTERS_ALONE.fullmatch(clause)
    letters = set(re.findall("[A-Z]", found["list"])) if found else set()
    return len(letters) > 1 and letters <= set(labels)


def _is_meant(text: str, found: re.Match[str]) -> bool:
    """Return whether a choice is not denied, supposed, asked, or taken back by what stands around it."""
    if _REJECTED.match(text, found.end("letter") + (text[found.end("letter") : found.end("letter") + 1] in (")", "]"))):
        return False
    if _DENIES.search(_SENTENCES.split(text[max(0, found.start() - 12) : found.start()])[-1] + found[0]):
        return False
    end = re.compile(r"[.?!\n]").search(text, found.end(), found.end() + 80)
    return not (end and end[0] == "?")
