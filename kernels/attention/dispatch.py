"""The public attention over the vocabulary: checks, the choice of an implementation, and the operator torch knows it by.

B rows, V tokens, D query width, W value width, K top-k.
"""

import torch
from torch import Tensor

from kernels import gpu, native
from kernels.attention import cpu, reference
from kernels.attention.partial import VocabularyAttention, VocabularyPartial, finish
from kernels.belief import as_temperature
from kernels.dispatch import choose, never


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
    """The embedding expected under the belief of hidden states, without writing the belief's logits out.

    z = softcap · tanh(scale · h Wᵀ / softcap) + bias, p = softmax(z / T), result Σ_v p_v E_v: attention of one query over
    the vocabulary, keys W and values E. With tied tables (table None) one read of the table serves both.

    Args:
        hidden: [B, D].
        head: [V, D], the output table W.
        table: [V, W], the input table E; None where it is the head.
        temperature: a number or [B]; 0 means the argmax token's embedding.
        scale, softcap, bias: what the model does to its logits; bias is [V], −inf masks a token.
        top_k: how many of the largest logits to report.
        impl: "auto", "native", "blocked", "triton" or "reference".

    Returns:
        The expectation in the table's dtype with float32 accumulation, and the belief's facts. No gradients, whatever
        the implementation: a projector is trained through `expected_embedding`.

    Raises:
        InvalidBelief: a row's logits hold NaN or +inf, or nothing but −inf.
        ImplementationUnavailable: `impl` was named and cannot run here; the message says why.
    """
    values = head if table is None else table
    temperatures, chosen = _prepared(hidden, head, values, temperature, softcap, bias, top_k, impl)
    form = (scale, softcap or 0.0, bias, top_k)
    if chosen == "native" and not torch.compiler.is_compiling():
        return cpu.compiled_whole(hidden, head, values, temperatures, *form)
    return finish(_partial(hidden, head, values, temperatures, *form, chosen), temperatures, values.dtype)


def vocabulary_partial(
    hidden: Tensor,
    head: Tensor,
    table: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    *,
    scale: float = 1.0,
    softcap: float | None = None,
    bias: Tensor | None = None,
    top_k: int = 0,
    offset: int = 0,
    impl: str = "auto",
) -> VocabularyPartial:
    """The same over a shard of the vocabulary whose first id is `offset`, not yet normalised.

    `merge_partials` joins the shards of all ranks and `kernels.attention.finish` turns the whole into the result. A shard
    may be masked entirely; NaN shows in `maximum`.
    """
    values = head if table is None else table
    temperatures, chosen = _prepared(hidden, head, values, temperature, softcap, bias, top_k, impl)
    part = _partial(hidden, head, values, temperatures, scale, softcap or 0.0, bias, top_k, chosen)
    return part.shifted(offset) if offset else part


def _prepared(
    hidden: Tensor,
    head: Tensor,
    values: Tensor,
    temperature: Tensor | float,
    softcap: float | None,
    bias: Tensor | None,
    top_k: int,
    impl: str,
) -> tuple[Tensor, str]:
    """The temperatures, and which implementation serves, of arguments that were looked at."""
    _check(hidden, head, values, bias)
    if top_k < 0:
        raise ValueError(f"top_k must be at least 0, got {top_k}")
    if softcap is not None and softcap <= 0:
        raise ValueError(f"softcap must be positive or None, got {softcap}")
    chosen = choose(
        "vocabulary_attention",
        impl,
        {
            "triton": lambda: gpu.refusal(impl, hidden, head, values),
            "native": lambda: _native_refusal(hidden, head, values),
            "blocked": never,
            "reference": never,
        },
    )
    return as_temperature(temperature, hidden.shape[0], hidden.device), chosen


def _partial(
    hidden: Tensor,
    head: Tensor,
    values: Tensor,
    temperatures: Tensor,
    scale: float,
    softcap: float,
    bias: Tensor | None,
    top_k: int,
    chosen: str,
) -> VocabularyPartial:
    tied = values is head
    tensors = torch.ops.cipher_debate.vocabulary_attention(
        hidden.detach(),
        head.detach(),
        None if tied else values.detach(),
        temperatures,
        scale,
        softcap,
        bias,
        top_k,
        chosen,
    )
    return VocabularyPartial(*tensors)


def _check(hidden: Tensor, head: Tensor, table: Tensor, bias: Tensor | None) -> None:
    if hidden.dim() != 2 or head.dim() != 2 or hidden.shape[1] != head.shape[1]:
        raise ValueError(f"hidden must be [B, D] and head [V, D], got {list(hidden.shape)} and {list(head.shape)}")
    if table.dim() != 2 or table.shape[0] != head.shape[0]:
        raise ValueError(f"table must be [V, W] with V = {head.shape[0]} as in head, got {list(table.shape)}")
    if bias is not None and bias.shape != head.shape[:1]:
        raise ValueError(f"bias must be [V] = [{head.shape[0]}], got {list(bias.shape)}")
    devices = {tensor.device for tensor in (hidden, head, table, bias) if tensor is not None}
    if len(devices) > 1:
        raise ValueError(f"all tensors must be on one device, got {sorted(map(str, devices))}")


def _native_refusal(hidden: Tensor, head: Tensor, table: Tensor) -> str | None:
    if hidden.dtype == torch.float64:
        return "it computes in float32, got float64"
    if head.dtype != table.dtype:
        return f"it wants one dtype for head and table, got {head.dtype} and {table.dtype}"
    return native.refusal(head, table)


@torch.library.custom_op("cipher_debate::vocabulary_attention", mutates_args=())
def _operator(
    hidden: Tensor,
    head: Tensor,
    table: Tensor | None,
    temperature: Tensor,
    scale: float,
    softcap: float,
    bias: Tensor | None,
    top_k: int,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The fields of a VocabularyPartial, in order."""
    values = head if table is None else table
    form = (scale, softcap, bias, top_k)
    if impl == "reference":
        z = reference.logits(hidden, head, scale, softcap, bias)
        part = reference.partial_from_logits(z, values, temperature, top_k)
    elif impl == "triton":
        from kernels.attention import triton

        part = triton.attend(hidden, head, values, temperature, *form)
    elif impl == "blocked":
        part = cpu.blocked(hidden, head, values, temperature, *form)
    else:
        part = cpu.compiled(hidden, head, values, temperature, *form)
    fields = (part.maximum, part.total, part.energy, part.accumulator, part.argmax, part.top_values, part.top_ids)
    # An operator promises its strides; a merged top-k is a slice.
    maximum, total, energy, accumulator, argmax, top_values, top_ids = (field.contiguous() for field in fields)
    return maximum, total, energy, accumulator, argmax, top_values, top_ids


@_operator.register_fake
def _(
    hidden: Tensor,
    head: Tensor,
    table: Tensor | None,
    temperature: Tensor,
    scale: float,
    softcap: float,
    bias: Tensor | None,
    top_k: int,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    rows = hidden.shape[0]
    width = (head if table is None else table).shape[1]
    return (
        hidden.new_empty(rows, dtype=torch.float32),
        hidden.new_empty(rows, dtype=torch.float64),
        hidden.new_empty(rows, dtype=torch.float64),
        hidden.new_empty(rows, width, dtype=torch.float32),
        hidden.new_empty(rows, dtype=torch.int64),
        hidden.new_empty(rows, top_k, dtype=torch.float32),
        hidden.new_empty(rows, top_k, dtype=torch.int64),
    )
