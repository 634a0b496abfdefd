"""Draw the next token of text rows: each with its own temperature, nucleus, top-k and random number.

A row's random number depends on its request's seed and its step alone, so a row samples alike in any batch.
"""

import numpy as np
import torch

from kernels.belief import check_maxima

AT_ONCE = 128


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
    p = _belief(z, temperature)
    for row, (nucleus, most) in enumerate(zip(top_p, top_k, strict=True)):
        if nucleus is not None or most is not None:
            p[row] = _restricted(p[row], nucleus, most)
    return _drawn(z, p, greedy, numbers)


def sample_unseen(
    logits: torch.Tensor,
    temperature: torch.Tensor,
    numbers: torch.Tensor,
    restricted: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None,
) -> torch.Tensor:
    """Return what `sample` returns without looking at any value, so that nobody waits for a GPU.

    Args:
        logits, temperature, numbers: as there; the logits are not checked.
        restricted: rows [R] with a nucleus or a top-k, the mass [R] float64 of the one and the number [R] int64 of the other,
            both larger than anything where there is none.
    """
    z = logits.float()
    p = _belief(z, temperature)
    if restricted is not None:
        rows, top_p, top_k = restricted
        ordered, ids = p[rows].sort(dim=1, descending=True, stable=True)
        keep = torch.arange(p.shape[1], device=p.device) < top_k[:, None]
        keep &= ordered.cumsum(1) - ordered < top_p[:, None]
        p = p.index_copy(0, rows, torch.zeros_like(ordered).scatter(1, ids, ordered * keep))
    return _drawn(z, p, temperature == 0, numbers)


def _belief(z: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
    return torch.softmax(z / torch.where(temperature == 0, 1.0, temperature)[:, None], dim=1)


def _drawn(z: torch.Tensor, p: torch.Tensor, greedy: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    # Sums in double precision, of some rows at a time.
    drawn = torch.cat(
        [
            _inverted(rows, chosen)
            for rows, chosen in zip(torch.split(p, AT_ONCE), torch.split(numbers, AT_ONCE), strict=True)
        ]
    )
    return torch.where(greedy, z.argmax(dim=1), drawn.clamp_max(z.shape[1] - 1))


def _inverted(p: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    cumulative = p.double().cumsum(dim=1)
    return torch.searchsorted(cumulative, numbers[:, None] * cumulative[:, -1:], right=True).squeeze(1)


def _restricted(p: torch.Tensor, top_p: float | None, top_k: int | None) -> torch.Tensor:
    """Return p [V] with all but the top-k and the smallest set of mass top_p set to 0."""
    ordered, ids = p.sort(descending=True, stable=True)
    keep = torch.ones_like(ordered, dtype=torch.bool)
    if top_k is not None:
        keep[top_k:] = False
    if top_p is not None:
        keep &= ordered.cumsum(0) - ordered < top_p
    return torch.zeros_like(p).index_put((ids[keep],), ordered[keep])
