"""Whether a row has the same bits in company as alone: tried in the model's own dtype, at its own sizes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from agents.backends.transformers.cache import SlotCache
from agents.backends.transformers.decoder import Decoder, Mode
from agents.backends.transformers.miniature import miniature
from agents.backends.transformers.truth import give_attention

# Parts of the names of torch's operators that add up products, whose last bits depend on their shapes.
PRODUCTS = ("mm", "mv", "matmul", "linear", "conv", "einsum", "dot", "inner")

# Positions of the rows that decode together.
LENGTHS = (5, 3, 4, 2)


def variant_of(model: Any, inputs: torch.Tensor, mode: Mode) -> str:
    """Return why a row has other bits in company than alone; empty if it has the same.

    Args:
        model: loaded, of transformers; left as it is.
        inputs: [rows, L, D] in its dtype.
        mode: in which the model would be decoded.
    """
    if mode.rows is None:
        return "it was not asked for"
    if mode.way == "single" or mode.rows == 1:
        return ""
    if mode.way == "masked":
        return "its attention is of its own kind, and adds every row up over the longest row's length"
    small = miniature(model, model.dtype).model
    give_attention(small, mode.attention)
    decoder = Decoder(small, mode, inputs.device, inputs.shape[1])
    cache = SlotCache(decoder.num_layers)
    cache.reserve(len(LENGTHS), inputs.shape[1])

    def decoded(chosen: Sequence[int]) -> tuple[torch.Tensor, set[Any]]:
        positions = torch.tensor([LENGTHS[row] for row in chosen], device=inputs.device)
        with _Shapes() as shapes:
            logits = decoder.decode(cache, inputs[list(chosen), positions], positions, slots=list(chosen))
        return logits, shapes.seen

    # Not as prompts: of matrix products of a few rows some processors are very slow.
    for position in range(max(LENGTHS)):
        rows = [row for row, length in enumerate(LENGTHS) if length > position]
        positions = torch.full((len(rows),), position, device=inputs.device)
        decoder.decode(cache, inputs[rows, position], positions, slots=rows)
    together, shapes = decoded(range(len(LENGTHS)))
    alone = [decoded([row]) for row in range(len(LENGTHS))]
    grouped = any("grouped_mm" in name for name, _ in shapes)
    if grouped or shapes != set[Any]().union(*(seen for _, seen in alone)):
        return "its matrix products have other shapes in company, as in a mixture of experts"
    if not torch.equal(together, torch.cat([logits for logits, _ in alone])):
        return "its last bits are others in company"
    return ""


class _Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the shapes of all matrix products and convolutions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if any(kind in name for kind in PRODUCTS):
            self.seen.add((name, tuple(tuple(a.shape) for a in args if isinstance(a, torch.Tensor))))
        return func(*args, **(kwargs or {}))
