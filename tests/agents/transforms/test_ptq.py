"""Rounding after training: quantisers as published, ranges that run, folders that keep them, and what is refused."""

import json

import pytest
import torch
from support.small_subjects import subject

from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, ModelError
from agents.models.glyphs.table import character_tokenizer
from agents.models.quantizable.model import QuantizableConfig, QuantizableForCausalLM
from agents.models.seeded import seeded
from agents.transforms.folder import transform_folder
from agents.transforms.ptq.places import Rounded, mapping_modules, of_tensor, places_of
from agents.transforms.ptq.transform import ptq
from agents.transforms.recipe import parse_recipe


def coded(x, scale, zero, lowest, highest):
    """Return what codes stand for by the definition, number by number in float64."""
    return [scale * (min(highest, max(lowest, round(float(v) / scale) + zero)) - zero) for v in x.double()]


@pytest.mark.parametrize("bits", [4, 8])
def test_quantisers_are_their_definition(bits):
    x = 3 * torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    most = 2 ** (bits - 1) - 1
    want = coded(x, float(x.abs().max()) / most, 0, -most - 1, most)
    assert of_tensor(x, bits)(x).tolist() == pytest.approx(want, abs=1e-12)
    positive = x.abs()
    want = coded(positive, float(positive.max()) / (2**bits - 1), 0, 0, 2**bits - 1)
    assert of_tensor(positive, bits)(positive).tolist() == pytest.approx(want, abs=1e-12)
    place = Rounded()
    assert torch.equal(place(x), x)
    place.watch(bits, 0.9)
    made = place(x)
    scale = float(x.max() - x.min()) / (2**bits - 1)
    want = coded(x, scale, round(-float(x.min()) / scale), 0, 2**bits - 1)
    assert made.tolist() == pytest.approx(want, abs=1e-12)


def test_ranges_run_over_batches_hold_0_and_then_stay():
    place = Rounded()
    place.watch(8, 0.9)
    for top in (2.0, 12.0):
        place(torch.tensor([1.0, top]))
    place.settle()
    assert (float(place.low), float(place.high)) == pytest.approx((1.0, 0.9 * 2 + 0.1 * 12))
    assert float(place(torch.tensor(0.0))) == 0.0
    assert float(place(torch.tensor(-5.0))) == 0.0
    assert float(place(torch.tensor(50.0))) == pytest.approx(3.0)
    assert float(place.high) == pytest.approx(3.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder, tokenizer = tmp_path_factory.mktemp("base"), character_tokenizer()
    config = QuantizableConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2, alpha=1.0,
        gate="linear",
    )  # fmt: skip
    model = seeded(lambda: QuantizableForCausalLM(config), 0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 if weight.dim() == 1 else 6)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_folder_keeps_the_rounded_model_and_an_engine_plays_it(base, tmp_path):
    recipe = parse_recipe(["ptq(activations=6, rows=3, length=20)"])
    record = transform_folder(base, "base", recipe, tmp_path / "made")
    (step,) = record["steps"]
    assert (step["weight_bits"], step["activation_bits"]) == (8, 6)
    assert step["drift"] > 0
    assert json.loads((tmp_path / "made" / "transform.json").read_text())["digest"] == record["digest"]
    loaded = LoadedModel(tmp_path / "made", name="made", dtype="float32", device="cpu", rows=2)
    places = places_of(loaded.model)
    assert len(places) == 2 * 13 + 1
    assert all(place.bits == 6 and float(place.high) > float(place.low) for place in places)
    for module in mapping_modules(loaded.model):
        assert len(module.weight.unique()) <= 256
    first, second = (QuantizableForCausalLM.from_pretrained(path) for path in (base, tmp_path / "made"))
    assert torch.equal(first.get_input_embeddings().weight, second.get_input_embeddings().weight)
    assert torch.equal(first.model.layers[0].self_attn.gate.weight, second.model.layers[0].self_attn.gate.weight)
    with pytest.raises(ModelError, match="rounded already"):
        transform_folder(tmp_path / "made", "made", recipe, tmp_path / "twice")


def test_what_it_cannot_round_is_refused():
    with pytest.raises(
        ModelError, match="of type llama, which has none. Take a model of type quantizable, or repquant"
    ):
        ptq(subject("llama"))
    with pytest.raises(ConfigError, match="weights are in 2 to 16 bits; got 1"):
        ptq(subject("llama"), weights=1)
    with pytest.raises(ConfigError, match="momentum is from 0 up to 1"):
        ptq(subject("llama"), momentum=1.0)
