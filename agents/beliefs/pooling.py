"""How an agent that holds a belief takes in the beliefs of others: a rule by name, as a config writes it."""

import math
from collections.abc import Callable, Sequence

from agents.beliefs.belief import Belief, Gaussian
from agents.errors import BeliefError
from agents.registry import load_named

Pool = Callable[[Sequence[Belief]], Belief]


def linear() -> Pool:
    """The mean of the beliefs (Stone, 1961): what a vote is for beliefs that are certain."""

    def pool(beliefs: Sequence[Belief]) -> Belief:
        labels = beliefs[0].labels
        return Belief.of(labels, [math.fsum(column) for column in zip(*_numbers(beliefs), strict=True)])

    return pool


def product(*, prior: Sequence[float] | None = None, floor: float = 1e-3) -> Pool:
    """Bayes' rule for beliefs from independent evidence, p ∝ prior^(1−M) Π p_i (Bordley, 1982; M beliefs).

    The prior is what everybody believed before their evidence, by label, even by default; `floor` is the least
    probability that a belief gives a label, so that nobody's certainty is a veto.
    """
    if not 0 < floor < 0.5:
        raise BeliefError(f"floor must lie between 0 and 0.5; got {floor}")

    def pool(beliefs: Sequence[Belief]) -> Belief:
        labels = beliefs[0].labels
        before = Belief.of(labels, prior if prior is not None else [1.0] * len(labels)).probabilities
        if min(before) == 0:
            raise BeliefError("a prior of 0 cannot be argued with; give each label some probability")
        logs = [(1 - len(beliefs)) * math.log(p) for p in before]
        for belief in _numbers(beliefs):
            raised = [max(p, floor) for p in belief]
            logs = [log + math.log(p / math.fsum(raised)) for log, p in zip(logs, raised, strict=True)]
        return Belief.of(labels, [math.exp(log - max(logs)) for log in logs])

    return pool


def precision(*, low: float, high: float, variance: float, mean: float = 0.0, noise: float = 0.0) -> Pool:
    """Beliefs about a number as normal densities, each weighted by how much surer it is than what everybody believed before.

    With m_i and s_i² of M beliefs, and the prior's m and s², 1/t² = 1/s² + Σ (1/s_i² − 1/s²) and
    n/t² = m/s² + Σ (m_i/s_i² − m/s²); who is not surer than the prior adds nothing. Known noise in what is asked for is no
    ignorance that others could lessen: its variance is taken off all of them, and put back at the end.

    Args:
        low, high: numbers that the first and the last label stand for; those between are evenly spaced.
        variance: s², the noise included.
        mean: m.
        noise: standard deviation of the noise.
    """
    if not (low < high and variance > noise**2):
        raise BeliefError(f"low must be below high and variance above noise²; got {low}, {high}, {variance}, {noise}")

    def pool(beliefs: Sequence[Belief]) -> Belief:
        labels = beliefs[0].labels
        step = (high - low) / max(len(labels) - 1, 1)
        values = [low + step * place for place in range(len(labels))]
        before = 1 / (variance - noise**2)
        total, moment = before, mean * before
        for belief in _numbers(beliefs):
            middle = math.fsum(p * value for p, value in zip(belief, values, strict=True))
            width = math.fsum(p * (value - middle) ** 2 for p, value in zip(belief, values, strict=True))
            # Who is certain of a label does not know where in its interval the number lies.
            sure = 1 / max(width - noise**2, step**2 / 12)
            if sure > before:
                total += sure - before
                moment += middle * sure - mean * before
        return Gaussian(moment / total, 1 / total + noise**2).nearest(labels, values)

    return pool


def _numbers(beliefs: Sequence[Belief]) -> list[tuple[float, ...]]:
    assert not any(belief.abstention for belief in beliefs), "those who abstain are left out before"
    return [belief.probabilities for belief in beliefs]


POOLS: dict[str, Callable[..., Pool]] = {"linear": linear, "precision": precision, "product": product}
GROUP = "debate.pools"


def find_pool(text: str) -> Pool:
    """Return the rule that a config names, e.g. `product(prior=[0.7, 0.3])`.

    Raises:
        UnknownName: no such rule.
        ConfigError: a parameter that it does not take.
    """
    made, named = load_named(text, "pool", GROUP, POOLS)
    pool: Pool = made(**named.parameters)
    return pool
