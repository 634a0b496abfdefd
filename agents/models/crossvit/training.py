"""The recipe: CIFAR-10, with the exchange of class tokens and without it."""

from dataclasses import replace
from pathlib import Path

from agents.beliefs.claims import Claim
from agents.models.crossvit.backend import CrossViTBackend
from agents.models.crossvit.config import CrossViTConfig
from agents.models.crossvit.model import CrossViT
from agents.models.vision.cifar10 import CLASSES
from agents.models.vision.training import Recipe, ablated
from agents.pretrained import Progress

RECIPE = Recipe(epochs=8)
SIZES = CrossViTConfig(CLASSES)


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what the exchange and the temperature do on CIFAR-10's pictures; every model is kept under `out`.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of the pictures.
        progress: told of each step that takes time.
    """
    apart = replace(SIZES, fused=False)
    return ablated(
        CrossViTBackend,
        (("cifar10", lambda: CrossViT(SIZES)), ("cifar10-without-exchange", lambda: CrossViT(apart))),
        ("pictures right: above the same branches without an exchange", 0.0),
        out,
        RECIPE,
        seeds=seeds,
        data=data,
        progress=progress,
    )
