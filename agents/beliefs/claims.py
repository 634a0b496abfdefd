"""What a paper claims, checked at our size: ours against a baseline over several training seeds; pass, or null."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from agents.errors import ConfigError

# 97.5 % quantiles of Student's t by degrees of freedom. Beyond the last one that is taken, which is a little too wide.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228}


@dataclass(frozen=True)
class Claim:
    """One line of a claim table.

    Attributes:
        text: the claim in words.
        ours, baseline: one figure a training seed, on the same fresh data.
        least: by how much ours must be above the baseline at least.
        within: in place of `least`, how near they must be to each other.
    """

    text: str
    ours: tuple[float, ...]
    baseline: tuple[float, ...]
    least: float | None = None
    within: float | None = None

    def __post_init__(self) -> None:
        if len(self.ours) != len(self.baseline) or not self.ours:
            raise ConfigError(f"a claim has a baseline a seed; got {len(self.ours)} and {len(self.baseline)} figures")
        if (self.least is None) == (self.within is None):
            raise ConfigError("a claim has either `least` or `within`")

    @property
    def difference(self) -> float:
        """The mean of ours − baseline."""
        return fmean(self._differences)

    @property
    def interval(self) -> tuple[float, float]:
        """Student's 95 % interval of the mean difference over seeds; infinite of one seed."""
        return over_seeds(self._differences)

    @property
    def verdict(self) -> Literal["pass", "null"]:
        """`pass` where the whole interval is where it was claimed to be: above 0 with the mean above `least`, or within."""
        low, high = self.interval
        if self.within is not None:
            return "pass" if -self.within <= low and high <= self.within else "null"
        assert self.least is not None
        return "pass" if low > 0 and self.difference >= self.least else "null"

    @property
    def _differences(self) -> list[float]:
        return [a - b for a, b in zip(self.ours, self.baseline, strict=True)]


def over_seeds(differences: Sequence[float]) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean of one difference a training seed; infinite of one seed."""
    if len(differences) < 2:
        return -math.inf, math.inf
    half = STUDENT[min(len(differences) - 1, max(STUDENT))] * stdev(differences) / math.sqrt(len(differences))
    return fmean(differences) - half, fmean(differences) + half


def claims_of(
    figures: Mapping[str, Sequence[tuple[float, float]]], asked: Mapping[str, tuple[float | None, float | None]]
) -> list[Claim]:
    """Return the claims of what was measured.

    Args:
        figures: text of a claim → ours and the baseline's figure of each training seed.
        asked: text of a claim → `least` and `within`, one of them None.
    """
    return [
        Claim(text, tuple(ours for ours, _ in pairs), tuple(baseline for _, baseline in pairs), *asked[text])
        for text, pairs in figures.items()
    ]


def table(claims: Sequence[Claim]) -> list[list[str]]:
    """Return the rows of a claim table: claim, ours, baseline, difference with its interval, what was asked, verdict."""
    rows = []
    for claim in claims:
        low, high = claim.interval
        asked = f"≥ {claim.least:g}" if claim.within is None else f"within {claim.within:g}"
        rows.append(
            [
                claim.text,
                f"{fmean(claim.ours):.3f}",
                f"{fmean(claim.baseline):.3f}",
                f"{claim.difference:+.3f} ({low:+.3f} to {high:+.3f}, {len(claim.ours)} seeds)",
                asked,
                claim.verdict,
            ]
        )
    return rows
