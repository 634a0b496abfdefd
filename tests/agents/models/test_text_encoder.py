"""Classifiers of texts of one family: words, files, recipes at their smallest, and how routes and times are measured."""

import gzip
from dataclasses import replace

import pytest
import torch
from support.random_models import shaken
from support.small_data import reviews

from agents.errors import ConfigError, ModelError
from agents.models.blocks.config import EncoderConfig
from agents.models.text_encoder import training, wide, widenet
from agents.models.text_encoder.backend import TextEncoderBackend
from agents.models.text_encoder.config import TextEncoderConfig
from agents.models.text_encoder.model import TextEncoder
from agents.models.text_encoder.sst2 import read_sst2
from agents.question import Question

ENCODER = EncoderConfig(8, 2, 2, 4, 8, experts=4, chosen=2, shared=True)
SMALL = TextEncoderConfig(("negative", "positive"), ("<pad>", "<unk>", *"abcde"), 6, ENCODER)
TINY = training.Recipe(steps=2, batch=4, longest=6)


@torch.inference_mode()
def test_company_and_what_is_not_read_change_nothing():
    model = shaken(lambda: TextEncoder(SMALL))
    alone = model(model.encode(["a b"]))
    beside = model(model.encode(["a b", "c d e a b c d e"]))
    torch.testing.assert_close(beside[:1], alone, rtol=0, atol=1e-5)
    assert torch.equal(model(model.encode(["a b c d e a"])), model(model.encode(["a b c d e a zebra b"])))
    assert not torch.equal(model(model.encode(["b a"])), alone)


def test_sst2_in_both_orders_of_columns(tmp_path):
    reviews(tmp_path)
    pairs = read_sst2(tmp_path, "test")
    assert pairs[0] == ("positive", "b a d e .")
    (tmp_path / "sst2").mkdir()
    (tmp_path / "sst2" / "dev.tsv").write_text("sentence\tlabel\nb a d e . \t1\n")
    (tmp_path / "dev.tsv.gz").unlink()
    assert read_sst2(tmp_path, "test") == pairs[:1]
    (tmp_path / "dev.tsv.gz").write_bytes(gzip.compress(b"label\tsentence\n2\ta\n"))
    with pytest.raises(ModelError, match="dev.tsv.gz:2: a line is a label, 0 or 1, and a text with a tab between them"):
        read_sst2(tmp_path, "test")
    with pytest.raises(ModelError, match="give --data with train.tsv"):
        read_sst2(None, "train")


def test_nothing_that_a_temperature_is_fitted_on_was_learnt_as_a_part():
    texts = ["a good film", "good", "a film", "dull", "a dull and long one", "and long", "so dull", "a bore", "fun"]
    train, held = training.held_out([("positive", text) for text in texts], 3)
    assert [text for _, text in held] == ["so dull", "a bore", "fun"]
    assert [text for _, text in train] == ["a good film", "good", "a film", "a dull and long one", "and long"]
    train, held = training.held_out([("positive", text) for text in texts[:6]], 1)
    assert [text for _, text in held] == ["a dull and long one"]
    assert [text for _, text in train] == ["a good film", "good", "a film"]
    assert training.held_out([("positive", "a")] * 4, 2) == ([("positive", "a")] * 4, [])


def test_a_damaged_sst2_is_a_sentence_and_a_line_ends_at_a_line_feed(tmp_path):
    path = tmp_path / "dev.tsv"
    path.write_bytes("sentence\tlabel\r\na\u2028b\t1\r\n".encode())
    assert read_sst2(tmp_path, "test") == [("positive", "a\u2028b")]
    path.write_bytes(b"sentence\tlabel\ncaf\xe9\t1\n")
    with pytest.raises(ModelError, match=r"cannot read .*dev.tsv: 'utf-8' codec"):
        read_sst2(tmp_path, "test")
    path.unlink()
    whole = gzip.compress(b"sentence\tlabel\na\t1\n" * 100)
    for damaged in (b"sentence\tlabel\n", whole[:-12], whole[:20] + b"x" + whole[21:]):
        (tmp_path / "dev.tsv.gz").write_bytes(damaged)
        with pytest.raises(ModelError, match=r"cannot read .*dev.tsv.gz: "):
            read_sst2(tmp_path, "test")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Both recipes with tiny encoders and two steps."""
    training.read_corpus.cache_clear()
    for module in (widenet, wide):
        monkeypatch.setattr(module, "Recipe", lambda: TINY)
    monkeypatch.setattr(widenet, "MODELS", {name: replace(c, width=8, layers=2, heads=2, head_width=4, hidden=8)
                                            for name, c in widenet.MODELS.items()})  # fmt: skip
    monkeypatch.setattr(wide, "DEEP", replace(wide.DEEP, width=8, head_width=4, hidden=8))
    monkeypatch.setattr(wide, "WIDE", replace(wide.WIDE, width=8, head_width=4, hidden=8))
    monkeypatch.setattr(wide, "latency", lambda *args, **kwargs: wide.Latency(3.0, 1.5))
    return reviews(tmp_path)


def test_the_recipe_of_widenet_at_its_smallest(tmp_path, small):
    said = []
    found = widenet.claims(tmp_path / "out", seeds=1, data=small, progress=said.append)
    assert len(found) == 7
    assert "widenet: " in " ".join(said)
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {f"{name}-0" for name in widenet.MODELS}
    again = widenet.claims(tmp_path / "out", seeds=1, data=small)
    assert again == found
    (belief,) = TextEncoderBackend.from_pretrained(str(tmp_path / "out" / "widenet-0")).believe([Question("1", "a b")])
    assert belief.labels == ("negative", "positive")


def test_the_recipe_of_wide_attention_at_its_smallest(tmp_path, small):
    said = []
    found = wide.claims(tmp_path / "out", seeds=1, data=small, progress=said.append)
    assert found[0].baseline == (pytest.approx(training_right(tmp_path / "out" / "deep-0", small) - wide.MARGIN),)
    assert any("2.00 times" in line for line in said)


def training_right(folder, data):
    return training.right(TextEncoderBackend.from_pretrained(str(folder)).model, training.read_corpus(data).test)


def test_what_is_compared_in_the_recipes():
    """Operations equal but for the router, parameters but for router, biases and norms; attention equal, half the parameters."""
    costs = {name: widenet.cost_of(config, 20) for name, config in widenet.MODELS.items()}
    router = 6 * 20 * 64 * widenet.EXPERTS
    assert costs["widenet"].multiply_adds - router == costs["albert"].multiply_adds
    large, ours = costs["albert-large"].parameters, costs["widenet"].parameters
    assert ours - large == 64 * widenet.EXPERTS + (widenet.EXPERTS - 1) * 64 + 5 * 4 * 64
    deep, wider = (wide.cost_of(config, 64) for config in (wide.DEEP, wide.WIDE))
    assert wider.attention == deep.attention
    assert wider.parameters / deep.parameters == pytest.approx(0.44, abs=0.01)


@torch.inference_mode()
def test_use_of_experts_is_compared_between_layers():
    model = shaken(lambda: TextEncoder(SMALL))
    texts = ("a b c", "d e", "e a b d c")
    routes = []
    training.scores_of(model, texts, routes)
    first, second = (sum(batch[layer].chosen.sum((0, 1)) for batch in routes) for layer in range(2))
    assert first.sum() == 2 * 10
    assert widenet.moved(model, texts) == pytest.approx(float((first - second).abs().sum() / 20 / 2))
    model.encoder.feed_forward[0].router.weight.zero_()
    assert widenet.moved(model, texts) == 0


def test_times_are_of_interleaved_runs(monkeypatch):
    ticks = iter(range(10_000))
    monkeypatch.setattr(wide, "process_time", lambda: next(ticks) / 1000)
    small = replace(wide.WIDE, width=8, heads=2, head_width=4, hidden=8)
    found = wide.latency(small, small, tokens=4, runs=3)
    assert (found.first_ms, found.second_ms, found.ratio) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))
    # A start of every run of both, and an end of those that count: the first ten do not.
    assert next(ticks) == 2 * 13 + 2 * 3


def test_configs_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="<pad> and <unk> first"):
        replace(SMALL, words=("a",))
    with pytest.raises(ModelError, match="text_encoder ships no weights"):
        TextEncoderBackend.from_pretrained()
