"""The embedding table of a loaded vLLM model, whole or this rank's shard."""

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from agents.backends.vllm.shards import ShardedTable
from agents.backends.vllm.speaker import Vocabulary, WholeTable
from agents.errors import ModelError
from kernels import EmbeddingTable

BLOCK = 4096


def vocabulary_of(model: Any, num_tokens: int, group: Any) -> Vocabulary:
    """Return the table that beliefs are rendered on, as the model looks tokens up.

    Where the model's embedding is plainly a table its weights are used as they are, and a tensor-parallel rank keeps only
    its own rows; where the model does something to a looked-up row (Gemma 3n scales it), the rows are looked up once.

    Args:
        model: a loaded vLLM model.
        num_tokens: V, of the logits.
        group: the tensor-parallel group.
    """
    layer = _embedding_layer(model)
    if layer is not None and _is_plain(model, layer, group):
        shard = layer.shard_indices
        first, last = shard.org_vocab_start_index, min(shard.org_vocab_end_index, num_tokens)
        rows = layer.weight.detach()[: max(0, last - first)]
        # The layer's own count: with VLLM_REPLICATE_EMBED every rank holds all of the rows.
        if layer.tp_size > 1:
            return ShardedTable(rows, first, group)
        return _ready(rows)
    return _ready(torch.cat(list(_looked_up(model, num_tokens))))


def table_hash(model: Any, num_tokens: int) -> str:
    """Return the SHA-256 of the table rounded to bfloat16: `ModelFingerprint.table`. Every rank has to call it."""
    digest = hashlib.sha256()
    for block in _looked_up(model, num_tokens):
        digest.update(block.to("cpu", torch.bfloat16).contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _ready(rows: Tensor) -> WholeTable:
    whole = WholeTable(EmbeddingTable(rows))
    # On a GPU that is left to the run in which vLLM measures memory.
    if not whole.defers:
        whole.prepare()
    return whole


@torch.inference_mode()
def _looked_up(model: Any, num_tokens: int) -> Iterator[Tensor]:
    """Yield the table in blocks of rows, as the model looks them up; on every rank all of it."""
    device = next(model.parameters()).device
    for first in range(0, num_tokens, BLOCK):
        yield model.embed_input_ids(torch.arange(first, min(first + BLOCK, num_tokens), device=device))


def _embedding_layer(model: Any) -> Any:
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding

    layers: list[nn.Module] = [
        module
        for module in model.modules()
        if isinstance(module, VocabParallelEmbedding) and not isinstance(module, ParallelLMHead)
    ]
    if not layers:
        if not hasattr(model, "embed_input_ids"):
            raise ModelError(f"{type(model).__name__} has no input embeddings that vectors could stand in for")
        return None
    return layers[0]


@torch.inference_mode()
def _is_plain(model: Any, layer: Any, group: Any) -> bool:
    """Whether looking a token up gives its row of the layer's weight: tried on a few rows, and the same on every rank.

    Every rank looks the same tokens up, a few of each rank's own rows, compares those that it holds, and one rank that finds
    a difference is enough for all.
    """
    weight = getattr(layer, "weight", None)
    shard = layer.shard_indices
    first, held = shard.org_vocab_start_index, shard.org_vocab_end_index - shard.org_vocab_start_index
    differs = not isinstance(weight, Tensor) or not weight.is_floating_point()
    for start in range(0, layer.org_vocab_size, layer.org_vocab_size_padded // layer.tp_size):
        ids = torch.arange(start, min(start + 8, layer.org_vocab_size), device=next(model.parameters()).device)
        found = model.embed_input_ids(ids)
        if isinstance(weight, Tensor) and first <= start < first + held:
            own = weight[start - first : start - first + len(ids)]
            differs |= not torch.equal(found[: len(own)], own)
    if group.world_size > 1:
        # As float32: vLLM's shared-memory reduction on CPUs knows no integers.
        differs = bool(group.all_reduce(torch.tensor([float(differs)], device=next(model.parameters()).device))[0] > 0)
    return not differs
