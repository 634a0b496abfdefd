"""What a transform is given, and what it says of what it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from agents.errors import ModelError

# Where each family keeps the linear maps of a block is the same: q, k, v, o in `self_attn`, gate, up, down in `mlp`.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


@dataclass
class Subject:
    """A causal language model that transforms change, one after the other.

    Attributes:
        name: what the user calls it.
        model: transformers' model on the CPU, in float32; a transform may put another in its place.
        tokenizer: its own.
        dtype: what its weights are stored in; a transform whose weights need it sets float32.
    """

    name: str
    model: Any
    tokenizer: Any
    dtype: torch.dtype


@dataclass(frozen=True)
class Outcome:
    """What a transform did.

    Attributes:
        facts: figures by name, as JSON values.
        remarks: sentences for people, for the card.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def relative_error(made: Tensor, given: Tensor) -> float:
    """Return ‖made − given‖ / ‖given‖; 0 where both are all zeros, as maps are of which nothing stayed."""
    return float((made - given).norm() / given.norm().clamp_min(torch.finfo(given.dtype).tiny))


def layers_of(subject: Subject, transform: str) -> list[Any]:
    """Return the blocks of a model whose linear maps a transform knows by name.

    Raises:
        ModelError: it is of another family, or has no blocks.
    """
    family = subject.model.config.model_type
    if getattr(subject.model.config, "kept_units", 0):
        raise ModelError(
            f"{subject.name} keeps the largest activations of its feed-forward layers (topk), and {transform} knows layers that "
            "keep all; name topk last"
        )
    if any(getattr(subject.model.config, "hard_keys", ())):
        raise ModelError(
            f"the attention of {subject.name} is hard in some layers (axformer), and {transform} knows layers that hear all "
            "positions; name axformer last"
        )
    if family not in FAMILIES:
        raise ModelError(
            f"{transform} knows the blocks of {', '.join(FAMILIES[:-1])} and {FAMILIES[-1]} models; {subject.name} is of type "
            f"{family}. Take a model of one of these, or leave {transform} out"
        )
    layers = list(subject.model.model.layers)
    if not layers:
        raise ModelError(
            f"{subject.name} has no blocks (num_hidden_layers is 0), so there is nothing for {transform} to change"
        )
    return layers


def linears(layer: Any) -> dict[str, torch.nn.Linear]:
    """Return the linear maps of a block, by their names in it."""
    attention, feed_forward = layer.self_attn, layer.mlp
    return {
        **{f"self_attn.{name}": getattr(attention, name) for name in ("q_proj", "k_proj", "v_proj", "o_proj")},
        **{f"mlp.{name}": getattr(feed_forward, name) for name in ("gate_proj", "up_proj", "down_proj")},
    }
