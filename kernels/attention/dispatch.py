"""Attention of one query over the vocabulary."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.belief import as_temperature


@dataclass(frozen=True, eq=False)
class VocabularyPartial:
    maximum: Tensor
    total: Tensor
    energy: Tensor
    accumulator: Tensor
    argmax: Tensor
    top_values: Tensor
    top_ids: Tensor


@dataclass(frozen=True, eq=False)
class VocabularyAttention:
    expectation: Tensor
    logsumexp: Tensor
    argmax: Tensor
    max_probability: Tensor
    entropy: Tensor
    top_values: Tensor
    top_ids: Tensor


def vocabulary_partial(*args: object, **kwargs: object) -> VocabularyPartial:
    raise NotImplementedError


def merge_partials(*args: object, **kwargs: object) -> VocabularyPartial:
    raise NotImplementedError


def vocabulary_attention(
    hidden: Tensor,
    head: Tensor,
    table: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    *,
    scale: float = 1.0,
    softcap: float | None = None,
    bias: Tensor | None = None,
    top_k: int = 0,
    impl: str = "auto",
) -> VocabularyAttention:
    logits = hidden.float() @ head.float().T
    if bias is not None:
        logits = logits + bias
    logits = logits * scale
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    temperatures = as_temperature(temperature, hidden.shape[0], hidden.device)
    scaled = logits / temperatures[:, None]
    lse = scaled.logsumexp(-1)
    p = (scaled - lse[:, None]).exp()
    values = head if table is None else table
    top_values, top_ids = logits.topk(top_k, -1)
    return VocabularyAttention(
        (p @ values.float()).to(values.dtype),
        lse,
        logits.argmax(-1),
        p.amax(-1),
        torch.special.entr(p).sum(-1),
        top_values,
        top_ids,
    )
