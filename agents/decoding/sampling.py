"""Draw the next token of text rows: each with its own temperature, nucleus, top-k and random number.

A row's random number depends on its request's seed and its step alone, so a row samples alike in any batch.
"""

import numpy as np
import torch

from kernels.belief import check_maxima


def uniform(seed: int, step: int) -> float:
    """Return the number in [0, 1) that a request with this seed uses at this step (counter-based, Philox)."""
    return float(np.random.Generator(np.random.Philox(key=seed, counter=step)).random())


def sample(
    logits: torch.Tensor,
    temperature: torch.Tensor,
    numbers: torch.Tensor,
    top_p: list[float | None],
    top_k: list[int | None],
) -> torch.Tensor:
    """Return token ids [B], by inversion of each row's distribution function.

    Args:
        logits: [B, V].
        temperature: [B] float32; 0 takes the most probable token, the lowest id of equals.
        numbers: [B] float64 in [0, 1).
        top_p, top_k: per row; None leaves the row whole.

    Raises:
        InvalidBelief: a row is no belief, as for vectors: a NaN, +inf, or nothing but -inf.
    """
    z = logits.float()
    check_maxima(z.amax(dim=1))
    greedy = temperature == 0
    if bool(greedy.all()):
        return z.argmax(dim=1)
    p = torch.softmax(z / torch.where(greedy, 1.0, temperature)[:, None], dim=1)
    for row, (nucleus, most) in enumerate(zip(top_p, top_k, strict=True)):
        if nucleus is not None or most is not None:
            p[row] = _restricted(p[row], nucleus, most)
    cumulative = p.double().cumsum(dim=1)
    drawn = torch.searchsorted(cumulative, numbers[:, None] * cumulative[:, -1:], right=True).squeeze(1)
    return torch.where(greedy, z.argmax(dim=1), drawn.clamp_max(z.shape[1] - 1))


def _restricted(p: torch.Tensor, top_p: float | None, top_k: int | None) -> torch.Tensor:
    """Return p [V] with all but the top-k and the smallest set of mass top_p set to 0."""
    ordered, ids = p.sort(descending=True, stable=True)
    keep = torch.ones_like(ordered, dtype=torch.bool)
    if top_k is not None:
        keep[top_k:] = False
    if top_p is not None:
        keep &= ordered.cumsum(0) - ordered < top_p
    return torch.zeros_like(p).index_put((ids[keep],), ordered[keep])
