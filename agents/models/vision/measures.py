"""How a classifier of pictures fares: scores, accuracy, calibration error, and the temperature that calibrates it.

n pictures, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.vision.pixels import PictureConfig, standardised

BATCH = 100
BINS = 10
TEMPERATURES = (-0.7, 0.7, 141)
"""Of the grid: first and last power of ten, and how many."""


@torch.inference_mode()
def scores_of(model: nn.Module, config: PictureConfig, pictures: Tensor) -> Tensor:
    """Return the scores [n, K] of pictures [n, 3, S, S] between 0 and 1, of the model's own side."""
    model.eval()
    return torch.cat([model(standardised(part, config)) for part in torch.split(pictures, BATCH)])


def accuracy(scores: Tensor, classes: Tensor) -> float:
    """Return the share of pictures whose highest score [n, K] is that of their class [n]."""
    return float((scores.argmax(-1) == classes).float().mean())


def fitted_temperature(scores: Tensor, classes: Tensor) -> float:
    """Return the temperature, of a grid from 0.2 to 5, at which softmax(scores / T) is likeliest to be right.

    Temperature scaling (Guo et al., 2017, arXiv:1706.04599, section 4.2).
    """
    grid: list[float] = torch.logspace(*TEMPERATURES, dtype=torch.float64).tolist()
    wide = scores.double()
    return min(grid, key=lambda temperature: float(functional.cross_entropy(wide / temperature, classes)))


def calibration_error(scores: Tensor, classes: Tensor, temperature: float = 1.0) -> float:
    """Return the expected calibration error of softmax(scores / T), in ten bins of equal width (Guo et al., 2017, equation 3)."""
    sure, said = torch.softmax(scores.double() / temperature, -1).max(-1)
    right = (said == classes).double()
    # A confidence of exactly 1 belongs to the last bin.
    places = (sure * BINS).long().clamp_max(BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64).index_add(0, places, right - sure)
    return float(gaps.abs().sum() / len(classes))


def ranked_right(scores: Tensor, happened: Tensor) -> float:
    """Return the area under the ROC curve: how often a case [n] of which it is true has the higher score [n], ties by half.

    0.5 where it is true of all, or of none: nothing is ranked then.
    """
    happened = happened.bool()
    true, false = scores[happened], scores[~happened]
    if not len(true) or not len(false):
        return 0.5
    differences = true[:, None] - false[None]
    return float(((differences > 0).double() + 0.5 * (differences == 0).double()).mean())
