"""Random Boolean functions with examples: the families of Bhattamishra et al. (2024), and what teaches one of them.

Inputs are in {-1, +1}^n, labels in {-1, +1}. Families are drawn as the paper's code draws them (arXiv:2310.03016, github
satwik77/incontext-bool @ a25a2cb, src/bool_tasks.py), with one exception: a conjunction or disjunction without literals, which is
no function of anything, is given one literal. Other distributions have names that say what is different.

B functions, K points of each, n dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.errors import ConfigError, UnknownName

LITERAL = 0.3
"""Probability that a variable is in a clause; half of the time negated."""
FORCED = 0.3
"""Share of the inputs that are made to satisfy the clause."""
TERM_LITERAL, TERM_FORCED, CNF_FORCED, TERMS = 0.2, 0.35, 0.3, 3
TAUGHT_FORCED = 0.4


@dataclass(frozen=True)
class Points:
    """Examples of functions.

    Attributes:
        x: [B, K, n] float32, each -1 or +1.
        y: [B, K] float32, each -1 or +1.
    """

    x: Tensor
    y: Tensor


def draw(family: str, functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """Return random functions of a family with random examples.

    Raises:
        UnknownName: no such family.
        ConfigError: fewer than one function, point or dimension.
    """
    if family not in FAMILIES:
        raise UnknownName("family of functions", family, FAMILIES)
    if min(functions, points, dims) < 1:
        raise ConfigError(f"functions, points and dims must be at least 1; got {functions}, {points}, {dims}")
    return FAMILIES[family](functions, points, dims, generator)


def signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return uniform signs."""
    return torch.randint(0, 2, shape, generator=generator).float() * 2 - 1


def literals(shape: tuple[int, ...], literal: float, generator: torch.Generator) -> Tensor:
    """Return clauses [..., n] of -1, 0, +1, each variable in it with a probability; some are empty."""
    kept = torch.rand(shape, generator=generator) < literal
    return signs(shape, generator) * kept


def clauses(shape: tuple[int, ...], literal: float, generator: torch.Generator) -> Tensor:
    """Return clauses [..., n] of -1, 0, +1: no clause is empty."""
    found = literals(shape, literal, generator)
    one = torch.nn.functional.one_hot(torch.randint(0, shape[-1], shape[:-1], generator=generator), shape[-1]) * signs(
        shape, generator
    )
    return torch.where(found.abs().sum(-1, keepdim=True) == 0, one, found)


def satisfies(x: Tensor, clause: Tensor) -> Tensor:
    """Return whether every literal of clauses [..., n] holds at x [..., n]."""
    return (x * clause).sum(-1) > clause.abs().sum(-1) - 1


def _sign(is_positive: Tensor) -> Tensor:
    return is_positive.float() * 2 - 1


def _forced(x: Tensor, clause: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return x [B, K, n] with a share of its points made to satisfy clause [B, K, n]."""
    chosen = torch.rand(x.shape[:2], generator=generator) < share
    return torch.where(chosen[..., None] & (clause != 0), clause, x)


def conjunction(
    functions: int, points: int, dims: int, generator: torch.Generator, *, literal: float = LITERAL
) -> Points:
    """AND of literals, each variable in it with a probability; three inputs in ten are made to satisfy it."""
    clause = clauses((functions, dims), literal, generator)[:, None].expand(-1, points, -1)
    x = _forced(signs((functions, points, dims), generator), clause, FORCED, generator)
    return Points(x, _sign(satisfies(x, clause)))


def dnf(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """OR of three conjunctions, some of them empty and so always true; forced inputs all satisfy one and the same of them."""
    return _terms(functions, points, dims, TERM_FORCED, generator)


def cnf(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """AND of three disjunctions, some of them empty and so never true; forced inputs all fail one and the same of them."""
    found = _terms(functions, points, dims, CNF_FORCED, generator)
    return Points(-found.x, -found.y)


def _terms(functions: int, points: int, dims: int, forced: float, generator: torch.Generator) -> Points:
    terms = literals((functions, TERMS, dims), TERM_LITERAL, generator)
    which = torch.randint(0, TERMS, (functions, 1, 1), generator=generator)
    chosen = torch.gather(terms, 1, which.expand(-1, 1, dims)).expand(-1, points, -1)
    x = _forced(signs((functions, points, dims), generator), chosen, forced, generator)
    return Points(x, _sign(satisfies(x[:, :, None], terms[:, None]).any(-1)))


def dnf_any_term(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """OR of three conjunctions, none empty; each input that is forced satisfies one that is drawn for it."""
    terms = clauses((functions, TERMS, dims), TERM_LITERAL, generator)
    which = torch.randint(0, TERMS, (functions, points), generator=generator)
    chosen = torch.gather(terms, 1, which[..., None].expand(-1, -1, dims))
    x = _forced(signs((functions, points, dims), generator), chosen, TERM_FORCED, generator)
    return Points(x, _sign(satisfies(x[:, :, None], terms[:, None]).any(-1)))


def _negated(family: Callable[..., Points]) -> Callable[..., Points]:
    """Return De Morgan's dual of a family: NOT f(NOT x)."""

    def dual(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
        found = family(functions, points, dims, generator)
        return Points(-found.x, -found.y)

    return dual


def majority(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """Sparse majority: the sign of the sum of a random third of the variables; a tie is negative."""
    weights = (torch.rand(functions, 1, dims, generator=generator) < LITERAL).float()
    return _halfspace(weights, 0.5, points, generator)


def integer_halfspace(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """Half-space with integer weights from -3 to 3."""
    weights = torch.randint(-3, 4, (functions, 1, dims), generator=generator).float()
    return _halfspace(weights, 0.5, points, generator)


def sparse_threshold(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """Half-space with weights -1, 0, 1, some all 0, and a threshold from -2.5 to 2.5."""
    weights = literals((functions, 1, dims), LITERAL, generator)
    threshold = torch.randint(-3, 3, (functions, 1), generator=generator) + 0.5
    return _halfspace(weights, threshold, points, generator)


def wide_threshold(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """Half-space with weights -1, 0, 1, one at least not 0, and a threshold from -2.5 to 3.5."""
    weights = clauses((functions, 1, dims), LITERAL, generator)
    threshold = torch.randint(-3, 4, (functions, 1), generator=generator) + 0.5
    return _halfspace(weights, threshold, points, generator)


def _halfspace(weights: Tensor, threshold: Tensor | float, points: int, generator: torch.Generator) -> Points:
    x = signs((weights.shape[0], points, weights.shape[-1]), generator)
    return Points(x, _sign((x * weights).sum(-1) - threshold > 0))


def parity(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """+1 where an odd number of a random subset's variables are +1."""
    return _odd(_any_subset(functions, dims, generator), points, generator)


def sparse_parity(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """+1 where one of two variables is +1: their exclusive or."""
    return _odd(_pair(functions, dims, generator), points, generator)


def product(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """The product of a random subset: parity with the sign of the subset's size."""
    return _product(_any_subset(functions, dims, generator), points, generator)


def sparse_product(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """The product of two variables: sparse parity negated."""
    return _product(_pair(functions, dims, generator), points, generator)


def _any_subset(functions: int, dims: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (functions, 1, dims), generator=generator).bool()


def _pair(functions: int, dims: int, generator: torch.Generator) -> Tensor:
    return torch.rand(functions, 1, dims, generator=generator).argsort(-1) < 2


def _odd(subset: Tensor, points: int, generator: torch.Generator) -> Points:
    x = signs((subset.shape[0], points, subset.shape[-1]), generator)
    return Points(x, -torch.where(subset, -x, 1.0).prod(-1))


def _product(subset: Tensor, points: int, generator: torch.Generator) -> Points:
    x = signs((subset.shape[0], points, subset.shape[-1]), generator)
    return Points(x, torch.where(subset, x, 1.0).prod(-1))


def nearest_neighbour(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """No function: labels are random, those of the second half and of repeated points copied from the most similar before."""
    return _copied(functions, points, dims, generator, repeats=True)


def contradicting_neighbour(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """The same, but a point that is repeated in the first half may have another label."""
    return _copied(functions, points, dims, generator, repeats=False)


def _copied(functions: int, points: int, dims: int, generator: torch.Generator, *, repeats: bool) -> Points:
    x, y = signs((functions, points, dims), generator), signs((functions, points), generator)
    for place in range(1 if repeats else points - points // 2, points):
        alike = (x[:, :place] * x[:, place : place + 1]).sum(-1)
        copied = y.gather(1, alike.argmax(-1)[:, None])[:, 0]
        # In the first half only what is the same point again.
        taken = (alike.amax(-1) == dims) | (place >= points - points // 2)
        y[:, place] = torch.where(taken, copied, y[:, place])
    return Points(x, y)


def monotone(functions: int, points: int, dims: int, generator: torch.Generator) -> tuple[Tensor, Points]:
    """Return clauses [B, n] of 0 and 1 without negations, and random points, four in ten of them forced to satisfy theirs."""
    clause = clauses((functions, dims), LITERAL, generator).abs()
    wide = clause[:, None].expand(-1, points, -1)
    x = _forced(signs((functions, points, dims), generator), wide, TAUGHT_FORCED, generator)
    return clause, Points(x, _sign(satisfies(x, wide)))


def monotone_conjunction(functions: int, points: int, dims: int, generator: torch.Generator) -> Points:
    """AND of variables, none negated; four inputs in ten are made to satisfy it."""
    return monotone(functions, points, dims, generator)[1]


def lesson(clause: Tensor) -> Points:
    """Return the teaching sequence of a clause [n] of 0 and 1, as one function's points [1, m + 1, n] of m literals.

    The clause as a point, which is positive, then the same point with one of its literals flipped, in order: all negative.
    """
    first = clause * 2 - 1
    places = clause.nonzero()[:, 0].tolist()
    x = torch.stack([first, *(first.index_fill(0, torch.tensor([place]), -1.0) for place in places)])[None]
    return Points(x, _sign(satisfies(x, clause)))


def taught(functions: int, points: int, dims: int, generator: torch.Generator) -> tuple[Points, Tensor]:
    """Return monotone conjunctions whose first examples identify them, and how many those are [B].

    The clause as a point (positive), then for each of its literals the same point with that literal flipped (negative);
    random points follow, four in ten of them forced to satisfy the clause.
    """
    clause = clauses((functions, dims), LITERAL, generator).abs()
    lengths = clause.sum(-1).long()
    if int(lengths.max()) + 1 > points:
        keep = torch.arange(dims).expand(functions, -1).masked_fill(clause == 0, dims).argsort(-1)
        clause = torch.zeros_like(clause).scatter(1, keep[:, : points - 1], 1.0) * clause
        lengths = clause.sum(-1).long()
    wide = clause[:, None].expand(-1, points, -1)
    x = _forced(signs((functions, points, dims), generator), wide, TAUGHT_FORCED, generator)
    first = clause * 2 - 1
    ranks = torch.where(clause > 0, clause.cumsum(-1), torch.zeros_like(clause)).long()
    for place in range(int(lengths.max()) + 1):
        lesson = torch.where(ranks == place, -first, first) if place else first
        x[:, place] = torch.where((place <= lengths)[:, None], lesson, x[:, place])
    return Points(x, _sign(satisfies(x, wide))), lengths + 1


FAMILIES: dict[str, Callable[[int, int, int, torch.Generator], Points]] = {
    "conjunction": conjunction,
    "disjunction": _negated(conjunction),
    "dnf": dnf,
    "cnf": cnf,
    "majority": majority,
    "integer_halfspace": integer_halfspace,
    "sparse_threshold": sparse_threshold,
    "parity": parity,
    "sparse_parity": sparse_parity,
    "nearest_neighbour": nearest_neighbour,
    # Not the paper's.
    "dnf_any_term": dnf_any_term,
    "cnf_any_term": _negated(dnf_any_term),
    "wide_threshold": wide_threshold,
    "product": product,
    "sparse_product": sparse_product,
    "monotone_conjunction": monotone_conjunction,
    "contradicting_neighbour": contradicting_neighbour,
}
