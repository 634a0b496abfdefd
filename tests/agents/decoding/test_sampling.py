"""Drawing the next token of a text: only from what is a belief."""

import pytest
import torch

from agents.decoding.sampling import sample, sample_unseen
from kernels.errors import InvalidBelief


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("row", [[0.0, float("nan"), 1.0], [0.0, float("inf"), 1.0], [float("-inf")] * 3])
def test_a_row_that_is_no_belief_is_an_error_that_names_it(temperature, row):
    logits = torch.tensor([[0.0, 1.0, 2.0], row])
    with pytest.raises(InvalidBelief) as caught:
        sample(logits, torch.full((2,), temperature), torch.tensor([0.5, 0.5]).double(), [None] * 2, [None] * 2)
    assert caught.value.rows == (1,)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_tokens_that_were_ruled_out_are_never_drawn(temperature):
    logits = torch.tensor([[float("-inf"), 1.0, float("-inf")]])
    for number in (0.0, 0.5, 0.999999):
        drawn = sample(logits, torch.tensor([temperature]), torch.tensor([number]).double(), [None], [None])
        assert drawn.tolist() == [1]


def test_what_is_drawn_without_a_look_is_what_is_drawn_with_one():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(140, 50, generator=generator)
    temperature = torch.rand(140, generator=generator) * (torch.arange(140) % 5 > 0)
    numbers = torch.rand(140, generator=generator).double()
    top_p = [0.8 if row % 3 == 0 else None for row in range(140)]
    top_k = [4 if row % 4 == 1 else None for row in range(140)]
    rows = [row for row in range(140) if top_p[row] is not None or top_k[row] is not None]
    restricted = (
        torch.tensor(rows),
        torch.tensor([2.0 if top_p[row] is None else top_p[row] for row in rows]).double(),
        torch.tensor([999 if top_k[row] is None else top_k[row] for row in rows]),
    )
    drawn = sample_unseen(logits, temperature, numbers, restricted)
    assert torch.equal(drawn, sample(logits, temperature, numbers, top_p, top_k))
    plain = [None] * 140
    assert torch.equal(
        sample_unseen(logits, temperature, numbers, None), sample(logits, temperature, numbers, plain, plain)
    )
