"""A masked model of words at a gap: its belief by hand, what it reads of long texts, what it refuses, and its recipe."""

import itertools

import pytest
import torch
from support.contracts import small_cloze
from support.small_data import FILM_WORDS, film_reviews

from agents.beliefs.cards import create_belief_backend
from agents.errors import BeliefError, ConfigError, ModelError, RequestError, TaskError
from agents.models.blocks.config import EncoderConfig
from agents.models.text_encoder import cloze_training, training
from agents.models.text_encoder.masked import SPECIAL, MaskedWordsConfig
from agents.observation import Text
from agents.question import Question
from evals.task import create_task
from evals.tasks import missing_word


@pytest.fixture
def backend(tmp_path):
    return create_belief_backend("text_encoder_cloze", **small_cloze(tmp_path / "made"))


@torch.inference_mode()
def test_words_are_as_likely_as_the_model_finds_them_at_their_masks(backend):
    model = backend.model
    for text, option in (("a ___ c", "b"), ("___ c", "d e"), ("a, b ___", "c")):
        before, after = (model.vocabulary.numbers(part, 8) if part.strip() else [] for part in text.split("___"))
        said = model.vocabulary.numbers(option, 8)
        row = torch.tensor([[*before, *[2] * len(said), *after]])
        states = model.masked.encoder(model.masked.words(row) + model.masked.positions.weight[: row.shape[1]])
        likely = torch.log_softmax((states[0] @ model.masked.words.weight.T + model.masked.bias).double(), -1)
        want = sum(float(likely[len(before) + place, token]) for place, token in enumerate(said)) / len(said)
        assert backend.likelihood(text, said) == pytest.approx(want, abs=1e-5)
    options = ("b", "d e")
    (belief,) = backend.believe([Question("case", "?", (Text("a ___ c"),), ("A", "B"), options)])
    scores = [backend.likelihood("a ___ c", model.vocabulary.numbers(option, 8)) / 0.7 for option in options]
    assert belief.probabilities == pytest.approx(torch.softmax(torch.tensor(scores).double(), 0).tolist())


def test_a_long_text_is_read_around_its_gap(backend):
    """Eight words are read: what is further from the gap changes nothing, and what is near does."""
    near = backend.likelihood("b c d ___ a b c d", [3])
    assert backend.likelihood("e e a b c d ___ a b c d e e", [3]) == pytest.approx(near, abs=1e-6)
    assert abs(backend.likelihood("b c e ___ a b c d", [3]) - near) > 1e-4
    assert backend.likelihood("a ___ a b c d e a", [3]) == pytest.approx(
        backend.likelihood("a ___ a b c d e a b b", [3]), abs=1e-6
    )


def test_words_that_it_did_not_learn_are_no_belief(backend):
    (belief,) = backend.believe([Question("case", "?", (Text("a ___ c"),), ("A", "B"), ("b", "zebra"))])
    assert belief.abstention == "'zebra' is no word that it learned"
    (belief,) = backend.believe([Question("case", "?", (Text("a ___ c"),))])
    assert "no options" in belief.abstention


def test_mistakes_are_sentences(backend, tmp_path):
    with pytest.raises(RequestError, match="reads at most 8 words; what may stand in the gap has 9"):
        backend.likelihood("___", [3] * 9)
    with pytest.raises(BeliefError, match="temperature must be finite"):
        type(backend)(backend.model, temperature=0.0)
    with pytest.raises(ModelError, match="ships no weights"):
        create_belief_backend("text_encoder_cloze")
    with pytest.raises(ConfigError, match="<pad>, <unk>, <mask> first"):
        MaskedWordsConfig(("<pad>", "<unk>", "a"))
    with pytest.raises(ModelError, match="no masked model of words in"):
        create_belief_backend("text_encoder_cloze", checkpoint=str(tmp_path))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    training.read_corpus.cache_clear()
    encoder = EncoderConfig(8, 2, 2, 4, 8, experts=4, chosen=2, shared=True)
    monkeypatch.setattr(cloze_training, "MODELS", dict.fromkeys(cloze_training.KINDS, encoder))
    recipe = cloze_training.Recipe(shortest=2, longest=6, steps=2, batch=4, gaps=3, offered=2)
    monkeypatch.setattr(cloze_training, "Recipe", lambda: recipe)
    texts = [" ".join(words) for words in itertools.permutations("abcde", 4)]
    for name, part in (("train", texts[:100]), ("dev", texts[100:])):
        lines = [f"{number % 2}\t{text} ." for number, text in enumerate(part)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["label\tsentence", *lines]) + "\n")
    yield tmp_path, recipe
    training.read_corpus.cache_clear()


def test_the_recipe_trains_and_keeps(tiny, tmp_path):
    data, _ = tiny
    claims = cloze_training.claims(tmp_path / "out", seeds=2, data=data)
    assert all(len(claim.ours) == 2 for claim in claims)
    again = cloze_training.claims(tmp_path / "out", seeds=2, data=data)
    assert [claim.ours for claim in again] == [claim.ours for claim in claims]


def test_gaps_offer_the_word_that_stood_there_first(tiny, backend):
    _, recipe = tiny
    texts = ["a b , c", "d e a .", "b , .", "zebra zebra"]
    gaps = cloze_training.gaps_of(backend.model, texts, recipe)
    assert gaps == cloze_training.gaps_of(backend.model, texts, recipe)
    assert gaps
    for text, numbers in gaps:
        words = [backend.model.config.words[number] for number in numbers]
        assert text.replace("___", words[0]) in texts
        assert len(set(words)) == 2
        assert min(numbers) >= len(SPECIAL)


def test_gaps_of_reviews_are_asked_about(tmp_path, backend):
    task = create_task("missing_word:reviews", data=film_reviews(tmp_path))
    samples = task.samples()
    assert len(samples) == 10
    for sample in samples:
        (text,) = sample.observations
        right = sample.options["ABCD".index(sample.target)]
        filled = text.text.replace("___", right)
        assert len(set(sample.options)) == 4
        assert filled in (tmp_path / "dev.tsv").read_text()
        assert not set(sample.options) - {right} & set(filled.split())
        assert set(sample.options) <= set(FILM_WORDS)
    assert task.samples() == samples
    (belief,) = backend.believe(
        [Question("case", "?", samples[0].observations, ("A", "B", "C", "D"), samples[0].options)]
    )
    assert belief.labels == ("A", "B", "C", "D")
    assert not belief.abstention
    with pytest.raises(TaskError, match="missing_word:reviews has the split test; got 'validation'"):
        create_task("missing_word:reviews", data=tmp_path, split="validation").samples()
    with pytest.raises(TaskError, match="SST-2 is not there"):
        create_task("missing_word:reviews").samples()


def test_rare_words_of_reviews_are_not_offered(tmp_path, monkeypatch):
    monkeypatch.setattr(missing_word, "KNOWN", 8)
    film_reviews(tmp_path)
    offered = {
        word for sample in create_task("missing_word:reviews", data=tmp_path).samples() for word in sample.options
    }
    # Ten words are equally common: the first eight of the alphabet.
    assert offered == set(sorted(FILM_WORDS)[:8])
