"""MemoryFormer: the layer against its definition, the model in the transformers engine as any other, its cost, its recipe."""

import itertools
import math

import pytest
import torch
from support.minds import assert_hears_alone_as_in_company, assert_says_what_a_plain_loop_says

from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError
from agents.models.glyphs.table import character_tokenizer
from agents.models.memoryformer import training
from agents.models.memoryformer.layer import MemoryLayer
from agents.models.memoryformer.model import MemoryFormerConfig, MemoryFormerForCausalLM

SMALL = training.Recipe(width=16, narrow=8, layers=2, heads=2, bits=4, steps=3, batch=2, window=8)
TOKENIZER = character_tokenizer()


def defined(layer, x):
    """Return y [h] of one x [d] by the definition: the softmax over all corners, in float64."""
    y = torch.zeros(layer.outputs, dtype=torch.float64)
    tables = layer.table.double().reshape(layer.pieces, 1 << layer.bits, -1)
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=layer.bits)), dtype=torch.float64)
    for piece, table in zip(x.double().split(layer.bits), tables, strict=True):
        shares = torch.softmax(corners @ piece / layer.temperature, dim=0)
        own = torch.where(piece > 0, 1.0, -1.0).double()
        place = int((corners == own).all(1).nonzero())
        bucket = sum(1 << bit for bit in range(layer.bits) if own[bit] > 0)
        y = y + shares[place] * table[bucket]
    return y


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(("inputs", "outputs", "bits"), [(12, 5, 3), (8, 7, 8), (10, 3, 1)])
def test_the_layer_is_its_definition(inputs, outputs, bits, temperature):
    torch.manual_seed(0)
    layer = MemoryLayer(inputs, outputs, bits, temperature=temperature).double()
    x = torch.randn(2, 3, inputs, dtype=torch.float64)
    x[0, 0, 0] = 0.0
    want = torch.stack([defined(layer, row) for row in x.reshape(-1, inputs)]).reshape(2, 3, outputs)
    torch.testing.assert_close(layer(x), want, rtol=0, atol=1e-12)


def test_gradients_reach_the_input_by_its_size_alone_and_the_tables_in_the_rows_that_were_picked():
    torch.manual_seed(0)
    layer = MemoryLayer(8, 5, 4).double()
    x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    layer(x).square().sum().backward()
    touched = layer.table.grad.abs().sum(1).nonzero().flatten()
    assert len(touched) <= 3 * layer.pieces
    assert (x.grad != 0).all()
    with torch.no_grad():
        # Twice as long, the same signs: the same rows, other factors. Without the sizes nothing would reach x.
        assert not torch.allclose(layer(2 * x), layer(x))


def test_a_small_temperature_saturates_the_factor():
    """The pitfall that the default avoids: what is certain of its bucket teaches its input nothing."""
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    sizes = []
    for temperature in (1.0, 0.01):
        torch.manual_seed(0)
        layer, given = MemoryLayer(8, 4, 8, temperature=temperature), x.clone().requires_grad_()
        (layer(given).sum() / layer.deviation).backward()
        sizes.append(float(given.grad.abs().median()))
    assert sizes[1] < 1e-3 * sizes[0]


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_outputs_begin_as_wide_as_asked(temperature):
    torch.manual_seed(0)
    layer = MemoryLayer(64, 128, 8, temperature=temperature, spread=0.3)
    assert float(layer(torch.randn(500, 64)).detach().std()) == pytest.approx(0.3, rel=0.15)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="a multiple of its bits, 1 to 16; got 10 and 4"):
        MemoryLayer(10, 4, 4)
    with pytest.raises(ConfigError, match="temperature is above 0"):
        MemoryLayer(8, 4, 4, temperature=0.0)
    with pytest.raises(ConfigError, match="hidden_size is a multiple of its bits"):
        MemoryFormerConfig(hidden_size=20, num_attention_heads=2)
    with pytest.raises(ConfigError, match="keys of their own"):
        MemoryFormerForCausalLM(
            MemoryFormerConfig(hidden_size=16, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=1)
        )


def test_what_it_costs():
    """At the pilot's size: 2,688 multiply-adds a position and block where a dense one has 40,960, and 20 times the numbers."""
    recipe = training.Recipe()
    memory, dense, narrow = (training.build(kind, recipe, 90, 0) for kind in ("memory", "dense", "narrow"))
    counts = [training.multiply_adds(model) for model in (memory, dense, narrow)]
    assert counts == [3 * 8 * 64 + 8 * 80 + 8 * 64, 4 * 64**2 + 3 * 64 * 128, 4 * 24**2 + 3 * 24 * 48]
    hashing = sum(m.hashing for m in memory.model.layers[0].modules() if isinstance(m, MemoryLayer))
    assert counts[0] + hashing < counts[2] < counts[1] / 6
    numbers = [sum(weight.numel() for weight in model.model.layers.parameters()) for model in (memory, dense)]
    assert 20 < numbers[0] / numbers[1] < 30
    assert not [m for m in memory.model.layers.modules() if isinstance(m, torch.nn.Linear)], (
        "nothing in a block multiplies"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("memory")
    model = training.build("memory", SMALL, len(TOKENIZER), 3)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(20)
    model.save_pretrained(path)
    TOKENIZER.save_pretrained(path)
    return path


def load(folder, dtype="float32", rows=None):
    return LoadedModel(folder, name="memory", dtype=dtype, device="cpu", rows=rows)


def test_the_engine_runs_it_row_by_row_and_batch_invariant(folder):
    model = load(folder, rows=4)
    assert type(model.model) is MemoryFormerForCausalLM
    assert (model.verdict.way, model.verdict.invariant) == ("by_row", True)


def test_what_is_saved_is_loaded(folder):
    again = MemoryFormerForCausalLM.from_pretrained(folder)
    first = training.build("memory", SMALL, len(TOKENIZER), 3)
    with torch.no_grad():
        first.get_input_embeddings().weight.mul_(20)
    for (name, one), (other, two) in zip(first.named_parameters(), again.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(one, two), name


def test_cipher_equals_a_plain_loop_and_a_one_hot_belief_is_its_token(folder):
    assert_says_what_a_plain_loop_says(load(folder), max_tokens=20)


def test_vectors_are_heard_alone_and_in_company_to_the_same_bytes(folder):
    assert_hears_alone_as_in_company(load(folder, rows=4))


def test_the_recipe_trains_it_and_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "Recipe", lambda: SMALL)
    text = "What say you, my lord? Speak on, and let us hear. " * 40
    monkeypatch.setattr(training, "read_text", lambda data: text)
    told = []
    claims = training.claims(tmp_path, seeds=2, progress=told.append)
    assert [len(claim.ours) for claim in claims] == [2, 2]
    assert all(math.isfinite(one) for claim in claims for one in (*claim.ours, *claim.baseline))
    assert claims[0].ours == claims[1].ours
    assert len(told) == 2 * 3 * 3
    again = training.claims(tmp_path, seeds=2, progress=lambda sentence: None)
    assert again[0].ours == pytest.approx(claims[0].ours, abs=1e-6)
