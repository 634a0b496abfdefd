"""Training data, drawn by number: single solutions, easier forms, and debate turns, in the prompts of the protocol.

Text only, as in the paper, but in stages that say `hears: soft`. Expressions of the task's form are of the training split alone.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch

from agents.backend import Prompt
from agents.fingerprint import ModelFingerprint
from agents.prompts import Heard, Prompts
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


class Drawer(Protocol):
    """Draws turns of a subject."""

    def draw(self, rng: random.Random, mixture: Mapping[Kind, float]) -> TaughtTurn:
        """Return a turn of a kind drawn by weight."""


class Encoded(NamedTuple):
    """A turn as the model reads it. T positions of a message, D embedding width.

    Attributes:
        ids: token ids, with the end of the message after it; the padding token where a vector stands.
        shown: how many of them are the prompt's.
        heard: first position and [T, D] vectors of each message that the prompt holds as vectors.
    """

    ids: list[int]
    shown: int
    heard: list[tuple[int, torch.Tensor]]


@dataclass(frozen=True)
class Attempts:
    """An expression and solutions of it that a model said, in text or as vectors."""

    operands: tuple[int, ...]
    solutions: tuple[Heard, ...]

    @property
    def has_mistake(self) -> bool:
        """Whether one of them is not the right one."""
        right = str(worked(paper_form(*self.operands)))
        return any(spelled(solution) != right for solution in self.solutions)


class Curriculum:
    """Draws turns.

    Args:
        prompts: the prompt files, those that debates will use.
        own_first: the same with the agent's own solution before the others'.
        pool: what a weaker checkpoint said, for debate turns; synthetic mistakes alone where there is none.
        only_pool: debate turns hear nothing but the pool.
    """

    def __init__(
        self, prompts: Prompts, own_first: Prompts, pool: Sequence[Attempts] = (), *, only_pool: bool = False
    ) -> None:
        self._prompts, self._own_first, self._only_pool = prompts, own_first, only_pool
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
        solutions: list[Heard]
        if self._only_pool or (self._pool and rng.random() < 0.7):
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


def spelled(solution: Heard) -> str:
    """Return a solution in words; of vectors their reading."""
    if isinstance(solution, tuple):
        solution = solution[0]
    return solution if isinstance(solution, str) else solution.text


def encode(turn: TaughtTurn, tokenizer: Any) -> Encoded:
    """Return a turn as the model reads it."""
    shown: list[int] = []
    heard = []
    for segment in segments(turn.prompt, tokenizer, _NOBODY):
        if isinstance(segment, list):
            shown += segment
        else:
            assert segment.cipher is not None
            heard.append((len(shown), segment.cipher.vectors))
            shown += [tokenizer.pad_token_id] * segment.num_tokens
    said = tokenizer(turn.solution, add_special_tokens=False).input_ids
    return Encoded([*shown, *said, tokenizer.eos_token_id], len(shown), heard)
