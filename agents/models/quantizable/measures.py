"""What the paper measures: outliers of what blocks compute, shares that are exactly 0, and what rounding does to beliefs.

B texts, T positions, V tokens.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from agents.attention.row_attention import visible
from agents.transforms.ptq.places import RoundedLayerNorm

# Of the deviation to the fourth, as the published code has it.
EPSILON = 1e-6


@dataclass(frozen=True)
class Outliers:
    """How large the largest numbers are, over the results of blocks, of their norms, and of the last maps of their parts.

    Attributes:
        norm: the largest infinity norm of a text, averaged over texts, of any of them.
        kurtosis: mean over all of them of the kurtosis of a text's numbers, averaged over texts; 3 of normal ones.
        zeros: share of the attention that a causal mask lets through that is exactly 0.
    """

    norm: float
    kurtosis: float
    zeros: float


def kurtosis(x: Tensor) -> Tensor:
    """Return the kurtosis [B] of rows of numbers [B, N]: the mean fourth power of deviations over that of the standard one."""
    return (x - x.mean(1, keepdim=True)).pow(4).mean(1) / (x.std(1).pow(4) + EPSILON)


def outliers(model: Any, batches: Iterable[Tensor]) -> Outliers:
    """Return what a model's blocks compute of texts, each batch [B, T] token numbers without padding."""
    norms: dict[str, list[float]] = defaultdict(list)
    peaks: dict[str, list[float]] = defaultdict(list)
    zeros: list[float] = []

    def note(name: str, x: Tensor) -> None:
        rows = x.flatten(1)
        norms[name] += rows.abs().amax(1).tolist()
        peaks[name] += kurtosis(rows).tolist()

    def count(name: str, shares: Tensor) -> None:
        seen = visible(shares.shape[-2], shares.shape[-1])
        zeros.append(float((shares == 0)[..., seen].float().mean()))

    watched: list[tuple[str, nn.Module, Callable[[str, Tensor], None]]] = []
    for number, layer in enumerate(model.model.layers):
        parts = (
            layer,
            layer.mlp.down_proj,
            layer.self_attn.o_proj,
            layer.input_layernorm,
            layer.post_attention_layernorm,
        )
        watched += [(f"{number}.{place}", part, note) for place, part in enumerate(parts)]
        watched.append((f"{number}", layer.self_attn.shares_at, count))
    if isinstance(model.model.norm, RoundedLayerNorm):
        watched.append(("norm", model.model.norm, note))
    with _hooked(watched), torch.no_grad():
        for batch in batches:
            model(batch, use_cache=False)
    return Outliers(max(map(fmean, norms.values())), fmean(map(fmean, peaks.values())), fmean(zeros))


@dataclass(frozen=True)
class Drift:
    """How far beliefs and messages of a rounded copy are from the model's, after the same texts.

    Attributes:
        beliefs: mean KL(model ‖ copy) of the next token, in nats.
        messages: mean squared distance of the expected embeddings over the mean squared distance of the model's from their mean.
    """

    beliefs: float
    messages: float


@torch.no_grad()
def drift(model: Any, copy: Any, ids: Tensor) -> Drift:
    """Return the drift of a copy after every prefix of texts [B, T]; messages are in the model's own table, at temperature 1."""
    whole, made = (torch.log_softmax(each(ids, use_cache=False).logits.double(), -1) for each in (model, copy))
    table = model.get_input_embeddings().weight.double()
    said, heard = whole.exp() @ table, made.exp() @ table
    spread = (said - said.mean((0, 1))).square().sum(-1).mean()
    return Drift(
        float((whole.exp() * (whole - made)).sum(-1).mean()), float((said - heard).square().sum(-1).mean() / spread)
    )


@contextmanager
def _hooked(watched: list[tuple[str, nn.Module, Callable[[str, Tensor], None]]]) -> Iterator[None]:
    def hook(name: str, told: Callable[[str, Tensor], None]) -> Callable[..., None]:
        return lambda _, inputs, output: told(name, output)

    handles = [module.register_forward_hook(hook(name, told)) for name, module, told in watched]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
