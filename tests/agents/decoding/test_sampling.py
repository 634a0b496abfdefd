"""Drawing the next token of a text: only from what is a belief."""

import pytest
import torch

from agents.decoding.sampling import sample
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
