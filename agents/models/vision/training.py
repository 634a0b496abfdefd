"""The recipe that models of pictures share: CIFAR-10, flipped and shifted, then a temperature from held-out pictures.

B batch, n pictures of 32 x 32, or of S x S.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.errors import ConfigError
from agents.models.checkpoint import CONFIG
from agents.models.seeded import seeded
from agents.models.vision.backend import PictureBackend
from agents.models.vision.cifar10 import divided, read_cifar10, stacked
from agents.models.vision.measures import accuracy, calibration_error, fitted_temperature, scores_of
from agents.models.vision.objective import NONE, Learned, Objective
from agents.models.vision.pixels import standardised
from agents.models.vision.resumption import Resumption
from agents.pretrained import Progress

M = TypeVar("M", bound=nn.Module)
SHIFT = 4
"""Pixels by which a picture is shifted at most, in both directions."""
WARM = 0.1
"""Share of the steps in which the learning rate rises."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained: AdamW, its rate risen and then lowered along a cosine.

    Attributes:
        epochs, batch, learning_rate, weight_decay: of AdamW.
        is_changed: whether pictures are flipped and shifted.
        objective: what is learned of a batch.
    """

    epochs: int = 30
    batch: int = 50
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    is_changed: bool = True
    objective: Objective = field(default_factory=Objective)


@dataclass(frozen=True)
class Fared:
    """How a trained model fares on the test pictures.

    Attributes:
        right: share of them.
        before, after: calibration error at temperature 1, and at the fitted one.
        temperature: that one.
    """

    right: float
    before: float
    after: float
    temperature: float


def train(
    model: M, pictures: Tensor, classes: Tensor, recipe: Recipe, *, seed: int, folder: Path, progress: Progress
) -> M:
    """Return the trained model, in eval mode; after each epoch it can be stopped, and is gone on with to the same bits.

    Args:
        model: to train; `model.config` is a `PictureConfig`.
        pictures, classes: [n, 3, 32, 32] between 0 and 1, and [n].
        recipe: how.
        seed: of order, flips and shifts.
        folder: where it is kept between epochs.
        progress: told of each epoch.

    Raises:
        ModelError: the folder holds the beginning of another training.
        ConfigError: classes or a batch that the recipe's objective does not take.
    """
    config: Any = model.config
    if recipe.objective.relation != NONE and len(pictures) % recipe.batch == 1:
        raise ConfigError(
            f"{len(pictures)} pictures in batches of {recipe.batch} leave one by itself, and samples are to be related: take "
            "another batch size"
        )
    generator = torch.Generator().manual_seed(seed)
    learned = Learned(model, recipe.objective, classes, seed=seed)
    optimiser = torch.optim.AdamW(learned.groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    shown = f"{len(pictures)} pictures {digest(pictures, classes)}"
    resumption = Resumption(folder, f"{type(model).__name__}, seed {seed}, {asdict(recipe)}, {config.sizes}, {shown}")
    begun = resumption.load(learned.parts, optimiser, generator)
    each = -(-len(pictures) // recipe.batch)
    model.train()
    for epoch in range(begun, recipe.epochs):
        losses = []
        for place, chosen in enumerate(torch.split(torch.randperm(len(pictures), generator=generator), recipe.batch)):
            rate = recipe.learning_rate * shape((epoch * each + place) / (recipe.epochs * each))
            for group in optimiser.param_groups:
                group["lr"] = rate * group["share"]
            seen = changed(pictures[chosen], generator) if recipe.is_changed else pictures[chosen]
            loss = learned.loss(standardised(seen, config), classes[chosen], generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.item())
        resumption.save(epoch + 1, learned.parts, optimiser, generator)
        progress(f"epoch {epoch + 1} of {recipe.epochs}: loss {fmean(losses):.3f}")
    return model.eval()


def digest(pictures: Tensor, classes: Tensor) -> str:
    """Return what tells pictures and their classes, in their order, from others: the beginning of a SHA-256."""
    found = hashlib.sha256()
    for each in (pictures, classes):
        found.update(repr((tuple(each.shape), each.dtype)).encode())
        found.update(each.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def shape(done: float) -> float:
    """Return the learning rate after a share of the steps, as a share of the highest."""
    return (done + 1e-3) / WARM if done < WARM else (1 + math.cos(math.pi * (done - WARM) / (1 - WARM))) / 2


def changed(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Return pictures [B, 3, H, W] each shifted by up to four pixels, reflected at its edges, and flipped or not."""
    count, _, height, width = pictures.shape
    is_flipped = torch.rand(count, generator=generator) < 0.5
    found = torch.where(is_flipped[:, None, None, None], pictures.flip(3), pictures)
    room = functional.pad(found, (SHIFT,) * 4, mode="reflect")
    down, right = torch.randint(2 * SHIFT + 1, (2, count), generator=generator)
    rows, columns = down[:, None] + torch.arange(height), right[:, None] + torch.arange(width)
    return room[torch.arange(count)[:, None, None, None], torch.arange(3)[:, None, None], rows[:, None, :, None],
                columns[:, None, None, :]]  # fmt: skip


def trained(
    backend: type[PictureBackend],
    make: Callable[[], nn.Module],
    folder: Path,
    recipe: Recipe,
    *,
    seed: int,
    data: Path | None,
    progress: Progress,
) -> PictureBackend:
    """Return the backend of a folder; trained and calibrated first, on CIFAR-10, where there is none."""
    parts = () if is_trained(folder) else tuple(stacked(part) for part in divided(read_cifar10(data, "train")))
    return trained_on(backend, make, folder, recipe, parts, seed=seed, progress=progress)


def is_trained(folder: Path) -> bool:
    """Whether a folder has a model whose training is over."""
    return (folder / CONFIG).is_file()


def trained_on(
    backend: type[PictureBackend],
    make: Callable[[], nn.Module],
    folder: Path,
    recipe: Recipe,
    parts: Sequence[tuple[Tensor, Tensor]],
    *,
    seed: int,
    progress: Progress,
) -> PictureBackend:
    """Return the backend of a folder; trained and calibrated first where there is none.

    Args:
        backend: its class.
        make: makes the model, whose first weights are of the seed.
        folder: of the backend.
        recipe: how it is trained.
        parts: pictures [n, 3, S, S] with their classes [n] to train on, and others to fit a temperature on.
        seed: training seed.
        progress: told of each epoch.
    """
    if not is_trained(folder):
        (pictures, classes), held = parts
        progress(f"training {folder.name} on {len(classes)} pictures")
        model: Any = train(seeded(make, seed), pictures, classes, recipe, seed=seed, folder=folder, progress=progress)
        fitted = fitted_temperature(scores_of(model, model.config, held[0]), held[1])
        backend(model, temperature=fitted).save_pretrained(folder)
        Resumption(folder, "").end()
    return backend.from_pretrained(str(folder))


def fared(backend: PictureBackend, pictures: Tensor, classes: Tensor) -> Fared:
    """Return how a backend fares on pictures [n, 3, 32, 32] of known classes [n]."""
    scores = scores_of(backend.model, backend.config, pictures)
    return Fared(
        accuracy(scores, classes),
        calibration_error(scores, classes),
        calibration_error(scores, classes, backend.temperature),
        backend.temperature,
    )


def ablated(
    backend: type[PictureBackend],
    models: Sequence[tuple[str, Callable[[], nn.Module]]],
    claim: tuple[str, float],
    out: Path,
    recipe: Recipe,
    *,
    seeds: int,
    data: Path | None,
    progress: Progress,
) -> list[Claim]:
    """Return whether a model is above itself without its main part, and whether a temperature calibrates it.

    On CIFAR-10's test pictures, which neither was trained nor calibrated on.

    Args:
        backend: of both.
        models: name of a folder and what makes the model, first whole, then without.
        claim: what is claimed, in words, and by how much the whole is to be above.
        out: models that are there are not trained again.
        recipe: of both.
        seeds: training seeds, from 0.
        data: folder of the pictures.
        progress: told of each step that takes time.
    """
    pictures, classes = stacked(read_cifar10(data, "test"))
    found: dict[str, list[Fared]] = {name: [] for name, _ in models}
    for seed in range(seeds):
        for name, make in models:
            made = trained(backend, make, out / f"{name}-{seed}", recipe, seed=seed, data=data, progress=progress)
            one = fared(made, pictures, classes)
            found[name].append(one)
            progress(
                f"{name}-{seed}: {one.right:.3f} right; calibration error {one.before:.3f}, {one.after:.3f} at temperature "
                f"{one.temperature:.2f}"
            )
    (whole, _), (without, _) = models
    text, least = claim
    return [
        Claim(text, tuple(one.right for one in found[whole]), tuple(one.right for one in found[without]), least=least),
        Claim(
            "calibration error (negated): with the fitted temperature below that without",
            tuple(-one.after for one in found[whole]),
            tuple(-one.before for one in found[whole]),
            least=0.0,
        ),
    ]
