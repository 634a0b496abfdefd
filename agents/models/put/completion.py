"""What PUT makes of a hole: one code after the other, or what is expected; and how likely a filling is (Liu et al., 2022, 3.3).

Of all patches that are still hidden those are filled next of which the model is surest, the highest of their scores; what was
put there is read as if it had been known. One picture has one hole; its completions are drawn side by side.

R completions, N patches, n of them filled at once, C width of a code, K codes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from agents.models.put.model import PUT

Pick = Callable[[Tensor, Tensor], Tensor]
"""Scores [R, n, K] of patches and their places [R, n] → the vectors [R, n, C] that are put there."""


def sampled(book: Tensor, generator: torch.Generator, *, top_k: int) -> Pick:
    """Return what draws codes from the softmax of the `top_k` highest scores, and puts their vectors of a book [K, C]."""

    def pick(scores: Tensor, places: Tensor) -> Tensor:
        best = scores.topk(min(top_k, scores.shape[-1]), -1)
        drawn = torch.multinomial(torch.softmax(best.values, -1).flatten(0, 1), 1, generator=generator)
        return book[best.indices.flatten(0, 1).gather(1, drawn).reshape(places.shape)]

    return pick


def expected(book: Tensor) -> Pick:
    """Return what puts the vectors of a book [K, C] that are expected, Σ_c p(c) e_c: nothing is drawn."""

    def pick(scores: Tensor, places: Tensor) -> Tensor:
        del places
        return torch.softmax(scores, -1) @ book

    return pick


def completed(model: PUT, pictures: Tensor, hidden: Tensor, pick: Pick, *, at_once: int = 1) -> Tensor:
    """Return completions [R, 3, S, S] of a picture, R times the same; what is known of it stays as it is.

    Args:
        model: in eval mode.
        pictures: [R, 3, S, S] between 0 and 1.
        hidden: [S, S] bool, of all of them.
        pick: `sampled` or `expected`.
        at_once: patches that are filled before the model looks again.
    """
    holes = hidden.expand(len(pictures), -1, -1)
    features, is_known = model.autoencoder.features(pictures, holes), model.autoencoder.known(holes)
    vectors = model.autoencoder.quantised(features, is_known)[0]
    chosen = _filled(model, model.seen(pictures, holes)[0], is_known, pick, at_once)
    return model.autoencoder.decoded(torch.where(is_known[..., None], vectors, chosen), pictures, holes)


def log_likelihood(model: PUT, pictures: Tensor, hidden: Tensor, codes: Tensor, *, at_once: int = 1) -> Tensor:
    """Return log p [R] of fillings, nats: of their codes at the hidden patches, each given what is known and was put before it.

    Args:
        model: in eval mode.
        pictures: [R, 3, S, S] between 0 and 1; what stands in the hole is not looked at.
        hidden: [S, S] bool.
        codes: [R, N], those of each filling; others than the hidden patches' are not looked at.
        at_once: patches that are judged, independently of each other, before the model looks again.
    """
    total = torch.zeros(len(codes), dtype=torch.float64)

    def pick(scores: Tensor, places: Tensor) -> Tensor:
        own = codes.gather(1, places)
        total.add_(torch.log_softmax(scores.double(), -1).gather(-1, own[..., None])[..., 0].sum(1))
        return model.autoencoder.codebook.vectors[own]

    holes = hidden.expand(len(pictures), -1, -1)
    seen, is_known = model.seen(pictures, holes)
    _filled(model, seen, is_known, pick, at_once)
    return total


def _filled(model: PUT, seen: Tensor, is_known: Tensor, pick: Pick, at_once: int) -> Tensor:
    """Return what the transformer reads [R, N, C] after every hidden patch was given a vector; all rows hide equally many."""
    seen, is_known = seen.clone(), is_known.clone()
    left = int((~is_known[0]).sum())
    while left:
        scores = model(seen)
        sureness = scores.amax(-1).masked_fill(is_known, -torch.inf)
        places = sureness.topk(min(at_once, left), -1).indices
        own = scores.gather(1, places[..., None].expand(-1, -1, scores.shape[-1]))
        vectors = pick(own, places)
        seen.scatter_(1, places[..., None].expand_as(vectors), vectors)
        is_known.scatter_(1, places, True)
        left -= places.shape[1]
    return seen
