"""The generators and verifiers of reasoning-gym, as the scoring process calls them.

Several verifiers would run the answer as code: four call `eval` on it, five hand it to a parser that does. Here the first are
given a reader of literals in its place, the others only answers that are made of numbers, known names and operators.
"""

import ast
import importlib
import re
from functools import lru_cache
from typing import Any

from agents.errors import MissingDependency

# Modules whose verifier calls eval on the answer.
EVALUATING = (
    "algorithmic.binary_matrix",
    "algorithmic.spiral_matrix",
    "algorithmic.string_insertion",
    "games.n_queens",
)
# Tasks whose verifier hands the answer to sympy's parser, which evaluates Python.
PARSED = ("countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration")
_NAMES = re.compile(r"sin|cos|tan|sec|csc|cot|sinh|cosh|tanh|asin|acos|atan|exp|log|ln|sqrt|Abs|pi|E|C|e")
_TOKENS = re.compile(r"[\d\s+\-*/^().,]|[A-Za-z]+")


def questions(task: str, size: int, seed: int, count: int) -> list[dict[str, str]]:
    """Return the first questions and their targets.

    Some questions have many right answers and none written down: the target is an example of one, or says so.
    """
    dataset = _dataset(task, size, seed)
    found = []
    for index in range(count):
        entry = dataset[index]
        example = entry["metadata"].get("example_answer") or entry["metadata"].get("possible_answer")
        answer = entry["answer"] if entry["answer"] is not None else example
        target = "any answer that the verifier accepts" if answer is None else str(answer)
        found.append({"question": str(entry["question"]).strip(), "target": target})
    return found


def credit(task: str, size: int, seed: int, index: int, answer: str) -> dict[str, Any]:
    """Return the mark that the verifier gives an answer, 0 to 1, and what was done about it."""
    if task in PARSED and (odd := _odd(answer)):
        return {"credit": 0.0, "reason": f"not given to the verifier: {odd}"}
    dataset = _dataset(task, size, seed)
    for module in EVALUATING:
        # Hides the builtin from that module alone.
        importlib.import_module(f"reasoning_gym.{module}").eval = ast.literal_eval  # type: ignore[attr-defined]
    return {"credit": float(dataset.score_answer(answer, dataset[index])), "reason": ""}


def _odd(answer: str) -> str:
    """Return what an expression has that sympy's parser is not to see; an empty text if nothing."""
    place = 0
    while place < len(answer):
        token = _TOKENS.match(answer, place)
        if token is None:
            return f"the character {answer[place]!r}"
        word = token.group()
        if word.isalpha() and len(word) > 1 and not _NAMES.fullmatch(word):
            return f"the name {word[:40]!r}"
        place = token.end()
    # Attributes need a name after a dot.
    return "a dot before a name" if re.search(r"\.\s*[A-Za-z]", answer) else ""


@lru_cache(maxsize=4)
def _dataset(task: str, size: int, seed: int) -> Any:
    return library().create_dataset(task, size=size, seed=seed)


def library() -> Any:
    """Return the library's factory of tasks.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import reasoning_gym.factory
    except ModuleNotFoundError as error:
        raise MissingDependency("reasoning_gym", str(error.name), "evals") from error
    return reasoning_gym.factory
