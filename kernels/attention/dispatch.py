"""The public attention over the vocabulary: checks, the choice of an implementation, and the operator torch knows it by.

B rows, V tokens, D query width, W value width, K top-k.
"""

import torch
from torch import Tensor

from kernels import gpu, native
from kernels.attention import cluster, cpu, reference
from kernels.attention.call import Call
from kernels.attention.partial import VocabularyAttention, VocabularyPartial, finish
from kernels.belief import as_temperature
from kernels.dispatch import choose, never

# What finishes what it computed.
_WHOLE = {"native": cpu.compiled_whole, "cluster": cluster.attend_whole}


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
        scale, softcap, bias: the model's transformation of its logits; bias is [V], −inf masks a token.
        top_k: number of the largest logits to report.
        impl: "auto", "native", "blocked", "triton", "cluster" (bf16 tied tables on Hopper, B <= 16, no top_k) or "reference".

    Returns:
        The expectation in the table's dtype with float32 accumulation, and the belief's facts. No gradients, whatever
        the implementation: a projector is trained through `expected_embedding`.

    Raises:
        InvalidBelief: a row's logits hold NaN or +inf, or nothing but −inf.
        ImplementationUnavailable: `impl` was named and cannot run here; the message says why.
    """
    call = _checked(hidden, head, table, temperature, scale, softcap, bias, top_k)
    chosen = _choose(call, impl)
    if chosen in _WHOLE and not torch.compiler.is_compiling():
        return _WHOLE[chosen](call)
    return finish(_partial(call, chosen), call.temperature, call.table.dtype)


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
    call = _checked(hidden, head, table, temperature, scale, softcap, bias, top_k)
    part = _partial(call, _choose(call, impl))
    return part.shifted(offset) if offset else part


def _checked(
    hidden: Tensor,
    head: Tensor,
    table: Tensor | None,
    temperature: Tensor | float,
    scale: float,
    softcap: float | None,
    bias: Tensor | None,
    top_k: int,
) -> Call:
    table = head if table is None else table
    if hidden.dim() != 2 or head.dim() != 2 or hidden.shape[1] != head.shape[1]:
        raise ValueError(f"hidden must be [B, D] and head [V, D], got {list(hidden.shape)} and {list(head.shape)}")
    if table.dim() != 2 or table.shape[0] != head.shape[0]:
        raise ValueError(f"table must be [V, W] with V = {head.shape[0]} as in head, got {list(table.shape)}")
    if bias is not None and bias.shape != head.shape[:1]:
        raise ValueError(f"bias must be [V] = [{head.shape[0]}], got {list(bias.shape)}")
    devices = {tensor.device for tensor in (hidden, head, table, bias) if tensor is not None}
    if len(devices) > 1:
        raise ValueError(f"all tensors must be on one device, got {sorted(map(str, devices))}")
    if top_k < 0:
        raise ValueError(f"top_k must be at least 0, got {top_k}")
    if softcap is not None and softcap <= 0:
        raise ValueError(f"softcap must be positive or None, got {softcap}")
    temperatures = as_temperature(temperature, hidden.shape[0], hidden.device)
    return Call(hidden, head, table, temperatures, scale, softcap or 0.0, bias, top_k)


def _choose(call: Call, impl: str) -> str:
    return choose(
        "vocabulary_attention",
        impl,
        {
            "cluster": lambda: cluster.refusal(impl, call),
            "triton": lambda: gpu.refusal(impl, call.hidden, call.head, call.table),
            "native": lambda: _native_refusal(call.hidden, call.head, call.table),
            "blocked": never,
            "reference": never,
        },
    )


def _partial(call: Call, chosen: str) -> VocabularyPartial:
    tensors = torch.ops.cipher_debate.vocabulary_attention(
        call.hidden.detach(),
        call.head.detach(),
        None if call.table is call.head else call.table.detach(),
        call.temperature,
        call.scale,
        call.softcap,
        call.bias,
        call.top_k,
        chosen,
    )
    return VocabularyPartial(*tensors)


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
    call = Call(hidden, head, head if table is None else table, temperature, scale, softcap, bias, top_k)
    if impl == "reference":
        z = reference.logits(hidden, head, scale, softcap, bias)
        part = reference.partial_from_logits(z, call.table, temperature, top_k)
    elif impl == "triton":
        from kernels.attention import triton

        part = triton.attend(call)
    elif impl == "cluster":
        part = cluster.attend(call)
    elif impl == "blocked":
        part = cpu.blocked(call)
    else:
        part = cpu.compiled(call)
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
