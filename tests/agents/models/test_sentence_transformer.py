"""Models of sentence-transformers: read with its own library, equal to the same layers read here, refused in sentences."""

import pytest
import torch
from safetensors.torch import load_file, save_file
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


@pytest.mark.parametrize("is_accelerated", [True, False])
def test_weights_that_are_missing_are_not_drawn_at_random(tmp_path, monkeypatch, is_accelerated):
    """The library logs them, and each load believes something else."""
    if not is_accelerated:
        monkeypatch.setattr("agents.models.sentence_transformer.backend.find_spec", lambda _: None)
    options = small_sentence_transformer(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    assert not any("pooler" in name for name in weights)
    assert create_belief_backend("sentence_transformers", **options).believe([CASE])[0].probabilities
    lost = "encoder.layer.0.attention.output.dense.weight"
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"lacks weights \({lost}\), which would be random"):
        create_belief_backend("sentence_transformers", **options)
    save_file({f"other.{name}": tensor for name, tensor in weights.items()}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights \(embeddings\."):
        create_belief_backend("sentence_transformers", **options)
