"""Which heads and units stay within a budget of multiply-accumulates.

Khaki and Plataniotis (ICLR 2024): heads and units are each ranked over all layers; for every number of heads the rest of
the budget is filled with units, and the number with the largest summed importance is taken. `search_uniform` keeps the same
number in every layer. L layers, G heads and F units a layer.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from agents.errors import ConfigError
from agents.transforms.removal import Masks


def search(heads: Tensor, units: Tensor, *, head_macs: int, unit_macs: int, budget: int) -> Masks:
    """Return the masks of the largest summed importance.

    Args:
        heads: [L, G] importance.
        units: [L, F] importance.
        head_macs, unit_macs: of one.
        budget: of all that stay.

    Raises:
        ConfigError: it holds not one head.
    """
    head_order, unit_order = _order(heads), _order(units)
    head_sums, unit_sums = _sums(heads, head_order), _sums(units, unit_order)

    def filled(num_heads: int) -> int:
        return min(units.numel(), (budget - num_heads * head_macs) // unit_macs)

    num_heads = _best(
        range(1, heads.numel() + 1),
        lambda count: filled(count) >= 0,
        lambda count: float(head_sums[count] + unit_sums[filled(count)]),
    )
    return Masks(_first(heads, head_order, num_heads), _first(units, unit_order, filled(num_heads)))


def search_uniform(
    heads: Tensor, units: Tensor, *, head_macs: int, unit_macs: int, budget: int, allowed: Callable[[int], bool]
) -> Masks:
    """Return those of which every layer keeps as many as the others.

    Args:
        heads, units, head_macs, unit_macs, budget: as of `search`.
        allowed: which numbers of heads a layer can have.

    Raises:
        ConfigError: the budget does not hold one head and one unit a layer.
    """
    layers = len(heads)
    ranked_heads, ranked_units = (each.double().sort(1, descending=True).values for each in (heads, units))

    def filled(count: int) -> int:
        return min(units.shape[1], (budget // layers - count * head_macs) // unit_macs)

    count = _best(
        range(1, heads.shape[1] + 1),
        lambda count: allowed(count) and filled(count) >= 1,
        lambda count: float(ranked_heads[:, :count].sum() + ranked_units[:, : filled(count)].sum()),
    )
    return Masks(_top_of_rows(heads, count), _top_of_rows(units, filled(count)))


def _best(counts: range, fits: Callable[[int], bool], importance: Callable[[int], float]) -> int:
    fitting = [count for count in counts if fits(count)]
    if not fitting:
        raise ConfigError("optin: the budget is too small for a single head; raise macs")
    # The first of equals.
    return max(fitting, key=importance)


def _order(importance: Tensor) -> Tensor:
    return importance.flatten().argsort(descending=True, stable=True)


def _sums(importance: Tensor, order: Tensor) -> Tensor:
    """Return the summed importance of the first n, for each n from 0."""
    ranked = importance.flatten().double()[order]
    return torch.cat([ranked.new_zeros(1), ranked.cumsum(0)])


def _first(importance: Tensor, order: Tensor, count: int) -> Tensor:
    kept = torch.zeros(importance.numel(), dtype=torch.bool)
    kept[order[:count]] = True
    return kept.view(importance.shape)


def _top_of_rows(importance: Tensor, count: int) -> Tensor:
    kept = torch.zeros(importance.shape, dtype=torch.bool)
    return kept.scatter_(1, importance.argsort(dim=1, descending=True, stable=True)[:, :count], True)
