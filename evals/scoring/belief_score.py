"""Score what an agent believes over the options of a choice, not only the one it names.

`option_belief` (debate/decision/belief_rules.py) reads the distribution out of a CIPHER message's kept beliefs. Of an agent that
weighs the
options (agents/speakers/chooser.py) it is exact. Of one that generates it holds the K tokens that the message kept of the step at
which the option stands: an option outside them has 0, and `missing` names it. With an encoder that perturbs beliefs
(`gumbel`, `dirichlet`) the kept weights are those it mixed, not the model's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

FLOOR = 1e-12


@dataclass(frozen=True)
class BeliefScore:
    """How a belief over options fared.

    Attributes:
        top: the option believed most, of equals the first.
        correct: whether it is the right one.
        probability: probability of the right option.
        nll: −log of it, nats, at least 1e-12 being taken.
        brier: Σ (p − 1[right])², 0 to 2.
        entropy: nats.
    """

    top: str
    correct: bool
    probability: float
    nll: float
    brier: float
    entropy: float


def score_belief(belief: Mapping[str, float], target: str) -> BeliefScore:
    """Return the score of a distribution over option labels; a label that it lacks has 0.

    Raises:
        ValueError: it is empty, has a negative or non-finite weight, or does not sum to 1.
    """
    if not belief or any(not 0 <= weight < math.inf for weight in belief.values()):
        raise ValueError(f"not a distribution: {dict(belief)}")
    if abs(sum(belief.values()) - 1) > 1e-4:
        raise ValueError(f"a distribution sums to 1; this one to {sum(belief.values()):.6g}")
    top = max(belief, key=lambda label: belief[label])
    probability = belief.get(target, 0.0)
    wrong = sum(weight**2 for label, weight in belief.items() if label != target)
    entropy = -sum(weight * math.log(weight) for weight in belief.values() if weight > 0)
    nll = -math.log(max(probability, FLOOR))
    return BeliefScore(top, top == target, probability, nll, (probability - 1) ** 2 + wrong, entropy)
