"""The vocabulary of a tensor-parallel model: every rank holds some rows of the table and all of the logits.

vLLM gathers the logits on every rank, so the distribution that an encoder mixes is the same everywhere and needs no merging;
what is sharded is the table. Each rank sums over its own rows, Σ_{v in shard} q_v E_v, and the sums add up: the rule of
`kernels.merge_partials` where the parts share one normaliser. The nearest token is the best of the ranks' best.
"""

from typing import Protocol

import torch
from torch import Tensor

from agents.backends.vllm.speaker import Vocabulary
from agents.decoding.cipher_step import settled, without_padding
from kernels import EmbeddingTable, nearest_token, weighted_rows
from kernels.encoders import Encoder, Encoding


class Group(Protocol):
    """The ranks that share a vocabulary; vLLM's tensor-parallel group is one."""

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Return the sum over all ranks."""

    def all_gather(self, tensor: Tensor, dim: int) -> Tensor:
        """Return the ranks' tensors joined along a dimension, in the order of ranks."""


class ShardedTable(Vocabulary):
    """One rank's rows [first, first + rows) of a table [V, D].

    Args:
        rows: [R, D], this rank's part of the vocabulary without padding; R may be 0 on the last ranks of a tiny one.
        first: the token id of its first row.
        group: the ranks; each holds a later part of the ids than the one before.
    """

    def __init__(self, rows: Tensor, first: int, group: Group) -> None:
        super().__init__(EmbeddingTable(rows))
        self._first, self._group = first, group

    def encode(
        self, encoder: Encoder, logits: Tensor, temperature: Tensor, seeds: Tensor, steps: Tensor, top: int
    ) -> tuple[Encoding, Tensor]:
        """See Vocabulary."""
        said, q = encoder.distribution(
            logits, temperature=temperature, seeds=seeds, steps=steps, top=top, deferred=self.defers
        )
        own = q[:, self._first : self._first + self._table.num_tokens]
        vectors = self._group.all_reduce(weighted_rows(own, self._table)).to(self.dtype)
        return settled(without_padding(said).with_vectors(vectors), self._nearest(vectors))

    def rows(self, ids: Tensor) -> Tensor:
        """Return the rows of some tokens [n], [n, D]: each from the rank that holds it."""
        own = (ids >= self._first) & (ids < self._first + self._table.num_tokens)
        found = torch.zeros(len(ids), self.width, dtype=self.dtype, device=ids.device)
        found[own] = self._table.weight[ids[own] - self._first]
        return self._group.all_reduce(found)

    def _nearest(self, vectors: Tensor) -> Tensor:
        n = len(vectors)
        if self._table.num_tokens:
            found = nearest_token(vectors, self._table, trusted=self.defers)
            cosine, ids = found.cosine.float(), found.ids + self._first
        else:
            cosine = vectors.new_full((n,), float("-inf"), dtype=torch.float32)
            ids = torch.zeros(n, dtype=torch.int64, device=vectors.device)
        # Ids travel as float32, exact below 2**24: vLLM's shared-memory gather on CPUs knows no integers.
        both = self._group.all_gather(torch.stack([cosine, ids.float()])[None], 0)
        cosines, candidates = both[:, 0], both[:, 1].long()
        # The first rank of equal ones has the lowest id.
        best = (cosines == cosines.amax(dim=0)).to(torch.uint8).argmax(dim=0)
        return candidates.gather(0, best[None])[0]
