"""Every rank of a tensor-parallel model decides alike what kind of table it has."""

import threading
from types import SimpleNamespace

import pytest
import torch
from torch import nn

pytest.importorskip("vllm")

from agents.backends.vllm.embedding import vocabulary_of
from agents.backends.vllm.shards import ShardedTable
from agents.backends.vllm.speaker import WholeTable
from kernels.encoders import parse

pytestmark = [pytest.mark.filterwarnings("default")]
V, D, RANKS = 500, 16, 2


class Ranks:
    """The all-reduce of ranks that run as threads."""

    def __init__(self, world_size):
        self.world_size, self.given = world_size, []
        self._lock, self._barrier = threading.Lock(), threading.Barrier(world_size, timeout=20)

    def all_reduce(self, tensor):
        with self._lock:
            self.given.append(tensor.clone())
        self._barrier.wait()
        total = sum(self.given[-self.world_size :])
        self._barrier.wait()
        return total


def layer(full, rank, ranks, look_up=lambda full, ids: full[ids]):
    """One rank's rows of a table, in a layer of vLLM's; a look-up gives what vLLM's all-reduce would."""
    from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding

    class Layer(VocabParallelEmbedding):
        def __init__(self):
            nn.Module.__init__(self)
            padded = 512
            size = padded // ranks
            first, last = min(rank * size, V), min((rank + 1) * size, V)
            self.weight = nn.Parameter(full[first:last].clone(), requires_grad=False)
            self.tp_size, self.org_vocab_size, self.org_vocab_size_padded = ranks, V, padded
            self.shard_indices = SimpleNamespace(org_vocab_start_index=first, org_vocab_end_index=last)

        def forward(self, ids):
            return look_up(full, ids)

    return Layer()


class Model(nn.Module):
    """As much of a model as is asked: how it looks tokens up."""

    def __init__(self, layer, scale):
        super().__init__()
        self.embed_tokens, self.scale = layer, scale

    def embed_input_ids(self, ids):
        return self.embed_tokens(ids) * self.scale


def on_every_rank(layers, *, scale=1.0):
    """Return what each rank holds, as they would run side by side."""
    group, found = Ranks(len(layers)), {}

    def decide(rank):
        found[rank] = vocabulary_of(Model(layers[rank], scale), V, group)

    threads = [threading.Thread(target=decide, args=(rank,), daemon=True) for rank in range(len(layers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == len(layers), "a rank waits for another that decided otherwise"
    return [found[rank] for rank in range(len(layers))]


FULL = torch.randn(V, D, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("scale", "kind"), [(1.0, ShardedTable), (4.0, WholeTable)])
def test_ranks_agree_on_a_plain_and_on_a_scaled_table(scale, kind):
    found = on_every_rank([layer(FULL, rank, 2) for rank in range(2)], scale=scale)
    assert [type(table) for table in found] == [kind, kind]


def test_a_difference_that_only_the_second_rank_sees_is_a_difference_for_all():
    def look_up(full, ids):
        return full[ids] + (ids >= 256)[:, None]

    found = on_every_rank([layer(FULL, rank, 2, look_up) for rank in range(2)])
    assert [type(table) for table in found] == [WholeTable, WholeTable]


def test_a_replicated_table_is_whole_on_every_rank_and_its_vectors_count_once():
    for table in on_every_rank([layer(FULL, 0, 1) for _ in range(2)]):
        assert type(table) is WholeTable
        logits = torch.full((1, V), -1e3)
        logits[0, 7] = 1e3
        zero = torch.zeros(1, dtype=torch.int64)
        said, nearest = table.encode(parse("expectation"), logits, torch.tensor([0.7]), zero, zero, 4)
        assert torch.equal(said.vectors[0], FULL[7])
        assert nearest.tolist() == [7]
