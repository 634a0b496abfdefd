"""What one part of the vocabulary contributes, and how parts merge. B rows, D value width, K top-k, P parts.

A part keeps everything relative to its own largest logit. Merging is associative, so parts may be blocks of one table, the
splits of a GPU grid, or the ranks of a tensor-parallel model that each hold a shard of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from kernels.belief import check_maxima


@dataclass(frozen=True, eq=False)
class VocabularyPartial:
    """Attention over one part of the vocabulary, before normalisation.

    Weights are w = exp((z − maximum) / T); ids count from the start of the whole vocabulary.
    """

    maximum: Tensor  # [B] float32: the largest logit of the part, −inf where all are masked
    total: Tensor  # [B] float64: Σ w
    energy: Tensor  # [B] float64: Σ w (z − maximum) / T
    accumulator: Tensor  # [B, D] float32: Σ w E
    argmax: Tensor  # [B] int64: the lowest id of the largest logit, −1 where all are masked
    top_values: Tensor  # [B, K] float32: the largest logits, padded with −inf
    top_ids: Tensor  # [B, K] int64: equal logits by ascending id, padded with −1

    def shifted(self, offset: int) -> "VocabularyPartial":
        """The same part with ids that start at `offset`: for a shard that counted its rows from 0."""
        return VocabularyPartial(
            self.maximum,
            self.total,
            self.energy,
            self.accumulator,
            torch.where(self.argmax >= 0, self.argmax + offset, -1),
            self.top_values,
            torch.where(self.top_ids >= 0, self.top_ids + offset, -1),
        )


@dataclass(frozen=True, eq=False)
class VocabularyAttention:
    """softmax(z / T) · E and what else one walk over the vocabulary tells. B rows, D value width, K top-k."""

    expectation: Tensor  # [B, D] in the values' dtype
    logsumexp: Tensor  # [B] float32, of z / T; +inf at T = 0
    argmax: Tensor  # [B] int64, of z; the lowest id of equal ones
    max_probability: Tensor  # [B] float32
    entropy: Tensor  # [B] float32, nats
    top_values: Tensor  # [B, K] float32: the largest logits z, padded with −inf
    top_ids: Tensor  # [B, K] int64, padded with −1


def merge_partials(parts: Sequence[VocabularyPartial], temperature: Tensor) -> VocabularyPartial:
    """The part that the union of `parts` would have been, parts in the order of their ids; temperature [B] float32."""
    if not parts:
        raise ValueError("merge_partials needs at least one part")
    stacked = {field.name: torch.stack([getattr(part, field.name) for part in parts]) for field in fields(parts[0])}
    return merge_stacked(VocabularyPartial(**stacked), temperature)


def merge_stacked(parts: VocabularyPartial, temperature: Tensor) -> VocabularyPartial:
    """The same for parts stacked along a leading dimension: every tensor is [P, B, …]."""
    maximum = parts.maximum.amax(dim=0)
    down = parts.maximum - maximum
    # A part without any token, or with none where nothing is anywhere, weighs nothing; −inf − −inf must not become NaN.
    empty = parts.argmax < 0
    frozen = temperature == 0
    shift = down.double() / torch.where(frozen, 1.0, temperature).double()
    leads = (down == 0) & ~empty
    first = leads & (leads.cumsum(dim=0) == 1)
    scale = torch.where(frozen, first.double(), torch.where(empty, 0.0, shift.exp()))
    shift = torch.where(scale > 0, shift, 0.0)
    total = (parts.total * scale).sum(dim=0)
    energy = (scale * (parts.energy + shift * parts.total)).sum(dim=0)
    # −0 is the neutral element of addition, and a sum begins with it: a part that weighs nothing leaves the others' bits alone.
    factor = scale.float()[:, :, None]
    terms = torch.where(factor > 0, parts.accumulator * factor, -0.0)
    accumulator = terms.sum(dim=0)
    accumulator = torch.where((accumulator == 0) & torch.signbit(terms).all(dim=0), -0.0, accumulator)
    argmax = torch.where(first, parts.argmax, -1).amax(dim=0)
    count = parts.top_values.shape[2]
    values = parts.top_values.transpose(0, 1).flatten(1)
    ids = parts.top_ids.transpose(0, 1).flatten(1)
    # Parts come in the order of their ids, so a stable sort leaves equal logits by ascending id.
    values, order = values.sort(dim=1, descending=True, stable=True)
    return VocabularyPartial(
        maximum, total, energy, accumulator, argmax, values[:, :count], ids.gather(1, order[:, :count])
    )


def finish(part: VocabularyPartial, temperature: Tensor, dtype: torch.dtype) -> VocabularyAttention:
    """The result for a part that is the whole vocabulary.

    Raises:
        InvalidBelief: a row's logits hold NaN or +inf, or nothing but −inf.
    """
    check_maxima(part.maximum)
    log_total = part.total.log()
    frozen = temperature == 0
    logsumexp = part.maximum.double() / torch.where(frozen, 1.0, temperature).double() + log_total
    return VocabularyAttention(
        expectation=(part.accumulator / part.total.float()[:, None]).to(dtype),
        logsumexp=torch.where(frozen, float("inf"), logsumexp).float(),
        argmax=part.argmax,
        max_probability=(1 / part.total).float(),
        entropy=(log_total - part.energy / part.total).clamp_min(0).float(),
        top_values=part.top_values,
        top_ids=part.top_ids,
    )
