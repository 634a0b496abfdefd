"""What a receiver with another table reads of the beliefs that a message keeps."""

from dataclasses import replace

import pytest
import torch
from support.messages import MODEL, cipher

from agents.errors import MessageMismatch
from agents.rerender import renormalised, rerender, vectors_for, weights_for

RECEIVER = replace(MODEL, model="other", table="u", width=2)
TABLE = torch.arange(200.0).reshape(100, 2)


def test_kept_beliefs_are_renormalised_and_average_the_receivers_rows():
    said = cipher("x", steps=[{4: 0.5, 7: 0.25}, {9: 1.0}])
    weights = torch.tensor([[2 / 3, 1 / 3], [1.0, 0.0]])
    torch.testing.assert_close(renormalised(said, RECEIVER, min_mass=0.75), weights)
    expected = torch.stack([TABLE[4] * 2 / 3 + TABLE[7] / 3, TABLE[9]])
    torch.testing.assert_close(rerender(said, TABLE, RECEIVER, min_mass=0.75), expected)


def test_a_step_that_keeps_less_than_the_least_mass_is_named():
    said = cipher("x", steps=[{9: 1.0}, {4: 0.5, 7: 0.25}])
    with pytest.raises(
        MessageMismatch, match="2 beliefs kept per step carry 0.75 of the probability at step 1, and other needs 0.76"
    ):
        renormalised(said, RECEIVER, min_mass=0.76)


def test_vectors_that_a_message_holds_for_a_table_are_taken_as_they_are():
    said = cipher("x", steps=[{4: 1.0}])
    assert vectors_for(said, MODEL) is said.cipher.vectors
    assert vectors_for(said, RECEIVER) is None
    assert weights_for(said, RECEIVER).tolist() == [[1.0]]
    meant = replace(said, cipher=replace(said.cipher, rendered={"u": torch.tensor([[5.0, 6.0]])}))
    assert rerender(meant, TABLE, RECEIVER).tolist() == [[5.0, 6.0]]
    assert weights_for(meant, RECEIVER) is None
