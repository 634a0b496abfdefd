"""What is rendered on the table of a hearer, of other rows than the speaker's."""

from dataclasses import replace

import pytest
import torch
from support.messages import MODEL

from agents.hearing_table import HearingTable, rendered_on
from kernels import EmbeddingTable
from kernels.encoders import parse

STATE = {"temperature": torch.tensor([0.7, 1.3]), "seeds": torch.tensor([1, 2]), "steps": torch.tensor([0, 5])}


@pytest.fixture
def logits():
    return torch.randn(2, 11, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rows", [11, 14])
def test_a_belief_is_averaged_over_the_hearers_rows(logits, rows):
    table = EmbeddingTable(torch.randn(rows, 5, generator=torch.Generator().manual_seed(1)))
    found = rendered_on(table, parse("expectation"), logits, **STATE)
    expected = torch.softmax(logits / STATE["temperature"][:, None], dim=1) @ table.weight[:11]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rows", [11, 14])
def test_a_control_is_rendered_in_place_of_the_belief(logits, rows):
    table = EmbeddingTable(torch.randn(rows, 5, generator=torch.Generator().manual_seed(1)))
    found = rendered_on(table, parse("expectation"), logits, content="top1", **STATE)
    assert torch.equal(found, table.weight[logits.argmax(dim=1)])


def test_tables_are_told_apart_by_their_model_and_what_is_rendered():
    one, other = (EmbeddingTable(torch.zeros(3, 2)) for _ in range(2))
    assert HearingTable(MODEL, one) == HearingTable(MODEL, other)
    assert HearingTable(MODEL, one) != HearingTable(MODEL, one, "top1")
    assert HearingTable(MODEL, one) != HearingTable(replace(MODEL, table="u"), one)
    assert "tensor" not in repr(HearingTable(MODEL, one))
    assert (HearingTable(MODEL, one).name, HearingTable(MODEL, one, "top1").name) == (
        MODEL.table,
        f"top1:{MODEL.table}",
    )
