"""What all readers of responses share: boxes, tags, announcements, sentences, markup. Pure, linear in the length of the text."""

import re
from collections.abc import Iterator

from evals.scoring.announcements import ANNOUNCEMENTS
from evals.scoring.characters import plain
from evals.scoring.run_ons import answer_part

# Announcements of one response that are looked at.
MOST_CUES = 200
# What announces an answer. The words between "answer" and "is" are bounded, so a cue costs a bounded time.
_CUE = re.compile(
    r"####"
    r"|\banswers?\b(?!\s(?:cannot|can['’]t|couldn['’]t|could\snot|isn['’]t|must\snot)\b)"
    r"(?:[^.\n:=?!]{0,60}?(?:\b(?:is|are|was|be|equals)\b|[:=]|→|->)(?:[ \t]*[:=])?|(?=\s+[-$(]{0,2}\d)|(?=\s*\*\*))"
    r"|\b(?:ans|final (?:result|value|total))\s?[:=.]"
    rf"|{ANNOUNCEMENTS}"
    r"|(?:答案|答え|解答|正解|정답|答)[^\n。，,:=]{0,10}?(?:[:=]|[是为為はが은는]|(?=\s?\d))\s*:?",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)|[。！？；]")
_NUMERAL = r"-?\d{1,3}(?:,\d{3}){1,6}|-?\d{1,400}(?:\.\d{1,400})?"
_FRACTION = re.compile(
    rf"(?P<whole>(?<![\d.^_A-Za-z])(?<![\^_]\{{)\d{{1,9}}\s{{0,2}})?\\[dtc]?frac\s?"
    rf"(?:\{{\s?(?P<over>{_NUMERAL})\s?\}}|(?P<over1>\d))\s?(?:\{{\s?(?P<under>{_NUMERAL})\s?\}}|(?P<under1>\d))"
)
_OVER = re.compile(r"\{\s?(-?\d{1,400})\s?\\over\s?(\d{1,400})\s?\}")
_TEXT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|normal)?|math(?:rm|bf|it|sf|normal)|[mh]box|operatorname|emph|underline|textcolor\s?\{[^{}]{0,40}\}|color\s?\{[^{}]{0,40}\})"
    r"\s?\{([^{}]{0,400})\}"
)
_OPENS = re.compile(r"(?P<box>(?:\\(?:boxed|fbox|framebox)|(?<![\\A-Za-z])boxed)\s?\{)|\\.|(?P<brace>[{}])", re.DOTALL)
_LINE = re.compile(r"\s*[^\n]*")
_BARE_BOX = re.compile(r"\\boxed\s{1,2}(?P<inner>[^\s{}$\\]{1,40})")
_TAG = re.compile(r"<(?P<close>/?)\s?(?:final[ _-]?)?answer\s?>", re.IGNORECASE)
# A row break `\\`, with its space `\\[2pt]` or not, is no escape of what follows it.
_THIN = re.compile(
    r"(\\\\)|\{\s?(?:,|\\[,;:! ])\s?\}|,\s?\\!\s?|\\!|\\[,;:> ]|(?<=[^\s(~])~(?=[^\s~])"
    r"|\\(?:left|right|displaystyle|quad|qquad)(?![A-Za-z])|\\([()\[\]])"
)
_BOLD = re.compile(r"(?<!\d)\*\*|\*\*(?!\d)|(?<!\w)__|__(?!\w)")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~")


def said(response: str) -> str:
    """Return what a response answers (`answer_part`), in plain characters."""
    return plain(answer_part(response))


def without_markup(text: str) -> str:
    """Return a text without bold marks, calculator marks, and the LaTeX that can stand around a number or a word."""
    text = text.replace("\\$", "$").replace("\\%", "%")
    text = re.sub(r"<<[^<>\n]{0,200}>>", "", text)
    text = _STRUCK.sub("", text)
    text = _TEXT.sub(r" \1", _TEXT.sub(r" \1", text))
    text = _THIN.sub(_thinned, text)
    text = _FRACTION.sub(_written_out, _OVER.sub(r"\\frac{\1}{\2}", text))
    if any(run in text for run in ("(((", "[[[", "{{{")):
        text = _unnested(text)
    return _BOLD.sub("", text)


def _unnested(text: str) -> str:
    """Return a text in which brackets that hold nothing but brackets of their kind are left out: "-(((5)))" is "-(5)".

    Expressions are read to a depth, and a sign or a number before deeper brackets would be lost.
    """
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for place, character in enumerate(text):
        if character in "([{":
            opened.append(place)
        elif character in ")]}" and opened and _CLOSES[text[opened[-1]]] == character:
            pairs[opened.pop()] = place
    twice = {
        start for start, end in pairs.items() if text[start] == text[start + 1] and pairs.get(start + 1) == end - 1
    }
    gone = twice | {pairs[start] for start in twice}
    return "".join(character for place, character in enumerate(text) if place not in gone)


def _written_out(found: re.Match[str]) -> str:
    whole = (found["whole"] or "").strip()
    # "\\frac{1}{2}3" is no 23rd, and "2^3\\frac12" no power of 31.
    before, behind = (
        found.string[max(0, found.start() - 1) : found.start()],
        found.string[found.end() : found.end() + 1],
    )
    first = f"{whole} " if whole else "*" if before.isdigit() or before == "}" else ""
    last = "*" if behind.isdigit() else ""
    return f"{first}{found['over'] or found['over1']}/{found['under'] or found['under1']}{last}"


def _thinned(found: re.Match[str]) -> str:
    written = found[0]
    if found[1]:
        return written
    return "," if written.startswith(("{,", ",")) else "" if written == "\\!" else " "


def boxed(text: str) -> list[str]:
    """Return what stands in each `\\boxed{…}`, in order, inner braces balanced; an unclosed one up to the end of its first line.

    One inside another is read with it.
    """
    return [text[box].strip() for box in boxes(text)]


def boxes(text: str) -> list[slice]:
    """Return where the content of each `\\boxed{…}` stands."""
    opened: list[tuple[bool, int]] = []
    # (begin, end, content): a box around nothing but a box has that one's content.
    found: list[tuple[int, int | None, slice]] = []
    for mark in _OPENS.finditer(text):
        if mark["box"] or mark["brace"] == "{":
            opened.append((bool(mark["box"]), mark.end()))
        elif mark["brace"] and opened:
            is_box, begin = opened.pop()
            if is_box:
                found.append((begin, mark.start(), _content(text, begin, mark.start(), found)))
    found += [(begin, None, slice(begin, begin)) for is_box, begin in opened if is_box]
    found += [(*bare.span("inner"), slice(*bare.span("inner"))) for bare in _BARE_BOX.finditer(text)]
    kept: list[slice] = []
    over = 0
    for begin, end, content in sorted(found, key=lambda box: box[0]):
        if begin < over:
            continue
        if end is None:
            end = _LINE.match(text, begin).end()  # type: ignore[union-attr]
            content = slice(begin, end)
        kept.append(content)
        over = end
    return kept


def _content(text: str, begin: int, end: int, closed: list[tuple[int, int | None, slice]]) -> slice:
    if closed:
        inner, inner_end, content = closed[-1]
        # Of a box that stands directly inside: "\\boxed{", and "}".
        if (
            inner_end
            and begin < inner <= begin + 10
            and end - 3 <= inner_end
            and not text[begin:inner].strip("\\boxedf {")
        ):
            return content
    return slice(begin, end)


def answer_tags(text: str) -> list[str]:
    """Return what stands in each `<answer>…</answer>`, in order; in one that was not closed, the rest."""
    found: list[str] = []
    begin: int | None = None
    for tag in _TAG.finditer(text):
        if not tag["close"]:
            begin = tag.end()
        elif begin is not None:
            found.append(text[begin : tag.start()].strip())
            begin = None
    if begin is not None:
        found.append(text[begin:].strip())
    return found


def after_cues(text: str) -> Iterator[str]:
    """Yield what is said after each announcement of an answer, the last announcement first.

    It is the rest of the line, up to the next announcement; where nothing stands there, the next line that has something.
    """
    cues = list(_CUE.finditer(text))[-MOST_CUES:]
    end = len(text)
    for cue in reversed(cues):
        for line in text[cue.end() : end].split("\n", 4)[:4]:
            if line.strip(" \t*_:#$\\[]("):
                yield line
                break
        end = cue.start()


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence."""
    end = _SENTENCE_END.search(text)
    return text[: end.start()] if end else text


def last_line(text: str) -> str:
    """Return the last line that is not empty, without white space around it."""
    return text.strip().rpartition("\n")[2].strip()
