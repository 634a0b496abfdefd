"""`repquant`: scales of norms moved into the maps after them, then every linear map of the blocks rounded to a few bits.

The folder holds ordinary weights: norms and maps after the move, and of each map the numbers that its codes stand for. Quantised
activations are no weights and no folder can hold them; what they would do, with one scale a layer before and after the move,
is measured on the calibration's texts and written down. The learned clipping and the reconstruction of the paper are left out,
and so is its quantiser of attention, which is at run time too (quantisers.py has it).
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from agents.errors import ConfigError
from agents.transforms.calibration import OWN, Rows, calibration_rows
from agents.transforms.repquant.quantisers import FEWEST_BITS, MOST_BITS, Uniform, fitted, symmetric
from agents.transforms.repquant.reparameterise import Map, Norm, reparameterised
from agents.transforms.subject import Outcome, Subject, layers_of, linears, relative_error

# Norm of a block → the maps that read it.
READ = {
    "input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj"),
}
# A channel that is almost 0 would make its weights as much larger.
LEAST_SHARE = 1e-3


def repquant(
    subject: Subject,
    *,
    bits: int = 8,
    activations: int = 8,
    rows: int = 16,
    length: int = 128,
    calibration: str = OWN,
    seed: int = 0,
) -> Outcome:
    """Move the norms' scales into the maps after them and round the maps to a few bits.

    Args:
        subject: the model; its tables stay as they are, and with them the last norm, which is before a table.
        bits: of a weight; each row of a map has a scale and a zero point.
        activations: bits of what norms give, for the measurement alone.
        rows, length, calibration, seed: texts to look at (calibration.py).

    Raises:
        ConfigError: bits out of range.
        ModelError: a family whose blocks are not known.
    """
    for name, given in (("bits", bits), ("activations", activations)):
        if not FEWEST_BITS <= given <= MOST_BITS:
            raise ConfigError(f"repquant: {name} must be from {FEWEST_BITS} to {MOST_BITS}; got {given}")
    layers = layers_of(subject, "repquant")
    batch = calibration_rows(subject, calibration, rows=rows, length=length, seed=seed)
    most = _largest(subject, batch)
    whole = _logits(subject.model, batch)
    plain = copy.deepcopy(subject.model)
    _round(plain.model.layers, bits)
    before = _error(plain, batch, whole, lambda number, name: symmetric(most[number][name].max(), activations))
    ones: list[dict[str, Uniform]] = []
    spread = 0.0
    for layer, largest in zip(layers, most, strict=True):
        ones.append(move(layer, largest, activations))
        spread = max(
            spread,
            *(float(each.max() / each.mean().clamp_min(torch.finfo(each.dtype).tiny)) for each in largest.values()),
        )
    moved = relative_error(_logits(subject.model, batch), whole) ** 2
    error = _round(layers, bits)
    after = _error(subject.model, batch, whole, lambda number, name: ones[number][name])
    weights = relative_error(_logits(subject.model, batch), whole) ** 2
    # The numbers that codes stand for have more digits than 16 bits keep.
    subject.dtype = torch.float32
    count = sum(linear.weight.numel() for layer in layers for linear in linears(layer).values())
    facts: dict[str, Any] = {
        "map_bytes": count * bits // 8,
        "map_bytes_before": 2 * count,
        "weight_error": error,
        "channel_spread": spread,
        "error_of_the_move": moved,
        "logit_error": weights,
        "logit_error_activations_before": before,
        "logit_error_activations_after": after,
    }
    return Outcome(
        facts,
        (
            f"The maps' numbers are those of {bits}-bit codes, {count * bits // 8:,} bytes of them besides a scale and a zero "
            "point a row; this folder holds them dequantised. Relative squared error of the logits: "
            f"{weights:.2g} by the weights alone; with norms' outputs in {activations} bits and one scale a layer {after:.2g}, "
            f"and {before:.2g} without the move.",
        ),
    )


def move(layer: Any, largest: dict[str, Tensor], bits: int) -> dict[str, Uniform]:
    """Move the scales of a block's norms into the maps after them, and return each norm's one quantiser.

    Args:
        layer: the block; it computes the same afterwards.
        largest: norm → largest magnitude of each channel of what it gives, [D].
        bits: of that.
    """
    found = {}
    maps = linears(layer)
    for name, most in largest.items():
        norm = getattr(layer, name)
        each = symmetric(most.clamp_min(LEAST_SHARE * float(most.mean())), bits)
        read = [maps[place] for place in READ[name]]
        scaled, changed, found[name] = reparameterised(Norm(norm.weight), [Map(one.weight) for one in read], each)
        norm.weight.data = scaled.scale
        for one, made in zip(read, changed, strict=True):
            one.weight.data = made.weight
    return found


def _largest(subject: Subject, batch: Rows) -> list[dict[str, Tensor]]:
    """Return for each block norm → largest magnitude of each channel over the texts."""
    found: list[dict[str, Tensor]] = [{} for _ in layers_of(subject, "repquant")]

    def keep(number: int, name: str) -> Callable[..., None]:
        def hook(_: Any, inputs: Any, output: Tensor) -> None:
            found[number][name] = output[batch.is_text].abs().amax(0)

        return hook

    handles = [
        getattr(layer, name).register_forward_hook(keep(number, name))
        for number, layer in enumerate(layers_of(subject, "repquant"))
        for name in READ
    ]
    _logits(subject.model, batch)
    for handle in handles:
        handle.remove()
    return found


def _round(layers: Any, bits: int) -> float:
    """Round every map of the blocks and return the mean relative error."""
    errors = []
    for layer in layers:
        for linear in linears(layer).values():
            matrix = linear.weight.detach()
            made = fitted(matrix, bits)(matrix)
            errors.append(relative_error(made, matrix))
            linear.weight.data = made
    return sum(errors) / len(errors)


def _error(model: Any, batch: Rows, whole: Tensor, quantiser: Callable[[int, str], Uniform]) -> float:
    """Return the relative squared error of the logits where what norms give is quantised too."""
    handles = []
    for number, layer in enumerate(model.model.layers):
        for name in READ:
            one = quantiser(number, name)
            handles.append(getattr(layer, name).register_forward_hook(lambda _, inputs, output, one=one: one(output)))
    try:
        return relative_error(_logits(model, batch), whole) ** 2
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _logits(model: Any, batch: Rows) -> Tensor:
    found: Tensor = model(batch.ids, use_cache=False).logits[batch.is_text]
    return found
