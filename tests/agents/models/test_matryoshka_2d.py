"""2D Matryoshka embeddings: layers that do not run, prefixes of length 1, the loss in float64, checkpoints, the recipe."""

import json
import random

import pytest
import torch
from support.small_text_models import small_matryoshka, small_sentence_transformer

from agents.beliefs.cards import create_belief_backend
from agents.errors import ConfigError, ModelError, RequestError, UnknownName
from agents.models.matryoshka_2d import training
from agents.models.matryoshka_2d.backend import Matryoshka2D
from agents.models.matryoshka_2d.losses import layer_losses
from agents.models.sentences.batch import batch
from agents.models.sentences.contrastive import cosent
from agents.models.sentences.encoder import Encoder
from agents.models.sentences.masking import masked
from agents.observation import Audio, Text
from agents.question import Question


@pytest.fixture
def made(tmp_path):
    return Matryoshka2D.from_pretrained(small_matryoshka(tmp_path / "made")["checkpoint"])


def run_layers(encoder, act):
    """Which layers run while something is done."""
    ran = []
    hooks = [
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, block in enumerate(encoder.body.encoder.layer, start=1)
    ]
    act()
    for hook in hooks:
        hook.remove()
    return ran


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_it_really_stops_at_a_layer(tmp_path, layer):
    backend = create_belief_backend("matryoshka_2d", **small_matryoshka(tmp_path), layer=layer)
    ran = run_layers(backend.texts.encoder, lambda: backend.texts.embed([Text("the dog barks")]))
    assert ran == list(range(1, layer + 1))


def test_a_layers_vector_is_that_of_transformers_own_hidden_state(made):
    encoder, tokenizer = made.texts.encoder, made.texts.tokenizer
    tokens, there = batch(tokenizer, ["the dog barks", "a cat that sleeps, who?"], 20)
    with torch.inference_mode():
        states = encoder.body(tokens, attention_mask=there.long(), output_hidden_states=True).hidden_states
        found, with_embeddings = encoder(tokens, there), encoder(tokens, there, first=0)
    assert (len(found), len(with_embeddings)) == (3, 4)
    for layer, vectors in enumerate(with_embeddings):
        weights = there[..., None].float()
        want = (states[layer] * weights).sum(1) / weights.sum(1)
        torch.testing.assert_close(vectors, want, atol=1e-5, rtol=1e-5)
        if layer:
            assert torch.equal(vectors, found[layer - 1])
            assert not torch.allclose(vectors, (states[0] * weights).sum(1) / weights.sum(1), atol=1e-3)


def test_a_prefix_is_of_length_1_again(made):
    tokens, there = batch(made.texts.tokenizer, ["the dog barks", "a cat"], 20)
    with torch.inference_mode():
        whole, cut = (made.texts.encoder.embed(tokens, there, layer=2, dim=dim) for dim in (16, 5))
    torch.testing.assert_close(cut.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(cut, whole[:, :5] / whole[:, :5].norm(dim=-1, keepdim=True))


def test_the_loss_is_four_base_losses_and_a_divergence_that_leaves_the_teacher_alone():
    generator = torch.Generator().manual_seed(0)
    early, last = (torch.randn(6, 8, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    scores = torch.tensor([1.0, 4.0, 2.0])

    def base(unit):
        return cosent(*unit.chunk(2), scores)

    def unit(vectors):
        return vectors / vectors.norm(dim=-1, keepdim=True)

    found = layer_losses(early, last, base, dim=3, divergence=0.7, temperature=0.3)
    want = base(unit(last)) + base(unit(last[:, :3])) + base(unit(early)) + base(unit(early[:, :3]))
    p, q = ((v.detach() / 0.3).exp() for v in (last, early))
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    divergence = (p * (p / q).log()).sum(-1).mean()
    torch.testing.assert_close(found.detach(), want.detach() + 0.7 * 0.3 * divergence)
    with_it = torch.autograd.grad(found, [early, last], retain_graph=True)
    without = torch.autograd.grad(want, [early, last])
    assert torch.allclose(with_it[1], without[1])
    assert not torch.allclose(with_it[0], without[0])


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_loss_is_the_librarys(tmp_path, made, monkeypatch, layer):
    """sentence-transformers' Matryoshka2dLoss over CoSENT, one layer and one prefix a step, the embeddings among the layers."""
    library = pytest.importorskip("sentence_transformers")
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    small_sentence_transformer(tmp_path / "st")
    model = library.SentenceTransformer(str(tmp_path / "st"), device="cpu").double().eval()
    loss = losses.Matryoshka2dLoss(model, losses.CoSENTLoss(model), [16, 5], n_dims_per_step=-1)
    pairs = [("the dog barks", "a cat sleeps"), ("what barks?", "the dog"), ("a cat", "who sleeps?")]
    scores = torch.tensor([0.2, 0.9, 0.5], dtype=torch.float64)
    monkeypatch.setattr(
        random, "sample", lambda population, k: [layer] if len(population) == 3 else list(population)[:k]
    )
    with torch.no_grad():
        theirs = loss([model.preprocess([pair[side] for pair in pairs]) for side in (0, 1)], scores)
        encoder, tokenizer = made.texts.encoder.double(), made.texts.tokenizer
        encoder.body.load_state_dict(dict(model[0].auto_model.state_dict()), strict=False)
        texts = [pair[side] for side in (0, 1) for pair in pairs]
        vectors = encoder(*batch(tokenizer, texts, 20), first=0)

        def base(unit):
            return cosent(*unit.chunk(2), scores)

        ours = layer_losses(vectors[layer], vectors[-1], base, dim=5, divergence=1.0, temperature=0.3)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def test_masking_asks_for_words_only_and_for_one_at_least():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, 50, (200, 30), generator=generator)
    tokens[:, 0], tokens[:, 20:] = 2, 0
    shown, wanted = masked(tokens, torch.arange(5), 4, 50, generator)
    asked = wanted != -100
    assert not asked[:, 0].any()
    assert not asked[:, 20:].any()
    assert torch.equal(wanted[asked], tokens[asked])
    assert torch.equal(shown[~asked], tokens[~asked])
    assert float(asked[:, 1:20].float().mean()) == pytest.approx(0.15, abs=0.02)
    assert float((shown[asked] == 4).float().mean()) == pytest.approx(0.8, abs=0.06)
    _, one = masked(torch.tensor([[2, 7, 0]]), torch.arange(5), 4, 50, generator)
    assert one.tolist() == [[-100, 7, -100]]


def test_a_cheap_voter_and_a_full_one_share_a_checkpoint_and_differ(tmp_path):
    options = small_matryoshka(tmp_path)
    cheap = create_belief_backend("matryoshka_2d", **options, layer=1, dim=4)
    full = create_belief_backend("matryoshka_2d", **options)
    case = Question("case", "what barks?", labels=("A", "B"), options=("the dog", "a cat that sleeps"))
    assert cheap.believe([case]) != full.believe([case])
    assert cheap.name == "matryoshka_2d (layer 1, 4 numbers)"
    cheap.save_pretrained(tmp_path / "saved")
    assert create_belief_backend("matryoshka_2d", checkpoint=str(tmp_path / "saved")).name == cheap.name


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_published_checkpoint_is_pooled_as_it_says(tmp_path, pooling):
    """A folder in sentence-transformers' layout, without a file of this project."""
    small_sentence_transformer(tmp_path)
    mode = {"first": "cls_token", "mean": "mean_tokens"}[pooling]
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{mode}": True}))
    backend = create_belief_backend("matryoshka_2d", checkpoint=str(tmp_path))
    assert backend.texts.encoder.pooling == pooling
    assert (backend.texts.layer, backend.texts.dim) == (3, 16)


@pytest.mark.parametrize("config", [{"pooling_mode": "cls"}, {"pooling_mode_cls_token": True}])
def test_a_published_checkpoint_of_either_layout_is_read_or_refused(tmp_path, config):
    small_sentence_transformer(tmp_path)
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(config))
    backend = create_belief_backend("matryoshka_2d", checkpoint=str(tmp_path))
    assert (backend.texts.encoder.pooling, backend.texts.encoder.longest) == ("first", 20)
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "lasttoken"}))
    with pytest.raises(ModelError, match="pools by lasttoken; matryoshka_2d reads mean, cls"):
        create_belief_backend("matryoshka_2d", checkpoint=str(tmp_path))


def test_mistakes_are_sentences(tmp_path, made):
    options = small_matryoshka(tmp_path)
    with pytest.raises(ModelError, match="ships no weights"):
        create_belief_backend("matryoshka_2d")
    for layer in (-1, 4):
        with pytest.raises(ConfigError, match=rf"layer is between 0 and 3; got {layer}"):
            create_belief_backend("matryoshka_2d", **options, layer=layer)
    with pytest.raises(ConfigError, match="dim is between 1 and the model's width, 16; got 17"):
        create_belief_backend("matryoshka_2d", **options, dim=17)
    with pytest.raises(UnknownName, match="unknown pooling 'last'"):
        Encoder(made.texts.encoder.body, pooling="last")
    with pytest.raises(RequestError, match="looks at text; got audio"):
        made.texts.embed([Audio(torch.zeros(3), 8000)])
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    with pytest.raises(ModelError, match="reads models of type bert"):
        create_belief_backend("matryoshka_2d", **options)


def test_the_recipe_trains_the_same_twice_and_prints_its_table(cli, tmp_path, monkeypatch):
    data = tmp_path / "data"
    (data / "2012").mkdir(parents=True)
    heading = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    rows = [f"{i}\ta man number {i} runs\ta person {i * i} is running\t{1 + i % 5}\tNEUTRAL\n" for i in range(20)]
    for name in ("SICK_train.txt", "SICK_test_annotated.txt"):
        (data / name).write_text(heading + "".join(rows))
    for name in ("MSRpar", "SMTeuroparl"):
        (data / "2012" / f"{name}.train.tsv").write_text("4.2\tthe vote is open\tvoting is open\n")
    tiny = training.Recipe(vocabulary=90, width=16, layers=2, heads=2, masked_steps=2, epochs=1, batch=8, dims=(4, 8))
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    for out in ("one", "two"):
        code, shown, _ = cli("train", "matryoshka_2d", "--out", tmp_path / out, "--data", data, "--seeds", 2)
        assert code == 0
        assert shown.count("null") + shown.count("pass") == 5
    one, two = (tmp_path / out / "sick-1" / "model.safetensors" for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
