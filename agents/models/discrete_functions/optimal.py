"""What can be known of a conjunction from examples: exact Bayes, elimination, and nearest neighbours.

The prior is how `families.conjunction` draws: all 3^n clauses are enumerated, so n is small. Inputs depend on the clause
(three in ten are made to satisfy it), so that they are evidence too; the posterior counts them:
p(f | data) ∝ p(f) Π_i p(x_i | f) [y_i = f(x_i)], p(x | f) = (1 − q) 2^−n + q [f(x)] 2^−(n − |f|).

K points, n dimensions, H = 3^n − 1 clauses.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from agents.errors import RequestError
from agents.models.discrete_functions.families import FORCED, LITERAL, TAUGHT_FORCED, satisfies

MOST_DIMS = 10


@cache
def hypotheses(dims: int, monotone: bool = False) -> tuple[Tensor, Tensor]:
    """Return every clause [H, n] and the log of its prior probability [H], float64; of monotone ones no variable is negated.

    Raises:
        RequestError: too many dimensions to enumerate.
    """
    if dims > MOST_DIMS:
        raise RequestError(f"exact beliefs enumerate 3^n clauses: at most {MOST_DIMS} dimensions; got {dims}")
    literals = (0.0, 1.0) if monotone else (-1.0, 0.0, 1.0)
    ways = len(literals) - 1
    clauses = torch.tensor([c for c in itertools.product(literals, repeat=dims) if any(c)])
    sizes = clauses.abs().sum(-1).double()
    prior = (LITERAL / ways) ** sizes * (1 - LITERAL) ** (dims - sizes)
    # An empty draw is given one literal, each with the same probability.
    prior[sizes == 1] += (1 - LITERAL) ** dims / (ways * dims)
    return clauses, prior.log()


@dataclass(frozen=True)
class Evidence:
    """Labelled points of one function; x [K, n], y [K]."""

    x: Tensor
    y: Tensor


def posterior(evidence: Evidence, *, monotone: bool = False) -> Tensor:
    """Return the probability of every clause [H] given the examples, float64; zero of those that contradict one.

    Raises:
        RequestError: no conjunction fits the examples.
    """
    clauses, log_prior = hypotheses(evidence.x.shape[1], monotone)
    forced = TAUGHT_FORCED if monotone else FORCED
    log_weight = log_prior.clone()
    for x, y in zip(evidence.x, evidence.y, strict=True):
        holds = satisfies(x, clauses)
        log_weight += _log_input(holds, clauses, forced)
        log_weight[holds != bool(y > 0)] = -math.inf
    if not bool((log_weight > -math.inf).any()):
        raise RequestError(f"no conjunction fits these {len(evidence.y)} examples")
    return torch.softmax(log_weight, 0)


def bayes(evidence: Evidence, asked: Tensor, *, monotone: bool = False) -> float:
    """Return P(y = +1) at asked [n], the belief that no other can beat on average, of random examples.

    With `monotone` the prior is how `families.monotone` draws. Examples that a teacher chose count as if they had been drawn.
    """
    clauses, _ = hypotheses(evidence.x.shape[1], monotone)
    holds = satisfies(asked, clauses)
    forced = TAUGHT_FORCED if monotone else FORCED
    weight = posterior(evidence, monotone=monotone) * _log_input(holds, clauses, forced).exp()
    # A sum over all clauses may exceed itself by a rounding.
    return min(float(weight[holds].sum() / weight.sum()), 1.0)


def _log_input(holds: Tensor, clauses: Tensor, forced: float) -> Tensor:
    """Return log p(x | f) [H] up to the same constant for all."""
    return torch.where(holds, (1 - forced) + forced * 2.0 ** clauses.abs().sum(-1).double(), 1 - forced).log()


def eliminate(evidence: Evidence) -> Tensor:
    """Return the longest clause [n] that positive examples leave: every literal that all of them satisfy (Valiant, 1984)."""
    positive = evidence.x[evidence.y > 0]
    if not len(positive):
        raise RequestError("no positive example yet: every clause is still possible")
    agreed = positive.mean(0)
    return torch.where(agreed.abs() == 1, agreed, 0.0)


def elimination(evidence: Evidence, asked: Tensor) -> bool:
    """Return whether the longest clause left holds at asked [n]; False before a positive example, as PAC learners start."""
    if not bool((evidence.y > 0).any()):
        return False
    return bool(satisfies(asked, eliminate(evidence)))


def neighbours(evidence: Evidence, asked: Tensor, k: int = 1) -> float:
    """Return the share of +1 among the k examples nearest to asked [n] by cosine; those tied with the k-th share its places."""
    similar = evidence.x @ asked
    ranked = torch.unique(similar).flip(0)
    share, places = 0.0, float(min(k, len(evidence.y)))
    for value in ranked:
        tied = evidence.y[similar == value]
        taken = min(places, float(len(tied)))
        share += taken * float((tied > 0).double().mean())
        places -= taken
        if places <= 0:
            break
    return share / float(min(k, len(evidence.y)))
