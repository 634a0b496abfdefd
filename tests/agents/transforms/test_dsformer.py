"""DSFormer: factors fit into the bytes that they are said to take, indices among them, and come nearer than an SVD of as many."""

import math

import pytest
import torch
from support.small_subjects import IDS, logits, subject

from agents.errors import ConfigError, ModelError
from agents.transforms.dsformer.factors import (
    Factors,
    block_bits,
    factorise,
    learned,
    nearest_sizes,
    pursuit,
    rounded,
    sizes_within,
    truncated,
)
from agents.transforms.dsformer.transform import dsformer, svd
from agents.transforms.subject import linears


def sparse_block(rows=60, columns=16, atoms=24, nonzeros=2, seed=0):
    """Return a block that is a product of such factors, more atoms than columns: of full rank, so that no SVD is short."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(atoms, columns, generator=generator)
    places = torch.stack([torch.randperm(atoms, generator=generator)[:nonzeros] for _ in range(rows)])
    return torch.einsum("mk,mkn->mn", torch.randn(rows, nonzeros, generator=generator), basis[places])


def test_bits_count_values_basis_and_indices():
    made = Factors(torch.zeros(7, 3, dtype=torch.long), torch.zeros(7, 3), torch.zeros(5, 11))
    assert made.bits == 5 * 11 * 16 + 7 * 3 * 16 + 7 * 3 * 3
    # An index into one atom is no bit, into five it is three.
    assert block_bits(7, 1, 1, 11) == 11 * 16 + 7 * 16
    for atoms, nonzeros in sizes_within(40, 16, 5000):
        assert block_bits(40, nonzeros, atoms, 16) <= 5000 < block_bits(40, nonzeros, atoms + 1, 16) or atoms == 40


def test_pursuit_chooses_different_atoms_and_leaves_what_is_orthogonal_to_them():
    torch.manual_seed(0)
    rows = torch.randn(20, 8, dtype=torch.float64)
    basis = torch.nn.functional.normalize(torch.randn(12, 8, dtype=torch.float64), dim=1)
    places, values = pursuit(rows, basis, 4)
    assert all(len(set(row)) == 4 for row in places.tolist())
    left = rows - torch.einsum("mk,mkn->mn", values, basis[places])
    assert torch.einsum("mn,mkn->mk", left, basis[places]).abs().max() < 1e-8
    # As many atoms as dimensions leave nothing.
    places, values = pursuit(rows, basis, 8)
    assert (rows - torch.einsum("mk,mkn->mn", values, basis[places])).abs().max() < 1e-6


def test_a_product_of_such_factors_is_found_again_where_an_svd_fails():
    block = sparse_block()
    made = learned(block, 24, 2, rounds=30)
    error = float((block - made.product).norm() / block.norm())
    bits = block_bits(60, 2, 24, 16)
    assert error < 0.35
    assert error < 0.7 * float((block - truncated(block, bits)).norm() / block.norm())


def test_factors_fit_into_their_bits_and_more_bits_are_no_worse():
    torch.manual_seed(2)
    block = torch.randn(48, 16)
    errors = []
    for ratio in (4.0, 2.0, 1.2):
        bits = int(block.numel() * 16 / ratio)
        made = factorise(block, bits, rounds=6)
        assert made.bits <= bits
        assert torch.equal(made.values, made.values.bfloat16().float())
        errors.append(float((block - made.product).norm()))
    assert errors == sorted(errors, reverse=True)
    with pytest.raises(ValueError, match="so few bits"):
        factorise(block, 100, rounds=1)


def test_rounding_is_that_of_what_is_stored():
    made = rounded(Factors(torch.tensor([[0]]), torch.tensor([[1 / 3]]), torch.tensor([[1.0, math.pi]])))
    assert torch.equal(
        made.product, torch.tensor([[1 / 3]]).bfloat16().float() * torch.tensor([[1.0, math.pi]]).bfloat16()
    )


def test_the_svd_is_the_best_of_its_rank():
    torch.manual_seed(3)
    matrix = torch.randn(20, 12)
    found = truncated(matrix, 16 * 5 * 32)
    values = torch.linalg.svdvals(matrix)
    assert torch.linalg.matrix_rank(found.double(), rtol=1e-4) == 5
    assert float((matrix - found).norm()) == pytest.approx(float(values[5:].norm()), rel=0.01)


@pytest.mark.parametrize("transform", [dsformer, svd])
def test_maps_become_products_and_nothing_else_changes(transform):
    one, before = subject(), subject()
    facts = transform(one, ratio=1.8).facts
    assert facts["ratio_stored"] >= 1.8
    assert facts["factor_bytes"] < facts["map_bytes"] / 1.8 + 1
    for layer, other in zip(one.model.model.layers, before.model.model.layers, strict=True):
        for name, linear in linears(layer).items():
            assert not torch.equal(linear.weight, linears(other)[name].weight)
    assert torch.equal(one.model.get_input_embeddings().weight, before.model.get_input_embeddings().weight)
    assert one.dtype == torch.float32
    assert logits(one, IDS).isfinite().all()
    assert 0 < facts["error"] <= facts["worst_error"] < 1


@pytest.mark.parametrize("block", [8, 7])
def test_sizes_tried_on_some_blocks_hold_for_all_of_a_map(monkeypatch, block):
    """Two trials a map instead of one a block; a narrower last block (of 7 columns in 24) has sizes of its own."""
    whole = dsformer(subject(), ratio=1.8, block=block, rounds=2).facts
    tried = []

    def counting(blocks, bits):
        tried.append(len(blocks))
        return nearest_sizes(blocks, bits)

    monkeypatch.setattr("agents.transforms.dsformer.blocks.nearest_sizes", counting)
    one = subject()
    facts = dsformer(one, ratio=1.8, block=block, rounds=2, sampled=2).facts
    assert len(tried) == 2 * 7 * len(one.model.model.layers)
    # The maps of 10 rows have one block in one of the two ways.
    assert set(tried) == {1, 2}
    assert facts["ratio_stored"] >= 1.8
    assert whole["error"] <= facts["error"] < 1.15 * whole["error"]


def test_what_cannot_be_is_refused():
    for keys, sentence in (
        ({"ratio": 1.0}, "above 1; got 1"),
        ({"ratio": 1000.0}, "ratio 1000 is too high for a map of"),
        ({"block": 0}, "block must be at least 1"),
        ({"sampled": -1}, "sampled must be at least 0"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            dsformer(subject(), **keys)
    with pytest.raises(ConfigError, match="too high for a map of 24 x 24"):
        svd(subject(), ratio=500.0)


@pytest.mark.parametrize("transform", [dsformer, svd])
def test_a_map_of_which_nothing_stayed_has_no_error(transform):
    one = subject()
    for linear in linears(one.model.model.layers[-1]).values():
        linear.weight.zero_()
    facts = transform(one, ratio=1.8).facts
    assert all(math.isfinite(figure) for figure in facts.values())
    assert not any(linear.weight.any() for linear in linears(one.model.model.layers[-1]).values())


def test_a_model_without_blocks_is_refused():
    one = subject()
    one.model.model.layers = torch.nn.ModuleList()
    with pytest.raises(ModelError, match="has no blocks"):
        svd(one)
