"""Which estimator does a predictor follow? Distances between predictions and between implied weights (Akyürek et al., 2023,
arXiv:2211.15661, section 4.1).

SPD is E (f_A(x) − f_B(x))² over functions, examples and questions; ILWD is E ‖w_A − w_B‖², w being the weights of the least
squared error to what a predictor says at many questions after the same examples. The paper has w ~ N(0, I) and divides SPD by d;
here w ~ N(0, I / d), so that both are in units of the label's variance as they stand. Predictors are compared, not their errors:
least squares' own error peaks where there are as many examples as dimensions.

B functions, K examples of each, Q points that are asked for, C numbers of examples, d dimensions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.errors import ConfigError
from agents.models.in_context import estimators
from agents.models.in_context.estimators import Rule
from agents.models.in_context.families import Kind, Points
from agents.models.in_context.model import Learner
from agents.models.in_context.posterior import bayes

PENALTIES = tuple(2.0**power for power in range(-8, 6))
RATES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
STEPS = (1, 2, 5, 10)
COUNTS = (1, 2, 3, 5)
LEAST_SQUARES, RIDGE, ONE_STEP, ONE_PASS, NEIGHBOURS, EXACT = (
    "least squares",
    "ridge",
    "gradient descent, 1 step",
    "SGD, one pass",
    "nearest neighbours",
    "exact belief",
)
Comparators = Mapping[str, Mapping[str, Rule]]
"""Name of a comparator → its members by what sets them apart, e.g. a penalty; the member that is nearest stands for all."""


@dataclass(frozen=True)
class Distance:
    """How far a comparator is from a predictor.

    Attributes:
        squared: SPD.
        member: which of the comparator's members it is, chosen on other functions.
    """

    squared: float
    member: str


def comparators(kinds: Sequence[Kind] | None = None) -> Comparators:
    """Return what a predictor is held against; with kinds that have noise, also the mean of the exact belief under them."""
    found: dict[str, dict[str, Rule]] = {
        LEAST_SQUARES: {"": estimators.ols()},
        RIDGE: {f"penalty {each:g}": estimators.ridge(penalty=each) for each in PENALTIES},
        **{
            f"gradient descent, {steps} step{'s' if steps > 1 else ''}": {
                f"rate {rate:g}": estimators.gradient_descent(steps=steps, rate=rate) for rate in RATES
            }
            for steps in STEPS
        },
        ONE_PASS: {f"rate {rate:g}": estimators.stochastic_gradient_descent(rate=rate) for rate in RATES},
        NEIGHBOURS: {f"{count} of them": estimators.neighbours(count=count) for count in COUNTS},
    }
    if kinds is not None and all(kind.noise > 0 for kind in kinds):
        found[EXACT] = {"": posterior_mean(kinds)}
    return found


def posterior_mean(kinds: Sequence[Kind]) -> Rule:
    """Return the mean of the exact belief, as a rule."""

    def rule(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        return torch.stack([bayes(kinds, x, y, asked[:, q]).mean for q in range(asked.shape[1])], -1)

    return rule


def rule_of(learner: Learner) -> Rule:
    """Return what a network says after examples, as a rule."""

    @torch.inference_mode()
    def rule(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        functions, questions = asked.shape[:2]
        many = [each.float().repeat_interleave(questions, 0) for each in (x, y)]
        whole = torch.cat([many[0], asked.float().flatten(0, 1)[:, None]], 1)
        labels = torch.cat([many[1], torch.zeros(len(whole), 1)], 1)
        found: Tensor = learner(whole, labels).mean[:, -1].double().unflatten(0, (functions, questions))
        return found

    return rule


def online(rule: Rule, points: Points, counts: Sequence[int]) -> Tensor:
    """Return predictions [B, C] of each function's next point after so many of its examples, counts below K."""
    if not all(1 <= count < points.x.shape[1] for count in counts):
        raise ConfigError(f"numbers of examples must lie from 1 to {points.x.shape[1] - 1}; got {list(counts)}")
    said = [rule(points.x[:, :k], points.y[:, :k], points.x[:, k : k + 1])[:, 0].double() for k in counts]
    return torch.stack(said, -1)


def distances(
    rule: Rule, against: Comparators, points: Points, counts: Sequence[int]
) -> dict[str, tuple[Distance, ...]]:
    """Return SPD to each comparator after so many examples.

    Args:
        rule: the predictor.
        against: comparators; of each the member is chosen on the first half of the functions and the distance taken on the
            second, anew for each number of examples, so that a comparator is given every chance.
        points: functions with more points than the largest count.
        counts: numbers of examples.
    """
    ours, half = online(rule, points, counts), len(points.x) // 2
    found = {}
    for name, members in against.items():
        apart = torch.stack([(online(each, points, counts) - ours).square() for each in members.values()])
        chosen = apart[:, :half].mean(1).argmin(0)
        left = apart[:, half:].mean(1).gather(0, chosen[None])[0]
        names = list(members)
        found[name] = tuple(
            Distance(value, names[place]) for value, place in zip(left.tolist(), chosen.tolist(), strict=True)
        )
    return found


def followed(rule: Rule, against: Comparators, points: Points, counts: Sequence[int]) -> tuple[str, float]:
    """Return the comparator that a predictor is nearest to on average over numbers of examples, and how near (SPD).

    A diagnostic: it names an estimator that says what the predictor says, not what the predictor computes.
    """
    found = distances(rule, against, points, counts)
    mean = {name: sum(each.squared for each in row) / len(row) for name, row in found.items()}
    name = min(mean, key=lambda each: mean[each])
    return name, mean[name]


def nearest_penalty(rule: Rule, points: Points, counts: Sequence[int], penalties: Sequence[float]) -> float:
    """Return the penalty of the ridge regression that a predictor is nearest to, over all these numbers of examples."""
    ours = online(rule, points, counts)
    apart = [
        float((online(estimators.ridge(penalty=each), points, counts) - ours).square().mean()) for each in penalties
    ]
    return penalties[apart.index(min(apart))]


def implied_weights(rule: Rule, x: Tensor, y: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights that predictions imply, and how much of the predictions they account for.

    Args:
        rule: the predictor.
        x: [B, K, d] examples.
        y: [B, K].
        asked: [B, Q, d] questions, Q > d, the same for all that are compared.

    Returns:
        w [B, d] of the least squared error to the predictions, and 1 − residual over their variance [B].

    Raises:
        ConfigError: no more questions than dimensions, which any predictions would fit.
    """
    if asked.shape[1] <= asked.shape[2]:
        raise ConfigError(
            f"weights are fitted to more questions than dimensions; got {asked.shape[1]}, {asked.shape[2]}"
        )
    said, asked = rule(x, y, asked).double(), asked.double()
    w = estimators.least_squares(asked, said)
    left = (said - (asked @ w[..., None])[..., 0]).square().sum(-1)
    spread = (said - said.mean(-1, keepdim=True)).square().sum(-1).clamp(min=1e-300)
    return w, 1 - left / spread


def weight_distance(one: Tensor, two: Tensor) -> float:
    """Return ILWD of implied weights [B, d]."""
    return float((one - two).square().sum(-1).mean())
