"""What all readers of responses share: where the answer stands, and the markup around it. Pure, linear in the text."""

import re
from collections.abc import Iterator

# A model that was shown examples may go on with a question of its own: that is no longer its answer.
_ASKED_AGAIN = re.compile(
    r"^[ \t>*#]{0,4}(?:question|q|problem|exercise|user|human|input|instruction)[ \t]?\d{0,3}[ \t]?(?:\*\*)?:",
    re.IGNORECASE | re.MULTILINE,
)
# What announces an answer. The words between "answer" and "is" are bounded, so a cue costs a bounded time.
_CUE = re.compile(
    r"####|\banswers?\b(?:[^.\n:=?!]{0,60}?(?:\b(?:is|are|was|be|equals)\b|[:=])\s*[:=]?|(?=\s+[-−$(]{0,2}\d))",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)")
_FRACTION = re.compile(r"\\[dt]?frac\s?\{\s?(-?\d{1,18})\s?\}\s?\{\s?(\d{1,18})\s?\}")
_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox)\s?\{([^{}]{0,200})\}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_THIN = re.compile(r"\\[,!;:> ]|\{,\}|\\(?:left|right|displaystyle)\b")
_BOLD = re.compile(r"(?<!\d)\*\*|\*\*(?!\s?\d)|(?<!\w)__|__(?!\w)")


def answer_part(response: str) -> str:
    """Return a response up to where the model asks itself another question."""
    again = _ASKED_AGAIN.search(response, len(response) - len(response.lstrip()) + 1)
    return response[: again.start()] if again else response


def without_markup(text: str) -> str:
    """Return a text without bold marks, calculator marks, and the LaTeX that can stand around a number or a word."""
    text = text.replace("\\$", "$").replace("\\%", "%").replace("{,}", ",")
    text = re.sub(r"<<[^<>\n]{0,200}>>", "", text)
    text = _TEXT.sub(r"\1", text)
    text = _FRACTION.sub(r"\1/\2", text)
    text = _THIN.sub(" ", text)
    text = re.sub(r"\\[()\[\]]", " ", text)
    return _BOLD.sub("", text)


def boxed(text: str) -> list[str]:
    """Return what stands in each `\\boxed{…}`, in order, inner braces balanced; an unclosed one up to its line's end."""
    found: list[str] = []
    end = 0
    for mark in _BOX.finditer(text):
        # One inside another was read with it.
        if mark.start() < end:
            continue
        depth, place = 1, mark.end()
        while place < len(text) and depth and text[place] != "\n":
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            place += 1
        end = place
        found.append(text[mark.end() : place - 1 if depth == 0 else place].strip())
    return found


def after_cues(text: str) -> Iterator[str]:
    """Yield what is said after each announcement of an answer, the last announcement first.

    It is the rest of the line, up to the next announcement; where nothing stands there, the next line that has something.
    """
    cues = list(_CUE.finditer(text))
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
