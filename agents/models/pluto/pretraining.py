"""A PLUTO teaches itself: a student that sees crops and what is not hidden, and a teacher that is its running mean.

n slides, B tiles.
"""

import copy
import math
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor, nn

from agents.models.pluto.config import PLUTOConfig
from agents.models.pluto.model import Encoder
from agents.models.pluto.objective import (
    Decoder,
    Prototypes,
    balanced_targets,
    centred_targets,
    dino_loss,
    fourier_loss,
    ibot_loss,
    mae_loss,
    moved_centre,
    patches_of,
    pictures_of,
)
from agents.models.pluto.views import Crop, drawn_tiles, hidden_blocks, kept_patches, view
from agents.models.seeded import seeded
from agents.models.vision.pixels import standardised
from agents.models.vision.training import shape
from agents.pretrained import Progress

CLIP = 3.0
"""Norm of a step's gradient at most."""


@dataclass(frozen=True)
class Recipe:
    """How it is taught; AdamW, its rate risen and then lowered along a cosine.

    Attributes:
        steps: of one patch size each, drawn from the config's, all alike often.
        tokens: of large views a step, about; a step of small patches has fewer tiles, so that steps cost alike.
        windows: sides of the squares of a slide that are seen: three magnifications.
        large, small: crops; two of each a tile, of which the teacher sees the large ones.
        hidden: least and most share of the patches of a block that iBOT hides.
        kept: share of the patches that MAE's encoder sees.
        prototypes, head: of the scores, and width of the head before them.
        temperatures: the student's and the teacher's.
        balanced: targets by Sinkhorn and Knopp (DINOv2); else by a centre (DINO), which a training as short as this
            one does not leave: all pictures then ask for all prototypes alike.
        centring: momentum of centres.
        following: momentum of the teacher at first; it rises to 1 along a cosine.
        weights: of DINO, iBOT, MAE and Fourier.
        learning_rate, weight_decay: of AdamW.
    """

    steps: int = 220
    tokens: int = 1200
    windows: tuple[int, ...] = (96, 128, 192)
    large: Crop = field(default_factory=lambda: Crop(48, 0.6, 1.0))
    small: Crop = field(default_factory=lambda: Crop(32, 0.3, 0.6))
    hidden: tuple[float, float] = (0.1, 0.5)
    kept: float = 0.25
    prototypes: int = 96
    head: int = 128
    temperatures: tuple[float, float] = (0.1, 0.04)
    balanced: bool = True
    centring: float = 0.9
    following: float = 0.95
    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    learning_rate: float = 1e-3
    weight_decay: float = 0.04


class Student(nn.Module):
    """An encoder with what stands beside it until the training ends."""

    def __init__(self, config: PLUTOConfig, recipe: Recipe) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.prototypes = Prototypes(config.width, recipe.head, recipe.prototypes)
        self.decoder = Decoder(config.width, config.heads, config.hidden, config.grid, max(config.patches))


class Pretraining:
    """The state of a training, and its steps.

    Args:
        config: of the encoder; its `patches` are those that are drawn.
        recipe: how.
        seed: of first weights and of all that is drawn.
    """

    def __init__(self, config: PLUTOConfig, recipe: Recipe, *, seed: int) -> None:
        self.config, self.recipe = config, recipe
        self.student = seeded(lambda: Student(config, recipe), seed)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.centres = torch.zeros(2, recipe.prototypes)
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = torch.optim.AdamW(
            self.student.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def patch(self) -> int:
        """Return a patch size, drawn."""
        patches = self.config.patches
        return patches[int(torch.randint(len(patches), (1,), generator=self.generator))]

    def losses(self, tiles: Tensor, patch: int) -> Tensor:
        """Return the four losses of tiles [B, 3, 64, 64], and move the centres, if there are any."""
        recipe, generator = self.recipe, self.generator
        large = [standardised(view(tiles, recipe.large, generator), self.config) for _ in range(2)]
        small = [standardised(view(tiles, recipe.small, generator), self.config) for _ in range(2)]
        both, few, count = torch.cat(large), torch.cat(small), len(tiles)
        places = recipe.large.side // patch
        hidden = hidden_blocks(2 * count, places, *recipe.hidden, generator)
        with torch.no_grad():
            meant = self.teacher.prototypes(self.teacher.encoder(both, patch))
        said = self.student.prototypes(self.student.encoder(both, patch, hidden=hidden))
        near = self.student.prototypes(self.student.encoder(few, patch)[:, 0])
        views = [*said[:, 0].split(count), *near.split(count)]
        warm, cold = recipe.temperatures
        if recipe.balanced:
            whole, parts = balanced_targets(meant[:, 0], cold), torch.zeros_like(meant[:, 1:])
            parts[hidden] = balanced_targets(meant[:, 1:][hidden], cold)
        else:
            whole, parts = (
                centred_targets(scores, centre, cold)
                for scores, centre in zip((meant[:, 0], meant[:, 1:]), self.centres, strict=True)
            )
            for place, scores in enumerate((meant[:, 0], meant[:, 1:])):
                self.centres[place] = moved_centre(self.centres[place], scores, recipe.centring)
        dino = dino_loss(views, torch.split(whole, count), warm)
        ibot = ibot_loss(said[:, 1:], parts, hidden, warm)
        return torch.stack([dino, ibot, *self._painted(large[0], patch, places)])

    def _painted(self, pictures: Tensor, patch: int, places: int) -> tuple[Tensor, Tensor]:
        """Return MAE's loss and that of frequencies, of pictures of which a share of the patches is seen."""
        kept = kept_patches(len(pictures), places**2, self.recipe.kept, self.generator)
        hidden = torch.ones(len(pictures), places**2, dtype=torch.bool).scatter(1, kept, False)
        tokens = self.student.encoder(pictures, patch, kept=kept)
        said, wanted = self.student.decoder(tokens, kept, patch, places), patches_of(pictures, patch)
        # What was seen is as it was; what is judged in frequencies is the whole picture.
        whole = pictures_of(torch.where(hidden[..., None], said, wanted), patch)
        return mae_loss(said, wanted, hidden), fourier_loss(whole, pictures)

    def step(self, tiles: Tensor, patch: int, done: float) -> Tensor:
        """Learn of tiles after a share of the steps, and return the four losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * shape(done)
        losses = self.losses(tiles, patch)
        self.optimiser.zero_grad()
        (losses * torch.tensor(self.recipe.weights)).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), CLIP)
        self.optimiser.step()
        momentum = 1 - (1 - self.recipe.following) * (1 + math.cos(math.pi * done)) / 2
        with torch.no_grad():
            for ours, theirs in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
                ours.lerp_(theirs, 1 - momentum)
        return losses.detach()


def pretrained(config: PLUTOConfig, slides: Tensor, recipe: Recipe, *, seed: int, progress: Progress) -> Encoder:
    """Return the teacher's encoder after all steps, in eval mode; slides are bytes [n, 3, H, W], without labels."""
    training = Pretraining(config, recipe, seed=seed)
    lately: list[list[float]] = []
    for step in range(recipe.steps):
        patch = training.patch()
        count = max(recipe.tokens // (recipe.large.side // patch) ** 2, 8)
        tiles = drawn_tiles(slides, recipe.windows, min(count, MOST_TILES), training.generator)
        lately.append(training.step(tiles, patch, step / recipe.steps).tolist())
        if (step + 1) % EACH == 0 or step + 1 == recipe.steps:
            said = ", ".join(
                f"{name} {fmean(values):.3f}" for name, values in zip(NAMES, zip(*lately, strict=True), strict=True)
            )
            progress(f"step {step + 1} of {recipe.steps}: {said}")
            lately = []
    return training.teacher.encoder.eval()


MOST_TILES = 64
EACH = 40
"""Steps between two lines of progress."""
NAMES = ("DINO", "iBOT", "MAE", "Fourier")
