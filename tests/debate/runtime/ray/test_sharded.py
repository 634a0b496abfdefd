"""Attention whose keys and values lie in several actors is that of one process."""

import pytest
import torch

from debate.bench.sharded import on_ray

pytest.importorskip("ray")
pytestmark = pytest.mark.usefixtures("session")


def test_shares_in_ray_actors_come_to_what_one_process_computes():
    q, k, v = torch.randn(3, 2, 11, 4, generator=torch.Generator().manual_seed(0)).unbind()
    found, scores = on_ray(q, k, v, 3, scaling=0.5, causal=True)
    right = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(found, right, atol=1e-5, rtol=1e-5)
    # The first rank hears itself alone, the last all three.
    assert scores == [16, 32, 33]
