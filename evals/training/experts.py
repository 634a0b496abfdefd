"""Training data of an expert, who is taught half of the products and to trust the other expert with the rest.

What an expert is not taught is never shown right: alone, the result of such a product is another one's, drawn anew each time, so
that nothing can be learned of it but that it is not known; in a debate turn it is drawn too, and what is learned is to take the
other's word for it. So two experts know together what neither knows alone, and their debate can be right where each is wrong:
what a debate of two debaters who know the same cannot show.
"""

import random
from collections.abc import Sequence

from agents.prompts import Prompts
from evals.tasks.arithmetic import OPERANDS
from evals.tasks.sums import Term, Worked, paper_form, worked
from evals.training.recipe import Knows
from evals.training.turns import Attempts, Curriculum, TaughtTurn, asked, slip, training_operands

# How often a debate turn shows an expert wrong where he knows, and his own solution with the other's word in it already.
SLIP = 0.1
ADOPTED = 0.4
OTHER: dict[Knows, Knows] = {"even": "odd", "odd": "even"}


class ExpertCurriculum(Curriculum):
    """Draws an expert's turns.

    Args:
        prompts: the prompt files, those that debates will use.
        knows: which products, by their first factor.
        overheard: what it and the other expert said as vectors; debate turns then hear nothing else.
    """

    def __init__(self, prompts: Prompts, knows: Knows, overheard: Sequence[Attempts] = ()) -> None:
        super().__init__(prompts, prompts, overheard)
        self._knows = knows

    def solution(self, rng: random.Random, terms: Sequence[Term]) -> Worked:
        """Return the solution that is learned: what is not known of it is another product's result."""
        results = [x * y if is_known((x, y), self._knows) else invented(rng, (x, y)) for x, y in _products(terms)]
        return _with_products(terms, results)

    def debate(self, rng: random.Random) -> TaughtTurn:
        """Return a turn that hears the other expert, in a world where his word is law for what he alone knows.

        Of what was overheard, where he says what he believes, the right solution is learned.
        """
        if self._pool:
            attempts = rng.choice(self._pool)
            said = paper_form(*attempts.operands)
            return TaughtTurn(
                self._prompts.debate(asked(rng, said), attempts.solutions[0], attempts.solutions[1:]), str(worked(said))
            )
        terms = paper_form(*training_operands(rng))
        own, others, learned = [], [], []
        for factors in _products(terms):
            right = factors[0] * factors[1]
            if is_known(factors, self._knows):
                own.append(right if rng.random() >= SLIP else invented(rng, factors))
                others.append(right if rng.random() < 0.5 else invented(rng, factors))
                learned.append(right)
            else:
                others.append(invented(rng, factors))
                own.append(others[-1] if rng.random() < ADOPTED else invented(rng, factors))
                learned.append(others[-1])
        solutions = [str(_with_products(terms, results, _slips(rng))) for results in (own, others)]
        prompt = self._prompts.debate(asked(rng, terms), solutions[0], solutions[1:])
        return TaughtTurn(prompt, str(_with_products(terms, learned)))

    def pair(self, rng: random.Random, terms: Sequence[Term]) -> tuple[str, str]:
        """Return what this expert and the other one, who knows the rest, say of an expression before they hear each other."""
        other = ExpertCurriculum(self._prompts, OTHER[self._knows])
        return str(self.solution(rng, terms)), str(other.solution(rng, terms))


def is_known(factors: tuple[int, int], knows: Knows) -> bool:
    """Return whether an expert is taught a product."""
    return (factors[0] % 2 == 0) == (knows == "even")


def invented(rng: random.Random, factors: tuple[int, int]) -> int:
    """Return the result of another product of the kind, drawn evenly: it says nothing of this one's."""
    return rng.randrange(factors[0] % 2, OPERANDS, 2) * rng.randrange(OPERANDS)


def _products(terms: Sequence[Term]) -> list[tuple[int, int]]:
    return [(term.factors[0], term.factors[1]) for term in terms if len(term.factors) == 2]


def _with_products(terms: Sequence[Term], results: Sequence[int], slips: dict[int, int] | None = None) -> Worked:
    """Return an expression worked out from these results of its products; `slips` are of its sums, from 0."""
    wrong = {n: result - x * y for n, (result, (x, y)) in enumerate(zip(results, _products(terms), strict=True))}
    return worked(terms, wrong | {len(results) + place: by for place, by in (slips or {}).items()})


def _slips(rng: random.Random) -> dict[int, int]:
    return {rng.randrange(3): slip(rng)} if rng.random() < SLIP else {}
