"""The recipe: written digits, with right labels, wrong ones and noise, with all activations and with the k largest.

n pictures of 8 x 8.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim, claims_of
from agents.beliefs.curves import Curves, by_place, write_curves
from agents.models.figures import kept_figures
from agents.models.lazy.network import LazyConfig, LazyNetwork
from agents.models.seeded import seeded
from agents.models.vision.digits import read_digits
from agents.models.vision.measures import calibration_error
from agents.pretrained import Progress

CURVES = "non_zero.curves.json"
WRONG = 0.4
"""Share of the labels that are another digit."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained: Adam at one rate for so many epochs, in every arm alike.

    Attributes:
        epochs: of all training pictures.
        batch: pictures of a step.
        kept: k of the thresholded network.
        narrow, wide: units of the networks whose sparsity is compared.
        noise: deviation of what is added to each pixel of a test picture; pixels are between 0 and 1.
        looks: epochs after which the share of activations that are not zero is looked at.
    """

    epochs: int = 60
    batch: int = 50
    learning_rate: float = 1e-3
    kept: int = 32
    narrow: int = 128
    wide: int = 2048
    noise: float = 0.3
    looks: tuple[int, ...] = (0, 1, 2, 5, 10, 20, 40, 60)


# Claim → by how much ours is to be above the baseline, or how near the two are to be.
ASKED: Mapping[str, tuple[float | None, float | None]] = {
    "activations that are not 0: share at the start above that after training": (0.05, None),
    "the same, with labels that are all drawn at random": (0.05, None),
    "activations that are not 0 after training: 128 units above 2,048": (0.02, None),
    "digits right: 32 of 512 activations, and all": (None, 0.01),
    "digits right in pictures with noise: 32 activations above all": (0.01, None),
    "digits right after 40 % wrong labels: 32 activations above all": (0.01, None),
    "calibration error (negated) after 40 % wrong labels: 32 above all": (0.01, None),
    "calibration error (negated) after right labels: 32 above all": (0.0, None),
}


def claims(out: Path, *, seeds: int = 5, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return whether activations get lazier in training, and what keeping the largest alone is worth.

    Every arm is trained for the same epochs. Predictions and what came of them are in docs/transforms.md.

    Args:
        out: figures of each seed; those that are there by the same recipe are not measured again.
        seeds: training seeds, from 0; of weights, of the order of pictures, of wrong labels and of noise.
        data: not needed; scikit-learn has the pictures.
        progress: told of each step that takes time.
    """
    del data
    recipe = Recipe()
    measured = [
        kept_figures(out / f"seed-{seed}", recipe, partial(figures, recipe, seed, progress)) for seed in range(seeds)
    ]
    write_curves(
        out / CURVES,
        Curves(
            "epochs",
            "share of activations that are not 0",
            tuple(map(float, recipe.looks)),
            by_place([each["looks"] for each in measured]),
        ),
    )
    pairs = {text: [(each["claims"][text][0], each["claims"][text][1]) for each in measured] for text in ASKED}
    return claims_of(pairs, ASKED)


def figures(recipe: Recipe, seed: int, progress: Progress = lambda _: None) -> dict[str, dict[str, list[float]]]:
    """Return what one seed gives: `claims`, text → ours and the baseline's figure, and `looks`, arm → share by epoch."""
    (pixels, classes), (test, right) = (_pictures(split) for split in ("train", "test"))
    draw = torch.Generator().manual_seed(1000 + seed)
    noisy = test + recipe.noise * torch.randn(test.shape, generator=draw)
    labels = {"right": classes, "wrong": _wrong(classes, draw), "random": _random(classes, draw)}
    dense = LazyConfig()
    arms = {
        "right": (dense, "right"),
        "wrong": (dense, "wrong"),
        "random": (dense, "random"),
        "narrow": (replace(dense, units=recipe.narrow), "right"),
        "wide": (replace(dense, units=recipe.wide), "right"),
        "right-topk": (replace(dense, kept=recipe.kept), "right"),
        "wrong-topk": (replace(dense, kept=recipe.kept), "wrong"),
    }
    looks: dict[str, list[float]] = {}
    scores: dict[str, tuple[Tensor, Tensor]] = {}
    for name, (config, kind) in arms.items():
        model, looks[name] = trained(config, pixels, labels[kind], test, recipe, seed=seed)
        with torch.inference_mode():
            scores[name] = model(test), model(noisy)
        own = float((model(pixels).argmax(1) == labels[kind]).float().mean())
        progress(
            f"seed {seed}: {name}: {own:.3f} of its own labels, {_right(scores[name][0], right):.3f} of test pictures"
        )

    def error(name: str) -> float:
        return -calibration_error(scores[name][0], right)

    def share(name: str, noise: bool = False) -> float:
        return _right(scores[name][noise], right)

    found = [
        (looks["right"][0], looks["right"][-1]),
        (looks["random"][0], looks["random"][-1]),
        (looks["narrow"][-1], looks["wide"][-1]),
        (share("right-topk"), share("right")),
        (share("right-topk", noise=True), share("right", noise=True)),
        (share("wrong-topk"), share("wrong")),
        (error("wrong-topk"), error("wrong")),
        (error("right-topk"), error("right")),
    ]
    return {"claims": {text: list(pair) for text, pair in zip(ASKED, found, strict=True)}, "looks": looks}


def trained(
    config: LazyConfig, pixels: Tensor, labels: Tensor, test: Tensor, recipe: Recipe, *, seed: int
) -> tuple[LazyNetwork, list[float]]:
    """Return a network trained on pictures [n, 64] and labels [n], and the share of its activations that are not 0.

    The share is that of test pictures [m, 64] after each of the recipe's looks.
    """
    model = seeded(lambda: LazyNetwork(config), seed)
    optimiser = torch.optim.Adam(model.parameters(), recipe.learning_rate)
    order = torch.Generator().manual_seed(seed)
    looks = [model.non_zero(test)]
    for epoch in range(1, recipe.epochs + 1):
        for chosen in torch.split(torch.randperm(len(labels), generator=order), recipe.batch):
            optimiser.zero_grad()
            functional.cross_entropy(model(pixels[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if epoch in recipe.looks:
            looks.append(model.non_zero(test))
    return model.eval(), looks


def _pictures(split: str) -> tuple[Tensor, Tensor]:
    pictures, classes = read_digits(split)
    return pictures.flatten(1), classes


def _wrong(classes: Tensor, draw: torch.Generator) -> Tensor:
    """Return labels of which a share is another digit, each of the nine as likely."""
    others = (classes + torch.randint(1, 10, classes.shape, generator=draw)) % 10
    return torch.where(torch.rand(classes.shape, generator=draw) < WRONG, others, classes)


def _random(classes: Tensor, draw: torch.Generator) -> Tensor:
    return torch.randint(10, classes.shape, generator=draw)


def _right(scores: Tensor, classes: Tensor) -> float:
    return float((scores.argmax(1) == classes).float().mean())
