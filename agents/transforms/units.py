"""Heads and feed-forward units of a model's blocks: counted, masked, removed.

A head here is what can go without touching another: one key-value head with the query heads that share it. L layers, G heads
a layer, F units a layer, D width, d_h width of a head.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.errors import ModelError
from agents.transforms.subject import Subject, layers_of, linears


@dataclass(frozen=True)
class Shape:
    """Sizes of a model's blocks.

    Attributes:
        layers, heads, units: L, G and F.
        queries: query heads of a head.
        width, head: D and d_h.
    """

    layers: int
    heads: int
    units: int
    queries: int
    width: int
    head: int

    def head_macs(self, positions: int) -> int:
        """Return the multiply-accumulates of one head over T positions: T D d_h (2q + 2) for its maps, 2 T² d_h q for attention.

        Every query against every position, as the paper counts.
        """
        maps = positions * self.width * self.head * (2 * self.queries + 2)
        return maps + 2 * positions * positions * self.head * self.queries

    def unit_macs(self, positions: int) -> int:
        """Return those of one unit of a gated feed-forward layer: 3 T D."""
        return 3 * positions * self.width

    def macs(self, positions: int) -> int:
        """Return those of all blocks; embeddings, norms and the output head are left out."""
        return self.layers * (self.heads * self.head_macs(positions) + self.units * self.unit_macs(positions))


def shape_of(subject: Subject, transform: str) -> Shape:
    """Return the sizes of a model's blocks.

    Raises:
        ModelError: a family whose blocks the transform does not know.
    """
    layers = layers_of(subject, transform)
    attention, heads = layers[0].self_attn, subject.model.config.num_key_value_heads
    return Shape(
        layers=len(layers),
        heads=heads,
        units=layers[0].mlp.down_proj.in_features,
        queries=subject.model.config.num_attention_heads // heads,
        width=subject.model.config.hidden_size,
        head=attention.head_dim,
    )


@contextmanager
def masked(subject: Subject, heads: Tensor, units: Tensor) -> Iterator[None]:
    """Within it a model computes without some heads and units; they are taken out before the maps that sum them up.

    Args:
        subject: the model.
        heads: [L, G], 1 for what stays, or any other factor; or [L, B, T, G], a factor for each token.
        units: [L, F] or [L, B, T, F] likewise.
    """
    handles = []
    for layer, kept_heads, kept_units in zip(layers_of(subject, "masking"), heads, units, strict=True):
        attention, feed_forward = layer.self_attn.o_proj, layer.mlp.down_proj
        each = attention.in_features // kept_heads.shape[-1]
        handles.append(_times(attention, kept_heads.repeat_interleave(each, -1)))
        handles.append(_times(feed_forward, kept_units))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def scale(subject: Subject, heads: Tensor, units: Tensor) -> None:
    """Fold factors of heads [L, G] and units [L, F] into the maps that sum them up, which then need no mask."""
    for layer, of_heads, of_units in zip(layers_of(subject, "scaling"), heads, units, strict=True):
        attention, feed_forward = layer.self_attn.o_proj, layer.mlp.down_proj
        attention.weight.data *= of_heads.repeat_interleave(attention.in_features // len(of_heads))
        feed_forward.weight.data *= of_units


def _times(module: nn.Module, factors: Tensor) -> Any:
    return module.register_forward_pre_hook(lambda _, inputs: (inputs[0] * factors.to(inputs[0]),))


def stored_sizes(subject: Subject, heads: Tensor, units: Tensor) -> tuple[int, int]:
    """Return the heads and units of a layer that a standard config can have and that holds what stays of every layer.

    A config has one number for all layers, so the layer that keeps most decides; and Llama's takes only a number of heads
    that divides its width.
    """
    shape = shape_of(subject, "removal")
    most_heads, most_units = (max(1, int(kept.sum(1).max())) for kept in (heads, units))
    if subject.model.config.model_type == "llama":
        while most_heads < shape.heads and shape.width % (most_heads * shape.queries):
            most_heads += 1
    return most_heads, most_units


def remove(subject: Subject, heads: Tensor, units: Tensor) -> None:
    """Put a model without some heads and units in place of a subject's; its tables are the same.

    A layer that keeps fewer than `stored_sizes` is filled up with zeros, which add nothing.

    Args:
        subject: the model.
        heads: [L, G] bool, what stays.
        units: [L, F] bool likewise.
    """
    shape = shape_of(subject, "removal")
    num_heads, num_units = stored_sizes(subject, heads, units)
    config = copy.deepcopy(subject.model.config)
    config.head_dim, config.num_key_value_heads = shape.head, num_heads
    config.num_attention_heads, config.intermediate_size = num_heads * shape.queries, num_units
    smaller = type(subject.model)(config).to(torch.float32).eval()
    smaller.generation_config = subject.model.generation_config
    kept = dict(subject.model.state_dict())
    for number, layer in enumerate(layers_of(subject, "removal")):
        for name, linear in linears(layer).items():
            rows = _kept_rows(name, shape, heads[number], units[number])
            place = f"model.layers.{number}.{name}"
            target = smaller.get_submodule(place)
            is_input = name.endswith(("o_proj", "down_proj"))
            weight = linear.weight[:, rows] if is_input else linear.weight[rows]
            kept[f"{place}.weight"] = _filled(weight, target.weight.shape)
            if linear.bias is not None and not is_input:
                kept[f"{place}.bias"] = _filled(linear.bias[rows], target.bias.shape)
    smaller.load_state_dict(kept)
    _refuse_untied(subject, smaller)
    subject.model = smaller


def _kept_rows(name: str, shape: Shape, heads: Tensor, units: Tensor) -> Tensor:
    """Return the rows of a map in a block, or the columns of one that sums up, that stay."""
    if name.startswith("mlp."):
        return units.nonzero().flatten()
    each = shape.head * (1 if name.endswith(("k_proj", "v_proj")) else shape.queries)
    return heads.repeat_interleave(each).nonzero().flatten()


def _filled(kept: Tensor, size: torch.Size) -> Tensor:
    found = kept.new_zeros(size)
    found[tuple(slice(0, length) for length in kept.shape)] = kept
    return found


def _refuse_untied(subject: Subject, smaller: Any) -> None:
    """Raise ModelError where the tables are no longer what they were: messages would be on a table of their own."""
    for table in ("get_input_embeddings", "get_output_embeddings"):
        one, other = (getattr(model, table)().weight for model in (subject.model, smaller))
        if not torch.equal(one, other):
            raise ModelError(f"the tables of {subject.name} did not survive the removal of units; nothing was written")
