"""How a PUT fares on pictures that it was not trained on: codes decoded, beliefs about holes, completions, and which is true.

n pictures of S x S, N patches.
"""

from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.put.autoencoder import Autoencoder
from agents.models.put.choosing import MEASURES
from agents.models.put.fillings import FILLINGS, Drawing
from agents.models.put.model import PUT
from agents.models.vision.holes import drawn_square, fillings_of
from agents.models.vision.measures import calibration_error, fitted_temperature

SHARE = 0.25
"""Of a picture that a hole has in the tests."""
DRAWING = Drawing()
OPTIONS = 4


@dataclass(frozen=True)
class Beliefs:
    """About the codes of hidden patches: mean log-probability of what stands there, nats, and how often the best is right."""

    nats: float
    right: float


@dataclass(frozen=True)
class Completed:
    """What fillings come to in the holes of pictures.

    Attributes:
        errors: filling → mean square difference of pixels in the hole, a drawn completion's being the mean over the drawn.
        best: of `sampled`, that of the best of its completions.
        apart: of `sampled`, between two completions of one picture.
        known: the largest difference of any pixel outside the hole.
    """

    errors: dict[str, float]
    best: float
    apart: float
    known: float


def holes_of_test(count: int, side: int, *, seed: int = 1) -> Tensor:
    """Return so many holes [n, S, S], the same for everybody."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([drawn_square(side, side, SHARE, generator) for _ in range(count)])


@torch.inference_mode()
def reconstruction(model: Autoencoder, pictures: Tensor, hidden: Tensor) -> float:
    """Return the mean square difference in the holes [n, S, S] of pictures that are decoded from their own codes."""
    found = model.decoded(model.codebook.vectors[model.codes(pictures)], pictures, hidden)
    return float((found - pictures)[hidden[:, None].expand_as(pictures)].square().mean())


@torch.inference_mode()
def beliefs(model: PUT, pictures: Tensor, hidden: Tensor) -> Beliefs:
    """Return what is believed, all at once, of the hidden patches of pictures [n, 3, S, S]."""
    seen, is_known = model.seen(pictures, hidden)
    scores, codes = model(seen)[~is_known], model.autoencoder.codes(pictures)[~is_known]
    return Beliefs(-float(functional.cross_entropy(scores, codes)), float((scores.argmax(-1) == codes).float().mean()))


@torch.inference_mode()
def completions(model: PUT, pictures: Tensor, hidden: Tensor) -> Completed:
    """Return what every filling comes to in the holes [n, S, S] of pictures [n, 3, S, S]."""
    errors: dict[str, list[float]] = {name: [] for name in FILLINGS}
    best, apart, known = [], [], 0.0
    for place, (picture, hole) in enumerate(zip(pictures, hidden, strict=True)):
        for name, fill in FILLINGS.items():
            seen = picture.masked_fill(hole, 0.5)
            found = fill(model, seen, hole, DRAWING, torch.Generator().manual_seed(place))
            wrong = (found - picture)[:, :, hole].square().mean((1, 2)).tolist()
            errors[name].append(fmean(wrong))
            known = max(known, float((found - picture)[:, :, ~hole].abs().max()))
            if name == "sampled":
                best.append(min(wrong))
                apart += [float((a - b)[:, hole].square().mean()) for a, b in combinations(found, 2)]
    return Completed({name: fmean(each) for name, each in errors.items()}, fmean(best), fmean(apart), known)


@torch.inference_mode()
def judged(model: PUT, pictures: Tensor, count: int, *, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Return how good each of four completions is [count, 4] by every measure, and which is the true one [count]."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(pictures), generator=generator)[:count].tolist()
    rows: dict[str, list[Tensor]] = {name: [] for name in MEASURES}
    right = []
    for place in chosen:
        hidden = drawn_square(model.config.side, model.config.side, SHARE, generator)
        panels, sources = fillings_of(list(pictures), place, hidden, OPTIONS, generator)
        right.append(sources.index(place))
        for name, measure in MEASURES.items():
            rows[name].append(measure(model, panels, hidden, DRAWING.at_once))
    return {name: torch.stack(each) for name, each in rows.items()}, torch.tensor(right)


def temperatures_of(model: PUT, pictures: Tensor, count: int) -> dict[str, float]:
    """Return the temperature of every measure at which its beliefs fit held-out pictures [n, 3, S, S] best.

    Measures have units of their own: each is divided by its spread first, so that the grid of temperatures serves all.
    """
    scores, right = judged(model, pictures, count, seed=3)
    spread = {name: float(each.std().clamp_min(1e-9)) for name, each in scores.items()}
    return {name: spread[name] * fitted_temperature(each / spread[name], right) for name, each in scores.items()}


def share_right(scores: Tensor, right: Tensor) -> float:
    """Return how often the best of scores [n, 4] is the right one [n]."""
    return float((scores.argmax(-1) == right).double().mean())


def calibration(scores: Tensor, right: Tensor, temperature: float) -> tuple[float, float]:
    """Return the calibration error of scores [n, 4] at temperature 1 and at a fitted one."""
    return calibration_error(scores, right), calibration_error(scores, right, temperature)
