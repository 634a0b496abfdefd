"""How an agent that holds a belief takes in the beliefs of others: a rule by name, as a config writes it."""

import math
from collections.abc import Callable, Sequence

from agents.beliefs.belief import Belief
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


def _numbers(beliefs: Sequence[Belief]) -> list[tuple[float, ...]]:
    assert not any(belief.abstention for belief in beliefs), "those who abstain are left out before"
    return [belief.probabilities for belief in beliefs]


POOLS: dict[str, Callable[..., Pool]] = {"linear": linear, "product": product}
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
