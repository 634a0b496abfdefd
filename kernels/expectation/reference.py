"""The definition of the expected embedding, in plain torch. B rows, V tokens, D embedding width."""

from torch import Tensor

from kernels.belief import restrict, scaled_logits


def expected_embedding(
    logits: Tensor,
    table: Tensor,
    temperature: Tensor,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Tensor:
    """Σ_v p_v E_v with p = softmax(logits / temperature), in float32 (float64 for float64 logits), cast once at the end.

    logits [B, V], table [V, D], temperature [B] float32 -> [B, D] in the table's dtype. Differentiable in logits and table.
    """
    belief = restrict(scaled_logits(logits, temperature), top_k, top_p, min_p).softmax(dim=-1)
    return (belief @ table.to(belief.dtype)).to(table.dtype)
