"""Models of sentence-transformers: read with its own library, equal to the same layers read here, refused in sentences."""

import pytest
import torch
from support.small_text_models import small_sentence_transformer

from agents.beliefs.cards import create_belief_backend
from agents.errors import ModelError, RequestError
from agents.observation import Audio, Text
from agents.question import Question

pytest.importorskip("sentence_transformers")
CASE = Question("case", "what barks?", labels=("A", "B"), options=("the dog", "a cat that sleeps"))


def test_it_is_the_same_bert_as_read_by_our_own_encoder(tmp_path):
    """Two implementations of mean pooling and of one BERT."""
    options = small_sentence_transformer(tmp_path)
    theirs, ours = (create_belief_backend(name, **options) for name in ("sentence_transformers", "matryoshka_2d"))
    texts = [Text("the dog barks"), Text("a cat")]
    unit = torch.nn.functional.normalize(theirs.texts.embed(texts), dim=-1)
    torch.testing.assert_close(unit, ours.texts.embed(texts), atol=1e-5, rtol=1e-5)
    (a,), (b,) = theirs.believe([CASE]), ours.believe([CASE])
    assert a.probabilities == pytest.approx(b.probabilities, abs=1e-4)


def test_the_models_own_prompts_stand_before_questions_or_options(tmp_path):
    options = small_sentence_transformer(tmp_path)
    plain, asked = (
        create_belief_backend("sentence_transformers", **options, **more) for more in ({}, {"question_prompt": "query"})
    )
    assert torch.equal(
        asked.questions.embed([Text("what barks?")])[0], plain.texts.embed([Text("who? what barks?")])[0]
    )
    assert plain.believe([CASE]) != asked.believe([CASE])
    asked.save_pretrained(tmp_path / "saved")
    again = create_belief_backend("sentence_transformers", checkpoint=str(tmp_path / "saved"))
    assert again.believe([CASE]) == asked.believe([CASE])


def test_mistakes_are_sentences(tmp_path):
    options = small_sentence_transformer(tmp_path)
    with pytest.raises(ModelError, match="needs a checkpoint"):
        create_belief_backend("sentence_transformers")
    with pytest.raises(RequestError, match="has no prompt 'question'; it has: .*query"):
        create_belief_backend("sentence_transformers", **options, question_prompt="question")
    backend = create_belief_backend("sentence_transformers", **options)
    with pytest.raises(RequestError, match="looks at text; got audio"):
        backend.texts.embed([Audio(torch.zeros(3), 8000)])
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no model of sentence-transformers in"):
        create_belief_backend("sentence_transformers", **options)
