"""A belief over labels: a distribution, or an abstention with its reason. Values and arithmetic, no model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

from agents.errors import BeliefError

ROUNDING = 1e-6


@dataclass(frozen=True)
class Belief:
    """How probable each label is.

    Attributes:
        labels: different from each other, in the task's order.
        probabilities: one a label, summing to 1; none of an abstention.
        abstention: why there is no belief; empty where there is one.
        grounds: explanation of the belief in words, if the backend gives one.

    Raises:
        BeliefError: the probabilities are not a distribution.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    abstention: str = ""
    grounds: str = ""

    def __post_init__(self) -> None:
        if len(set(self.labels)) < len(self.labels) or not all(self.labels):
            raise BeliefError(f"labels must be different and not empty; got {', '.join(map(repr, self.labels))}")
        if self.abstention:
            if self.probabilities:
                raise BeliefError("an abstention has no probabilities")
            return
        if len(self.probabilities) != len(self.labels) or not self.labels:
            raise BeliefError(f"{len(self.labels)} labels and {len(self.probabilities)} probabilities")
        total = math.fsum(self.probabilities)
        if not all(0 <= p <= 1 + ROUNDING for p in self.probabilities) or abs(total - 1) > ROUNDING:
            raise BeliefError(
                f"probabilities lie between 0 and 1 and sum to 1; got {self.probabilities}, sum {total:g}"
            )

    @classmethod
    def of(cls, labels: Sequence[str], weights: Sequence[float], *, grounds: str = "") -> "Belief":
        """Return the belief proportional to weights that are finite, not negative, and not all zero."""
        total = math.fsum(weights)
        if not (math.isfinite(total) and total > 0 and all(w >= 0 for w in weights)):
            raise BeliefError(f"weights must be finite, at least 0, and not all 0; got {tuple(weights)}")
        return cls(tuple(labels), tuple(float(weight / total) for weight in weights), grounds=grounds)

    @classmethod
    def from_log_likelihoods(cls, labels: Sequence[str], values: Sequence[float]) -> "Belief":
        """Return the belief softmax(log-likelihood), nats.

        Raises:
            BeliefError: none given, one that is NaN or +∞, or nothing but −∞.
        """
        highest = max(values, default=-math.inf)
        if not math.isfinite(highest) or any(math.isnan(value) for value in values):
            raise BeliefError(f"log-likelihoods must be numbers, and one of them finite; got {tuple(values)}")
        return cls.of(labels, [math.exp(value - highest) for value in values])

    @classmethod
    def certain(cls, labels: Sequence[str], label: str) -> "Belief":
        """Return the belief that one label is right."""
        return cls.of(labels, [float(each == label) for each in labels])

    @classmethod
    def abstain(cls, labels: Sequence[str], reason: str) -> "Belief":
        """Return no belief, and why."""
        return cls(tuple(labels), (), abstention=reason)

    @property
    def positions(self) -> tuple["Belief", ...]:
        """Itself, as the one position of a sequence (`BeliefSequence`); none of an abstention."""
        return () if self.abstention else (self,)

    @property
    def best(self) -> str | None:
        """The most probable label, the first of equals; None of an abstention."""
        if self.abstention:
            return None
        return self.labels[max(range(len(self.labels)), key=self.probabilities.__getitem__)]

    def at(self, temperature: float) -> "Belief":
        """Return the belief at a temperature, p^(1/T) renormalised: 0 is certain of the best label, 1 changes nothing."""
        best = self.best
        if best is None or temperature == 1:
            return self
        if temperature == 0:
            return Belief.certain(self.labels, best)
        highest = max(self.probabilities)
        # Divided by the highest first, so that a small temperature does not underflow everywhere.
        return Belief.of(
            self.labels, [(p / highest) ** (1 / temperature) for p in self.probabilities], grounds=self.grounds
        )

    def over(self, labels: Sequence[str]) -> "Belief":
        """Return the same belief with labels in another order, and with labels that it gives nothing to.

        Raises:
            BeliefError: a label of its own is not among them.
        """
        if missing := [label for label in self.labels if label not in labels]:
            raise BeliefError(
                f"the belief is over {', '.join(self.labels)}, and {', '.join(labels)} lacks {missing[0]!r}"
            )
        if self.abstention:
            return Belief.abstain(labels, self.abstention)
        known = dict(zip(self.labels, self.probabilities, strict=True))
        return Belief.of(labels, [known.get(label, 0.0) for label in labels], grounds=self.grounds)


@dataclass(frozen=True)
class Gaussian:
    """A belief about a number: mean and variance of a normal distribution."""

    mean: float
    variance: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.variance) and self.variance >= 0):
            raise BeliefError(f"a mean must be finite and a variance at least 0; got {self.mean}, {self.variance}")

    def over(self, labels: Sequence[str], borders: Sequence[float]) -> Belief:
        """Return the belief over intervals: the density integrated from border to border, the ends open.

        Args:
            labels: one an interval, lowest first.
            borders: ascending, one fewer than labels. A mean without variance that falls on one counts above it.
        """
        if len(borders) != len(labels) - 1 or any(a >= b for a, b in pairwise(borders)):
            raise BeliefError(f"{len(labels)} intervals need {len(labels) - 1} ascending borders; got {tuple(borders)}")
        if self.variance == 0:
            return Belief.certain(labels, labels[sum(border <= self.mean for border in borders)])
        normal = NormalDist(self.mean, math.sqrt(self.variance))
        below = [0.0, *(normal.cdf(border) for border in borders), 1.0]
        return Belief.of(labels, [high - low for low, high in pairwise(below)])

    def nearest(self, labels: Sequence[str], values: Sequence[float]) -> Belief:
        """Return the belief over options that are numbers: each has the density that lies nearer to it than to the others.

        Raises:
            BeliefError: two options are equal.
        """
        if len(set(values)) < len(values):
            raise BeliefError(f"options that are numbers must be different; got {tuple(values)}")
        order = sorted(range(len(values)), key=values.__getitem__)
        middles = [(values[a] + values[b]) / 2 for a, b in pairwise(order)]
        return self.over([labels[place] for place in order], middles).over(labels)
