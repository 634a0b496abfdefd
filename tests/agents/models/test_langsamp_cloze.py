"""LangSAMP filling in a word: its belief by hand, languages told, guessed and ignored, tables as controls have them."""

import pytest
import torch
from support.small_data import tatoeba
from support.small_text_models import gap_cases, small_langsamp

from agents.beliefs.cards import create_belief_backend
from agents.errors import BeliefError, ConfigError, RequestError, UnknownName
from agents.models.langsamp.model import LANGUAGES, SCRIPTS
from agents.observation import Text
from agents.question import Question
from evals.task import create_task


@pytest.fixture
def made(tmp_path):
    options = small_langsamp(tmp_path / "made")
    return lambda **more: create_belief_backend("langsamp_cloze", **options, **more)


@torch.inference_mode()
def test_a_word_is_as_likely_as_the_heads_belief_at_its_masks(made):
    """transformers' own masked model on the masked text, its state moved by the tables' rows before the head."""
    backend, text = made(), Text("the ___ barks", "rus", "LATIN")
    tokenizer, body = backend.tokenizer, backend.model.body
    for word in ("dog", "zebra"):
        said = tokenizer(word, add_special_tokens=False)["input_ids"]
        around = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in ("the", "barks")]
        row = [
            tokenizer.bos_token_id,
            *around[0],
            *[tokenizer.mask_token_id] * len(said),
            *around[1],
            tokenizer.eos_token_id,
        ]
        h = body.roberta(torch.tensor([row])).last_hidden_state[0]
        h = h + backend.model.table(LANGUAGES).weight[2] + backend.model.table(SCRIPTS).weight[1]
        beliefs = torch.log_softmax(body.lm_head(h).double(), -1)
        want = [float(beliefs[1 + len(around[0]) + place, token]) for place, token in enumerate(said)]
        assert backend.likelihood(text, word, backend.rows_of(text)) == pytest.approx(sum(want) / len(want), abs=1e-4)
    assert len(said) > 1
    (belief,) = made(temperature=0.5).believe([Question("case", "?", (text,), ("dog", "zebra"))])
    scores = torch.tensor(
        [backend.likelihood(text, word, backend.rows_of(text)) for word in ("dog", "zebra")], dtype=torch.float64
    )
    assert belief.probabilities == pytest.approx(torch.softmax(scores / 0.5, 0).tolist())


def test_the_tables_act(made):
    cases = gap_cases()
    told, swapped, random, none = (
        made(**options).believe(cases)
        for options in ({}, {"tables": "swapped"}, {"tables": "random"}, {"language": "none"})
    )
    assert len({tuple(b.probabilities for b in beliefs) for beliefs in (told, swapped, random, none)}) == 4
    # Rows one further are the next language's.
    backend, other = made(), made(tables="swapped")
    assert torch.equal(other.rows[LANGUAGES][1], backend.rows[LANGUAGES][0])
    lengths = [made(tables=kind).rows[LANGUAGES].norm(dim=1) for kind in ("intact", "random")]
    torch.testing.assert_close(*lengths)


@torch.inference_mode()
def test_a_guessed_language_makes_what_is_seen_likeliest(made):
    backend, text = made(language="guess"), Text("the dog ___ at a cat")
    around = [backend.tokenizer(part, add_special_tokens=False)["input_ids"] for part in ("the dog", "at a cat")]
    row = [
        backend.tokenizer.bos_token_id,
        *around[0],
        backend.tokenizer.mask_token_id,
        *around[1],
        backend.tokenizer.eos_token_id,
    ]
    h = backend.model.body.roberta(torch.tensor([row])).last_hidden_state[0]
    places = [place for place, token in enumerate(row) if token in around[0] + around[1]]
    found = {}
    for language in backend.model.table(LANGUAGES).weight:
        for script in backend.model.table(SCRIPTS).weight:
            beliefs = torch.log_softmax(backend.model.body.lm_head(h + language + script), -1)
            likely = sum(float(beliefs[place, row[place]]) for place in places)
            found[likely] = language + script
    assert torch.equal(backend.guessed(text), found[max(found)])
    # It needs not be told.
    assert not backend.believe([Question("case", "?", (text,), ("barks", "sleeps"))])[0].abstention


def test_a_long_text_is_read_around_its_gap(made):
    backend = made()
    longest = backend.model.encoder.longest
    for before, after in ((0, 30), (30, 0), (30, 30), (3, 30), (2, 3)):
        shown, first = backend._shown(Text("dog " * before + "___" + " cat" * after), 2)
        dog, cat = (backend.tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("dog", "cat"))
        mask, row = backend.tokenizer.mask_token_id, shown[0].tolist()
        assert row[first : first + 2] == [mask, mask]
        assert len(row) == min(longest, 4 + before * len(dog) + after * len(cat))
        assert set(row[1:first]) <= set(dog)
        assert set(row[first + 2 : -1]) <= set(cat)


def test_mistakes_are_sentences(made, tmp_path):
    with pytest.raises(UnknownName, match="unknown way to know the language 'told'"):
        made(language="told")
    with pytest.raises(UnknownName, match="unknown kind of tables 'swaped'.*Did you mean 'swapped'"):
        made(tables="swaped")
    with pytest.raises(BeliefError, match="temperature must be finite"):
        made(temperature=0.0)
    with pytest.raises(RequestError, match="reads at most 20 tokens; a word here has "):
        made().believe([Question("case", "?", (Text("the ___", "eng", "LATIN"),), ("cat", "zebra" * 20))])
    backend = made()
    backend.backend.languages = ()
    backend.backend.save_pretrained(tmp_path / "nameless")
    with pytest.raises(ConfigError, match=r"no tables whose rows have names: give options: \{language: none\}"):
        create_belief_backend("langsamp_cloze", checkpoint=str(tmp_path / "nameless"))


def test_missing_words_are_asked_about(tmp_path):
    task = create_task("missing_word", data=tatoeba(tmp_path))
    samples = task.samples()
    assert {sample.metadata["language"] for sample in samples} == {"eng", "rus", "bel", "deu"}
    for sample in samples:
        (text,) = sample.observations
        assert text.text.count("___") == 1
        assert text.text in sample.question
        right = sample.options["ABCD".index(sample.target)]
        assert len(set(sample.options)) == 4
        if text.language == "rus":
            assert right in ["кот", "собака", "дом", "сад", "лес"]
            assert text.script == "CYRILLIC"
    assert task.samples() == samples
    assert create_task("missing_word", data=tmp_path, split="validation").samples() != samples
