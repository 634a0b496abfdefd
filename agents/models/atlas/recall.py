"""How many pairs a memory holds: random keys and values are written once, in order, and every key is asked for at the end."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.atlas.features import polynomial_features
from agents.models.atlas.memory import State, Writes, bounded_steps, empty_state, read_step_by_step


@dataclass(frozen=True)
class Rule:
    """How pairs are written: nothing is forgotten, every pair weighs the same, and the rate is the same at every step.

    Attributes:
        degree: of the features; 1: the keys themselves.
        window: c; 0: all pairs so far.
        rate: of the bounded step; of Muon the step itself.
        muon: whether steps are orthogonalised.
        decays: whether the step falls to nothing, in a line over the pairs.
    """

    degree: int = 1
    window: int = 1
    rate: float = 1.0
    muon: bool = False
    decays: bool = False


def recall(rule: Rule, pairs: int, *, seed: int, width: int = 16, texts: int = 20) -> float:
    """Return the share of pairs whose value is the nearest, by inner product, to what its key gives.

    Args:
        rule: how they are written.
        pairs: n, of each memory.
        seed: of the keys and values, unit vectors in random directions.
        width: d of both.
        texts: memories that are filled.
    """
    generator = torch.Generator().manual_seed(seed)
    keys, values = (
        functional.normalize(torch.randn(texts, pairs, width, generator=generator), dim=-1) for _ in range(2)
    )
    state = written(rule, keys, values)
    answers = polynomial_features(keys, rule.degree) @ state.memory.mT
    found = (answers @ values.mT).argmax(-1)
    return float((found == torch.arange(pairs)).float().mean())


def written(rule: Rule, keys: Tensor, values: Tensor) -> State:
    """Return the state after pairs of keys [..., n, d] and values [..., n, V] were written in order."""
    features = polynomial_features(keys, rule.degree)
    ones = features.new_ones(features.shape[:-1])
    count = features.shape[-2]
    writes = Writes(features, features, values, ones, ones, rule.rate * ones)
    state = empty_state(writes, rule.window or count)
    eta = rule.rate * ones if rule.muon else bounded_steps(rule.rate * ones, features, ones, state)
    if rule.decays:
        eta = eta * (1 - torch.arange(count) / count)
    return read_step_by_step(state, writes._replace(eta=eta), muon=rule.muon)[1]
