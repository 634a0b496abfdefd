"""Training data, drawn by number: single solutions, easier forms, and debate turns, in the prompts of the protocol.

Text only, as in the paper: no model is trained on vectors. Expressions of the task's form are of the training split alone.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.backend import Prompt
from agents.fingerprint import ModelFingerprint
from agents.prompts import Prompts
from agents.tokenization import segments
from evals.tasks.arithmetic import OPERANDS
from evals.tasks.sums import Term, Worked, paper_form, split_of, worked, written
from evals.training.recipe import Kind

# What is asked where, and how often: mostly as the task asks it.
QUESTION = "What is the result of {}?"
WORDINGS = (
    "What is the result of {}? Make sure to state your answer at the end of the response.",
    "Compute {}.",
    "{}=?",
    "How much is {}?",
    "Find the value of {}.",
)
REWORDED = 0.1
OWN_FIRST = 0.1
# No model is named: a prompt is tokenised for whoever has this tokenizer.
_NOBODY = ModelFingerprint("", table="", tokenizer="", vocabulary=0, width=0)


@dataclass(frozen=True)
class TaughtTurn:
    """One example: what is shown, and the solution that is learned."""

    prompt: Prompt
    solution: str


@dataclass(frozen=True)
class Attempts:
    """An expression and solutions of it that a model wrote."""

    operands: tuple[int, ...]
    solutions: tuple[str, ...]

    @property
    def has_mistake(self) -> bool:
        """Whether one of them is not the right one."""
        right = str(worked(paper_form(*self.operands)))
        return any(solution != right for solution in self.solutions)


class Curriculum:
    """Draws turns.

    Args:
        prompts: the prompt files, those that debates will use.
        own_first: the same with the agent's own solution before the others'.
        pool: what a weaker checkpoint said, for debate turns; synthetic mistakes alone where there is none.
    """

    def __init__(self, prompts: Prompts, own_first: Prompts, pool: Sequence[Attempts] = ()) -> None:
        self._prompts, self._own_first = prompts, own_first
        self._pool = list(pool)
        self._mistaken = [attempts for attempts in pool if attempts.has_mistake]

    def draw(self, rng: random.Random, mixture: Mapping[Kind, float]) -> TaughtTurn:
        """Return a turn of a kind drawn by weight: `steps`, `solve` or `debate`."""
        (kind,) = rng.choices(list(mixture), list(mixture.values()))
        draws: dict[Kind, Callable[[random.Random], TaughtTurn]] = {
            "steps": self.steps,
            "solve": self.solve,
            "debate": self.debate,
        }
        return draws[kind](rng)

    def steps(self, rng: random.Random) -> TaughtTurn:
        """Return an easier question: one operation of a solution, or the task's form without its end."""
        terms = paper_form(*training_operands(rng))
        form = rng.randrange(4)
        if form == 0:
            whole = worked(terms)
            step = rng.choice([*whole.products, *whole.sums])
            if step.operator == "*":
                terms = (Term("+", (step.left, step.right)),)
            else:
                terms = (Term("+", (step.left,)), Term(step.operator, (step.right,)))
        elif form < 3:
            terms = terms[: form + 1]
        else:
            terms = (terms[1], terms[3])
        return TaughtTurn(self._prompts.initial(asked(rng, terms)), str(self.solution(rng, terms)))

    def solve(self, rng: random.Random) -> TaughtTurn:
        """Return the task's question with its solution."""
        terms = paper_form(*training_operands(rng))
        return TaughtTurn(self._prompts.initial(asked(rng, terms)), str(self.solution(rng, terms)))

    def solution(self, rng: random.Random, terms: Sequence[Term]) -> Worked:
        """Return the solution that is learned."""
        return worked(terms)

    def debate(self, rng: random.Random) -> TaughtTurn:
        """Return a turn that hears one to three others, right, wrong or inconsistent, and then says what is right."""
        others = rng.choices((1, 2, 3), (6, 2, 1))[0]
        if self._pool and rng.random() < 0.7:
            attempts = rng.choice(self._mistaken if self._mistaken and rng.random() < 0.7 else self._pool)
            terms = paper_form(*attempts.operands)
            solutions = [rng.choice(attempts.solutions) for _ in range(others + 1)]
        else:
            terms = paper_form(*training_operands(rng))
            solutions = [str(mistaken(rng, terms) if rng.random() < 0.55 else worked(terms)) for _ in range(others + 1)]
        prompts = self._own_first if rng.random() < OWN_FIRST else self._prompts
        return TaughtTurn(prompts.debate(asked(rng, terms), solutions[0], solutions[1:]), str(worked(terms)))


def training_operands(rng: random.Random) -> tuple[int, ...]:
    """Return operands whose expression is of the training split."""
    while True:
        operands = tuple(rng.randrange(OPERANDS) for _ in range(6))
        if split_of(written(paper_form(*operands))) == "train":
            return operands


def asked(rng: random.Random, terms: Sequence[Term]) -> str:
    """Return the question, now and then in other words."""
    wording = rng.choice(WORDINGS) if rng.random() < REWORDED else QUESTION
    return wording.format(written(terms))


def mistaken(rng: random.Random, terms: Sequence[Term]) -> Worked:
    """Return a solution with one or two slips, of which a third are not carried on: it contradicts itself."""
    right = worked(terms)
    count = len(right.products) + len(right.sums)
    slips = {rng.randrange(count): slip(rng) for _ in range(rng.choice((1, 1, 1, 2)))}
    wrong = worked(terms, slips)
    if rng.random() < 1 / 3:
        return Worked(wrong.products, right.sums, rng.choice((wrong.answer, right.answer + slip(rng))))
    return wrong


def slip(rng: random.Random) -> int:
    """Return by how much a result is missed: one digit, mostly by little."""
    return rng.choice((-1, 1)) * rng.choice((1, 1, 1, 2, 2, 3, 5, 9)) * rng.choice((1, 1, 10, 10, 100))


def encode(turn: TaughtTurn, tokenizer: Any) -> tuple[list[int], int]:
    """Return the ids of a turn, with the end of the message after it, and how many of them are the prompt's."""
    shown: list[int] = []
    for segment in segments(turn.prompt, tokenizer, _NOBODY):
        assert isinstance(segment, list), "a training prompt holds no vectors"
        shown += segment
    said = tokenizer(turn.solution, add_special_tokens=False).input_ids
    return [*shown, *said, tokenizer.eos_token_id], len(shown)
