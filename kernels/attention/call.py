"""What an implementation of attention over the vocabulary is given. B rows, V tokens, D query width, W value width."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Call:
    """Arguments that were looked at: z = softcap · tanh(scale · h Wᵀ / softcap) + bias, p = softmax(z / T), Σ_v p_v E_v."""

    hidden: Tensor  # [B, D]
    head: Tensor  # [V, D], the keys W
    table: Tensor  # [V, W], the values E; the same object as the head where they are tied
    temperature: Tensor  # [B] float32
    scale: float
    softcap: float  # 0 leaves the tanh out
    bias: Tensor | None  # [V]
    top_k: int
