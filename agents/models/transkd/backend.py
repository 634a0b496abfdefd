"""An agent that tells what each pixel shows, and so what takes up most of a region that a question names."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.stored import made_of
from agents.models.transkd.config import SegmenterConfig
from agents.models.transkd.model import Segmenter
from agents.models.vision.backend import PictureBackend
from agents.models.vision.camvid import scaled
from agents.models.vision.pixels import standardised
from agents.models.vision.regions import part_of, region_of
from agents.observation import Image
from agents.question import Question

LEAST = 1e-12
"""A class's share of a region, where it has none."""


class TransKDBackend(PictureBackend):
    """A belief over what takes up most of a region: over the model's labels, or over a question's options.

    Each pixel has probabilities of the classes; their mean over a region is how much of it each class is expected to take up.
    The belief is proportional to these shares to the power 1 / temperature, since the largest share is asked for: with the
    temperature fitted on held-out regions it is calibrated. Which region is meant the question's words say (`region_of`); the
    whole picture, where they name none.

    Args:
        model: in eval mode.
        temperature: as of Classifier.
    """

    model: Segmenter
    what = "TransKD"
    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: Segmenter, *, temperature: float = 1.0) -> None:
        super().__init__(model, temperature=temperature)

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> Segmenter:
        """Return a model of the sizes that a folder holds."""
        return Segmenter(made_of(SegmenterConfig, sizes))

    @property
    def stored(self) -> dict[str, object]:
        """The options that lie beside the weights, as JSON values."""
        return {"temperature": self.temperature}

    def class_scores(self, image: Image) -> Tensor:
        """Return the logarithms [K] of how much of a picture each class takes up."""
        return shares_of(pixel_beliefs(self.model, image.pixels.expand(3, -1, -1)[None]))[0].log()

    def case_scores(self, case: Question, image: Image) -> Tensor:
        """Return the same of the region that a question names.

        Raises:
            RequestError: two regions, or words that name none that there is.
        """
        beliefs = pixel_beliefs(self.model, image.pixels.expand(3, -1, -1)[None])
        return shares_of(beliefs, region_of(case.text))[0].log()


@torch.inference_mode()
def pixel_beliefs(model: Segmenter, pictures: Tensor) -> Tensor:
    """Return the probabilities [n, K, H, W] of the classes of each pixel that a model sees, of pictures [n, 3, ., .].

    Pictures lie between 0 and 1 and are scaled to H x W; scores, of a quarter of that, are interpolated.
    """
    seen = standardised(scaled(pictures, model.config.size), model.config)
    scores = functional.interpolate(model.eval()(seen), size=model.config.size, mode="bilinear", align_corners=False)
    return scores.double().softmax(1)


def shares_of(beliefs: Tensor, region: str | None = None) -> Tensor:
    """Return how much of a region each class is expected to take up [n, K], of probabilities [n, K, H, W]; above 0."""
    return part_of(beliefs, region).mean((2, 3)).clamp_min(LEAST)
