"""From logits to a belief: temperature, masks, checks, restriction to likely tokens. B rows, V tokens."""

import torch
from torch import Tensor

from kernels.errors import InvalidBelief


def as_temperature(temperature: Tensor | float, rows: int, device: torch.device, *, trusted: bool = False) -> Tensor:
    """Temperatures as [B] float32, checked to be finite and not negative; `trusted` ones are not looked at."""
    if isinstance(temperature, int | float) and 0 <= temperature < float("inf"):
        return torch.full((rows,), temperature, dtype=torch.float32, device=device)
    value = torch.as_tensor(temperature, dtype=torch.float32, device=device)
    if value.dim() > 1 or (value.dim() == 1 and value.shape[0] not in (1, rows)):
        raise ValueError(
            f"temperature must be a number or have one entry a row ({rows}), got shape {list(value.shape)}"
        )
    if not trusted and not all(0 <= t < float("inf") for t in value.flatten().tolist()):
        raise ValueError(f"temperature must be finite and >= 0, got {value.tolist()}")
    return value.expand(rows)


_COMPLAINTS = {1: "NaN", 2: "+inf", 3: "nothing but -inf"}
# Of a row whose belief is sound and whose vector is not.
NOT_FINITE = 4


def complaint(status: int) -> str:
    """Why a row of this status, which is not 0, says nothing."""
    if status == NOT_FINITE:
        return "its vector is not finite, so nothing is nearest"
    return f"logits: {_COMPLAINTS[status]} in it, so there is no belief to average"


def status_of(maxima: Tensor, has_nan: Tensor) -> Tensor:
    """The status of rows, [B] int32: 1 (a NaN), 2 (+inf), 3 (nothing but −inf) or 0, a belief.

    Args:
        maxima: [B], of what is no NaN; −inf where nothing is.
        has_nan: [B] bool.
    """
    inf = float("inf")
    found = torch.where(maxima == inf, 2, torch.where(maxima == -inf, 3, 0))
    return torch.where(has_nan, 1, found).int()


def invalid_rows(status: list[int]) -> InvalidBelief:
    """The error for rows whose status is 1 (a NaN), 2 (+inf) or 3 (nothing but −inf)."""
    rows = tuple(row for row, code in enumerate(status) if code)
    shown = ", ".join(map(str, rows[:8])) + (", …" if len(rows) > 8 else "")
    return InvalidBelief(
        f"logits row {shown}: {_COMPLAINTS[status[rows[0]]]} in it, so there is no belief to average", rows
    )


def raise_for(status: Tensor | None) -> None:
    """Raise InvalidBelief where a status [B] is not 0."""
    if status is not None and bool(status.any()):
        raise invalid_rows(status.tolist())


def check_maxima(maxima: Tensor) -> None:
    """Raise where a row's maximum shows that it is no belief: NaN wins every maximum, and an empty row has -inf."""
    if bool(torch.isfinite(maxima).all()):
        return
    inf = float("inf")
    raise invalid_rows([1 if m != m else 2 if m == inf else 3 if m == -inf else 0 for m in maxima.tolist()])


def scaled_logits(logits: Tensor, temperature: Tensor, *, trusted: bool = False) -> Tensor:
    """(z - max z) / T in float32, so that the largest entry is 0 and exp() cannot overflow; -inf off the argmax at T = 0.

    A tie at T = 0 goes to the lowest id. `trusted` rows are known to be beliefs: no value is looked at, so that on a GPU nobody
    waits for it.
    """
    z = logits.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)
    if z.shape[0] == 0:
        return z
    maxima = z.max(dim=-1).values
    if not trusted:
        check_maxima(maxima.detach())
    shifted = z - maxima[:, None]
    frozen = (temperature == 0)[:, None]
    scaled = shifted / torch.where(frozen, 1.0, temperature[:, None]).to(z.dtype)
    if trusted or bool(frozen.any()):
        one_hot = torch.arange(z.shape[1], device=z.device)[None, :] == first_argmax(z, maxima)[:, None]
        scaled = torch.where(frozen, torch.where(one_hot, 0.0, float("-inf")).to(z.dtype), scaled)
    return scaled


def first_argmax(z: Tensor, maxima: Tensor) -> Tensor:
    """The lowest id that attains the row's maximum, [B] int64 (torch.max promises no particular one)."""
    return (z == maxima[:, None]).to(torch.uint8).argmax(dim=-1)


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row of values [B, V] float32, largest first, and their ids; of equal ones the lowest ids first.

    What a stable sort begins with, found without sorting the rest. No NaN; −0 counts as 0.
    """
    bits = (values + 0.0).view(torch.int32)
    # Negative numbers have their order turned round, so that the integers rise with the numbers.
    rising = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    last = values.shape[1] - 1
    keys = (rising << 32) | (last - torch.arange(values.shape[1], device=values.device))
    ids = last - (keys.topk(count, dim=1).values & 0xFFFFFFFF)
    return values.gather(1, ids), ids


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
    few = top_k is not None and top_k < scaled.shape[1]
    if few and (top_p is None or top_p == 1) and scaled.dtype == torch.float32:
        assert top_k is not None
        values, order = largest(scaled, top_k)
        scaled = torch.full_like(scaled, float("-inf")).scatter(1, order, values)
    elif few or (top_p is not None and top_p < 1):
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
