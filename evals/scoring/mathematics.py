"""Read a mathematical answer, and tell whether two are equal.

Equal spellings are equal at once. The rest is for math-verify (LaTeX to sympy, no evaluation of text as code: only its
LaTeX reader is used), in a process of its own with a limit of time and memory, since simplification may take any.
"""

import re

from agents.errors import MissingDependency
from evals.scoring.bounded import OutOfTime, WorkerDied, worker
from evals.scoring.numbers import normalised, stated_number
from evals.scoring.text import after_cues, answer_part, boxed, last_line

TIMEOUT_S = 10.0
LONGEST = 2000
_DOLLARS = re.compile(r"\$\$?([^$]{1,2000})\$\$?")
_SPACES = re.compile(r"\\[,!;:> ]|\\(?:left|right|displaystyle)(?![A-Za-z])|\s+|~")


def stated_expression(response: str) -> str | None:
    """Return the expression that a response gives as its answer, in LaTeX as `spelled` writes it; None of nothing.

    The last `\\boxed{…}`, else what is announced, else the last formula between dollars, else the last number.
    """
    text = answer_part(response)
    for inner in reversed(boxed(text)):
        if inner:
            return spelled(inner)
    for rest in after_cues(text):
        formula = _DOLLARS.search(rest)
        said = spelled(formula[1] if formula else rest)
        if said and len(said) <= LONGEST:
            return said
    formulas = _DOLLARS.findall(text)
    return (spelled(formulas[-1]) if formulas else None) or stated_number(text)


def boxed_expression(response: str) -> str | None:
    """Return the expression of a response whose last line has `\\boxed{…}`, or ends in `Answer: …`; else None."""
    line = last_line(answer_part(response))
    if inner := boxed(line):
        return spelled(inner[-1]) or None
    found = re.search(r"(?:^|\s)answer(?:\s+is)?\s*[:=]\s*([^\s].*)$", line[-500:], re.IGNORECASE)
    return (spelled(found[1]) or None) if found else None


def spelled(expression: str) -> str:
    """Return an expression in one spelling of what LaTeX writes in several: spaces, sizes, fractions, dollars, numbers."""
    text = expression.strip().strip("$").strip()
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\$", "").replace("\\%", "%")
    text = text.removeprefix("\\(").removesuffix("\\)").removesuffix(".").strip(" *")
    text = _SPACES.sub("", text) if "\\text" not in text else " ".join(text.split())
    return normalised(text) or text


def equal(answer: str, target: str, *, timeout_s: float = TIMEOUT_S) -> bool | str:
    """Return whether two expressions are equal, or why that cannot be told.

    Raises:
        MissingDependency: math-verify is not installed and the spellings differ.
    """
    if spelled(answer) == spelled(target):
        return True
    if len(answer) > LONGEST:
        return f"the answer has {len(answer)} characters, of at most {LONGEST}"
    try:
        reply = worker().ask({"do": "math", "answer": answer, "target": target}, timeout_s)
    except OutOfTime:
        return f"the comparison took more than {timeout_s:g} s"
    except WorkerDied as error:
        return str(error)
    if missing := reply.get("missing"):
        raise MissingDependency("comparing mathematics", str(missing), "evals")
    return bool(reply["equal"])
