"""Heads on frozen tokens: logistic regression of tiles and of patches, and additive multiple-instance learning of slides.

n cases, F features, T tiles, K labels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.pluto.bccd import LABELS, Slide
from agents.models.pluto.config import PLUTOConfig
from agents.models.pluto.model import PLUTO, Encoder, SlideHead, pooled
from agents.models.pluto.tiles import places
from agents.models.seeded import seeded
from agents.models.vision.measures import BATCH
from agents.models.vision.pixels import standardised

PENALTY = 1e-3
"""Of squared weights, for standardised features and the mean loss."""
LEAST_DEVIATION = 1e-6
NOTHING = len(LABELS)
"""Class of a patch in no cell's box."""


def fit_linear(layer: nn.Linear, features: Tensor, classes: Tensor) -> None:
    """Set a layer to logistic regression on features [n, F] of classes [n], each class counting alike; nothing is drawn."""
    mean, deviation = statistics(features)
    seen = ((features - mean) / deviation).double()
    count = layer.out_features
    share = 1 / torch.bincount(classes, minlength=count).clamp(min=1).double()
    weights = torch.zeros(count, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = functional.cross_entropy(seen @ weights.T + bias, classes, weight=share)
        found = found + PENALTY * weights.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        # The same scores of features as they are.
        scaled = weights / deviation.double()
        layer.weight.copy_(scaled)
        layer.bias.copy_(bias - scaled @ mean.double())


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation [F] of features [..., F], the latter not 0."""
    rows = features.flatten(0, -2)
    return rows.mean(0), rows.std(0).clamp(min=LEAST_DEVIATION)


def fit_slide(
    config: PLUTOConfig, pool: str, tiles: Tensor, answers: Tensor, *, seed: int, steps: int = 150
) -> SlideHead:
    """Return a head for slides, fitted to the features of their tiles [n, T, F] and to answers [n]; no tile has a label."""
    head = seeded(lambda: SlideHead(tiles.shape[-1], config.attention, len(config.slide_labels), pool), seed)
    head.mean, head.deviation = statistics(tiles)
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.05)
    for _ in range(steps):
        loss = functional.cross_entropy(head(tiles), answers)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return head.eval()


@torch.no_grad()
def features_of(encoder: Encoder, pictures: Tensor, patch: int) -> Tensor:
    """Return the features [n, F] of tiles [n, 3, S, S] between 0 and 1."""
    config = encoder.config
    return torch.cat([pooled(encoder(standardised(part, config), patch)) for part in torch.split(pictures, BATCH)])


@torch.no_grad()
def tokens_of(encoder: Encoder, pictures: Tensor, patch: int) -> Tensor:
    """Return the class token and patches [n, 1 + N, D] of tiles [n, 3, S, S] between 0 and 1."""
    config = encoder.config
    return torch.cat([encoder(standardised(part, config), patch) for part in torch.split(pictures, BATCH)])


def patch_classes(slide: Slide, window: int, side: int, patch: int) -> Tensor:
    """Return which cell each patch's middle lies in [T, N]: of boxes that overlap the smallest, `NOTHING` in none.

    Tiles are those of `grid_tiles`; boxes are rectangles around cells, so that their corners are called cells too.
    """
    _, height, width = slide.image.pixels.shape
    step = window * patch / side
    middles = (torch.arange(side // patch) + 0.5) * step
    found = []
    for top in places(height, window):
        for left in places(width, window):
            own = torch.full((len(middles), len(middles)), NOTHING)
            for cell in sorted(slide.cells, key=lambda cell: -_area(cell.box)):
                x0, y0, x1, y1 = cell.box
                across = (left + middles >= x0) & (left + middles < x1)
                down = (top + middles >= y0) & (top + middles < y1)
                own[down[:, None] & across] = LABELS.index(cell.label)
            found.append(own.flatten())
    return torch.stack(found)


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def with_encoder(config: PLUTOConfig, encoder: Encoder, seed: int) -> PLUTO:
    """Return a model around an encoder; its heads are still to be fitted."""
    model = seeded(lambda: PLUTO(config), seed)
    model.encoder.load_state_dict(encoder.state_dict())
    return model.eval()
