"""Score what an agent believes over the options of a choice, not only the one it names.

`option_belief` (debate/beliefs.py) reads the distribution out of a CIPHER message's kept beliefs, `from_log_likelihoods`
makes one of the log-likelihoods of the options. The second is exact. The first holds the K tokens that the message kept of
the step at which the option stands: an option outside them has 0, and `missing` names it. With an encoder that perturbs
beliefs (`gumbel`, `dirichlet`) the kept weights are those it mixed, not the model's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

FLOOR = 1e-12


@dataclass(frozen=True)
class BeliefScore:
    """How a belief over options fared.

    Fields:
        top: the option believed most, of equals the first.
        correct: whether it is the right one.
        probability: of the right option.
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


def from_log_likelihoods(
    log_likelihoods: Mapping[str, float], lengths: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Return the distribution softmax(log-likelihood) over labels.

    Args:
        log_likelihoods: label → log-likelihood of its option after the question, nats.
        lengths: label → bytes or tokens of the option, to divide by (lm-eval's acc_norm); not divided without.

    Raises:
        ValueError: nothing given, a number that is NaN or +∞, nothing but −∞, or a length that is not positive.
    """
    values = {label: value / (lengths[label] if lengths else 1) for label, value in log_likelihoods.items()}
    if lengths and any(lengths[label] <= 0 for label in log_likelihoods):
        raise ValueError("a length must be positive")
    highest = max(values.values(), default=-math.inf)
    if not math.isfinite(highest) or any(math.isnan(value) for value in values.values()):
        raise ValueError(f"log-likelihoods must be numbers, and one of them finite: {dict(log_likelihoods)}")
    weights = {label: math.exp(value - highest) for label, value in values.items()}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}
