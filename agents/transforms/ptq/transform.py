"""`ptq`: weights and activations of a model in a few bits, after training, with one range for each tensor.

As the published code of Bondarenko et al. (NeurIPS 2023, arXiv:2306.12929) has it: weights symmetric by their largest magnitude,
activations asymmetric by a running lowest and highest number over some batches, in which everything before is rounded already. It
is for models that have places to round at (architecture `quantizable`), which a folder keeps: an engine plays the rounded model.
The table in which all agents speak stays as it is, and so does the head.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from agents.errors import ConfigError, ModelError
from agents.transforms.calibration import OWN, calibration_rows
from agents.transforms.ptq.places import mapping_modules, places_of, round_weights
from agents.transforms.repquant.quantisers import FEWEST_BITS, MOST_BITS
from agents.transforms.subject import Outcome, Subject


def ptq(
    subject: Subject,
    *,
    weights: int = 8,
    activations: int = 8,
    momentum: float = 0.9,
    rows: int = 16,
    length: int = 128,
    calibration: str = OWN,
    seed: int = 0,
) -> Outcome:
    """Round weights and activations to a few bits, each tensor by its lowest and highest number.

    Args:
        subject: the model, of an architecture that has places to round at.
        weights: bits of a weight.
        activations: bits of everything that is computed in the blocks.
        momentum: what the range so far weighs, of each further text.
        rows, length, calibration, seed: texts to look at (calibration.py), one a batch.

    Raises:
        ConfigError: bits or momentum out of range.
        ModelError: a model without such places, or one that is rounded already.
    """
    check_bits(weights, activations)
    if not 0 <= momentum < 1:
        raise ConfigError(f"ptq: momentum is from 0 up to 1, without it; got {momentum:g}")
    if not places_of(subject.model):
        kind = subject.model.config.model_type
        raise ModelError(
            f"ptq rounds at places that an architecture has to have; {subject.name} is of type {kind}, "
            "which has none. Take a model of type quantizable, or repquant, which rounds weights"
        )
    if subject.model.config.activation_bits is not None:
        raise ModelError(f"{subject.name} is rounded already; take the model that it was made of")
    batch = calibration_rows(subject, calibration, rows=rows, length=length, seed=seed)
    texts = [ids[is_text][None] for ids, is_text in zip(batch.ids, batch.is_text, strict=True)]
    whole = torch.cat([_logits(subject.model, text) for text in texts])
    quantise(subject.model, texts, weights=weights, activations=activations, momentum=momentum)
    made = torch.cat([_logits(subject.model, text) for text in texts])
    # The numbers that codes stand for have more digits than 16 bits keep.
    subject.dtype = torch.float32
    count = sum(module.weight.numel() for module in mapping_modules(subject.model))
    shares, log_shares = torch.softmax(whole, -1), torch.log_softmax(whole, -1)
    drift = float((shares * (log_shares - torch.log_softmax(made, -1))).sum(-1).mean())
    facts = {"weight_bits": weights, "activation_bits": activations, "map_bytes": count * weights // 8, "drift": drift}
    return Outcome(
        facts,
        (
            f"Weights of {weights} bits and activations of {activations}, one range a tensor; this folder holds the numbers that "
            f"codes stand for, and the ranges. On the texts it was made with its beliefs drift {drift:.2g} nats a token.",
        ),
    )


def check_bits(weights: int, activations: int) -> None:
    """Raise ConfigError for bits that no quantiser here has."""
    for name, given in (("weights", weights), ("activations", activations)):
        if not FEWEST_BITS <= given <= MOST_BITS:
            raise ConfigError(f"ptq: {name} are in {FEWEST_BITS} to {MOST_BITS} bits; got {given}")


@torch.no_grad()
def quantise(model: Any, batches: Iterable[Tensor], *, weights: int, activations: int, momentum: float = 0.9) -> None:
    """Round a model in place, and let its config say so.

    Args:
        model: causal, with places to round at.
        batches: token numbers [B, T] without padding, from which ranges are taken, one after the other.
        weights, activations: bits.
        momentum: see `ptq`.
    """
    round_weights(model, weights)
    for place in places_of(model):
        place.watch(activations, momentum)
    for batch in batches:
        model(batch, use_cache=False)
    for place in places_of(model):
        place.settle()
    model.config.weight_bits, model.config.activation_bits = weights, activations


@torch.no_grad()
def _logits(model: Any, ids: Tensor) -> Tensor:
    found: Tensor = model(ids, use_cache=False).logits[0].double()
    return found
