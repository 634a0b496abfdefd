"""The recipe: CIFAR-10 in small; the autoencoder first, then the transformer over its codes, and what is to be shown of both.

B batch, n pictures of S x S, N patches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.beliefs.claims import Claim, claims_of
from agents.models.checkpoint import CONFIG, load_model, save_model
from agents.models.put.autoencoder import Autoencoder, masked
from agents.models.put.config import PUTConfig
from agents.models.put.model import PUT
from agents.models.seeded import seeded
from agents.models.stored import made_of
from agents.models.vision.cifar10 import divided, read_cifar10, stacked
from agents.models.vision.holes import drawn_square
from agents.models.vision.training import shape
from agents.pretrained import Progress

SIZES = PUTConfig()
SHARES = (0.1, 0.6)
"""Of a picture that a hole has in training, drawn evenly."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained: AdamW, its rate risen and then lowered along a cosine, in both parts.

    Attributes:
        steps, batch: of the autoencoder.
        told: steps of the transformer, of `batch` pictures.
        erased: share of pictures of which a part is erased before the autoencoder sees them, so that the vectors for hidden patches learn.
        bare: share of pictures of which the decoder is shown nothing beside the vectors.
        requantised: probability that a known patch's feature is replaced by its vector while the transformer learns (the paper's
            random quantisation), since what is put into a hole is a vector; of a model that reads vectors anyway it has no effect.
    """

    steps: int = 500
    told: int = 700
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    erased: float = 0.3
    bare: float = 0.3
    requantised: float = 0.3


RECIPE = Recipe()


def drawn_holes(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Return so many holes [B, S, S] bool, squares of drawn shares at drawn places."""
    low, high = SHARES
    shares = (low + (high - low) * torch.rand(count, generator=generator)).tolist()
    return torch.stack([drawn_square(side, side, share, generator) for share in shares])


def reconstruct(
    model: Autoencoder, pictures: Tensor, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None
) -> Autoencoder:
    """Return the autoencoder trained on pictures [n, 3, S, S], in eval mode: mean difference of pixels, and commitment."""
    generator, side = torch.Generator().manual_seed(seed), model.config.side

    def loss(chosen: Tensor) -> Tensor:
        is_erased, is_bare = (
            torch.rand(len(chosen), generator=generator) < share for share in (recipe.erased, recipe.bare)
        )
        erased, hidden = (drawn_holes(len(chosen), side, generator) for _ in range(2))
        erased, hidden = erased & is_erased[:, None, None], hidden | is_bare[:, None, None]
        own = pictures[chosen]
        features, is_known = model.features(own, erased), model.known(erased)
        found = model.codebook(features, is_known)
        wanted = masked(own, erased)
        said = model.decoder(found.vectors, wanted.masked_fill(hidden[:, None], -1.0), hidden)
        flat, known = features.detach().flatten(0, 1), is_known.flatten()
        model.codebook.follow(flat, found.places.flatten())
        model.codebook.revive(flat, known, generator)
        return functional.l1_loss(said, wanted) + found.commitment

    _descend(list(model.parameters()), loss, _drawn(len(pictures), recipe.batch, recipe.steps, generator), recipe,
             recipe.steps, progress)  # fmt: skip
    return model.eval()


def belief_loss(scores: Tensor, codes: Tensor, is_known: Tensor) -> Tensor:
    """Return the mean cross-entropy, nats, of scores [B, N, K] and codes [B, N] at patches that are not known [B, N]."""
    return functional.cross_entropy(scores[~is_known], codes[~is_known])


def tell(model: PUT, pictures: Tensor, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None) -> PUT:
    """Return the model after learning codes of hidden patches of pictures [n, 3, S, S], in eval mode; the autoencoder stays."""
    generator, side = torch.Generator().manual_seed(seed), model.config.side
    autoencoder = model.autoencoder.eval()
    with torch.no_grad():
        codes = torch.cat([autoencoder.codes(part) for part in torch.split(pictures, 100)])

    def loss(chosen: Tensor) -> Tensor:
        hidden = drawn_holes(len(chosen), side, generator)
        with torch.no_grad():
            seen, is_known = model.seen(pictures[chosen], hidden)
            seen = requantised(model, seen, is_known, recipe.requantised, generator)
        return belief_loss(model(seen), codes[chosen], is_known)

    _descend(model.trained, loss, _drawn(len(pictures), recipe.batch, recipe.told, generator), recipe, recipe.told, progress)
    return model.eval()


def requantised(
    model: PUT, seen: Tensor, is_known: Tensor, share: float, generator: torch.Generator
) -> Tensor:
    """Return features [B, N, C] of which a drawn share of the known patches' are replaced by their vectors; others never are."""
    vectors, _ = model.autoencoder.quantised(seen, is_known)
    is_chosen = is_known & (torch.rand(is_known.shape, generator=generator) < share)
    return torch.where(is_chosen[..., None], vectors, seen)


def _drawn(count: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the numbers of each step's pictures: all are seen before one is seen again."""
    left: list[Tensor] = []
    for _ in range(steps):
        if not left:
            left = list(torch.split(torch.randperm(count, generator=generator), batch))
        yield left.pop(0)


def _descend(
    parameters: list[nn.Parameter],
    loss: Callable[[Tensor], Tensor],
    drawn: Iterator[Tensor],
    recipe: Recipe,
    steps: int,
    progress: Progress,
) -> None:
    optimiser = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    for step, chosen in enumerate(drawn):
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * shape(step / steps)
        found = loss(chosen)
        optimiser.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 100 == 99:
            progress(f"step {step + 1} of {steps}: loss {found.item():.3f}")
