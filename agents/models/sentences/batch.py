"""Texts as padded token numbers, and positions pooled to one vector a text. B texts, T positions, D width."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agents.control_tokens import control_tokens


def batch(tokenizer: Any, texts: Sequence[str], longest: int) -> tuple[Tensor, Tensor]:
    """Return token numbers [B, T] and which are no padding [B, T] bool; padding is on the right, whatever the tokenizer's is.

    The name of a control token in a text is read as words.
    """
    control = control_tokens(tokenizer)
    said = [control.disarmed(text) for text in texts]
    found = tokenizer(said, padding=True, truncation=True, max_length=longest, padding_side="right")
    return torch.tensor(found["input_ids"]), torch.tensor(found["attention_mask"]).bool()


def mean_pooled(states: Tensor, there: Tensor) -> Tensor:
    """Return the mean over the positions that are there [B, D], of [B, T, D]."""
    weights = there[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp_min(1)


def last_pooled(states: Tensor, there: Tensor) -> Tensor:
    """Return the state at the last position that is there [B, D], of [B, T, D]."""
    places = torch.arange(there.shape[1]).masked_fill(~there, -1).amax(1).clamp_min(0)
    return states[torch.arange(len(states)), places]
