"""RepQuant: the rewriting is exact, codes before and after are the same, and the rest of the model stays as it is."""

import copy

import pytest
import torch
from support.small_subjects import FAMILIES, IDS, logits, subject

from agents.errors import ConfigError
from agents.transforms.repquant.quantisers import (
    Uniform,
    between,
    fitted,
    log2_values,
    log_sqrt2_codes,
    log_sqrt2_values,
    symmetric,
)
from agents.transforms.repquant.reparameterise import Map, Norm, reparameterised
from agents.transforms.repquant.transform import READ, move, repquant


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layer_norm(x, norm):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], norm.scale, norm.shift)


def test_a_layer_norm_and_its_map_are_the_same_function_with_the_same_codes():
    x, spread = drawn(50, 8), torch.logspace(-1, 0.5, 8, dtype=torch.float64)
    norm, layer = Norm(spread, 2 * drawn(8, seed=1)), Map(drawn(5, 8, seed=2), drawn(5, seed=3))
    given = layer_norm(x, norm)
    each = between(given.amin(0), given.amax(0), 4)
    new, (changed,), one = reparameterised(norm, [layer], each)
    moved = layer_norm(x, new)
    assert torch.allclose(moved @ changed.weight.T + changed.bias, given @ layer.weight.T + layer.bias, atol=1e-12)
    # One scale and one whole zero point for all channels do what eight did.
    assert one.scale.ndim == one.zero.ndim == 0
    assert torch.equal(one.codes(moved), each.codes(given))
    heard = one(moved) @ changed.weight.T + changed.bias
    assert torch.allclose(heard, each(given) @ layer.weight.T + layer.bias, atol=1e-12)
    # Without the move, one scale is worse.
    flat = between(given.amin(), given.amax(), 4)
    assert (flat(given) - given).square().mean() > 2 * (each(given) - given).square().mean()


def test_a_map_without_a_bias_gets_one_where_the_norm_shifts():
    each = Uniform(torch.tensor([1.0, 2.0]).double(), torch.tensor([3.0, 5.0]).double(), 4)
    norm = Norm(torch.ones(2).double(), torch.zeros(2).double())
    _, (changed,), _ = reparameterised(norm, [Map(torch.eye(2).double())], each)
    assert changed.bias.tolist() == [1.0, -2.0]


def test_an_rms_norm_scales_alone():
    x, gamma = drawn(40, 6), torch.tensor([0.1, 3.0, 1.0, -2.0, 0.5, 9.0], dtype=torch.float64)
    given = x / x.square().mean(1, keepdim=True).sqrt() * gamma
    each = symmetric(given.abs().amax(0), 4)
    layers = [Map(drawn(4, 6, seed=seed)) for seed in (1, 2)]
    new, changed, one = reparameterised(Norm(gamma), layers, each)
    moved = given / gamma * new.scale
    assert new.shift is None
    assert torch.equal(one.codes(moved), each.codes(given))
    for before, after in zip(layers, changed, strict=True):
        assert after.bias is None
        assert torch.allclose(moved @ after.weight.T, given @ before.weight.T, atol=1e-12)
    with pytest.raises(ValueError, match="cannot give its channels zero points of their own"):
        reparameterised(Norm(gamma), layers, Uniform(each.scale, torch.arange(6.0).double(), 4))


def test_quantisers_keep_zero_and_use_their_range():
    values = torch.tensor([[-1.0, 0.0, 2.0, 0.4]], dtype=torch.float64)
    one = between(values.amin(1, keepdim=True), values.amax(1, keepdim=True), 3)
    assert one(values)[0, 1] == 0
    assert one.codes(values).min() >= 0
    assert one.codes(values).max() == 7
    assert (one(values) - values).abs().max() <= float(one.scale) + 1e-12
    # All of one sign, all zero, and a single bit too few for nothing.
    for row in ([1.0, 2.0], [0.0, 0.0], [-3.0, -3.0]):
        rows = torch.tensor([row], dtype=torch.float64)
        assert (fitted(rows, 8)(rows) - rows).abs().max() <= 3 / 255
    wide = drawn(3, 200, seed=4)
    wide[:, 0] *= 30
    full = between(wide.amin(1, keepdim=True), wide.amax(1, keepdim=True), 3)
    assert (fitted(wide, 3)(wide) - wide).square().sum() < (full(wide) - wide).square().sum()


def test_codes_to_the_base_of_a_root_run_as_shifts():
    shares = torch.softmax(3 * drawn(20, 30, seed=5), 1)
    shares[0, :5] = 0
    codes = log_sqrt2_codes(shares, 1.0, 4)
    assert (codes[0, :5] == 15).all()
    assert torch.equal(codes, codes.round())
    values = log_sqrt2_values(codes, 1.0)
    assert torch.allclose(log2_values(codes, 1.0), values, rtol=1e-12)
    # Within half a step of the root, what is not below the last code.
    large = shares > 2**-7
    assert (values[large] / shares[large]).log2().abs().max() <= 0.25 + 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_the_move_leaves_the_function_and_the_codes_of_a_model(family):
    one = subject(family)
    one.model.double()
    expected = logits(one, IDS)
    given = {}
    layer = one.model.model.layers[1]
    for name in READ:
        getattr(layer, name).weight.data *= torch.logspace(-1, 1, 24, dtype=torch.float64)
        getattr(layer, name).register_forward_hook(lambda _, i, output, name=name: given.__setitem__(name, output))
    expected = logits(one, IDS)
    before = dict(given)
    largest = {name: output.abs().amax((0, 1)) for name, output in before.items()}
    ones = move(layer, largest, 4)
    assert torch.allclose(logits(one, IDS), expected, atol=1e-9)
    for name, quantiser in ones.items():
        assert torch.equal(quantiser.codes(given[name]), symmetric(largest[name], 4).codes(before[name]))


def test_the_transform_rounds_the_maps_keeps_the_tables_and_says_what_the_move_is_good_for():
    one = subject("llama")
    for layer in one.model.model.layers:
        for name in READ:
            # A spread that the maps take back: the function stays what it was.
            factors = torch.logspace(-1, 0.6, 24)
            getattr(layer, name).weight.data *= factors
            for place in READ[name]:
                layer.get_submodule(place).weight.data /= factors
    table, last = one.model.get_input_embeddings().weight.clone(), one.model.model.norm.weight.clone()
    whole = copy.deepcopy(one)
    facts = repquant(one, bits=8, activations=4, rows=4, length=12).facts
    assert facts["error_of_the_move"] < 1e-9
    assert facts["channel_spread"] > 2
    assert facts["logit_error_activations_before"] > 3 * facts["logit_error_activations_after"]
    assert facts["logit_error"] < facts["logit_error_activations_after"]
    assert torch.equal(one.model.get_input_embeddings().weight, table)
    assert torch.equal(one.model.model.norm.weight, last)
    for layer in one.model.model.layers:
        for row in layer.mlp.down_proj.weight:
            assert len(row.unique()) <= 256
    assert (logits(one, IDS) - logits(whole, IDS)).abs().max() < 0.2
    coarse = subject("llama")
    assert repquant(coarse, bits=3, rows=4, length=12).facts["logit_error"] > 10 * facts["logit_error"]
    with pytest.raises(ConfigError, match="bits must be from 2 to 16; got 1"):
        repquant(subject(), bits=1)


def test_maps_and_norms_of_which_nothing_stayed_have_no_error():
    one = subject("llama")
    layer = one.model.model.layers[-1]
    layer.self_attn.o_proj.weight.zero_()
    layer.input_layernorm.weight.zero_()
    facts = repquant(one, rows=2, length=6).facts
    assert all(torch.tensor(figure).isfinite() for figure in facts.values())
    assert not layer.self_attn.o_proj.weight.any()
