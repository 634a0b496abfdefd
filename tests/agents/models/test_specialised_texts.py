"""Classifiers of texts that parts are taken from: what is left is what it computed with parts switched off, and is a folder."""

import json
from dataclasses import replace

import pytest
import torch
from support.random_models import shaken
from support.small_data import reviews

from agents.errors import ConfigError, ModelError
from agents.models.blocks.config import EncoderConfig, LayerSize
from agents.models.blocks.encoder import Encoder
from agents.models.text_encoder import axformer, training
from agents.models.text_encoder.backend import TextEncoderBackend
from agents.models.text_encoder.config import TextEncoderConfig
from agents.models.text_encoder.model import TextEncoder
from agents.models.text_encoder.specialised import Specialiser, half_of_mean, nats, parameters
from agents.models.text_encoder.training import Sentences, scores_of
from agents.question import Question

ENCODER = EncoderConfig(width=8, layers=3, heads=2, head_width=3, hidden=10)
SMALL = TextEncoderConfig(("negative", "positive"), ("<pad>", "<unk>", *"abcde"), 8, ENCODER)
TEXTS = Sentences(("a b c d e a", "b", "e e d a", "c c b a d e"), torch.tensor([0, 1, 1, 0]))


def small():
    return shaken(lambda: TextEncoder(SMALL))


def some(whole):
    found = whole.turned("feed_forward", 0).turned("attention", 1).turned("heads", 2, 0).turned("hard", 0)
    return found.turned("units", 1, 3).turned("hard", 2)


@torch.inference_mode()
def test_what_is_left_is_the_model_with_parts_switched_off():
    model, keys = small().double(), 2
    specialiser = Specialiser(model, keys=keys, groups=4)
    made = specialiser.made(some(specialiser.whole)).double()
    found = made(made.encode(TEXTS.texts))
    for row, text in enumerate(TEXTS.texts):
        words = model.encode([text])[0]
        x = model.words(words) + model.positions.weight[: len(words)]
        encoder = model.encoder
        for layer in range(3):
            if layer != 1:
                part, h = encoder.attention[layer], encoder.before_attention[layer](x)
                q, k, v = (each(h).unflatten(-1, (2, 3)).transpose(0, 1) for each in (part.q, part.k, part.v))
                shares = (q @ k.mT / 3**0.5).softmax(-1)
                # The two largest of the whole softmax, as they are.
                least = shares.sort(-1, descending=True).values[..., :keys][..., -1:]
                heard = (shares * (shares >= least)) @ v
                if layer == 2:
                    heard[0] = 0
                x = x + part.out(heard.transpose(0, 1).flatten(1))
            if layer != 0:
                part, h = encoder.feed_forward[layer], encoder.before_feed_forward[layer](x)
                units = torch.nn.functional.gelu(part.up(h))
                if layer == 1:
                    # The last of four groups of ten.
                    units[:, 8:] = 0
                x = x + part.down(units)
        want = model.head(encoder.norm(x).mean(0))
        torch.testing.assert_close(found[row], want, rtol=0, atol=1e-12)


def test_what_went_is_not_stored_and_a_folder_holds_what_is_left(tmp_path):
    model = small()
    specialiser = Specialiser(model, keys=2, groups=4)
    assert torch.equal(scores_of(specialiser.made(specialiser.whole), TEXTS.texts), scores_of(model, TEXTS.texts))
    made = specialiser.made(some(specialiser.whole))
    assert made.config.layers == (LayerSize(2, 0, 2), LayerSize(0, 8, 0), LayerSize(1, 10, 2))
    whole, head, unit, norm = parameters(model), 4 * 8 * 3 + 9, 2 * 8 + 1, 16
    # A block goes with the norm before it and the last map's bias.
    went = (10 * unit + 8 + norm) + (2 * head + 8 + norm) + head + 2 * unit
    assert parameters(made) == whole - went == sum(each.numel() for each in made.encoder.parameters())
    TextEncoderBackend(made, temperature=1.5).save_pretrained(tmp_path)
    again = TextEncoderBackend.from_pretrained(str(tmp_path))
    assert again.config == made.config
    assert torch.equal(scores_of(again.model, TEXTS.texts), scores_of(made, TEXTS.texts))
    (belief,) = again.believe([Question("1", "a b c")])
    assert belief.labels == ("negative", "positive")
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["model"]["layers"][0]["heads"] = 3
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ModelError, match="at most 2 heads and 10 units"):
        TextEncoderBackend.from_pretrained(str(tmp_path))


@torch.inference_mode()
def test_hard_attention_hears_no_padding():
    made = (specialiser := Specialiser(small(), keys=2, groups=4)).made(some(specialiser.whole))
    alone = scores_of(made, ["b c"])
    torch.testing.assert_close(scores_of(made, ["b c", "a b c d e a"])[:1], alone, rtol=0, atol=1e-5)


def test_held_out_sentences_decide_and_their_loss_falls():
    model = small()
    specialiser = Specialiser(model, keys=half_of_mean(model, TEXTS.texts), groups=4)
    assert specialiser.keys == round((6 + 1 + 4 + 6) / 4 / 2)
    found = specialiser.specialised(TEXTS)
    assert found.before == pytest.approx(float(nats(model, TEXTS).double().mean()))
    assert found.after == pytest.approx(float(nats(specialiser.made(found.switches), TEXTS).double().mean()))
    assert found.after < found.before
    assert len(found.accepted) > 0


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ((LayerSize(1, 1),), "sizes of each of 3 layers"),
        ((LayerSize(1, 11),) * 3, "at most 2 heads and 10 units"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(layers, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(SMALL, layers=layers)
    with pytest.raises(ConfigError, match=sentence):
        Encoder(ENCODER, layers)


def test_what_cannot_be_specialised_is_refused():
    with pytest.raises(ConfigError, match="keys where it has heads; got 0 heads, 3 units and 2 keys"):
        LayerSize(0, 3, 2)
    shared = replace(SMALL, encoder=replace(ENCODER, shared=True))
    with pytest.raises(ConfigError, match="shared: false, experts: 1"):
        replace(shared, layers=(LayerSize(1, 1),) * 3)
    with pytest.raises(ConfigError, match="of a model from which nothing was taken yet"):
        Specialiser(TextEncoder(shared), keys=2)
    with pytest.raises(ConfigError, match="of a model from which nothing was taken yet"):
        Specialiser(TextEncoder(replace(SMALL, layers=(LayerSize(1, 1),) * 3)), keys=2)
    for keys in (0, 8):
        with pytest.raises(ConfigError, match=f"keys is from 1 to 7, since 8 words are read .*; got {keys}"):
            Specialiser(small(), keys=keys, groups=4)
    with pytest.raises(ConfigError, match="groups is from 1 to the 10 units of a layer; got 12"):
        Specialiser(small(), keys=2)


def test_the_recipe_at_its_smallest(tmp_path, monkeypatch):
    training.read_corpus.cache_clear()
    monkeypatch.setattr(axformer, "ENCODER", ENCODER)
    tiny = axformer.AxFormerRecipe(phrases=6, training=training.Recipe(steps=2, batch=4, longest=8), groups=2, draws=2)
    monkeypatch.setattr(axformer, "AxFormerRecipe", lambda: tiny)
    said = []
    found = axformer.claims(tmp_path / "out", seeds=1, data=reviews(tmp_path), progress=said.append)
    assert len(found) == 15
    assert any("changes accepted" in line for line in said)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"base-0", "specialised-0"}
    assert axformer.claims(tmp_path / "out", seeds=1, data=tmp_path) == found
    ours = TextEncoderBackend.from_pretrained(str(tmp_path / "out" / "specialised-0"))
    corpus = training.read_corpus(tmp_path)
    assert found[1].ours == (pytest.approx(-float(nats(ours.model, corpus.test).double().mean())),)
