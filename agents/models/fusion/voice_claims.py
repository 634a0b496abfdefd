"""What is claimed of voices of Parkinson's telemonitoring: 42 people, each tested once a seed by a fusion that never heard them.

Seeds draw who is together with whom; the people are the same in all of them, so that intervals over seeds say nothing of
other people.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim, claims_of
from agents.models.checkpoint import CONFIG as WRITTEN
from agents.models.fusion.backend import FusionBackend
from agents.models.fusion.calibration import save_calibration
from agents.models.fusion.measures import net_benefit, quadratic_kappa, within_one
from agents.models.fusion.model import FusionModel, broken
from agents.models.fusion.training import Cases, fit
from agents.models.fusion.voice import CONFIG, GRADES, Voices, asked_about, divided, folds, read_voices
from agents.models.vision.measures import calibration_error
from agents.pretrained import Progress

NOISE = 4.0
SEVERE, THRESHOLD = 2, 0.5
"""Of the decision curve: grade 3 or 4, acted on from this probability on."""

ABOVE_CHANNEL = "voices, by people, nats: fused above the best single channel"
ABOVE_PRIOR = "voices, by people, nats: fused above how common each grade is among others"
KAPPA = "voices, by people: quadratic kappa above 0"
WITHIN = "voices, by people: share of grades at most one off, above 0.8"
LESS_LOST = "voices, best channel in noise 4, nats lost (negated): fused less than that channel alone"
CALIBRATED = "voices, calibration error of fused (negated): with its temperature below that without"
BENEFIT = "voices, net benefit of acting on grade 3 or 4 from 0.5 on: above the better of always and never"
LEAK = "voices, nearest recording, right: divided by recordings above divided by people"
ASKED: dict[str, tuple[float | None, float | None]] = {
    ABOVE_CHANNEL: (0.0, None),
    ABOVE_PRIOR: (0.0, None),
    KAPPA: (0.0, None),
    WITHIN: (0.0, None),
    LESS_LOST: (0.0, None),
    CALIBRATED: (0.0, None),
    BENEFIT: (0.0, None),
    LEAK: (0.2, None),
}


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what a split by people leaves of the voices.

    `voice-SEED` under `out` are agents, which have learned from nobody whom the task asks about; `calibration.md` has each
    belief's error.

    Args:
        out: fusions for agents that are there are not fitted again.
        seeds: from 0.
        data: folder of Parkinson's telemonitoring.
        progress: told of each step that takes time.
    """
    voices = read_voices(data)
    figures: dict[str, list[tuple[float, float]]] = {text: [] for text in ASKED}
    errors: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        folder = out / f"voice-{seed}"
        if not (folder / WRITTEN).is_file():
            progress(f"fitting {folder.name}")
            model, _ = _fitted(voices, asked_about(voices), seed)
            FusionBackend(model).save_pretrained(folder)
        progress(f"voices of seed {seed}, in five folds")
        found = [_of_fold(voices, tested, seed) for tested in folds(voices, seed)]
        whole = {name: torch.cat([each[name] for each in found]) for name in found[0]}
        for text, pair in _pairs(whole, [each["unscaled"] for each in found]).items():
            figures[text].append(pair)
        for name, pair in _errors(whole).items():
            errors.setdefault(name, []).append(pair)
        by_people = [_nearest(voices, torch.isin(voices.people, tested)) for tested in folds(voices, seed)]
        places = torch.randperm(len(voices), generator=torch.Generator().manual_seed(seed)).tensor_split(5)
        by_rows = [_nearest(voices, torch.isin(torch.arange(len(voices)), part)) for part in places]
        figures[LEAK].append((_mean(by_rows), _mean(by_people)))
    save_calibration(out, errors)
    return claims_of(figures, ASKED)


def _fitted(voices: Voices, tested: Tensor, seed: int) -> tuple[FusionModel, Voices]:
    *parts, test = divided(voices, tested, seed)
    cases = [Cases(part.columns, part.grades) for part in parts]
    return fit(CONFIG, *cases, seed=seed), test


@torch.inference_mode()
def _of_fold(voices: Voices, tested: Tensor, seed: int) -> dict[str, Tensor]:
    """Return log beliefs [n, K] of a fold's recordings by name, and their grades."""
    with torch.inference_mode(False):
        model, test = _fitted(voices, tested, seed)
    standard = model.standardised(test.columns)
    heard = torch.ones(len(test), len(CONFIG.channels), dtype=torch.bool)
    part = model.pool.of_beliefs
    best = int(part.level.argmax())
    places = list(CONFIG.places.values())
    noisy = broken(standard, places[best], NOISE, torch.Generator().manual_seed(seed))
    channels = model.beliefs(standard)
    # Of everybody who is not tested, one recording more each.
    others = torch.bincount(voices.grades[~torch.isin(voices.people, tested)], minlength=len(GRADES)).double() + 1
    scores = part(channels, heard)
    found = {
        "right": test.grades,
        "fused": torch.log_softmax(scores, -1),
        "unscaled": torch.log_softmax(scores * part.temperature, -1),
        "fused, broken": model(noisy, heard),
        "best": channels[:, best].log(),
        "best, broken": model.beliefs(noisy)[:, best].log(),
        "prior": (others / others.sum()).log().expand(len(test), -1),
    }
    for place, (name, head) in enumerate(zip(CONFIG.channels, model.heads, strict=True)):
        found[name] = channels[:, place].log()
        found[f"{name}, unscaled"] = torch.log_softmax(head(standard[:, places[place]]) * head.temperature, -1)
    return found


def _pairs(found: Mapping[str, Tensor], unscaled: Sequence[Tensor]) -> dict[str, tuple[float, float]]:
    right = found["right"]

    def nats(name: str) -> float:
        return -float(functional.nll_loss(found[name], right))

    fused = found["fused"]
    severe = right >= SEVERE
    acted = net_benefit(fused.exp()[:, SEVERE:].sum(1), severe, THRESHOLD)
    always = net_benefit(torch.ones(len(right)), severe, THRESHOLD)
    singles = max(nats(name) for name in CONFIG.channels)
    return {
        ABOVE_CHANNEL: (nats("fused"), singles),
        ABOVE_PRIOR: (nats("fused"), nats("prior")),
        KAPPA: (quadratic_kappa(fused.argmax(-1), right, len(GRADES)), 0.0),
        WITHIN: (within_one(fused, right), 0.8),
        LESS_LOST: (nats("fused, broken") - nats("fused"), nats("best, broken") - nats("best")),
        CALIBRATED: (-calibration_error(fused, right), -calibration_error(torch.cat(list(unscaled)), right)),
        BENEFIT: (acted, max(always, 0.0)),
    }


def _errors(found: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    right = found["right"]
    names = {"fused": "unscaled", **{name: f"{name}, unscaled" for name in CONFIG.channels}}
    return {
        after: (calibration_error(found[before], right), calibration_error(found[after], right))
        for after, before in names.items()
    }


def _nearest(voices: Voices, is_tested: Tensor) -> float:
    """Return how often the grade of the nearest other recording, all columns standardised, is right."""
    learned, test = voices.chosen(~is_tested), voices.chosen(is_tested)
    middle, spread = learned.columns.mean(0), learned.columns.std(0)
    one, two = ((part.columns - middle).div(spread).float() for part in (test, learned))
    return float((learned.grades[torch.cdist(one, two).argmin(1)] == test.grades).double().mean())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
