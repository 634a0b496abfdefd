"""A small version of a loaded model that computes as the whole does: fewer layers, the same sizes, the same weights.

Every kind of layer stays (the first layers up to the last new kind), and what a model does only far into a text (a sliding
window, a chunk, another rotary scale) it does after a few positions.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.initialization import no_init_weights

MIN_LAYERS = 2
WINDOW = 8
SWITCH = 24
VOCABULARY = 4096
# Config values that say after how many positions something changes, and the value that they get.
FAR = {
    re.compile(r"(window(_size)?|chunk_size|window_length|local_attention)$"): WINDOW,
    re.compile(r"original_max_position_embeddings$"): SWITCH,
}


@dataclass
class Miniature:
    """A model of the same class.

    Attributes:
        model: ready to run, with eager attention.
        layers: how many it has.
        switches: the real values of what became SWITCH.
        windows: the real values of what became WINDOW or was smaller.
    """

    model: Any
    layers: int
    switches: set[int] = field(default_factory=set)
    windows: set[int] = field(default_factory=set)


def miniature(model: Any, dtype: torch.dtype, *, near: bool = True, slices_head: bool = True) -> Miniature:
    """Return a small version of a model, which is left as it is.

    Args:
        model: loaded, of transformers.
        dtype: in which the small one computes. In the model's own it shares all weights, and its table has all rows; in
            another the layers are copied.
        near: let windows and switches come after a few positions.
        slices_head: in another dtype, let the head have VOCABULARY rows at most.
    """
    config = copy.deepcopy(model.config)
    text = config.get_text_config()
    total = int(text.num_hidden_layers)
    layers = min(total, max(MIN_LAYERS, _with_every_kind(model, total)))
    found = Miniature(None, layers)
    for holder in {id(c): c for c in (config, text)}.values():
        _bring_near(vars(holder), found, really=near)
        if layers < total:
            _cut(holder, total, layers)
    config._attn_implementation = "eager"
    with no_init_weights():
        found.model = type(model)(config)
    _share_weights(model, found.model, dtype, slices_head=slices_head)
    found.model.eval().requires_grad_(False)
    return found


def _with_every_kind(model: Any, total: int) -> int:
    """Return how many of the first layers have one of each kind among them."""
    stack = next((m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == total), None)
    types = getattr(model.config.get_text_config(), "layer_types", None) or [None] * total
    if stack is None or len(types) != total:
        return total
    seen: set[Any] = set()
    needed = 0
    for index, layer in enumerate(stack):
        kind = (types[index], tuple(_signature(layer)))
        if kind not in seen:
            seen.add(kind)
            needed = index + 1
    return needed


def _signature(layer: torch.nn.Module) -> Iterator[Any]:
    """Yield what makes a layer another kind than the next: its parts, their shapes and their plain settings."""
    for name, module in layer.named_modules():
        plain = sorted(
            (key, value)
            for key, value in vars(module).items()
            if isinstance(value, bool | int | str) and "idx" not in key and "id" not in key.split("_")
        )
        shapes = [tuple(weight.shape) for weight in module.parameters(recurse=False)]
        yield name, type(module).__name__, repr(plain), repr(shapes)


def _bring_near(values: dict[str, Any], found: Miniature, *, really: bool) -> None:
    """Note where windows and switches are, in a config and in the tables inside it, and let them come after a few positions."""
    for key, value in values.items():
        if isinstance(value, dict):
            _bring_near(value, found, really=really)
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            continue
        for pattern, near in FAR.items():
            if pattern.search(key):
                (found.switches if near == SWITCH else found.windows).add(value)
                if really:
                    values[key] = min(value, near)


def _cut(config: Any, total: int, layers: int) -> None:
    """Let a config have fewer layers: their number, and everything listed by layer."""
    for key, value in list(vars(config).items()):
        if isinstance(value, list | tuple) and len(value) == total and key != "architectures":
            vars(config)[key] = value[:layers]
    if hasattr(config, "num_hidden_layers"):
        config.num_hidden_layers = layers


def _share_weights(model: Any, small: Any, dtype: torch.dtype, *, slices_head: bool) -> None:
    """Give a small model the weights of the same names and shapes; what has none gets small random ones."""
    own = dtype == model.dtype
    head = small.get_output_embeddings()
    sliced = slices_head and not own and isinstance(head, torch.nn.Linear)
    embedding = small.get_input_embeddings()
    # No table is looked up in, since vectors go in; but some models compute their logits with it in a way of their own.
    unused = embedding.weight if sliced and hasattr(embedding, "weight") else None
    given = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    converted: dict[int, torch.Tensor] = {}
    draw = torch.Generator().manual_seed(0)

    def like(real: torch.Tensor) -> torch.Tensor:
        if own or not real.is_floating_point():
            return real.detach()
        if id(real) not in converted:
            converted[id(real)] = real.detach().to(dtype)
        return converted[id(real)]

    for prefix, module in small.named_modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            real = given.get(f"{prefix}.{name}" if prefix else name)
            if real is None or real.shape != weight.shape:
                value = (torch.randn(weight.shape, generator=draw) * 0.02).to(model.device, dtype)
            elif weight is unused and module is not head:
                value = real.detach()
            elif sliced and module is head:
                value = real.detach()[:VOCABULARY].to(dtype)
            else:
                value = like(real)
            setattr(module, name, torch.nn.Parameter(value, requires_grad=False))
        for name, buffer in list(module.named_buffers(recurse=False)):
            real = given.get(f"{prefix}.{name}" if prefix else name)
            is_weight = (
                name not in module._non_persistent_buffers_set and real is not None and real.shape == buffer.shape
            )
            setattr(module, name, (like(real) if is_weight and real is not None else buffer).to(model.device))
    if sliced:
        head.out_features = len(head.weight)
