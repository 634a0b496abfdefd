"""Activation sparsity is what a loop counts, in models of every layout, over depth and over positions."""

import json

import pytest
import torch
from support.small_subjects import subject
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    OPTConfig,
    OPTForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from agents.errors import ConfigError, ModelError
from agents.tokenizers import byte_tokenizer
from debate.cli.app import app
from evals.copies.drift import Scored
from evals.copies.sparsity import last_maps, sparsity

TEXTS = [Scored([5, 9, 2, 7, 1], 1), Scored([3, 3, 8], 1)]
SMALL = {"vocab_size": 258, "num_hidden_layers": 2}
MODELS = {
    "relu": lambda: OPTForCausalLM(
        OPTConfig(hidden_size=12, ffn_dim=20, num_attention_heads=2, word_embed_proj_dim=12, **SMALL)
    ),
    "gelu": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=258, n_embd=12, n_layer=2, n_head=2, n_inner=20)),
    "encoder": lambda: BertModel(BertConfig(hidden_size=12, intermediate_size=20, num_attention_heads=2, **SMALL)),
    "both": lambda: T5ForConditionalGeneration(
        T5Config(vocab_size=258, d_model=12, d_ff=20, num_layers=2, num_heads=2, d_kv=6)
    ),
}


@pytest.fixture
def saved(tmp_path):
    """Return a function: kind → folder of a random model with a tokenizer of bytes."""

    def save(kind):
        torch.manual_seed(0)
        model = subject(kind).model if kind not in MODELS else MODELS[kind]()
        model.save_pretrained(tmp_path / kind)
        byte_tokenizer(258).save_pretrained(tmp_path / kind)
        return tmp_path / kind

    return save


@pytest.mark.parametrize(
    ("kind", "activation", "is_exact", "units"),
    [
        ("relu", "relu", True, 20),
        ("gelu", "gelu_new", False, 20),
        ("encoder", "gelu", False, 20),
        ("both", "relu", True, 20),
        ("llama", "silu", False, 10),
    ],
)
def test_it_is_what_a_loop_counts(saved, kind, activation, is_exact, units):
    folder = saved(kind)
    found = sparsity(str(folder), TEXTS, share=0.2)
    assert (found.activation, found.is_exact) == (activation, is_exact)
    torch.manual_seed(0)
    model = (MODELS[kind]() if kind in MODELS else subject(kind).model).eval()
    blocks = model.encoder if kind == "both" else model
    seen = {}
    maps = dict(last_maps(blocks))
    assert [layer.name for layer in found.layers] == list(maps)
    assert len(maps) == (3 if kind == "llama" else 2)

    def keep(path):
        return lambda _, given: seen.setdefault(path, []).extend(given[0].reshape(-1, units).tolist())

    for path, module in maps.items():
        module.register_forward_pre_hook(keep(path))
    with torch.inference_mode():
        for text in TEXTS:
            blocks(torch.tensor([text.ids]))
    places = [place for text in TEXTS for place in range(len(text.ids))]
    for number, path in enumerate(maps):
        rows = seen[path]
        exact = [sum(value != 0 for value in row) for row in rows]
        near = [sum(abs(value) >= 0.2 * max(map(abs, row)) > 0 for value in row) for row in rows]
        assert found.over_depth("non_zero")[number] == pytest.approx(sum(exact) / (8 * units))
        assert found.over_depth("at_work")[number] == pytest.approx(sum(near) / (8 * units))
        by_place = [sum(near[i] for i, where in enumerate(places) if where == place) for place in range(5)]
        assert found.layers[number].at_work.tolist() == by_place
    assert found.tokens.tolist() == [2, 2, 2, 1, 1]
    assert found.over_positions() == pytest.approx(
        [
            sum(int(getattr(layer, found.counted)[place]) for layer in found.layers) / (tokens * units * len(maps))
            for place, tokens in enumerate([2, 2, 2, 1, 1])
        ]
    )


def test_layers_that_keep_k_have_that_share(saved):
    found = sparsity(f"{saved('llama')} | topk(k=3)", TEXTS)
    assert found.is_exact
    assert found.over_depth() == [0.3] * 3
    assert found.over_positions() == [0.3] * 5


def test_what_cannot_be_measured_is_refused(saved, monkeypatch):
    with pytest.raises(ConfigError, match="above 0 and below 1; got 1"):
        sparsity(str(saved("llama")), TEXTS, share=1.0)
    monkeypatch.setattr("evals.copies.sparsity.LAST", ("nowhere",))
    with pytest.raises(ModelError, match="no feed-forward layer whose last map is named as in other models"):
        sparsity(str(saved("llama")), TEXTS)


def test_attention_and_what_is_outside_blocks_are_not_taken_for_feed_forward_layers():
    model = MODELS["gelu"]()
    model.c_proj = nn.Linear(3, 3)
    assert [path for path, _ in last_maps(model)] == ["transformer.h.0.mlp.c_proj", "transformer.h.1.mlp.c_proj"]


def test_the_command_writes_figures_and_draws_them(tmp_path):
    from typer.testing import CliRunner

    models = ["tiny/ada", "tiny/ada | topk(k=64)"]
    outcome = CliRunner().invoke(app, ["sparsity", *models, "--num-texts", "3", "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    smooth, thresholded = json.loads((tmp_path / "out" / "sparsity.json").read_text())
    assert (smooth["counted"], thresholded["counted"]) == ("at_work", "non_zero")
    width = thresholded["layers"][0]["units"]
    assert {layer["non_zero"] for layer in thresholded["layers"]} == {64 / width}
    for name in ("over_depth", "over_positions"):
        drawn = (tmp_path / "out" / f"{name}.svg").read_text()
        assert all(model in drawn for model in models)
