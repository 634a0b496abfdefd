"""The recipe of BatchFormer: few pictures of most classes, balanced softmax or not, samples related to each other or not.

Two sets of pictures, one small network. The margins that are claimed are those of the pilot that the recipe follows (written
digits, imbalance 50), and were written before anything was trained on either set's test pictures.

n pictures of S x S, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from agents.beliefs.claims import Claim
from agents.models.batchformer.long_tail import long_tail, right_by_class
from agents.models.crossvit.backend import CrossViTBackend
from agents.models.crossvit.config import CrossViTConfig
from agents.models.crossvit.model import CrossViT
from agents.models.vision.cifar10 import CLASSES, divided, read_cifar10, stacked
from agents.models.vision.digits import LABELS, read_digits
from agents.models.vision.measures import scores_of
from agents.models.vision.objective import Objective
from agents.models.vision.training import Recipe, trained_on
from agents.pretrained import Progress

Pictures = tuple[Tensor, Tensor]
"""Pixels [n, 3, S, S] between 0 and 1, and classes [n]."""

PLAIN, BALANCED = "plain", "balanced"
PLAIN_BATCHFORMER, BALANCED_BATCHFORMER, BALANCED_ALONE = "plain-batchformer", "balanced-batchformer", "balanced-alone"
OBJECTIVES = {
    PLAIN: Objective(),
    PLAIN_BATCHFORMER: Objective(relation="batchformer"),
    BALANCED: Objective("balanced"),
    BALANCED_BATCHFORMER: Objective("balanced", "batchformer"),
    BALANCED_ALONE: Objective("balanced", "alone"),
}
RARE = 3
"""Classes, the last ones, of which there are fewest pictures."""
ALL_BY, FEW_BY = 0.01, 0.02
ASKED: tuple[tuple[str, str, str, float, float], ...] = (
    ("balanced softmax with BatchFormer above without", BALANCED_BATCHFORMER, BALANCED, ALL_BY, FEW_BY),
    ("the same, above its control without attention", BALANCED_BATCHFORMER, BALANCED_ALONE, 0.0, 0.0),
    ("the control above balanced softmax alone", BALANCED_ALONE, BALANCED, ALL_BY, FEW_BY),
    ("cross-entropy with BatchFormer above without", PLAIN_BATCHFORMER, PLAIN, ALL_BY, FEW_BY),
    ("balanced softmax above cross-entropy", BALANCED, PLAIN, ALL_BY, FEW_BY),
)
"""In words; ours and the baseline; by how much, of all classes and of the rare ones."""


@dataclass(frozen=True)
class Data:
    """Pictures to train on, as many of each class as there are, others to fit temperatures on, and others to test on."""

    train: Pictures
    held: Pictures
    test: Pictures


@dataclass(frozen=True)
class Tail:
    """A set of pictures, and how it is learned.

    Attributes:
        name: in claims and of folders.
        read: --data → its pictures.
        sizes: of the network.
        imbalance: how many times as many pictures the first class has as the last.
        recipe: without its objective.
    """

    name: str
    read: Callable[[Path | None], Data]
    sizes: CrossViTConfig
    imbalance: float
    recipe: Recipe


def things(data: Path | None) -> Data:
    """Return CIFAR-10 of a folder."""
    to_train, held = (stacked(part) for part in divided(read_cifar10(data, "train")))
    return Data(to_train, held, stacked(read_cifar10(data, "test")))


def digits(data: Path | None) -> Data:
    """Return the written digits that scikit-learn carries, in three colours."""
    del data
    parts = (read_digits(split) for split in ("train", "validation", "test"))
    return Data(*((pixels.expand(-1, 3, -1, -1), classes) for pixels, classes in parts))


def small(labels: tuple[str, ...], side: int) -> CrossViTConfig:
    """Return sizes of which an epoch takes a second: 16 patches in one branch and 4 in the other."""
    return CrossViTConfig(
        labels, (side, side), (side // 4, side // 2), widths=(32, 64), depths=(1, 1), hidden=(64, 128), stages=1
    )


TAILS = (
    Tail("digits", digits, small(LABELS, 8), 20.0, Recipe(epochs=60, batch=64, is_changed=False)),
    Tail("cifar10", things, small(CLASSES, 32), 50.0, Recipe(epochs=25, batch=64)),
)


def claims(out: Path, *, seeds: int = 5, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what relating samples is worth where few pictures of most classes are there; models are kept under `out`.

    A seed draws which pictures stay, first weights, order and dropout, the same for every objective as far as it has them. What
    is compared are means of the shares that are right of each class, so that all classes count alike.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of CIFAR-10.
        progress: told of each step that takes time.
    """
    found: list[Claim] = []
    for tail, pictures in [(tail, tail.read(data)) for tail in TAILS]:
        rights = [_rights(tail, pictures, out, seed, progress) for seed in range(seeds)]
        for text, ours, baseline, *margins in ASKED:
            for place, (of, least) in enumerate(zip(("all", f"the {RARE} rarest"), margins, strict=True)):
                found.append(
                    Claim(
                        f"{tail.name}, right of {of} classes: {text}",
                        tuple(each[ours][place] for each in rights),
                        tuple(each[baseline][place] for each in rights),
                        least=least,
                    )
                )
    return found


def _rights(tail: Tail, pictures: Data, out: Path, seed: int, progress: Progress) -> dict[str, tuple[float, float]]:
    """Return the share that is right of all classes and of the rare ones, for every objective."""
    pixels, classes = pictures.train
    kept = long_tail(classes, tail.imbalance, torch.Generator().manual_seed(seed))
    parts = ((pixels[kept], classes[kept]), pictures.held)
    found: dict[str, tuple[float, float]] = {}
    for name, objective in OBJECTIVES.items():
        recipe = replace(tail.recipe, objective=objective)
        backend = trained_on(
            CrossViTBackend,
            lambda: CrossViT(tail.sizes),
            out / f"{tail.name}-{name}-{seed}",
            recipe,
            parts,
            seed=seed,
            progress=progress,
        )
        shares = right_by_class(scores_of(backend.model, backend.config, pictures.test[0]), pictures.test[1])
        found[name] = float(shares.mean()), float(shares[-RARE:].mean())
        progress(
            f"{tail.name}-{name}-{seed}: {found[name][0]:.3f} right of all classes, {found[name][1]:.3f} of the rare"
        )
    return found
