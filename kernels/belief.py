"""From logits to a belief: temperature, masks, checks, restriction to likely tokens. B rows, V tokens."""

import torch
from torch import Tensor

from kernels.errors import InvalidBelief


def as_temperature(temperature: Tensor | float, rows: int, device: torch.device) -> Tensor:
    """Temperatures as [B] float32, checked to be finite and not negative."""
    if isinstance(temperature, int | float) and 0 <= temperature < float("inf"):
        return torch.full((rows,), temperature, dtype=torch.float32, device=device)
    value = torch.as_tensor(temperature, dtype=torch.float32, device=device)
    if value.dim() > 1 or (value.dim() == 1 and value.shape[0] not in (1, rows)):
        raise ValueError(
            f"temperature must be a number or have one entry a row ({rows}), got shape {list(value.shape)}"
        )
    if not all(0 <= t < float("inf") for t in value.flatten().tolist()):
        raise ValueError(f"temperature must be finite and >= 0, got {value.tolist()}")
    return value.expand(rows)


_COMPLAINTS = {1: "NaN", 2: "+inf", 3: "nothing but -inf"}


def invalid_rows(status: list[int]) -> InvalidBelief:
    """The error for rows whose status is 1 (a NaN), 2 (+inf) or 3 (nothing but −inf)."""
    rows = tuple(row for row, code in enumerate(status) if code)
    shown = ", ".join(map(str, rows[:8])) + (", …" if len(rows) > 8 else "")
    return InvalidBelief(
        f"logits row {shown}: {_COMPLAINTS[status[rows[0]]]} in it, so there is no belief to average", rows
    )


def check_maxima(maxima: Tensor) -> None:
    """Raise where a row's maximum shows that it is no belief: NaN wins every maximum, and an empty row has -inf."""
    if bool(torch.isfinite(maxima).all()):
        return
    inf = float("inf")
    raise invalid_rows([1 if m != m else 2 if m == inf else 3 if m == -inf else 0 for m in maxima.tolist()])


def scaled_logits(logits: Tensor, temperature: Tensor) -> Tensor:
    """(z - max z) / T in float32, so that the largest entry is 0 and exp() cannot overflow; -inf off the argmax at T = 0.

    A tie at T = 0 goes to the lowest id.
    """
    z = logits.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)
    if z.shape[0] == 0:
        return z
    maxima = z.max(dim=-1).values
    check_maxima(maxima.detach())
    shifted = z - maxima[:, None]
    frozen = (temperature == 0)[:, None]
    scaled = shifted / torch.where(frozen, 1.0, temperature[:, None]).to(z.dtype)
    if bool(frozen.any()):
        one_hot = torch.arange(z.shape[1], device=z.device)[None, :] == first_argmax(z, maxima)[:, None]
        scaled = torch.where(frozen, torch.where(one_hot, 0.0, float("-inf")).to(z.dtype), scaled)
    return scaled


def first_argmax(z: Tensor, maxima: Tensor) -> Tensor:
    """The lowest id that attains the row's maximum, [B] int64 (torch.max promises no particular one)."""
    return (z == maxima[:, None]).to(torch.uint8).argmax(dim=-1)


def restrict(scaled: Tensor, top_k: int | None, top_p: float | None, min_p: float | None) -> Tensor:
    """`scaled` with -inf outside of what the three options keep, each applied to what the one before left.

    top_k keeps the k largest (of equal ones the lowest ids), top_p the shortest prefix of the sorted tokens whose mass
    reaches p (the one that crosses p is kept), min_p whatever has at least min_p times the largest probability.
    """
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}")
    if min_p is not None and not 0 <= min_p <= 1:
        raise ValueError(f"min_p must be in [0, 1], got {min_p}")
    if (top_k is not None and top_k < scaled.shape[1]) or (top_p is not None and top_p < 1):
        values, order = scaled.sort(dim=-1, descending=True, stable=True)
        if top_k is not None:
            values[:, top_k:] = float("-inf")
        if top_p is not None and top_p < 1:
            mass = values.softmax(dim=-1)
            before = mass.double().cumsum(dim=-1) - mass.double()
            values = values.masked_fill(before >= top_p, float("-inf"))
        scaled = torch.full_like(scaled, float("-inf")).scatter(1, order, values)
    if min_p is not None and min_p > 0:
        scaled = scaled.masked_fill(scaled.exp() < min_p, float("-inf"))
    return scaled
