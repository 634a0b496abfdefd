"""The recipe: CIFAR-10, with the inner transformer and without it."""

from dataclasses import replace
from pathlib import Path

from agents.beliefs.claims import Claim
from agents.models.tnt.backend import TNTBackend
from agents.models.tnt.config import TNTConfig
from agents.models.tnt.model import TNT
from agents.models.vision.cifar10 import CLASSES
from agents.models.vision.training import Recipe, ablated
from agents.pretrained import Progress

RECIPE = Recipe(epochs=8)
SIZES = TNTConfig(CLASSES)


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what the inner transformer and the temperature do on CIFAR-10's pictures; every model is kept under `out`.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of the pictures.
        progress: told of each step that takes time.
    """
    outer = replace(SIZES, inner=False)
    return ablated(
        TNTBackend,
        (("cifar10", lambda: TNT(SIZES)), ("cifar10-without-inner", lambda: TNT(outer))),
        ("pictures right: above the same network whose words do not attend to each other", 0.01),
        out,
        RECIPE,
        seeds=seeds,
        data=data,
        progress=progress,
    )
