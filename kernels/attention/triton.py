"""Attention over the vocabulary on a GPU."""

from torch import Tensor

from kernels.attention.partial import VocabularyPartial


def refusal(hidden: Tensor, head: Tensor, table: Tensor) -> str | None:
    return "not there yet"


def attend(
    hidden: Tensor,
    head: Tensor,
    table: Tensor,
    temperature: Tensor,
    scale: float,
    softcap: float,
    bias: Tensor | None,
    top_k: int,
) -> VocabularyPartial:
    raise NotImplementedError
