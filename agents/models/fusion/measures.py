"""How ordered beliefs fare: absolute error in grades, quadratic kappa, errors within a grade, what acting on them is worth.

n cases, K labels.
"""

import torch
from torch import Tensor

from agents.errors import ConfigError


def absolute_error(beliefs: Tensor, right: Tensor) -> float:
    """Return the mean distance, in grades, of the likeliest grade of beliefs [n, K] from the right one [n]."""
    return float((beliefs.argmax(-1) - right).abs().double().mean())


def within_one(beliefs: Tensor, right: Tensor) -> float:
    """Return the share of cases whose likeliest grade is right or next to the right one."""
    return float(((beliefs.argmax(-1) - right).abs() <= 1).double().mean())


def quadratic_kappa(said: Tensor, right: Tensor, labels: int) -> float:
    """Return Cohen's kappa with quadratic weights (1968) of grades said [n] and right [n]: 0 by chance, 1 all right.

    0 where one grade alone is said and right, of which chance cannot be told.
    """
    table = torch.zeros(labels, labels, dtype=torch.float64)
    table.index_put_((said, right), torch.ones(len(said), dtype=torch.float64), accumulate=True)
    grade = torch.arange(labels, dtype=torch.float64)
    cost = (grade[:, None] - grade).square()
    by_chance = (cost * torch.outer(table.sum(1), table.sum(0))).sum() / len(said)
    return float(1 - (cost * table).sum() / by_chance) if by_chance > 0 else 0.0


def net_benefit(probabilities: Tensor, happened: Tensor, threshold: float) -> float:
    """Return the net benefit of acting from a probability on: TP/n − FP/n · t / (1 − t) (Vickers and Elkin, 2006).

    Args:
        probabilities: of the event, [n].
        happened: whether it did, [n].
        threshold: t, between 0 and 1, neither of them.
    """
    if not 0 < threshold < 1:
        raise ConfigError(f"a threshold of a decision curve lies between 0 and 1; got {threshold}")
    acted, happened = probabilities >= threshold, happened.bool()
    right, wrong = (acted & happened).double().mean(), (acted & ~happened).double().mean()
    return float(right - wrong * threshold / (1 - threshold))
