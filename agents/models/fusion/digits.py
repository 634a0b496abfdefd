"""Spoken digits in three bands of frequency: what is claimed of the pool where each channel knows something.

Channels are real measurements of one sound and stand for modalities; they are none. All six speakers are heard in training
and test. What is measured for each seed is what `configs/specialists/fusion.yaml` plays: the same clips, noise and beliefs.

n clips, M channels, K labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.checkpoint import CONFIG as WRITTEN
from agents.models.fusion.backend import FusionBackend
from agents.models.fusion.bands import CONFIG, NAMES, band_statistics
from agents.models.fusion.log_linear import floored
from agents.models.fusion.pool import TrainedPool, attributions
from agents.models.fusion.training import Cases, fit
from agents.models.fusion.trees import fitted_trees
from agents.models.sounds.spoken_digits import read_digits
from agents.models.vision.measures import calibration_error
from agents.pretrained import Progress

LEVELS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Of noise in the strongest channel; 8 is not in training."""
STRONGEST = "middle"
"""The channel that is right most often of the training's held-out clips, seen before any test."""
LEARNED, HELD = 0.6, 0.27
"""Shares of the training clips that heads and the pool learn from; the rest is for its temperature."""
RULES = (
    "strongest channel alone", "best of the others alone", "majority vote", "mean of beliefs", "Bayes' rule", "fused: labels",
    "fused: beliefs", "Bayes' rule, told which is broken", "boosted trees on all columns",
)  # fmt: skip
SINGLE, OTHER, VOTE, MEAN, PRODUCT, LABELS, FUSED, TOLD, TREES = RULES
WHOLE, SWAPPED, MISSING = "whole", "another clip's", "missing"


@dataclass(frozen=True)
class Fared:
    """What a rule came to: log beliefs [n, K] over digits, of which the highest is said."""

    logs: Tensor
    right: Tensor

    @property
    def accuracy(self) -> float:
        """Share of clips of which the likeliest digit is right."""
        return float((self.logs.argmax(-1) == self.right).double().mean())

    @property
    def nats(self) -> float:
        """Mean log-probability of the right digit."""
        return -float(functional.nll_loss(self.logs, self.right))


def read_cases(data: Path | None, split: str) -> Cases:
    """Return the statistics and digits of a split's clips, in the order of their names."""
    clips = read_digits(data, split, rate_hz=CONFIG.rate_hz)
    columns = torch.stack([band_statistics(clip.audio) for clip in clips])
    return Cases(columns, torch.tensor([clip.digit for clip in clips]))


def divided(cases: Cases, seed: int) -> tuple[Cases, Cases, Cases]:
    """Return clips for heads, for the pool and for its temperature, drawn from a seed."""
    order = torch.randperm(len(cases), generator=torch.Generator().manual_seed(seed))
    first, second = round(LEARNED * len(cases)), round((LEARNED + HELD) * len(cases))
    return cases.chosen(order[:first]), cases.chosen(order[first:second]), cases.chosen(order[second:])


def trained(folder: Path, cases: Cases, seed: int, progress: Progress) -> FusionBackend:
    """Return the fusion of a folder; fitted first where there is none."""
    if not (folder / WRITTEN).is_file():
        progress(f"fitting {folder.name} to {len(cases)} clips")
        model = fit(CONFIG, *divided(cases, seed), seed=seed)
        FusionBackend(model).save_pretrained(folder)
    return FusionBackend.from_pretrained(str(folder))


@torch.inference_mode()
def beliefs_of(made: FusionBackend, test: Cases, level: float) -> Tensor:
    """Return what channels believe [n, M, K] of the test's clips, the strongest one in noise, as its agents would."""
    agent = _in_noise(made, level)
    return torch.stack([agent.channel_beliefs(columns) for columns in test.columns])


@torch.inference_mode()
def fared(pool: TrainedPool, beliefs: Tensor, heard: Tensor, right: Tensor) -> dict[str, Fared]:
    """Return rule → what it came to, of beliefs [n, M, K] of the channels that are heard [M].

    Args:
        pool: trained.
        beliefs: of every channel.
        heard: which are there.
        right: digits [n].
    """
    place = NAMES.index(STRONGEST)
    others = [other for other in range(len(NAMES)) if other != place]
    everyone = heard.expand(len(beliefs), -1)
    without = everyone.clone()
    without[:, place] = False
    said = beliefs.argmax(-1)
    # Of a tie, the label of the first agent of the debate, the strongest channel, and of the others where it is not there.
    order = [place, *others]
    votes = functional.one_hot(said, beliefs.shape[-1]).double() * everyone[..., None]
    weighed = votes[:, order] * torch.tensor([1.002, 1.001, 1.0]).double()[:, None]
    best = max(others, key=lambda other: float((said[:, other] == right).double().mean()))
    logs: dict[str, Tensor] = {
        SINGLE: beliefs[:, place].log(),
        OTHER: beliefs[:, best].log(),
        VOTE: _logs(weighed.sum(1)),
        MEAN: _logs((beliefs * everyone[..., None]).sum(1)),
        PRODUCT: multiplied(beliefs, everyone),
        LABELS: pool.from_labels(said, everyone),
        FUSED: pool(beliefs, everyone),
        TOLD: multiplied(beliefs, without),
    }
    if not bool(heard[place]):
        del logs[SINGLE]
    return {rule: Fared(each, right) for rule, each in logs.items()}


def multiplied(beliefs: Tensor, heard: Tensor) -> Tensor:
    """Return the log of the normalised product [n, K] of beliefs [n, M, K] that are heard [n, M], none below the floor."""
    return torch.log_softmax((floored(beliefs).log() * heard[..., None]).sum(1), -1)


def _logs(weights: Tensor) -> Tensor:
    return (weights / weights.sum(-1, keepdim=True)).clamp_min(1e-12).log()


@dataclass(frozen=True)
class Measured:
    """One seed's figures.

    Attributes:
        fared: condition → rule → what it came to.
        weight: condition → mean share of the strongest channel among the weights.
        added: condition → mean nats that it adds to the belief in what is said.
        calibration: name of a belief → expected calibration error before and after its temperature, of whole channels.
    """

    fared: Mapping[str, Mapping[str, Fared]]
    weight: Mapping[str, float]
    added: Mapping[str, float]
    calibration: Mapping[str, tuple[float, float]]


def harmed(made: FusionBackend, test: Cases, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what is wrong with the strongest channel → beliefs of the test's clips [n, M, K] and which channels are there [M].

    Args:
        made: agents' heads.
        test: clips.
        seed: of whose clip the channel hears in place of this one.
    """
    place = NAMES.index(STRONGEST)
    all_heard = torch.ones(len(NAMES), dtype=torch.bool)
    without = all_heard.clone()
    without[place] = False
    conditions = {_name(level): (beliefs_of(made, test, level), all_heard) for level in LEVELS}
    whole = conditions[WHOLE][0]
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))
    swapped = whole.clone()
    swapped[:, place] = whole[order, place]
    return conditions | {SWAPPED: (swapped, all_heard), MISSING: (whole, without)}


def measured(made: FusionBackend, learned: Cases, test: Cases, seed: int, progress: Progress) -> Measured:
    """Return how every rule fares on the test's clips, by what is wrong with the strongest channel."""
    pool, place = made.model.pool, NAMES.index(STRONGEST)
    conditions = harmed(made, test, seed)
    whole = conditions[WHOLE][0]
    found = {name: fared(pool, beliefs, heard, test.right) for name, (beliefs, heard) in conditions.items()}
    if find_spec("sklearn") is not None:
        progress(f"boosted trees of seed {seed}")
        trees = fitted_trees(made.model, divided(learned, seed), seed=seed)
        for level in LEVELS:
            found[_name(level)][TREES] = Fared(trees(_columns(made, test, level)), test.right)
        absent = made.model.standardised(test.columns)
        absent[:, CONFIG.places[STRONGEST]] = torch.nan
        found[MISSING][TREES] = Fared(trees(absent), test.right)
    else:
        progress("without scikit-learn (extra series) nothing is claimed about boosted trees")
    weight, added = {}, {}
    for name, (beliefs, heard) in conditions.items():
        with torch.no_grad():
            weights = pool.of_beliefs.weights(floored(beliefs), heard.expand(len(beliefs), -1))
            said = pool(beliefs, heard.expand(len(beliefs), -1)).argmax(-1).tolist()
        weight[name] = float((weights[:, place] / weights.sum(1)).mean())
        each = [
            attributions(pool.of_beliefs, row, heard, label)[place] for row, label in zip(beliefs, said, strict=True)
        ]
        added[name] = float(torch.stack(each).mean())
    return Measured(found, weight, added, _calibration(made, test, whole))


def _columns(made: FusionBackend, test: Cases, level: float) -> Tensor:
    agent = _in_noise(made, level)
    return torch.stack([agent.seen(columns) for columns in test.columns])


def _in_noise(made: FusionBackend, level: float) -> FusionBackend:
    """Return an agent that hears the strongest channel in noise."""
    return FusionBackend(made.model, noise={STRONGEST: level}) if level else made


def _calibration(made: FusionBackend, test: Cases, whole: Tensor) -> dict[str, tuple[float, float]]:
    found = {}
    standard = made.model.standardised(test.columns)
    with torch.no_grad():
        for name, head, place in zip(NAMES, made.model.heads, CONFIG.places.values(), strict=True):
            temperature = head.get_buffer("temperature").item()
            scores = head(standard[:, place]) * temperature
            found[name] = calibration_error(scores, test.right), calibration_error(scores, test.right, temperature)
        part = made.model.pool.of_beliefs
        temperature = float(part.temperature)
        scores = part(whole, torch.ones(whole.shape[:2], dtype=torch.bool)) * temperature
        found["fused"] = calibration_error(scores, test.right), calibration_error(scores, test.right, temperature)
        product = multiplied(whole, torch.ones(whole.shape[:2], dtype=torch.bool))
        found["product"] = calibration_error(product, test.right), calibration_error(product, test.right)
    return found


def _name(level: float) -> str:
    return f"noise {level:g}" if level else WHOLE
