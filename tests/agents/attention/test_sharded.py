"""Attention over shares of a sequence: that of one process, whatever the shares, and what a rank needs is counted."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from agents.attention.sharded import Rank, cost, ring, shares, visits


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("length", "ranks", "block"), [(1, 1, 4), (12, 3, 4), (13, 3, 2), (16, 4, 64), (9, 9, 1)])
def test_shares_come_to_what_one_process_computes(length, ranks, block, causal):
    draw = torch.Generator().manual_seed(length)
    q, k, v = torch.randn(3, 2, length, 8, generator=draw).unbind()
    right = scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=causal)
    found = ring(q, k, v, ranks, scaling=8**-0.5, block=block, causal=causal)
    torch.testing.assert_close(found.double(), right, atol=1e-5, rtol=1e-5)
    double = ring(q.double(), k.double(), v.double(), ranks, scaling=8**-0.5, block=block, causal=causal)
    torch.testing.assert_close(double, right, atol=1e-12, rtol=1e-12)


def test_every_rank_hears_every_other_once_and_its_own_first():
    for rank in range(4):
        assert next(visits(rank, 4)) == rank
        assert sorted(visits(rank, 4)) == [0, 1, 2, 3]
    # In each step no two ranks hear the same share, so each is passed on along a ring.
    assert all(len(set(step)) == 4 for step in zip(*(visits(rank, 4) for rank in range(4)), strict=True))


def test_what_is_behind_a_rank_is_neither_heard_nor_computed():
    rank = Rank(torch.zeros(1, 4, 2), 4, scaling=1.0, block=2)
    assert not rank.hears(8)
    rank.hear(torch.full((1, 4, 2), torch.nan), torch.full((1, 4, 2), torch.nan), 8)
    assert rank.scores == 0
    assert (rank.result() == 0).all()


def test_costs_are_counted():
    # 16 tokens, 4 ranks: the last has 4 × 12 scores of others and 10 of its own, two products of width 8 for each.
    found = cost(16, 4, 8, 512, causal=True)
    assert found.products == 2 * 8 * (48 + 10)
    assert found.sent == 4 * 2 * 4 * 8 * 3
    assert found.held == 4 * (6 * 4 * 8 + 16)
    assert found.naive == 4 * 256
    assert cost(16, 4, 8, 512, causal=False).products == 2 * 8 * 64
    million = cost(2**20, 64, 64, 512, causal=True)
    assert million.held < million.naive / 10_000


def test_more_ranks_than_shares_are_refused():
    assert shares(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    with pytest.raises(ValueError, match="make 5 shares of 2, and not 6"):
        shares(10, 6)
