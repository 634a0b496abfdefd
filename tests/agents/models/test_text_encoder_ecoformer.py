"""Classifiers of texts that attend by EcoFormer's codes: layers against their definition, hashes learned, and the recipe."""

import json
from dataclasses import replace

import pytest
import torch
from support.contracts import small_hashed, small_text_encoder
from support.random_models import generator, shaken
from support.small_data import reviews

from agents.attention.ecoformer import EcoFormer
from agents.attention.hashing import Learning, similarities
from agents.beliefs.cards import create_belief_backend
from agents.errors import ConfigError, ModelError
from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.cost import cost_of
from agents.models.blocks.encoder import Encoder
from agents.models.blocks.hashed import HashedAttention, learn_hashes
from agents.models.blocks.layers import Attention
from agents.models.text_encoder import ecoformer as recipe
from agents.models.text_encoder import training
from agents.models.text_encoder.backend import TextEncoderBackend
from agents.models.text_encoder.config import TextEncoderConfig
from agents.models.text_encoder.model import TextEncoder
from agents.question import Question

ENCODER = EncoderConfig(8, 2, 2, 4, 8, attention="ecoformer(bits=3, anchors=4)")
SMALL = TextEncoderConfig(("negative", "positive"), ("<pad>", "<unk>", *"abcde"), 6, ENCODER)


@torch.inference_mode()
def test_a_layer_is_its_definition_over_the_tokens_that_are_keys():
    layer = shaken(lambda: Encoder(ENCODER)).attention[1].double()
    x = torch.randn(1, 7, 8, dtype=torch.float64, generator=generator())
    keys = torch.tensor([[True, False, True, True, False, True, True]])
    k, v = (part(x[0]).unflatten(-1, (2, 4)) for part in (layer.k, layer.v))
    rows = []
    for head in range(2):
        # The bandwidth is the keys'; a token that is none asks by the same hash.
        codes = layer.hash(k.transpose(0, 1)[None], keys)[0, head]
        weights = (codes @ codes.T + 3 + 1) * keys[0]
        rows.append(weights @ v[:, head] / weights.sum(-1, keepdim=True))
    torch.testing.assert_close(layer(x, keys)[0], layer.out(torch.cat(rows, -1)), atol=1e-13, rtol=1e-12)


@torch.inference_mode()
def test_company_and_what_is_not_read_change_nothing():
    model = shaken(lambda: TextEncoder(SMALL)).double()
    alone = model(model.encode(["a b"]))
    beside = model(model.encode(["a b", "c d e a b c d e"]))
    torch.testing.assert_close(beside[:1], alone, rtol=0, atol=1e-12)
    assert not torch.equal(model(model.encode(["b a"])), alone)


def test_hashes_are_learned_layer_by_layer_from_what_the_layer_reads():
    encoder = shaken(lambda: Encoder(ENCODER))
    x = torch.randn(3, 9, 8, generator=generator())
    learn_hashes(encoder, lambda: encoder(x), Learning(similar=3, steps=3), generator(1))
    first, second = encoder.attention
    read = []
    handle = second.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    with torch.no_grad():
        encoder(x)
    handle.remove()
    # What the second layer reads now, behind the first's learned hash, is what its own hash was learned from.
    drawn = generator(1)
    again = shaken(lambda: Encoder(ENCODER)).attention
    there = torch.ones(3, 9, dtype=torch.bool)
    with torch.no_grad():
        again[0].hash.learn(first.of_heads(first.k, encoder.before_attention[0](x)), there, Learning(3, 3), drawn)
        again[1].hash.learn(second.of_heads(second.k, read[0]), there, Learning(3, 3), drawn)
    for ours, theirs in zip(encoder.attention, again, strict=True):
        for name, tensor in ours.hash.named_buffers():
            assert torch.equal(tensor, getattr(theirs.hash, name))


def test_hashes_lie_in_the_folder_and_the_numerator_is_an_option(tmp_path):
    small_hashed(tmp_path)
    asked = [Question("1", "a b c d")]
    own, published = (
        create_belief_backend("text_encoder", checkpoint=str(tmp_path), **options)
        for options in ({}, {"attention": "ecoformer(bits=3, anchors=4, official_numerator=true)"})
    )
    beliefs = [each.believe(asked) for each in (own, published)]
    assert beliefs[0] != beliefs[1]
    published.save_pretrained(tmp_path / "again")
    again = TextEncoderBackend.from_pretrained(str(tmp_path / "again"))
    assert again.believe(asked) == beliefs[1]
    assert torch.equal(again.model.encoder.attention[1].hash.anchors, own.model.encoder.attention[1].hash.anchors)
    with pytest.raises(ConfigError, match="has 16 bits and 25 anchors, and this checkpoint's hashes have 3 and 4"):
        create_belief_backend("text_encoder", checkpoint=str(tmp_path), attention="ecoformer")
    with pytest.raises(ConfigError, match="none of an encoder's layers"):
        create_belief_backend("text_encoder", checkpoint=str(tmp_path), attention="combiner")
    small_text_encoder(tmp_path / "softmax")
    with pytest.raises(ConfigError, match="needs hashes, and this checkpoint has a softmax"):
        create_belief_backend("text_encoder", checkpoint=str(tmp_path / "softmax"), attention="ecoformer")


@pytest.mark.parametrize(
    "attention",
    [
        "ecoformer(bits=1000000000)",
        "ecoformer(anchors=1000000000)",
        "ecoformer(bits=4)",
        "os:getpid",
        "combiner",
        "f" * 999,
    ],
)
def test_a_checkpoint_that_names_another_attention_is_refused_and_nothing_is_imported(tmp_path, attention):
    small_hashed(tmp_path)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    stored["model"]["encoder"]["attention"] = attention
    path.write_text(json.dumps(stored))
    with pytest.raises(ModelError, match="no Text_encoder in"):
        create_belief_backend("text_encoder", checkpoint=str(tmp_path))


def test_where_it_has_no_place_it_is_refused():
    with pytest.raises(ConfigError, match="give shared: false"):
        replace(ENCODER, shared=True)
    with pytest.raises(ConfigError, match="is none of an encoder's layers"):
        replace(ENCODER, attention="clipped")
    with pytest.raises(ConfigError, match="this layer's attention is a softmax"):
        Attention(ENCODER)
    with pytest.raises(ConfigError, match="is counted by agents.attention.operations"):
        cost_of(ENCODER, 7)


def test_areas_are_shares_of_pairs():
    codes = torch.randn(2, 2, 6, 3, generator=generator()).sign()
    labels = similarities(torch.randn(2, 2, 6, 4, generator=generator(1)), torch.ones(2, 6, dtype=torch.bool), 2)
    areas = []
    for head in range(2):
        near, far = (
            [float(codes[t, head, i] @ codes[t, head, j]) for t in range(2) for i in range(6) for j in range(6)
             if labels[t, head, i, j] == label]
            for label in (1, -1)
        )  # fmt: skip
        won = [1.0 if a > b else 0.5 if a == b else 0.0 for a in near for b in far]
        areas.append(sum(won) / len(won))
    assert recipe.told_apart(codes, labels) == pytest.approx(sum(areas) / 2)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The recipe with a tiny teacher, few steps and short texts."""
    training.read_corpus.cache_clear()
    tiny = training.Recipe(steps=2, batch=4, longest=6)
    monkeypatch.setattr(recipe, "Recipe", lambda: tiny)
    monkeypatch.setattr(recipe, "FINE_TUNED", tiny)
    monkeypatch.setattr(recipe, "TEACHER", replace(ENCODER, attention=None))
    monkeypatch.setattr(recipe, "ATTENTION", ENCODER.attention)
    monkeypatch.setattr(recipe, "LEARNING", Learning(similar=1, steps=2))
    monkeypatch.setattr(recipe, "EcoFormer", lambda: EcoFormer(3, 4))
    return reviews(tmp_path)


def test_the_recipe_at_its_smallest(tmp_path, small):
    said, out = [], tmp_path / "out"
    found = recipe.claims(out, seeds=1, data=small, progress=said.append)
    assert [claim.text for claim in found] == list(recipe.ASKED)
    names = ("teacher", "softmax", "exchanged", "hashed", "random", "uniform")
    assert {path.name for path in out.iterdir()} == {f"{name}-0" for name in names}
    assert recipe.claims(out, seeds=1, data=small) == found
    # Of a softmax's map of queries nothing is left, its map of keys serves both, and equal codes weigh all alike.
    made = {name: TextEncoderBackend.from_pretrained(str(out / f"{name}-0")) for name in names}
    teacher, exchanged = (made[name].model.encoder.attention[0] for name in ("teacher", "exchanged"))
    assert torch.equal(teacher.k.weight, exchanged.k.weight)
    assert not hasattr(exchanged, "q")
    layer = made["uniform"].model.encoder.attention[0]
    assert isinstance(layer, HashedAttention)
    assert (layer.hash(torch.randn(1, 2, 5, 4, generator=generator())) == -1).all()
    assert torch.equal(exchanged.hash.anchors, layer.hash.anchors)
    assert recipe.drift(made["softmax"], made["softmax"], ("a b", "c")) == 0
    beliefs = [made[name].believe([Question("1", "a b c")])[0].probabilities for name in ("softmax", "hashed")]
    wanted = sum(p * torch.tensor(p / q).log() for p, q in zip(*beliefs, strict=True))
    assert recipe.drift(made["softmax"], made["hashed"], ("a b c",)) == pytest.approx(float(wanted), abs=1e-6)


def test_texts_that_hashes_are_learned_from_are_long_enough_that_no_token_is_both():
    words = " ".join("a" * 21)
    assert recipe.long_texts(("a b", words, words + " a", words), 2, 21) == [words, words]
