"""Ways of filling a hole before a picture is looked at: PUT's, and plain ones that it has to be better than."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.put.completion import completed, expected, sampled
from agents.models.put.model import PUT
from agents.models.vision.holes import filled_with_mean, filled_with_nearest
from agents.observation import Image, PartlyHidden


@dataclass(frozen=True)
class Drawing:
    """How PUT fills.

    Attributes:
        completions: R, how many are drawn; what is not drawn is one.
        top_k: codes that are drawn from.
        at_once: patches that are filled before the model looks again.
    """

    completions: int = 4
    top_k: int = 16
    at_once: int = 7


Filling = Callable[[PUT, Tensor, Tensor, Drawing, torch.Generator], Tensor]
"""Model, picture [3, S, S], what is hidden [S, S], how, and a generator → pictures [R, 3, S, S]."""


def _book(model: PUT) -> Tensor:
    return model.autoencoder.codebook.vectors[: model.config.codes]


def _sampled(model: PUT, pixels: Tensor, hidden: Tensor, drawing: Drawing, generator: torch.Generator) -> Tensor:
    pick = sampled(_book(model), generator, top_k=drawing.top_k)
    return completed(model, pixels.expand(drawing.completions, -1, -1, -1), hidden, pick, at_once=drawing.at_once)


def _shuffled(model: PUT, pixels: Tensor, hidden: Tensor, drawing: Drawing, generator: torch.Generator) -> Tensor:
    book = _book(model)
    other = book[torch.randperm(len(book), generator=torch.Generator().manual_seed(0))]
    pick = sampled(other, generator, top_k=drawing.top_k)
    return completed(model, pixels.expand(drawing.completions, -1, -1, -1), hidden, pick, at_once=drawing.at_once)


def _expected(model: PUT, pixels: Tensor, hidden: Tensor, drawing: Drawing, generator: torch.Generator) -> Tensor:
    del drawing, generator
    return completed(model, pixels[None], hidden, expected(_book(model)), at_once=model.config.count)


def _mean(model: PUT, pixels: Tensor, hidden: Tensor, drawing: Drawing, generator: torch.Generator) -> Tensor:
    del model, drawing, generator
    return filled_with_mean(pixels, hidden)[None]


def _nearest(model: PUT, pixels: Tensor, hidden: Tensor, drawing: Drawing, generator: torch.Generator) -> Tensor:
    del drawing, generator
    return filled_with_nearest(pixels, hidden, model.config.patch)[None]


FILLINGS: dict[str, Filling] = {
    "sampled": _sampled,
    "expected": _expected,
    "mean": _mean,
    "nearest": _nearest,
    "shuffled": _shuffled,
}
"""`sampled` codes; `expected` vectors, all at once; the `mean` colour of what is known; copies of the `nearest` known patch; and
`shuffled`, sampled as they are believed, where each code's vector is another's."""


def square(image: Image, side: int) -> tuple[Tensor, Tensor]:
    """Return the square in the middle of a picture, [3, S, S], and which of its pixels are hidden, [S, S] bool.

    Where it has another size it is resized (bicubic, antialiased); then a pixel is hidden to which a hidden one adds anything.
    """
    pixels = image.pixels.expand(3, -1, -1)
    height, width = pixels.shape[1:]
    hidden = image.hidden if isinstance(image, PartlyHidden) else torch.zeros(height, width, dtype=torch.bool)
    if min(height, width) != side:
        size = [each * side // min(height, width) for each in (height, width)]
        # The mask counts as one more colour.
        both = torch.cat([pixels, hidden[None].float()])[None]
        resized = functional.interpolate(both, size=size, mode="bicubic", antialias=True)[0]
        pixels, hidden = resized[:3].clamp(0, 1), resized[3].abs() > 1e-6
    top, left = (round((each - side) / 2) for each in pixels.shape[1:])
    return pixels[:, top : top + side, left : left + side], hidden[top : top + side, left : left + side]
