"""LangSAMP: its head in float64 written out, what the encoder never sees, published weights, the measures, the recipe."""

import json
import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.small_text_models import small_langsamp
from torch.nn import functional

from agents.beliefs.cards import create_belief_backend
from agents.errors import ConfigError, ModelError, RequestError
from agents.models.langsamp import corpus as corpora
from agents.models.langsamp import measures, training
from agents.models.langsamp.backend import NO_TYPES, LangSAMP
from agents.models.langsamp.corpus import part_of, read_corpus
from agents.models.langsamp.model import LANGUAGES, SCRIPTS
from agents.models.seeded import seeded
from agents.models.sentences.batch import batch
from agents.observation import Audio, Text
from agents.question import Question

TEXTS = ["the dog barks", "a cat that sleeps, who?"]
CASE = Question("case", "what barks?", labels=("A", "B"), options=("the dog", "a cat that sleeps"))


@pytest.fixture
def made(tmp_path):
    return LangSAMP.from_pretrained(small_langsamp(tmp_path / "made")["checkpoint"])


def shown(backend):
    tokens, there = batch(backend.texts.tokenizer, TEXTS, 20)
    asked = torch.zeros_like(there)
    asked[0, 2] = asked[1, 1] = asked[1, 4] = True
    return tokens, there, asked


@torch.inference_mode()
def test_the_head_is_told_language_and_script_and_is_xlm_rs_own(made):
    """Dense, gelu, layer norm, the transposed token table: transformers' states, and float64 from there."""
    model, (tokens, there, asked) = made.texts.model, shown(made)
    languages, scripts = torch.tensor([2, 0]), torch.tensor([0, 1])
    found = model(tokens, there, asked, languages, scripts)
    states = model.body.roberta(tokens, attention_mask=there.long()).last_hidden_state.double()
    weights = {name: value.double() for name, value in model.body.state_dict().items()}
    tables = "roberta.embeddings"
    want = []
    for text, place in asked.nonzero().tolist():
        h = states[text, place]
        h = h + weights[f"{tables}.{LANGUAGES}.weight"][languages[text]]
        h = h + weights[f"{tables}.{SCRIPTS}.weight"][scripts[text]]
        x = weights["lm_head.dense.weight"] @ h + weights["lm_head.dense.bias"]
        x = torch.tensor([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()], dtype=torch.float64)
        x = (x - x.mean()) / (x.var(correction=0) + model.body.config.layer_norm_eps).sqrt()
        x = x * weights["lm_head.layer_norm.weight"] + weights["lm_head.layer_norm.bias"]
        want.append(weights[f"{tables}.word_embeddings.weight"] @ x + weights["lm_head.bias"])
    torch.testing.assert_close(found.double(), torch.stack(want), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_without_tables_it_is_an_ordinary_masked_language_model(made):
    model, (tokens, there, asked) = made.texts.model, shown(made)
    for name in (LANGUAGES, SCRIPTS):
        model.table(name).weight.zero_()
    zeroed = model(tokens, there, asked, torch.tensor([2, 0]), torch.tensor([0, 1]))
    theirs = model.body(tokens, attention_mask=there.long()).logits[asked]
    torch.testing.assert_close(zeroed, theirs, atol=1e-5, rtol=1e-5)


def test_tables_learn_from_their_own_rows_and_the_encoder_never_sees_them(made):
    """At the input, which is another method, the states would depend on them."""
    model, (tokens, there, asked) = made.texts.model, shown(made)
    before = made.texts.embed([Text(text) for text in TEXTS])
    wanted = tokens[asked]
    model(tokens, there, asked, torch.tensor([2, 2]), torch.tensor([1, 1])).logsumexp(-1).sum().backward()
    rows = [model.table(name).weight.grad.abs().sum(1) > 0 for name in (LANGUAGES, SCRIPTS)]
    assert [found.tolist() for found in rows] == [[False, False, True], [False, True]]
    with torch.inference_mode():
        told = model(tokens, there, asked, torch.tensor([2, 2]), torch.tensor([1, 1]))
        for name in (LANGUAGES, SCRIPTS):
            model.table(name).weight.add_(3.0 * torch.randn_like(model.table(name).weight))
        changed = model(tokens, there, asked, torch.tensor([2, 2]), torch.tensor([1, 1]))
    assert not torch.allclose(functional.cross_entropy(told, wanted), functional.cross_entropy(changed, wanted))
    assert torch.equal(before, made.texts.embed([Text(text) for text in TEXTS]))


@torch.inference_mode()
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_vector_is_the_mean_state_of_the_plain_encoder_of_the_folder(tmp_path, layer):
    """Anybody's XLM-R reads the folder: what is dropped is only what is not there."""
    from transformers import XLMRobertaModel

    backend = create_belief_backend("langsamp", **small_langsamp(tmp_path), layer=layer)
    plain = XLMRobertaModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    tokens, there = batch(backend.texts.tokenizer, TEXTS, 20)
    states = plain(tokens, attention_mask=there.long(), output_hidden_states=True).hidden_states[layer]
    for text, row, seen in zip(TEXTS, states, there, strict=True):
        mean = row[seen].mean(0)
        torch.testing.assert_close(backend.texts.embed([Text(text)])[0], mean / mean.norm(), atol=1e-5, rtol=1e-5)


def test_the_layer_is_two_thirds_of_the_way_unless_said(tmp_path, made):
    assert made.texts.layer == 2
    backend = create_belief_backend("langsamp", **small_langsamp(tmp_path), layer=3)
    assert backend.believe([CASE]) != made.believe([CASE])
    backend.save_pretrained(tmp_path / "saved")
    assert create_belief_backend("langsamp", checkpoint=str(tmp_path / "saved")).texts.layer == 3


def test_the_tables_are_saved_under_their_published_names(tmp_path, made):
    made.save_pretrained(tmp_path / "saved")
    with safe_open(tmp_path / "saved" / "model.safetensors", "pt") as weights:
        for name in (LANGUAGES, SCRIPTS):
            stored = weights.get_tensor(f"roberta.embeddings.{name}.weight")
            assert torch.equal(stored, made.texts.model.table(name).weight)
    again = LangSAMP.from_pretrained(str(tmp_path / "saved"))
    assert again.languages == ("bel", "eng", "rus")
    assert torch.equal(again.texts.model.table(LANGUAGES).weight, made.texts.model.table(LANGUAGES).weight)


@torch.inference_mode()
def test_a_published_checkpoint_has_no_types_of_tokens_and_no_file_of_ours(tmp_path, made):
    """As cisnlp's code writes it: the vector of the one type is not there, which is a zero, and not a random one."""
    folder = tmp_path / "made"
    (folder / "langsamp.json").unlink()
    weights = load_file(folder / "model.safetensors")
    del weights[NO_TYPES]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    backend = LangSAMP.from_pretrained(str(folder))
    assert not backend.texts.model.body.roberta.embeddings.token_type_embeddings.weight.any()
    assert len(backend.texts.model.table(SCRIPTS).weight) == 2
    assert (backend.texts.layer, backend.texts.model.encoder.longest, backend.languages) == (2, 23, ())
    made.texts.model.body.roberta.embeddings.token_type_embeddings.weight.zero_()
    assert torch.equal(backend.texts.embed([Text("the dog")]), made.texts.embed([Text("the dog")]))


def test_an_ordinary_xlm_r_is_one_without_tables(tmp_path, made):
    weights = load_file(tmp_path / "made" / "model.safetensors")
    for name in (LANGUAGES, SCRIPTS):
        del weights[f"roberta.embeddings.{name}.weight"]
    save_file(weights, tmp_path / "made" / "model.safetensors", metadata={"format": "pt"})
    backend = LangSAMP.from_pretrained(str(tmp_path / "made"))
    assert backend.texts.model.table(LANGUAGES) is None
    assert backend.believe([CASE]) == made.believe([CASE])


def test_the_longest_text_fits_the_positions(made, tmp_path):
    (tmp_path / "made" / "langsamp.json").unlink()
    backend = LangSAMP.from_pretrained(str(tmp_path / "made"))
    assert backend.texts.embed([Text("dog " * 200)]).isfinite().all()


def test_mistakes_are_sentences(tmp_path, made):
    options = small_langsamp(tmp_path / "a")
    with pytest.raises(ModelError, match="ships no weights"):
        create_belief_backend("langsamp")
    for layer in (0, 4):
        with pytest.raises(ConfigError, match=rf"layer is between 1 and 3 .*; got {layer}"):
            create_belief_backend("langsamp", **options, layer=layer)
    with pytest.raises(RequestError, match="langsamp looks at text; got audio"):
        made.texts.embed([Audio(torch.zeros(3), 8000)])
    weights = load_file(tmp_path / "a" / "model.safetensors")
    del weights["lm_head.dense.bias"]
    save_file(weights, tmp_path / "a" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights, first lm_head\.dense\.bias"):
        create_belief_backend("langsamp", **options)
    (tmp_path / "a" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="reads models of type xlm-roberta"):
        create_belief_backend("langsamp", **options)
    (tmp_path / "a" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"no XLM-R in .*model\.safetensors"):
        create_belief_backend("langsamp", **options)
    with pytest.raises(ModelError, match=r"tatoeba112/tatoeba_v1\.jsonl is not there: give --data"):
        read_corpus(tmp_path)


def write_tatoeba(folder, count=60):
    """Write sentences in four languages that share words with English; half of them have the same English."""
    rows = []
    for language, script, word in (("deu", "LATIN", "hund"), ("nld", "LATIN", "hond"), ("rus", "CYRILLIC", "пёс"),
                                   ("bul", "CYRILLIC", "куче"), ("xxx", "LATIN", "dog")):  # fmt: skip
        for number in range(count):
            english = f"dog number {number} barks" if number % 2 else f"the {language} dog {number} barks"
            rows.append({"lang": language, "script": script, "text": f"{word} {number} !", "eng": english})
        rows.append({"lang": language, "script": script, "text": "twice", "eng": english})
    (folder / "tatoeba_v1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_corpus(folder)


def test_what_is_held_out_is_so_in_every_language(tmp_path):
    corpus = write_tatoeba(tmp_path)
    assert corpus.languages == ("eng", "bul", "deu", "nld", "rus")
    assert corpus.scripts == ("CYRILLIC", "LATIN")
    assert [rows.tolist() for rows in corpus.rows(["rus", "eng"])] == [[4, 0], [0, 1]]
    parts = [corpus.texts([part]) for part in range(corpora.PARTS)]
    for language in corpus.languages:
        texts = [text for part in parts for text in part[language]]
        assert len(texts) == len(set(texts)) > 0
        assert "twice" not in texts
    for part, pairs in ((part, corpus.of_part(part)) for part in range(corpora.PARTS)):
        assert {part_of(pair.english) for found in pairs.values() for pair in found} <= {part}
        assert {pair.english for found in pairs.values() for pair in found} == set(parts[part]["eng"])


def test_the_measures_are_what_they_say():
    vectors = {"a": torch.tensor([[1.0, 0], [0.6, 0.8]]), "b": torch.tensor([[0.0, 1], [0.8, 0.6]])}
    (x, y), (u, v) = (0.8, 0.4), (0.4, 0.8)
    want = (x * u + y * v) / math.hypot(x, y) / math.hypot(u, v)
    assert measures.between(vectors.values()) == pytest.approx(want)
    assert measures.confused(vectors, vectors) == 0
    assert measures.confused({"a": vectors["a"]}, {"a": vectors["a"][:1], "b": vectors["b"]}) == 0.5
    cosines = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.3, 0.1], [0.0, 0.8, 0.7]])
    assert measures.retrieved(cosines) == pytest.approx(1 / 3)
    table = torch.arange(25.0).view(5, 5)
    assert [row.tolist() for row in measures.among_four(table)][1] == [6, 7, 8, 9]
    assert measures.among_four(table)[3].tolist() == [18, 19, 15, 16]


def test_relatives_of_a_random_table_are_found_by_chance():
    languages = ["eng", "deu", "nld", "rus", "bul", "ell"]
    chance = measures.chance_of_relatives(languages)
    assert chance == pytest.approx((3 * 2 / 5 + 2 * 1 / 5) / 5)
    generator = torch.Generator().manual_seed(0)
    drawn = [measures.relatives(torch.randn(6, 8, generator=generator), languages) for _ in range(400)]
    assert sum(drawn) / 400 == pytest.approx(chance, abs=0.03)
    sorted_out = torch.tensor([[1.0, 0, 0], [1, 0.1, 0], [1, 0.2, 0], [0, 1, 0], [0, 1, 0.1], [0, 0, 1]])
    assert measures.relatives(sorted_out, languages) == 1


def test_both_models_of_a_seed_begin_with_the_same_weights_and_see_the_same(tmp_path, monkeypatch):
    """Nothing differs but the tables: what they learn from, too."""
    corpus = write_tatoeba(tmp_path)
    texts = corpus.texts(corpora.TRAIN)
    tokenizer = training.trained_tokenizer([t for found in texts.values() for t in found], 90, starts=True)
    tiny = training.Recipe(vocabulary=90, width=16, layers=2, heads=2, steps=3, batch=6)
    begun, seen = [], []
    monkeypatch.setattr(training, "seeded", lambda make, seed: begun.append(seeded(make, seed).train()) or begun[-1])
    for tables in (True, False):
        seen.append([])
        ask = training.masked
        keep = seen[-1]
        with monkeypatch.context() as patch:
            patch.setattr(training, "masked", lambda *args, ask=ask, keep=keep: keep.append(ask(*args)) or keep[-1])
            patch.setattr(training, "train_step", lambda *args: None)
            training.train(corpus, texts, tokenizer, tiny, tables=tables, seed=4)
    with_tables, without = (model.state_dict() for model in begun)
    assert {name.split(".")[-2] for name in set(with_tables) - set(without)} == {LANGUAGES, SCRIPTS}
    assert all(torch.equal(with_tables[name], value) for name, value in without.items())
    assert len(seen[0]) == 3
    assert all(torch.equal(a, b) for one, two in zip(*seen, strict=True) for a, b in zip(one, two, strict=True))


def test_the_recipe_trains_the_same_twice_and_prints_its_table(cli, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    write_tatoeba(tmp_path / "data")
    tiny = training.Recipe(vocabulary=90, width=16, layers=2, heads=2, steps=3, batch=6)
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    for out in ("one", "two", "two"):
        code, shown, _ = cli("train", "langsamp", "--out", tmp_path / out, "--data", tmp_path / "data", "--seeds", 2)
        assert code == 0
        assert shown.count("null") + shown.count("pass") == 8
    for kind in ("", "-without-tables"):
        one, two = (tmp_path / out / f"tatoeba-1{kind}" / "model.safetensors" for out in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
