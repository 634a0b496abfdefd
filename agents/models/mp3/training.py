"""The recipe: written digits, few of them labelled, with and without telling positions first, with and without positions.

B batch, n pictures of 8 x 8.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.models.checkpoint import CONFIG, load_model, save_model
from agents.models.mp3.backend import MP3Backend
from agents.models.mp3.config import MP3Config
from agents.models.mp3.model import MP3, PlaceTeller, place_accuracy
from agents.models.mp3.positions import drawn_context, position_loss
from agents.models.seeded import seeded
from agents.models.stored import made_of
from agents.models.vision.digits import LABELS, read_digits
from agents.models.vision.measures import accuracy, fitted_temperature, scores_of
from agents.models.vision.pixels import standardised
from agents.models.vision.training import shape
from agents.pretrained import Progress

SIZES = MP3Config(LABELS)


@dataclass(frozen=True)
class Recipe:
    """How it is trained: AdamW, its rate risen and then lowered along a cosine, in both parts.

    Attributes:
        masked: η, the share of patches that are no keys while positions are told.
        told: steps of telling positions, of `batch` pictures without their labels.
        labelled: pictures with labels, as many of each digit.
        steps: of learning labels, of `few` pictures.
    """

    masked: float = 0.75
    told: int = 600
    batch: int = 64
    labelled: int = 100
    steps: int = 300
    few: int = 20
    learning_rate: float = 1e-3
    weight_decay: float = 0.05


@dataclass(frozen=True)
class Digits:
    """Pictures [n, 3, 8, 8], standardised, and which digits they are [n]."""

    pixels: Tensor
    classes: Tensor

    @classmethod
    def of(cls, split: str) -> "Digits":
        """Return those of a split."""
        pixels, classes = read_digits(split)
        return cls(standardised(pixels.expand(-1, 3, -1, -1), SIZES), classes)

    def few(self, count: int, generator: torch.Generator) -> "Digits":
        """Return so many in all, as many of each digit, drawn."""
        order = torch.randperm(len(self.classes), generator=generator)
        own = [order[self.classes[order] == digit][: count // len(LABELS)] for digit in range(len(LABELS))]
        chosen = torch.cat(own)
        return Digits(self.pixels[chosen], self.classes[chosen])


def told(model: MP3, pixels: Tensor, recipe: Recipe, *, seed: int) -> PlaceTeller:
    """Return what tells the places of a model's patches, trained on pictures [n, 3, S, S]; patches and blocks are its own."""
    generator = torch.Generator().manual_seed(seed)
    teller = seeded(lambda: PlaceTeller(model), seed)

    def loss(chosen: Tensor) -> Tensor:
        there = torch.ones(len(chosen), model.config.count, dtype=torch.bool)
        context = drawn_context(there, recipe.masked, generator)
        return position_loss(teller(pixels[chosen], context), there)

    _descend(teller, loss, _drawn(len(pixels), recipe.batch, recipe.told, generator), recipe, recipe.told)
    return teller


def learned(model: MP3, digits: Digits, recipe: Recipe, *, steps: int, seed: int) -> MP3:
    """Return the model after learning labels for so many steps, in eval mode."""
    generator = torch.Generator().manual_seed(seed + 1)

    def loss(chosen: Tensor) -> Tensor:
        return functional.cross_entropy(model(digits.pixels[chosen]), digits.classes[chosen])

    _descend(model, loss, _drawn(len(digits.classes), recipe.few, steps, generator), recipe, steps)
    return model.eval()


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what telling positions first is worth with few labels, on written digits; models are kept under `out`.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0; of weights, of the labelled pictures, and of all draws.
        data: not needed; scikit-learn has the pictures.
        progress: told of each step that takes time.
    """
    del data
    recipe, test = Recipe(), Digits.of("test")
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        for name, one in models(out, recipe, seed, progress):
            if isinstance(one, PlaceTeller):
                right = place_accuracy(one, test.pixels)
            else:
                right = accuracy(scores_of(one, SIZES, read_digits("test")[0].expand(-1, 3, -1, -1)), test.classes)
            found.setdefault(name, []).append(right)
            progress(f"seed {seed}: {name}: {right:.3f}")
    rows = {name: tuple(values) for name, values in found.items()}
    chance = (1 / SIZES.count,) * seeds
    return [
        Claim("places told, all patches as keys: above chance", rows["places"], chance, least=0.1),
        Claim(
            "without positions: places told first above from scratch",
            rows["mp3-without"],
            rows["scratch-without"],
            least=0.05,
        ),
        Claim("with positions: places told first above from scratch", rows["mp3"], rows["scratch"], least=0.05),
        Claim("the same, above from scratch with as many steps in all", rows["mp3"], rows["scratch-long"], least=0.0),
        Claim(
            "places told first, without positions, above from scratch with them",
            rows["mp3-without"],
            rows["scratch"],
            least=0.0,
        ),
    ]


def models(out: Path, recipe: Recipe, seed: int, progress: Progress) -> Iterator[tuple[str, nn.Module]]:
    """Yield what the claims are of, by name; classifiers are kept in a folder each, those that are there not trained again."""
    train = Digits.of("train")
    few = train.few(recipe.labelled, torch.Generator().manual_seed(seed))
    bare = replace(SIZES, positions=False)
    first = _told_first(out / f"places-{seed}", bare, train.pixels, recipe, seed, progress)
    yield "places", first
    for name, config, is_told, steps in (
        ("mp3", SIZES, True, recipe.steps),
        ("mp3-without", bare, True, recipe.steps),
        ("scratch", SIZES, False, recipe.steps),
        ("scratch-without", bare, False, recipe.steps),
        ("scratch-long", SIZES, False, recipe.steps + recipe.told),
    ):
        folder = out / f"{name}-{seed}"
        if not (folder / CONFIG).is_file():
            model = seeded(partial(MP3, config), seed)
            if is_told:
                model.patches.load_state_dict(first.patches.state_dict())
                model.encoder.load_state_dict(first.encoder.state_dict())
            learned(model, few, recipe, steps=steps, seed=seed)
            pictures, classes = read_digits("validation")
            scores = scores_of(model, config, pictures.expand(-1, 3, -1, -1))
            MP3Backend(model, temperature=fitted_temperature(scores, classes)).save_pretrained(folder)
        yield name, MP3Backend.from_pretrained(str(folder)).model


def _told_first(
    folder: Path, config: MP3Config, pixels: Tensor, recipe: Recipe, seed: int, progress: Progress
) -> PlaceTeller:
    if not (folder / CONFIG).is_file():
        progress(f"seed {seed}: telling positions")
        save_model(folder, told(seeded(lambda: MP3(config), seed), pixels, recipe, seed=seed), config.sizes)
    return load_model(folder, MP3Backend.what, lambda sizes: PlaceTeller(MP3(made_of(MP3Config, sizes))))[0]


def _drawn(count: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the numbers of each step's examples: all are seen before one is seen again."""
    left: list[Tensor] = []
    for _ in range(steps):
        if not left:
            left = list(torch.split(torch.randperm(count, generator=generator), batch))
        yield left.pop(0)


def _descend(
    model: nn.Module, loss: Callable[[Tensor], Tensor], drawn: Iterator[Tensor], recipe: Recipe, steps: int
) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    model.train()
    for step, chosen in enumerate(drawn):
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * shape(step / steps)
        found = loss(chosen)
        optimiser.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
